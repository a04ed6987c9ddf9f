"""Releases: which are measured, what becomes of each, and how it is resumed."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import toolchain
from pipeline.commands import main
from pipeline.model.ports import Artifact, Load, Span
from pipeline.model.releases import Release, ReleaseOutcome
from pipeline.model.report import Verdict
from pipeline.model.results import Reading, ResultSet
from pipeline.model.subject import Arm, Spec, Subject
from pipeline.model.version import parse_version
from pipeline.runs import measure, run, suite_file
from pipeline.runs.plan import Plan
from pipeline.runs.releases import request as releases_request
from pipeline.runs.releases.request import releases_of
from pipeline.storage import codec
from pipeline.system.errors import ConfigError, Exit, LaunchError, LoadError
from pipeline.system.paths import RELEASES, RESULTS
from pipeline.system.processes import CommandError, ExitStatus
from pipeline.toolchain.git import dated_tags
from tests.fakes import SUITE, Bench, FakeDriver, Told
from tests.unmeasured import without_machine

WAVE = (1.0, 1.004, 0.997, 1.002, 0.999, 1.001, 1.003, 0.998)
BUILD = ("--build", "make OUT={out}")


# Versions


numbers = st.tuples(*[st.integers(0, 30)] * 3)
identifiers = st.from_regex(r"[0-9]{1,3}|[a-z][a-z0-9]{0,3}", fullmatch=True)


@st.composite
def names(draw: st.DrawFn) -> str:
    pre = draw(st.lists(identifiers, max_size=3))
    text = "v" + ".".join(map(str, draw(numbers)))
    return text + ("-" + ".".join(pre) if pre else "")


def test_the_order_is_that_of_the_specification() -> None:
    ordered = "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11"
    listed = [*ordered.split(), "1.0.0-rc.1", "1.0.0", "1.0.1", "1.1.0", "1.10.0", "2.0.0"]
    versions = [parse_version(f"v{name}") for name in listed]
    assert versions == sorted(
        (version for version in versions if version), key=lambda version: version.order
    )


@given(names(), names())
def test_versions_are_in_one_order_and_a_release_is_after_its_pre_releases(
    one: str, other: str
) -> None:
    first, second = parse_version(one), parse_version(other)
    assert first is not None
    assert second is not None
    assert (first.order < second.order) + (second.order < first.order) == (
        first.order != second.order
    )
    release = parse_version(one.partition("-")[0])
    assert release is not None
    assert first.order <= release.order


@pytest.mark.parametrize("name", ["v1", "v1.2", "nightly", "v1.2.3.4", "v01.2.3", "v1.2.3-", ""])
def test_what_is_no_version_has_none(name: str) -> None:
    assert parse_version(name) is None


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("1.2.3", ""), ("v1.2.3+build.5", "v"), ("billing/v1.2.3-rc1.2.3", "billing/v")],
)
def test_a_version_has_the_prefix_before_its_numbers(name: str, prefix: str) -> None:
    version = parse_version(name)
    assert version is not None
    assert version.prefix == prefix


# Words of the command line


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a clone with tags; v1.1.0 and v1.1.1 are the same commit."""
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init", "-q")
    for name in ("v1.0.0", "v1.1.0-rc.1", "v1.1.0", "v1.10.0", "v1.2.0"):
        git(folder, "commit", "-q", "--allow-empty", "-m", name)
        git(folder, "tag", "-a", "-m", "x", name)
        if name == "v1.1.0":
            git(folder, "tag", "v1.1.1")
            git(folder, "tag", "v1.1.1-beta")
            git(folder, "tag", "nightly")
            git(folder, "tag", "api/v1.1.0")
    return folder


def test_a_range_has_the_releases_between_its_ends_by_version(repository: Path) -> None:
    found = releases_of([str(repository), "v1.0.0..v1.10.0"])
    assert [release.name for release in found] == [
        "v1.0.0",
        "v1.1.0",
        "v1.1.1",
        "v1.2.0",
        "v1.10.0",
    ]
    assert found[1].spec == f"source:{repository}@v1.1.0"
    assert found[1].commit == found[2].commit != found[3].commit
    assert len(found[0].commit) == 40


def test_a_tag_of_a_tag_is_a_release_too(repository: Path) -> None:
    git(repository, "tag", "-a", "-m", "x", "v1.1.2", "v1.1.0")
    git(repository, "tag", "-a", "-m", "x", "v1.1.3", "v1.1.2")
    git(repository, "tag", "-a", "-m", "a tree", "v1.1.4", "v1.1.0^{tree}")
    git(repository, "tag", "-a", "-m", "a tag of a tree", "v1.1.5", "v1.1.4")
    found = releases_of([str(repository), "v1.1.0..v1.2.0"])
    assert [one.name for one in found] == ["v1.1.0", "v1.1.1", "v1.1.2", "v1.1.3", "v1.2.0"]
    assert len({one.commit for one in found[:-1]}) == 1


@pytest.mark.parametrize("at", ["-5 +0000", "99999999999999 +0000", "never", "5 +9999"])
def test_a_tag_may_have_any_time(tmp_path: Path, at: str) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "x")
    command = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    body = f"object {commit.stdout}type commit\ntag v1.0.0\ntagger a <a> {at}\n\nx\n"
    write = ["git", "hash-object", "-t", "tag", "-w", "--literally", "--stdin"]
    tag = subprocess.run(
        write, cwd=tmp_path, check=True, capture_output=True, text=True, input=body
    )
    git(tmp_path, "update-ref", "refs/tags/v1.0.0", tag.stdout.strip())
    found = dated_tags(tmp_path)
    assert found is not None
    assert found["v1.0.0"][1].year == 1970


def test_a_pre_release_is_measured_where_it_is_an_end(repository: Path) -> None:
    found = releases_of([str(repository), "v1.1.0-rc.1..v1.1.1"])
    assert [release.name for release in found] == ["v1.1.0-rc.1", "v1.1.0", "v1.1.1"]


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ((), "releases of what", "NAME=SPEC|v1.2.0=binary"),
        (("{clone}",), "neither a repository", "REPO"),
        (("{clone}", "v1.0.0..v1.2.0", "more"), "neither a repository", "REPO"),
        (("{clone}", "v1.0.0"), "not a range of tags", "both ends"),
        (("{clone}", "..v1.2.0"), "not a range of tags", "both ends"),
        (("{clone}", "v1.0.0.."), "not a range of tags", "both ends"),
        (("{clone}", "v1.0.0...v1.2.0"), "not a range of tags", "both ends"),
        (("{clone}", "v1.0.0..v1.2.9"), "no tag `v1.2.9`", "did you mean v1.2.0"),
        (("{clone}", "zzz..v1.2.0"), "no tag `zzz`", "git fetch --tags"),
        (("{clone}", "nightly..v1.2.0"), "`nightly` is not a semantic version", "NAME="),
        (("{clone}", "v1.2.0..v1.0.0"), "`v1.2.0` is a later version", "v1.0.0..v1.2.0"),
        (("{clone}", "v1.2.0..v1.2.0"), "`v1.2.0` is there twice", "once"),
        (("{clone}", "api/v1.1.0..v1.2.0"), "two series of versions", "the same text"),
        (("{empty}", "v1.0.0..v1.2.0"), "has no tags", "git fetch --tags"),
        (("{plain}", "v1.0.0..v1.2.0"), "not a git repository", "clone"),
        (("{plain}/none", "v1.0.0..v1.2.0"), "not a git repository", "clone"),
        (("a=reference",), "one release, `a`", "binary:PATH"),
        (("a=reference", "a=reference"), "`a` is there twice", "once"),
        (("v2.0.0=reference", "v1.0.0=reference"), "`v1.0.0` is an earlier", "v1.0.0, v2.0.0"),
        (tuple(f"a{n}=reference" for n in range(41)), "41 releases", "shorter range"),
    ],
)
def test_words_that_name_no_releases_are_one_clear_error(
    repository: Path, tmp_path: Path, words: tuple[str, ...], message: str, hint: str
) -> None:
    empty, plain = tmp_path / "empty", tmp_path / "plain"
    plain.mkdir()
    empty.mkdir()
    git(empty, "init", "-q")
    given_words = [word.format(clone=repository, empty=empty, plain=plain) for word in words]
    with pytest.raises(ConfigError, match=message) as caught:
        releases_of(given_words)
    assert any(part in caught.value.hint for part in hint.split("|"))
    assert caught.value.exit_code == Exit.BAD_ARGUMENTS


# Measuring


@dataclass
class Fakes:
    """Create times by build, in ms, builds that fail, copies of another, and what is measured."""

    times: Mapping[str, float] = field(default_factory=dict)
    not_built: set[str] = field(default_factory=set)
    not_loaded: set[str] = field(default_factory=set)
    without_cpu: set[str] = field(default_factory=set)
    copies: dict[str, str] = field(default_factory=dict)
    measured: list[tuple[str, str]] = field(default_factory=list)
    built: list[str] = field(default_factory=list)
    interrupt_at: int | None = None

    def name(self, spec: str) -> str:
        return spec.rpartition("@")[2] or spec

    def load(self, arms: Mapping[Arm, Artifact], pair: int) -> Load:
        readings = {}
        for arm, artifact in arms.items():
            name = self.name(artifact.subject.spec)
            factor = WAVE[pair] if arm is Arm.CANDIDATE else 1.0
            time = Reading("create/p50", self.times.get(name, 10.0) * factor, "ms")
            none = name in self.without_cpu
            readings[arm] = (time,) if none else (time, Reading("requests", 100, "1"))
        return Load(readings, dict.fromkeys(Arm, Span(0, 5)), ())


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fakes:
    """Measure with fakes only."""
    told = Fakes()
    real = measure.run_pairs

    def run_pairs(
        plan: Plan,
        harness: measure.Harness,
        results: ResultSet,
        out: Path,
        _shown: object,
        *,
        is_enough: measure.StopCondition,
        settled_workloads: measure.WorkloadFilter,
    ) -> Iterator[ResultSet]:
        specs = {arm: told.name(one.subject.spec) for arm, one in harness.artifacts.items()}
        told.measured.append((specs[Arm.BASELINE], specs[Arm.CANDIDATE]))
        if specs[Arm.CANDIDATE] in told.not_loaded:
            raise LoadError("the load was not applied as asked")
        says = [told.load(harness.artifacts, pair) for pair in range(results.pairs, 8)]
        bench = Bench(plan.suite, out, FakeDriver(says))
        for latest in real(
            plan,
            replace(bench.harness(), artifacts=harness.artifacts),
            results,
            out,
            Told(),
            is_enough=is_enough,
            settled_workloads=settled_workloads,
        ):
            yield latest
            if latest.pairs == 2 and told.interrupt_at == len(told.measured):
                raise KeyboardInterrupt

    def artifact(spec: Spec, _build: str = "") -> Artifact:
        told.built.append(told.name(str(spec)))
        if told.built[-1] in told.not_built:
            log = "/home/me/log ends with:\n/home/me/go/x.go:3: <b>no</b> at https://a.invalid/b/c"
            cause = CommandError(["go", "build"], ExitStatus(2), log)
            raise LaunchError(f"{spec} could not be built: {cause}", hint=cause.hint) from cause
        name = told.built[-1]
        return Artifact(Subject(str(spec), told.copies.get(name, name)), Path("x"))

    without_machine(monkeypatch, tmp_path / "state")
    monkeypatch.setattr(measure, "run_pairs", run_pairs)
    monkeypatch.setattr(toolchain, "artifact", artifact)
    return told


@pytest.fixture
def releases(tmp_path: Path, repository: Path) -> Callable[..., int]:
    """Return a function that runs the command on the repository, into `out`."""
    suite = tmp_path / "tiny.toml"
    suite.write_text(SUITE.replace("margin = 0.05", "margin = 0.05\ngate = true", 1))

    def command(*words: str, of: str = "v1.0.0..v1.10.0") -> int:
        where = ("--suite", str(suite), "--out", str(tmp_path / "out"), "--pairs", "4")
        return main.main(["releases", str(repository), of, *BUILD, *where, "--prior=none", *words])

    return command


def test_each_release_is_measured_against_the_one_before(
    fakes: Fakes, releases: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.times = {"v1.2.0": 20.0, "v1.10.0": 15.0}
    assert releases() == Exit.NO_REGRESSION
    assert fakes.measured == [("v1.0.0", "v1.1.0"), ("v1.1.0", "v1.2.0"), ("v1.2.0", "v1.10.0")]
    series = codec.RELEASES.read(tmp_path / "out" / RELEASES)
    outcomes = [(step.release, step.outcome.value, step.against) for step in series.steps]
    assert outcomes == [
        ("v1.0.0", "first", ""),
        ("v1.1.0", "measured", "v1.0.0"),
        ("v1.1.1", "same commit", "v1.1.0"),
        ("v1.2.0", "measured", "v1.1.0"),
        ("v1.10.0", "measured", "v1.2.0"),
    ]
    verdicts = [step.verdict for step in series.measured]
    assert verdicts == [Verdict.UNCHANGED, Verdict.REGRESSED, Verdict.IMPROVED]
    changes = [one.change for one in series.changes_of("crud/create_p50") if one]
    assert [change and round(change.estimate, 2) for change in changes] == [0.0, 1.0, -0.25]
    for step in series.measured:
        assert (tmp_path / "out" / step.folder / "report.html").is_file()
        assert (tmp_path / "out" / step.folder / RESULTS).is_file()
    said = capsys.readouterr()
    assert "v1.0.0 to v1.10.0: of 3 steps, 1 regressed (v1.2.0), 1 improved (v1.10.0)" in said.out
    assert "v1.1.1 is the same commit as v1.1.0, and was measured once" in said.out
    assert "step 3 of 4: v1.2.0 against v1.1.0" in said.err


def test_a_release_that_does_not_build_is_skipped_and_named(
    fakes: Fakes, releases: Callable[..., int], tmp_path: Path
) -> None:
    fakes.not_built = {"v1.1.0"}
    assert releases() == Exit.NO_REGRESSION
    assert fakes.measured == [("v1.0.0", "v1.2.0"), ("v1.2.0", "v1.10.0")]
    series = codec.RELEASES.read(tmp_path / "out" / RELEASES)
    assert [step.outcome for step in series.steps[1:3]] == [
        ReleaseOutcome.NOT_BUILT,
        ReleaseOutcome.SAME_COMMIT,
    ]
    page = (tmp_path / "out" / "releases.html").read_text()
    why = "go exited with 2: x.go:3: &lt;b&gt;no&lt;/b&gt; at https://a.invalid/b/c"
    assert f"v1.1.0 does not build and is skipped: {why}" in page
    assert "v1.1.1 is the same commit as v1.1.0, and was not tried again" in page


def test_three_tags_of_one_commit_are_measured_once_and_name_the_first(
    fakes: Fakes, releases: Callable[..., int], tmp_path: Path, repository: Path
) -> None:
    git(repository, "tag", "v1.1.2", "v1.1.0")
    assert releases(of="v1.0.0..v1.1.2") == Exit.NO_REGRESSION
    assert fakes.measured == [("v1.0.0", "v1.1.0")]
    series = codec.RELEASES.read(tmp_path / "out" / RELEASES)
    assert [step.against for step in series.steps[2:]] == ["v1.1.0", "v1.1.0"]


def test_a_release_whose_binary_is_that_of_the_one_before_is_not_measured(
    fakes: Fakes, releases: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.copies = {"v1.1.0": "v1.0.0"}
    assert releases("--strict") == Exit.NO_REGRESSION
    assert fakes.measured == [("v1.0.0", "v1.2.0"), ("v1.2.0", "v1.10.0")]
    series = codec.RELEASES.read(tmp_path / "out" / RELEASES)
    outcomes = [(step.outcome.value, step.against) for step in series.steps[1:3]]
    assert outcomes == [("same build", "v1.0.0"), ("same commit", "v1.1.0")]
    said = "v1.1.0 is the same build as v1.0.0, byte for byte, and was not measured"
    assert said in capsys.readouterr().out
    for name in ("releases.html", "releases.md"):
        text = (tmp_path / "out" / name).read_text()
        assert said in text
        assert "same build as v1.0.0" in text


def test_a_step_without_numbers_is_a_result_and_the_rest_goes_on(
    fakes: Fakes, releases: Callable[..., int], tmp_path: Path
) -> None:
    fakes.not_loaded = {"v1.2.0"}
    assert releases() == Exit.NO_REGRESSION
    assert fakes.measured[1:] == [("v1.1.0", "v1.2.0"), ("v1.1.0", "v1.10.0")]
    step = codec.RELEASES.read(tmp_path / "out" / RELEASES).steps[3]
    assert (step.outcome, step.exit_code) == (ReleaseOutcome.FAILED, Exit.WRONG_LOAD)
    assert "the load was not applied as asked" in (tmp_path / "out" / "releases.md").read_text()


def test_after_a_first_step_without_numbers_the_next_is_against_the_release_before(
    fakes: Fakes, releases: Callable[..., int]
) -> None:
    fakes.not_loaded = {"v1.1.0"}
    assert releases() == Exit.NO_REGRESSION
    assert fakes.measured[1:] == [("v1.1.0", "v1.2.0"), ("v1.2.0", "v1.10.0")]


def test_retry_measures_again_from_the_first_release_that_failed(
    fakes: Fakes, releases: Callable[..., int], tmp_path: Path
) -> None:
    fakes.not_loaded = {"v1.2.0"}
    assert releases() == Exit.NO_REGRESSION
    out = tmp_path / "out"
    before = codec.RELEASES.read(out / RELEASES)
    fakes.not_loaded.clear()
    fakes.measured.clear()
    assert main.main(["releases", "--resume", str(out)]) == Exit.NO_REGRESSION
    assert codec.RELEASES.read(out / RELEASES) == before
    assert main.main(["releases", "--resume", str(out), "--retry"]) == Exit.NO_REGRESSION
    assert fakes.measured == [("v1.1.0", "v1.2.0"), ("v1.2.0", "v1.10.0")]
    after = codec.RELEASES.read(out / RELEASES)
    assert after.steps[:3] == before.steps[:3]
    assert [step.against for step in after.measured] == ["v1.0.0", "v1.1.0", "v1.2.0"]


def test_retry_is_of_resume_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["releases", "a=reference", "--retry"]) == Exit.BAD_ARGUMENTS
    assert "--retry needs --resume DIR" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ({"not_built": {"v1.0.0", "v1.1.0", "v1.2.0", "v1.10.0"}}, Exit.NOT_STARTED),
        ({"not_loaded": {"v1.1.0", "v1.2.0", "v1.10.0"}}, Exit.WRONG_LOAD),
    ],
)
def test_without_any_number_the_exit_code_says_why(
    fakes: Fakes,
    releases: Callable[..., int],
    tmp_path: Path,
    broken: Mapping[str, set[str]],
    code: Exit,
) -> None:
    for name, builds in broken.items():
        setattr(fakes, name, builds)
    assert releases() == code
    assert (
        "no step between two releases has numbers" in (tmp_path / "out/releases.html").read_text()
    )


@pytest.mark.parametrize(
    ("times", "failing", "code"),
    [
        ({"v1.2.0": 20.0, "v1.10.0": 20.0}, set(), Exit.NO_REGRESSION),
        ({"v1.10.0": 20.0}, set(), Exit.REGRESSION),
        ({}, {"v1.10.0"}, Exit.INCONCLUSIVE),
    ],
)
def test_strict_is_about_the_last_release(
    fakes: Fakes,
    releases: Callable[..., int],
    times: Mapping[str, float],
    failing: set[str],
    code: Exit,
) -> None:
    fakes.times, fakes.not_loaded = times, failing
    assert releases("--strict") == code


def test_an_interrupted_step_is_resumed_where_it_was(
    fakes: Fakes, releases: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.interrupt_at = 2
    assert releases() == Exit.INTERRUPTED
    out = tmp_path / "out"
    assert f"milo-perf releases --resume {out}" in capsys.readouterr().err
    assert len(codec.RELEASES.read(out / RELEASES).steps) == 3
    kept = codec.RESULTS.read(out / "03-v1.1.0..v1.2.0" / RESULTS)
    assert kept.pairs == 2
    assert main.main(["releases", "--resume", str(out)]) == Exit.NO_REGRESSION
    assert fakes.measured[2:] == [("v1.1.0", "v1.2.0"), ("v1.2.0", "v1.10.0")]
    whole = codec.RESULTS.read(out / "03-v1.1.0..v1.2.0" / RESULTS)
    assert whole.pairs == 4
    assert whole.of_first(2).samples == kept.samples
    assert codec.RELEASES.read(out / RELEASES).missing == ()
    pages = (out / "releases.html").read_bytes()
    assert main.main(["releases", "--resume", str(out)]) == Exit.NO_REGRESSION
    assert len(fakes.measured) == 4
    assert (out / "releases.html").read_bytes() == pages


def test_the_results_of_another_step_are_not_taken(
    fakes: Fakes, releases: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folders that were exchanged by hand hid the regression of the second step."""
    fakes.times, fakes.interrupt_at = {"v1.2.0": 20.0}, 2
    assert releases() == Exit.INTERRUPTED
    out = tmp_path / "out"
    first, second = (path for path in sorted(out.iterdir()) if ".." in path.name)
    second.rename(out / "aside")
    first.rename(second)
    fakes.interrupt_at = None
    assert main.main(["releases", "--resume", str(out)]) == Exit.BAD_ARGUMENTS
    assert f"{second} compares source:" in capsys.readouterr().err


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("step", "edit"),
    [
        (1, {"against": "nightly"}),
        (1, {"against": "v1.2.0"}),
        (3, {"against": "v1.0.0"}),
        (1, {"changes": {"standard_error": 1e308}}),
        (1, {"changes": {"standard_error": -1.0}}),
        (1, {"changes": {"degrees_of_freedom": -1.0}}),
    ],
)
def test_releases_that_were_changed_by_hand_are_refused(
    releases: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    step: int,
    edit: Mapping[str, object],
) -> None:
    """`site` reads the file of a branch, and ended with a traceback."""
    assert releases() == Exit.NO_REGRESSION
    path = tmp_path / "out" / RELEASES
    body = json.loads(path.read_text())
    for name, value in edit.items():
        if isinstance(value, Mapping):
            body["steps"][step][name][0] |= value
        else:
            body["steps"][step][name] = value
    path.write_text(json.dumps(body))
    assert main.main(["releases", "--resume", str(path.parent)]) == Exit.NO_BASELINE
    assert f"{path}: " in capsys.readouterr().err


def test_a_step_that_ended_before_its_first_result_is_measured_anew(
    fakes: Fakes, releases: Callable[..., int], tmp_path: Path
) -> None:
    fakes.interrupt_at = 2
    assert releases() == Exit.INTERRUPTED
    out = tmp_path / "out"
    (out / "03-v1.1.0..v1.2.0" / RESULTS).unlink()
    assert main.main(["releases", "--resume", str(out)]) == Exit.NO_REGRESSION
    assert codec.RESULTS.read(out / "03-v1.1.0..v1.2.0" / RESULTS).pairs == 4


def test_no_step_is_begun_that_would_end_after_the_budget(
    fakes: Fakes,
    releases: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    now_s = 0.0

    def monotonic() -> float:
        return now_s

    def driver_of(*_: object) -> None:
        nonlocal now_s
        now_s += 150.0  # a step takes 150 s

    monkeypatch.setattr("pipeline.runs.releases.run.time.monotonic", monotonic)
    monkeypatch.setattr(run, "driver_of", driver_of)
    assert releases("--budget", "400s", "--strict") == Exit.INCONCLUSIVE
    assert len(fakes.measured) == 2
    out = tmp_path / "out"
    said = capsys.readouterr()
    assert (
        f"the budget leaves v1.10.0 unmeasured; go on with: milo-perf releases --resume {out}"
        in (said.err)
    )
    assert "v1.10.0: not reached" in (out / "releases.html").read_text()
    assert main.main(["releases", "--resume", str(out), "--budget", "100s"]) == Exit.BAD_ARGUMENTS
    assert "shorter than one step" in capsys.readouterr().err
    assert main.main(["releases", "--resume", str(out), "--strict"]) == Exit.NO_REGRESSION
    assert len(fakes.measured) == 3
    assert codec.RELEASES.read(out / RELEASES).spent_s == 450.0


def test_a_budget_below_one_step_is_refused_before_anything_is_built(
    fakes: Fakes, releases: Callable[..., int], tmp_path: Path
) -> None:
    assert releases("--budget", "1s") == Exit.BAD_ARGUMENTS
    assert not (tmp_path / "out").exists()
    assert fakes.built == []


def test_a_metric_that_a_release_lacks_is_empty_and_not_0(
    fakes: Fakes, releases: Callable[..., int], tmp_path: Path
) -> None:
    fakes.without_cpu = {"v1.2.0"}
    assert releases() == Exit.NO_REGRESSION
    rows = (tmp_path / "out" / "releases.csv").read_text().splitlines()
    cpu = [row.split(",") for row in rows if ",cpu," in row]
    assert [(row[0], row[1], row[12]) for row in cpu[1:]] == [
        ("step", "v1.2.0", ""),
        ("step", "v1.10.0", ""),
    ]
    assert float(cpu[0][12]) == 0.0
    assert "total" not in {row[0] for row in cpu}


def test_a_moved_tag_is_refused(
    fakes: Fakes,
    releases: Callable[..., int],
    tmp_path: Path,
    repository: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fakes.interrupt_at = 2
    assert releases() == Exit.INTERRUPTED
    git(repository, "tag", "-f", "v1.2.0", "v1.0.0")
    assert main.main(["releases", "--resume", str(tmp_path / "out")]) == Exit.BAD_ARGUMENTS
    assert "the tag v1.2.0 was moved" in capsys.readouterr().err


@pytest.fixture
def interrupted(fakes: Fakes, releases: Callable[..., int], tmp_path: Path) -> Path:
    """Return the folder of releases whose first step was interrupted."""
    fakes.interrupt_at = 1
    assert releases() == Exit.INTERRUPTED
    fakes.measured.clear()
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("make OUT", "rm -rf / #"), "was not started here by you, or was changed since"),
        (('"v1.2.0"', '"v1.2.1"'), "was not started here by you, or was changed since"),
        (('"suite"', '"suites"'), "this version does not know the key"),
        (("releases-request/1", "releases-request/2"), "a newer milo-perf wrote it"),
        (("{", "["), "not JSON"),
    ],
)
def test_a_changed_request_is_not_executed(
    fakes: Fakes,
    interrupted: Path,
    capsys: pytest.CaptureFixture[str],
    edit: tuple[str, str],
    message: str,
) -> None:
    path = interrupted / "request.json"
    path.write_text(path.read_text().replace(*edit))
    code = main.main(["releases", "--resume", str(interrupted)])
    assert code in (Exit.BAD_ARGUMENTS, Exit.NO_BASELINE)
    assert message in capsys.readouterr().err
    assert fakes.measured == []


@pytest.mark.usefixtures("fakes")
def test_a_changed_suite_is_named_and_the_page_of_a_whole_series_is_still_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["a=reference?cpu=1ms", "b=reference", "--suite", "smoke", "--prior=none"]
    with monkeypatch.context() as patch:
        patch.setattr(run, "run", interrupt)
        out = tmp_path / "out"
        assert main.main(["releases", *words, "--out", str(out)]) == Exit.INTERRUPTED
    real = suite_file.load
    changed = {"digest": "sha256:another"}
    monkeypatch.setattr(suite_file, "load", lambda path: real(path).model_copy(update=changed))
    assert main.main(["releases", "--resume", str(out)]) == Exit.BAD_ARGUMENTS
    assert "the suite or one of its scripts changed since" in capsys.readouterr().err
    series = codec.RELEASES.read(out / RELEASES)
    last = replace(series.steps[0], release="b", outcome=ReleaseOutcome.FAILED)
    last = replace(last, against="a", reason="no load", exit_code=6)
    codec.RELEASES.write(out / RELEASES, replace(series, steps=(*series.steps, last)))
    assert main.main(["releases", "--resume", str(out)]) == Exit.WRONG_LOAD
    assert "b against a has no numbers: no load" in (out / "releases.html").read_text()


def interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def test_a_trusted_folder_must_still_agree_with_its_results(
    interrupted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = interrupted / "request.json"
    path.write_text(path.read_text().replace('"name": "v1.2.0"', '"name": "v1.2.1"'))
    words = ["releases", "--resume", str(interrupted), "--trust"]
    assert main.main(words) == Exit.BAD_ARGUMENTS
    assert "request.json: releases: is v1.0.0=source:" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--pairs", "3"), ("--suite", "pr"), ("a=reference",)])
def test_what_is_stored_cannot_be_changed_by_resume(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["releases", *words, "--resume", str(tmp_path)]) == Exit.BAD_ARGUMENTS
    assert "cannot be changed by --resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a=reference", "b=binary:./none"), "builds of different products"),
        (("a=source:.@x", "b=source:.@y"), "no command is guessed"),
        (("a=source:.@x", "b=source:.@y", "--build", "make"), "where the binary goes"),
        (("a=reference", "b=nonsense"), "is not a subject"),
        (("a=reference", "b=reference", "--suite", "none"), "there is no suite"),
        (("a=reference", "b=reference", "--pairs", "1"), "at least 2 pairs"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_built(
    fakes: Fakes,
    tmp_path: Path,
    words: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main.main(["releases", *words, "--out", str(tmp_path / "out")])
    assert code == Exit.BAD_ARGUMENTS
    assert message in capsys.readouterr().err
    assert fakes.built == []
    assert not (tmp_path / "out").exists()


def test_the_folder_of_releases_is_named_when_another_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / RELEASES).write_text("{}")
    assert main.main(["compare", str(tmp_path / "out")]) == Exit.NO_BASELINE
    assert "is the folder of a measurement of releases" in capsys.readouterr().err


def test_named_builds_are_measured_in_the_order_given(fakes: Fakes, tmp_path: Path) -> None:
    words = ["new=reference?cpu=1ms", "old=reference"]
    suite = tmp_path / "tiny.toml"
    suite.write_text(SUITE)
    where = ["--suite", str(suite), "--out", str(tmp_path / "out"), "--pairs", "2", "--prior=none"]
    assert main.main(["releases", *words, *where]) == Exit.NO_REGRESSION
    assert fakes.measured == [("reference?cpu=1ms", "reference")]


def test_equal_builds_with_two_names_are_both_measured() -> None:
    assert releases_of(["a=reference", "b=reference"]) == (
        Release("a", "reference"),
        Release("b", "reference"),
    )
    assert releases_request.MAX_RELEASES == 40
