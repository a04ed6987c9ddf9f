"""`bisect`: which commits are searched, what becomes of each, and how it is resumed."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import toolchain
from pipeline.commands import main
from pipeline.judge import bisect as judge
from pipeline.model.bisect import Bisection, CommitOutcome
from pipeline.model.history import ChangePoint, CommitRef, HistorySeries, JudgedSeries
from pipeline.model.ports import Artifact, Load, Span
from pipeline.model.report import Change
from pipeline.model.request import BisectRequest, RunRequest
from pipeline.model.results import Failure, Reading, ResultSet
from pipeline.model.subject import Arm, Spec, Subject
from pipeline.runs import measure
from pipeline.runs import run as single_run
from pipeline.runs.bisect import request as bisect_request
from pipeline.runs.bisect import search
from pipeline.runs.plan import Plan
from pipeline.storage import codec
from pipeline.system import processes
from pipeline.system.errors import ConfigError, Exit, LaunchError, LoadError
from pipeline.system.paths import BISECT, RESULTS
from pipeline.system.processes import CommandError, ExitStatus
from pipeline.toolchain import ahead
from pipeline.toolchain.commits import is_build_input
from tests import bisections
from tests.fakes import SUITE, Bench, FakeDriver, Told
from tests.unmeasured import without_machine

WAVE = (1.0, 1.004, 0.997, 1.002, 0.999, 1.001, 1.003, 0.998)
BUILD = "make OUT={out}"
COMMITS = 12
CAUSE = 7


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(folder: Path, name: str, file: str = "main.go") -> str:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name)
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", name)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    """Return a repository and its commits by first parent; some are merges or change no input.

    c3 changes only documentation, c5 is a merge, and c9 has the tree of c8's parent.
    """
    folder = tmp_path_factory.mktemp("clone")
    git(folder, "init", "-q", "-b", "main")
    ids = [commit(folder, "c0")]
    git(folder, "tag", "v1.0.0")
    for number in range(1, COMMITS + 1):
        name = f"c{number} (#{600 + number})"
        if number == 3:
            ids.append(commit(folder, name, "docs/guide.md"))
        elif number == 5:
            git(folder, "checkout", "-q", "-b", "side")
            commit(folder, "side 1", "side.go")
            commit(folder, "side 2", "side.go")
            git(folder, "checkout", "-q", "main")
            git(folder, "merge", "-q", "--no-ff", "-m", "Merge pull request #605 from a/b", "side")
            ids.append(git(folder, "rev-parse", "HEAD"))
        elif number == 9:
            git(folder, "revert", "--no-edit", ids[8])
            ids.append(git(folder, "rev-parse", "HEAD"))
        else:
            ids.append(commit(folder, name))
    git(folder, "tag", "v1.1.0")
    git(folder, "checkout", "-q", "--orphan", "other")
    commit(folder, "unrelated")
    git(folder, "checkout", "-q", "-b", "parted", ids[2])
    commit(folder, "parted")
    git(folder, "checkout", "-q", "main")
    return folder, tuple(ids)


@dataclass
class Fakes:
    """What is measured: create times by commit in ms, commits that fail, and copies of another."""

    times: Mapping[str, float] = field(default_factory=dict)
    not_built: set[str] = field(default_factory=set)
    not_started: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    fails_once: set[str] = field(default_factory=set)
    copies: dict[str, str] = field(default_factory=dict)
    measured: list[str] = field(default_factory=list)
    built: list[str] = field(default_factory=list)
    interrupt_at: int | None = None

    def name(self, spec: str) -> str:
        return spec.rpartition("@")[2]

    def load(self, arms: Mapping[Arm, Artifact], pair: int) -> Load:
        readings = {}
        for arm, artifact in arms.items():
            name = self.name(artifact.subject.spec)
            factor = WAVE[pair % 8] if arm is Arm.CANDIDATE else 1.0
            time = Reading("create/p50", self.times.get(name, 10.0) * factor, "ms")
            readings[arm] = () if name in self.silent else (time, Reading("requests", 100, "1"))
        return Load(readings, dict.fromkeys(Arm, Span(0, 5)), ())


@pytest.fixture
def fakes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made: tuple[Path, tuple[str, ...]]
) -> Fakes:
    """Measure with fakes only; the change is at `CAUSE`."""
    told = Fakes(dict.fromkeys(made[1][CAUSE:], 20.0))
    real = measure.run_pairs

    def run_pairs(
        plan: Plan,
        harness: measure.Harness,
        results: ResultSet,
        out: Path,
        _shown: object,
        *,
        is_enough: measure.StopCondition,
        settled_workloads: measure.WorkloadFilter = lambda _: (),
        forgives_earlier: bool = False,
    ) -> Iterator[ResultSet]:
        specs = {arm: told.name(one.subject.spec) for arm, one in harness.artifacts.items()}
        told.measured.append(specs[Arm.CANDIDATE])
        if specs[Arm.CANDIDATE] in told.not_started:
            raise LaunchError("the candidate did not start")
        if specs[Arm.CANDIDATE] in told.fails_once:
            told.fails_once.discard(specs[Arm.CANDIDATE])
            raise LoadError("the load was not applied as asked")
        if told.interrupt_at == len(told.measured):
            raise KeyboardInterrupt
        says = [told.load(harness.artifacts, pair) for pair in range(results.pairs, 40)]
        own = replace(
            Bench(plan.suite, out, FakeDriver(says)).harness(),
            artifacts=harness.artifacts,
            drivers={workload.name: FakeDriver(says) for workload in plan.suite.workloads},
        )
        yield from real(
            *(plan, own, results, out, Told()),
            is_enough=is_enough,
            settled_workloads=settled_workloads,
            forgives_earlier=forgives_earlier,
        )

    def artifact(spec: Spec, _build: str = "") -> Artifact:
        told.built.append(told.name(str(spec)))
        if told.built[-1] in told.not_built:
            tail = "its last lines, of /home/me/log:\n  x.go:3: <b>no</b>"
            cause = CommandError(["go", "build"], ExitStatus(2), tail)
            raise LaunchError(f"{spec} could not be built: {cause}", hint=tail) from cause
        facts = {"revision": told.built[-1], "build": BUILD}
        name = told.built[-1]
        return Artifact(Subject(str(spec), told.copies.get(name, name), facts), Path("x"))

    without_machine(monkeypatch, tmp_path / "state")
    monkeypatch.setattr(single_run, "driver_of", lambda *_: None)
    monkeypatch.setattr(measure, "run_pairs", run_pairs)
    monkeypatch.setattr(toolchain, "artifact", artifact)
    monkeypatch.setattr(toolchain, "built_trees", lambda trees, _: set(trees))
    return told


@dataclass
class Case:
    """A repository, the fakes that measure it, and the command on both, into `out`."""

    fakes: Fakes
    folder: Path
    ids: tuple[str, ...]
    folder_of_test: Path

    @property
    def out(self) -> Path:
        return self.folder_of_test / "out"

    def read(self) -> Bisection:
        return codec.BISECT.read(self.out / BISECT)

    def bisect(
        self,
        *words: str,
        good: str = "v1.0.0",
        bad: str = "v1.1.0",
        metric: str = "crud/create_p50",
    ) -> int:
        suite = self.folder_of_test / "tiny.toml"
        where = ("--suite", str(suite), "--out", str(self.out), "--prior=none")
        named = ("--metric", metric) if metric else ()
        ends = ("--good", good, "--bad", bad, "--build", BUILD)
        return main.main(["bisect", str(self.folder), *ends, *named, *where, *words])


@pytest.fixture
def case(fakes: Fakes, made: tuple[Path, tuple[str, ...]], tmp_path: Path) -> Case:
    """Return the case with a suite of two workloads."""
    text = SUITE.replace("margin = 0.05", "margin = 0.05\ngate = true", 1)
    second = text.partition("[[workload]]")[2].replace('"crud"', '"second"', 1)
    (tmp_path / "tiny.toml").write_text(f"{text}\n[[workload]]{second}")
    return Case(fakes, *made, tmp_path)


def test_the_commit_is_found_with_its_subject_files_and_command(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    assert case.bisect() == Exit.NO_REGRESSION
    found, folder, ids = case.read(), case.folder, case.ids
    assert [found.commits[one.commit].id for one in found.found] == [ids[CAUSE]]
    assert found.found[0].files == ("main.go",)
    assert found.commits[CAUSE].pull == 600 + CAUSE
    assert found.last_position == COMMITS - 1, "the commit of documentation is no position"
    assert len(found.measured) <= 5
    assert {one.id for one in found.commits} == set(ids), "the side of a merge is no commit of it"
    said = capsys.readouterr().out
    assert f"{ids[CAUSE][:12]} changed crud/create_p50 by +100 %" in said
    assert "1 commit changes only documentation, tests or workflows" in said
    assert f"--candidate source:{folder}@{ids[CAUSE]} --against source:{folder}@{ids[6]}" in said
    for one in found.measured:
        results = codec.RESULTS.read(case.out / one.folder / RESULTS)
        assert {sample.workload for sample in results.samples[Arm.CANDIDATE]} == {"crud"}
    page = (case.out / "bisect.html").read_text()
    assert ids[CAUSE] in page
    assert "<svg" in page
    assert ids[CAUSE][:12] in (case.out / "bisect.md").read_text()


@pytest.mark.parametrize("cause", [1, 2, 4, 5, 10, 12])
def test_every_position_can_be_found(case: Case, cause: int) -> None:
    case.fakes.times = dict.fromkeys(case.ids[cause:], 20.0)
    assert case.bisect("--json") == Exit.NO_REGRESSION
    found = case.read()
    assert [one.commit for one in found.found] == [cause]


def test_a_reverted_commit_is_the_build_before_it_and_not_measured_again(case: Case) -> None:
    ids = case.ids
    case.fakes.times = dict.fromkeys((ids[8], *ids[10:]), 20.0)
    assert case.bisect() in (Exit.NO_REGRESSION, Exit.INCONCLUSIVE)
    found = case.read()
    assert found.commits[9].inputs == found.commits[7].inputs
    tried = {one.commit: one for one in found.evidence}
    assert not (7 in tried and 9 in tried) or CommitOutcome.SAME_BUILD in (
        tried[7].outcome,
        tried[9].outcome,
    )


def test_a_commit_whose_binary_is_that_of_another_is_not_measured(case: Case) -> None:
    ids = case.ids
    copies = dict.fromkeys(ids[:CAUSE], ids[0]) | dict.fromkeys(ids[CAUSE:], ids[-1])
    case.fakes.copies = copies
    assert case.bisect() == Exit.NO_REGRESSION
    found = case.read()
    assert [one.commit for one in found.found] == [CAUSE]
    assert set(case.fakes.measured) == {ids[-1]}
    outcomes = {one.commit: (one.outcome, one.same_as) for one in found.evidence[1:]}
    for commit, (outcome, same) in outcomes.items():
        last = len(ids) - 1
        assert (outcome, same) == (CommitOutcome.SAME_BUILD, 0 if commit < CAUSE else last)


@pytest.mark.parametrize("metric", ["crud/create_p50", ""])
def test_ends_with_one_binary_are_refused_before_a_pair_is_measured(
    case: Case, capsys: pytest.CaptureFixture[str], metric: str
) -> None:
    case.fakes.copies = dict.fromkeys(case.ids, "sha256:00")
    assert case.bisect(metric=metric) == Exit.INCONCLUSIVE
    assert "give the same build, byte for byte" in capsys.readouterr().err
    assert case.fakes.measured == []


def test_a_commit_that_does_not_build_or_start_is_skipped_and_named(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = case.ids
    case.fakes.not_built, case.fakes.not_started, case.fakes.silent = {ids[6]}, {ids[8]}, {ids[4]}
    assert case.bisect() == Exit.INCONCLUSIVE
    found = case.read()
    decision = judge.decide(found)
    assert decision.state is judge.BisectState.SKIPPED
    names = {found.commit_at(at).id for at in range(decision.low + 1, decision.high + 1)}
    assert ids[CAUSE] in names
    assert ids[6] in names
    said = capsys.readouterr().out
    assert "does not build: go exited with 2: x.go:3: <b>no</b>" in said
    assert "the cause is one of" in said
    assert "<b>no" not in (case.out / "bisect.html").read_text()


def test_a_commit_that_fails_once_is_tried_again(case: Case) -> None:
    case.fakes.fails_once = {case.ids[6], case.ids[CAUSE]}
    assert case.bisect() == Exit.NO_REGRESSION
    found = case.read()
    assert found.skipped == ()
    assert [one.commit for one in found.found] == [CAUSE]


def test_equal_ends_are_refused_with_what_was_seen(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    case.fakes.times = {}
    assert case.bisect() == Exit.INCONCLUSIVE
    assert "v1.0.0 and v1.1.0 do not differ in crud/create_p50: " in capsys.readouterr().out
    assert len(case.read().evidence) == 1


def test_without_a_metric_the_clearest_change_of_a_whole_run_is_searched(case: Case) -> None:
    assert case.bisect(metric="") == Exit.NO_REGRESSION
    found = case.read()
    assert found.metric.name == "create_p50"
    assert (case.out / "whole" / "report.html").is_file()


def test_without_a_metric_equal_ends_are_refused_too(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    case.fakes.times = {}
    assert case.bisect(metric="") == Exit.INCONCLUSIVE
    assert "no gating metric differs between both ends" in capsys.readouterr().err


@pytest.mark.parametrize("at", [1, 2, 4, 5, 7])
def test_a_search_is_resumed_after_an_interruption_at_any_pair(
    case: Case, capsys: pytest.CaptureFixture[str], at: int
) -> None:
    case.fakes.interrupt_at = at
    assert case.bisect() == Exit.INTERRUPTED
    out = case.out
    assert f"milo-perf bisect --resume {out}" in capsys.readouterr().err
    kept = case.read()
    case.fakes.interrupt_at = None
    assert main.main(["bisect", "--resume", str(out)]) == Exit.NO_REGRESSION
    found = case.read()
    assert found.commits[found.found[0].commit].id == case.ids[CAUSE]
    assert [one.commit for one in found.evidence][: len(kept.evidence)] == [
        one.commit for one in kept.evidence
    ]
    before = (out / "bisect.html").read_bytes()
    pairs = len(case.fakes.measured)
    assert main.main(["bisect", "--resume", str(out)]) == Exit.NO_REGRESSION
    assert len(case.fakes.measured) == pairs
    assert (out / "bisect.html").read_bytes() == before


def test_an_interrupted_choice_of_the_metric_is_resumed(case: Case) -> None:
    case.fakes.interrupt_at = 1
    assert case.bisect(metric="") == Exit.INTERRUPTED
    assert not (case.out / BISECT).exists()
    assert main.main(["bisect", "--resume", str(case.out)]) == Exit.NO_REGRESSION
    assert case.read().found


def test_the_budget_ends_a_search_with_the_range_that_is_left(
    case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(search.CommitSearch, "_fits", lambda *_: len(case.fakes.measured) < 5)
    assert case.bisect("--budget", "2h") == Exit.INCONCLUSIVE
    said = capsys.readouterr()
    assert "not decided: one of " in said.out
    assert f"go on with: milo-perf bisect --resume {case.folder_of_test / 'out'}" in said.err
    monkeypatch.undo()


def test_a_budget_below_one_comparison_is_refused_before_anything_is_built(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    assert case.bisect("--budget", "5s") == Exit.BAD_ARGUMENTS
    assert "is shorter than the comparison of both ends" in capsys.readouterr().err
    assert case.fakes.built == []


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ({"good": "v1.1.0"}, "are the same commit", "the last good commit"),
        ({"good": "v1.1.0", "bad": "v1.0.0"}, "the good end comes first", "--good v1.0.0"),
        ({"good": "v1.0.1"}, "no revision `v1.0.1`", "did you mean v1.0.0"),
        ({"bad": "other"}, "are not related", "--unshallow"),
        ({"good": "parted"}, "is not an ancestor of", "they part at"),
        ({"good": "side"}, "is on a branch that was merged into the history of", "they part at"),
        ({"metric": "crud/create_p5"}, "no metric `crud/create_p5`", "crud/create_p50"),
        ({"metric": "create_p50"}, "is a metric of several workloads", "second/create_p50"),
    ],
)
def test_bad_input_is_one_clear_error_before_anything_is_built(
    case: Case,
    capsys: pytest.CaptureFixture[str],
    words: Mapping[str, str],
    message: str,
    hint: str,
) -> None:
    assert case.bisect(**words) == Exit.BAD_ARGUMENTS
    said = capsys.readouterr().err
    assert message in said
    assert hint in said
    assert case.fakes.built == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "bisect which repository?"),
        (("{clone}",), "--good is missing"),
        (("{clone}", "--good", "v1.0.0"), "--bad is missing"),
        (("{clone}/none", "--good", "a", "--bad", "b"), "is not a folder"),
        (("{clone}", "--good", "v1.0.0", "--bad", "v1.1.0"), "no command is guessed"),
        (("{clone}", "--branch", "x", "--good", "a", "--bad", "b"), "need --from-history"),
        (("--from", "{clone}", "--from-history", "x.jsonl"), "cannot be combined"),
        (("--from", "{clone}"), "is no folder of a run"),
        (("{clone}", "--rest"), "--rest needs --resume"),
        (("{clone}", "--resume", "x"), "cannot be changed by --resume"),
    ],
)
def test_words_that_say_too_little_are_refused(
    case: Case, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    code = main.main(["bisect", *(word.format(clone=case.folder) for word in words)])
    assert code in (Exit.BAD_ARGUMENTS, Exit.NO_BASELINE)
    assert message in capsys.readouterr().err


def random_history(folder: Path, parents: Sequence[Sequence[int]]) -> list[str]:
    """Write a commit for each list of earlier commits, all of another tree; return their ids."""
    git(folder, "init", "-q")
    ids: list[str] = []
    for number, of in enumerate(parents):
        (folder / "main.go").write_text(f"{number}")
        git(folder, "add", "--all")
        merged = [word for one in of for word in ("-p", ids[one])]
        ids.append(git(folder, "commit-tree", git(folder, "write-tree"), "-m", "x", *merged))
    return ids


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_every_commit_of_a_search_is_the_first_parent_of_the_next(data: st.DataObject) -> None:
    """Otherwise the first one would be blamed for what a side branch has, and it has not."""
    count = data.draw(st.integers(4, 9))
    parents = [
        data.draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=2, unique=True))
        if number
        else []
        for number in range(count)
    ]
    good = data.draw(st.integers(0, count - 2))
    with tempfile.TemporaryDirectory() as aside:
        ids = random_history(Path(aside), parents)
        chain = git(Path(aside), "rev-list", "--first-parent", ids[-1]).split()
        asked = replace(ASKED, repository=aside, good=ids[good], bad=ids[-1])
        if ids[good] not in chain:
            with pytest.raises(ConfigError, match=r"ancestor|was merged") as caught:
                bisect_request.commits_of(asked)
            hint = caught.value.hint.rpartition("--good ")[2]
            assert any(one.startswith(hint) for one in chain)
            asked = replace(asked, good=hint)
        assert bisect_request.commits_of(asked)[0].id in chain
        listed = [one.id for one in bisect_request.commits_of(asked)]
        assert listed == chain[: len(listed)][::-1]


@pytest.mark.parametrize(
    ("at", "year"),
    [
        ("1100000000 +051800", 2004),
        ("1100000000 -7500", 2004),
        ("253402300800 +0000", 1970),
        ("99999999999999999999 +0000", 1970),
        ("-5 +0000", 1970),
        ("0 -1200", 1970),
        ("never", 1970),
    ],
)
def test_a_commit_may_have_any_time(tmp_path: Path, at: str, year: int) -> None:
    ids = random_history(tmp_path, [[], [0]])
    first, second = (git(tmp_path, "rev-parse", f"{one}^{{tree}}") for one in ids)
    assert first != second
    body = f"tree {second}\nparent {ids[0]}\nauthor a <a> {at}\ncommitter a <a> 1 +0000\n\nx\n"
    odd = tmp_path / "odd"
    odd.write_text(body)
    bad = git(tmp_path, "hash-object", "-t", "commit", "-w", "--literally", f"{odd}")
    asked = replace(ASKED, repository=str(tmp_path), good=ids[0], bad=bad)
    assert bisect_request.commits_of(asked)[-1].authored_at.year == year


def test_the_repository_of_a_hook_is_not_searched(
    case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    for name in ("v1.0.0", "v1.1.0"):
        commit(other, name)
        git(other, "tag", name)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert case.bisect() == Exit.NO_REGRESSION
    assert {one.id for one in case.read().commits} == set(case.ids)


def test_commits_that_change_no_build_input_are_refused(case: Case) -> None:
    ids = case.ids
    assert case.bisect(good=ids[2], bad=ids[3]) == Exit.BAD_ARGUMENTS
    assert case.fakes.built == []


@pytest.mark.parametrize("end", [0, COMMITS])
def test_an_end_that_does_not_build_is_named(
    case: Case, capsys: pytest.CaptureFixture[str], end: int
) -> None:
    case.fakes.not_built = {case.ids[end]}
    assert case.bisect() == Exit.NOT_STARTED
    name = "bad" if end else "good"
    assert f"the {name} end, {case.ids[end][:12]}: " in capsys.readouterr().err


def test_a_dirty_worktree_is_never_touched(case: Case) -> None:
    folder = case.folder
    (folder / "main.go").write_text("changed by hand")
    try:
        before = git(folder, "status", "--porcelain=v2", "--branch")
        assert case.bisect() == Exit.NO_REGRESSION
        assert git(folder, "status", "--porcelain=v2", "--branch") == before
        assert (folder / "main.go").read_text() == "changed by hand"
    finally:
        git(folder, "checkout", "-q", "--", "main.go")


def test_a_red_run_says_all_of_it(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    folder, red = case.folder, case.folder_of_test / "red"
    specs = [f"source:{folder}@{name}" for name in ("v1.1.0", "v1.0.0")]
    suite = ("--suite", str(case.folder_of_test / "tiny.toml"), "--prior=none", "--pairs", "4")
    run = ["run", "--candidate", specs[0], "--against", specs[1], "--build", BUILD]
    case.fakes.times = {**case.fakes.times, "v1.1.0": 20.0}
    real = toolchain.artifact

    def with_revision(spec: Spec, build: str = "") -> Artifact:
        found = real(spec, build)
        facts = {**found.subject.facts, "revision": git(folder, "rev-parse", spec.revision)}
        return replace(found, subject=replace(found.subject, facts=facts))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toolchain, "artifact", with_revision)
        assert main.main([*run, *suite, "--out", str(red)]) == Exit.REGRESSION
    out = case.out
    assert main.main(["bisect", "--from", str(red), "--out", str(out)]) == Exit.NO_REGRESSION
    found = case.read()
    assert (found.key, found.commits[found.found[0].commit].id) == (
        "crud/create_p50",
        case.ids[CAUSE],
    )
    text = (red / "request.json").read_text()
    (red / "request.json").write_text(text.replace("make", "rm"))
    assert main.main(["bisect", "--from", str(red)]) == Exit.BAD_ARGUMENTS
    assert "was not started here by you" in capsys.readouterr().err


def test_what_an_earlier_search_found_is_not_searched_again(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    known, out = case.folder_of_test / "known", case.out
    assert case.bisect() == Exit.NO_REGRESSION
    first = case.read()
    known.mkdir()
    shutil.copy(out / BISECT, known / "crud.create_p50.json")
    (known / "broken.json").write_text("{")
    case.fakes.measured.clear()
    case.fakes.built.clear()

    def again(**words: str) -> Bisection:
        shutil.rmtree(out)
        assert case.bisect("--known", str(known), **words) == Exit.NO_REGRESSION
        return case.read()

    assert again() == first
    assert case.fakes.built == []
    said = capsys.readouterr()
    assert f"{case.ids[CAUSE][:12]} changed crud/create_p50 by +100 %" in said.out
    assert "the commit behind crud/create_p50 is known since " in said.err
    assert "broken.json is no search, and is left out" in said.err
    assert case.ids[CAUSE] in (out / "bisect.html").read_text()
    again(good=case.ids[1], bad=case.ids[CAUSE])
    assert case.fakes.built == [], "the commit is in this range, too"
    again(metric="second/create_p50")
    assert case.fakes.measured, "it is the commit of another metric"
    case.fakes.times = dict.fromkeys(case.ids[10:], 20.0)
    assert again(good=case.ids[CAUSE]).commits != first.commits, "it is before this range"


def test_known_searches_must_be_a_folder(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.bisect("--known", str(case.folder_of_test / "none")) == Exit.BAD_ARGUMENTS
    assert "is not a folder" in capsys.readouterr().err


def test_a_run_of_binaries_has_no_commits(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    red, suite = case.folder_of_test / "red", str(case.folder_of_test / "tiny.toml")
    words = ["--candidate", "reference?cpu=1ms", "--against", "reference", "--suite", suite]
    main.main(["run", *words, "--prior=none", "--pairs", "2", "--out", str(red)])
    assert main.main(["bisect", "--from", str(red)]) == Exit.BAD_ARGUMENTS
    assert "which is no commit of a repository" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("make OUT", "rm -rf / #"), "was not started here by you, or was changed since"),
        (("bisect-request/1", "bisect-request/2"), "a newer milo-perf wrote it"),
        (('"suite"', '"suites"'), "this version does not know the key"),
    ],
)
def test_a_changed_request_is_not_executed(
    case: Case, capsys: pytest.CaptureFixture[str], edit: tuple[str, str], message: str
) -> None:
    case.fakes.interrupt_at = 3
    assert case.bisect() == Exit.INTERRUPTED
    path = case.out / "request.json"
    path.write_text(path.read_text().replace(*edit))
    measured = len(case.fakes.measured)
    code = main.main(["bisect", "--resume", str(case.out)])
    assert code in (Exit.BAD_ARGUMENTS, Exit.NO_BASELINE)
    assert message in capsys.readouterr().err
    assert len(case.fakes.measured) == measured


def test_the_results_of_another_commit_are_not_taken(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folders that were exchanged by hand named another commit."""
    case.fakes.interrupt_at = 6
    assert case.bisect() == Exit.INTERRUPTED
    folders = sorted((case.out / "commits").iterdir())
    one, other = folders[0] / RESULTS, folders[-1] / RESULTS
    texts = one.read_text(), other.read_text()
    for path, text in ((other, texts[0]), (one, texts[1])):
        path.write_text(text)
    case.fakes.interrupt_at = None
    assert main.main(["bisect", "--resume", str(case.out)]) == Exit.BAD_ARGUMENTS
    assert "the candidate was source:" in capsys.readouterr().err
    shutil.rmtree(folders[0])
    shutil.rmtree(folders[-1])
    assert main.main(["bisect", "--resume", str(case.out)]) == Exit.NO_REGRESSION
    assert [one.commit for one in case.read().found] == [CAUSE]


@pytest.mark.parametrize(
    ("name", "value"),
    [("differences", [1e308, -1e308]), ("same_as", 6), ("same_as", 99)],
)
def test_a_search_that_was_changed_by_hand_is_refused(
    case: Case, capsys: pytest.CaptureFixture[str], name: str, value: object
) -> None:
    assert case.bisect() == Exit.NO_REGRESSION
    path = case.out / BISECT
    body = json.loads(path.read_text())
    tried = next(one for one in body["evidence"] if one["commit"] == 6)
    tried |= {name: value} | ({"outcome": "same build"} if name == "same_as" else {})
    path.write_text(json.dumps(body))
    assert main.main(["bisect", "--resume", str(case.out)]) == Exit.NO_BASELINE
    assert f"{path}: " in capsys.readouterr().err


def test_the_rest_is_searched_once_a_commit_is_found(case: Case) -> None:
    ids = case.ids
    case.fakes.times = {**dict.fromkeys(ids[4:10], 20.0), **dict.fromkeys(ids[10:], 28.0)}
    assert case.bisect() == Exit.NO_REGRESSION
    assert "`--rest` finds them" in (case.out / "bisect.md").read_text().replace("&#96;", "`")
    resume = ["bisect", "--resume", str(case.out), "--rest"]
    assert main.main(resume) == Exit.NO_REGRESSION
    found = case.read()
    assert [one.commit for one in found.found] == [4, 10]
    assert main.main(resume) == Exit.NO_REGRESSION
    assert len(case.read().found) == 2
    assert "no further commit" in (case.out / "bisect.html").read_text()


def test_builds_that_fail_are_searched_by_the_number_of_failed_trials() -> None:
    from tests.builders import LATENCY, results

    ran = results((LATENCY, (1.0, 1.0), (1.0, 1.0)))
    failed = tuple(
        replace(one, failures=(Failure("died"),)) if one.arm is Arm.CANDIDATE else one
        for one in ran.trials
    )
    suite = type("S", (), {"workloads": (), "by_key": dict})()
    searched = bisect_request.metric_of("launch/failed_trials", suite)
    assert search.differences_of(replace(ran, trials=failed), searched) == (1.0, 1.0)
    assert search.differences_of(ran, searched) == (0.0, 0.0)


def test_a_commit_that_may_be_next_is_built_beside_a_measurement_where_a_core_is_free(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    @contextmanager
    def background(argv: Sequence[str], **_: object) -> Iterator[object]:
        started.append(case.fakes.name(argv[3]))
        yield type("P", (), {"exit_status": lambda _: ExitStatus(0)})()

    monkeypatch.setattr(processes, "background", background)
    monkeypatch.setattr(toolchain, "built_trees", lambda *_: set())
    monkeypatch.setattr(ahead, "has_spare_core", lambda: False)
    assert case.bisect() == Exit.NO_REGRESSION
    assert started == []
    monkeypatch.setattr(ahead, "has_spare_core", lambda: True)
    shutil.rmtree(case.out)
    assert case.bisect() == Exit.NO_REGRESSION
    assert started
    assert set(started) <= set(case.ids)
    assert len(started) == len(set(started)), "what is built once is in the cache"


def test_two_cores_have_none_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, is_spare in ((2, False), (7, False), (8, True), (64, True)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: set(range(n)))
        assert ahead.has_spare_core() is is_spare


@pytest.mark.parametrize(
    ("path", "is_input"),
    [
        ("README.md", False),
        ("docs/a.png", False),
        ("docs/gen/a.go", True),
        (".github/workflows/x.yml", False),
        ("pkg/a_test.go", False),
        ("pkg/a.go", True),
        ("go.mod", True),
        ("config/crd/x.yaml", True),
        ("Makefile", True),
    ],
)
def test_a_build_reads_no_documentation_tests_or_workflows(path: str, *, is_input: bool) -> None:
    assert is_build_input(path) is is_input


# The range of a step


def judged(name: str, day: int, good: str = "a" * 40, acknowledged: str = "") -> JudgedSeries:
    step = ChangePoint(
        *(5, 0.1, 0.08, 0.12),
        is_worse=True,
        after=CommitRef(f"2026-03-{day:02}"),
        before=CommitRef("2026-03-01", good),
        until=CommitRef("2026-03-09", "b" * 40),
        acknowledged=acknowledged,
    )
    return JudgedSeries(HistorySeries(name, [1.0] * 9), (step,))


ASKED = BisectRequest("../milo", "", "", "", RunRequest(build=BUILD))


def test_the_range_of_the_newest_unacknowledged_step_is_searched() -> None:
    histories = [judged("a/old", 3), judged("a/new", 7), judged("a/known", 8, acknowledged="yes")]
    found = bisect_request.from_history(histories, ASKED)
    assert (found.good, found.bad, found.metric) == ("a" * 40, "b" * 40, "a/new")
    named = bisect_request.from_history(histories, replace(ASKED, metric="a/old"))
    assert named.metric == "a/old"


def test_the_newest_step_is_searched_that_no_search_answers_for(
    made: tuple[Path, tuple[str, ...]],
) -> None:
    folder, ids = made
    search = bisections.of_every_kind()
    cause = search.found[0].commit
    commits = [replace(one, id=f"{at:040x}") for at, one in enumerate(search.commits)]
    commits[cause] = replace(commits[cause], id=ids[5])
    step = judge.levels(search)[-1].change
    asked = replace(ASKED, repository=str(folder), run=replace(ASKED.run, suite="pr"))
    searches = [replace(search, commits=tuple(commits))]

    def answer(change: float, low: float, high: float) -> object:
        def series(name: str, day: int, first: str, last: str) -> JudgedSeries:
            one = judged(name, day, first)
            found = replace(one.steps[0], change=change, low=low, high=high)
            return replace(one, steps=(replace(found, until=CommitRef("2026-03-09", last)),))

        histories = [
            series(search.key, 8, ids[2], ids[9]),
            series("other/metric", 3, ids[2], ids[9]),
        ]
        return bisect_request.from_history(histories, asked, searches)

    other = answer(step.estimate, step.low, step.high)
    assert isinstance(other, BisectRequest)
    assert other.metric == "other/metric", "the newest is known, so the next one is searched"
    larger = answer(2 * step.high, 1.5 * step.high, 3 * step.high)
    assert isinstance(larger, BisectRequest)
    assert larger.metric == search.key, "it is more than that search explains"
    only = [judged(search.key, 8, ids[2])]
    known = replace(only[0].steps[0], change=step.estimate, low=step.low, high=step.high)
    steps = (replace(known, until=CommitRef("2026-03-09", ids[9])),)
    histories = [replace(only[0], steps=steps)]
    assert bisect_request.from_history(histories, asked, searches) == searches[0]


SEARCHES = {
    worse: bisections.SimulatedJudge(bisections.step_at(8, 5.0 if worse else -5.0)).search(
        bisections.bisection()
    )[0]
    for worse in (True, False)
}


@pytest.mark.parametrize("worse", [True, False])
@given(now=st.floats(-0.9, 2.0), half=st.floats(0.0, 0.5))
def test_a_search_covers_no_change_that_is_larger_or_in_the_other_direction(
    now: float, half: float, *, worse: bool
) -> None:
    searched = judge.levels(SEARCHES[worse])[-1].change
    change = Change(now - half, now, now + half)
    is_larger = change.low > searched.high if worse else change.high < searched.low
    is_same_way = now > 0 if worse else now < 0
    assert judge.covers(SEARCHES[worse], change) == (is_same_way and not is_larger)
    assert judge.covers(SEARCHES[worse], None)


@pytest.mark.parametrize(
    ("histories", "metric", "message"),
    [
        ([], "", "has no unacknowledged regression"),
        ([judged("a/known", 8, acknowledged="yes")], "", "has no unacknowledged regression"),
        ([judged("a/b", 8)], "a/c", "no unacknowledged regression of a/c"),
        ([judged("a/b", 8, good="sha256:00")], "", "builds without a commit"),
    ],
)
def test_a_history_without_a_range_is_refused(
    histories: list[JudgedSeries], metric: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        bisect_request.from_history(histories, replace(ASKED, metric=metric))
