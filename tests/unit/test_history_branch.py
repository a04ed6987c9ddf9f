"""Nights on a branch of a git repository: several writers, and what happens to a branch."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.commands.main import main
from pipeline.model.metric import Better
from pipeline.runs.history import branch, nightly_records
from pipeline.runs.history.branch import Branch
from pipeline.runs.history.nightly_records import NightlyRecord
from pipeline.storage import codec
from pipeline.system.errors import BaselineError, ConfigError, Exit, NetworkError, PublishError
from tests import bisections
from tests.builders import LATENCY, NOW, results
from tests.pages import metric

FILE = "kept/nights.jsonl"


def night(number: int) -> NightlyRecord:
    found = results((LATENCY, [0.1, 0.1, 0.1], [0.11, 0.11, 0.11]))
    return nightly_records.nightly_record(
        replace(found, taken_at=NOW + timedelta(days=number), seed=number)
    )


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    return subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """Return a repository that has a branch of code, as that of a project would."""
    made = tmp_path / "remote.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(made))
    git(tmp_path, "clone", "--quiet", str(made), "work")
    (tmp_path / "work" / "code").write_text("code")
    git(tmp_path / "work", "checkout", "--quiet", "-B", "main")
    git(tmp_path / "work", "add", "code")
    git(tmp_path / "work", "commit", "--quiet", "-m", "code")
    git(tmp_path / "work", "push", "--quiet", "origin", "main")
    return made


@pytest.fixture
def place(remote: Path) -> Branch:
    return Branch(str(remote), "history", FILE)


def kept(place: Branch) -> list[str]:
    with branch.checked_out(place) as path:
        return [night.run for night in nightly_records.load(path)]


def rewritten(remote: Path, edit: str, *push: str) -> None:
    """Let somebody change the branch in a clone: `edit` is a shell command."""
    clone = remote.parent / "somebody"
    shutil.rmtree(clone, ignore_errors=True)
    git(remote.parent, "clone", "--quiet", "--branch", "history", str(remote), str(clone))
    subprocess.run(["sh", "-ec", edit], cwd=clone, check=True)
    git(clone, "commit", "--quiet", "--all", "--allow-empty", "-m", "by hand")
    git(clone, "push", "--quiet", *push, "origin", "HEAD:history")


def test_the_first_night_makes_the_branch_and_others_are_left_alone(
    remote: Path, place: Branch
) -> None:
    before = git(remote, "rev-parse", "main")
    assert branch.append(place, night(0))
    assert branch.append(place, night(1))
    assert not branch.append(place, night(1))
    assert kept(place) == [night(0).run, night(1).run]
    assert git(remote, "ls-tree", "-r", "--name-only", "history") == FILE
    assert git(remote, "rev-list", "--count", "history") == "2"
    assert git(remote, "rev-parse", "main") == before


def test_what_else_is_on_the_branch_stays(remote: Path, place: Branch) -> None:
    branch.append(place, night(0))
    rewritten(remote, "echo by hand > notes; git add notes")
    branch.append(place, night(1))
    assert git(remote, "show", "history:notes") == "by hand"
    assert len(kept(place)) == 2


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path, remote: Path) -> None:
    writers = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = results((LATENCY, [0.1, 0.1, 0.1], [0.11, 0.11, 0.11]))
        found = replace(found, taken_at=NOW + timedelta(days=number))
        codec.RESULTS.write(folder / "results.json", found)
        command = ["history", "nights.jsonl", "--branch", "history", "--remote", str(remote)]
        writers.append(
            subprocess.Popen(
                [sys.executable, "-m", "pipeline", *command, "--append", str(folder), "--json"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for writer in writers:
        _, said = writer.communicate(timeout=120)
        assert writer.returncode == Exit.NO_REGRESSION, said
    assert len(kept(Branch(str(remote), "history", "nights.jsonl"))) == 3
    assert git(remote, "rev-list", "--count", "history") == "3"


def test_a_writer_who_comes_second_adds_to_what_the_first_has_pushed(
    tmp_path: Path, remote: Path, place: Branch
) -> None:
    """The hook lets the other one win in the one moment that matters, between fetch and push."""
    branch.append(place, night(0))
    branch.append(replace(place, name="other"), night(0))
    branch.append(replace(place, name="other"), night(1))
    other = git(remote, "rev-parse", "other")
    git(remote, "update-ref", "refs/heads/history", git(remote, "rev-parse", "other~1"))
    git(remote, "update-ref", place.seen, git(remote, "rev-parse", "other~1"))
    hook = remote / "hooks" / "pre-receive"
    once = tmp_path / "once"
    hook.write_text(
        f"#!/bin/sh\n[ -e {once} ] && exit 0\ntouch {once}\n"
        f"env -u GIT_QUARANTINE_PATH git update-ref refs/heads/history {other}\n"
    )
    hook.chmod(0o755)
    waits: list[float] = []
    assert branch.append(place, night(2), waits.append)
    assert kept(place) == [night(number).run for number in range(3)]
    assert len(waits) == 1


def test_a_branch_that_was_rewritten_is_noticed_and_what_it_had_can_be_brought_back(
    remote: Path, place: Branch
) -> None:
    for number in range(3):
        branch.append(place, night(number))
    newest = git(remote, "rev-parse", "history")
    rewritten(remote, "git reset -q --hard HEAD~2", "--force")
    with pytest.raises(BaselineError, match="was rewritten") as caught:
        branch.append(place, night(3))
    assert f"git push --force origin {newest}:refs/heads/history" in caught.value.hint
    git(remote, "update-ref", "refs/heads/history", newest)
    assert branch.append(place, night(3))
    assert len(kept(place)) == 4


def test_a_rewrite_that_was_meant_is_taken_as_the_hint_says(remote: Path, place: Branch) -> None:
    for number in range(3):
        branch.append(place, night(number))
    rewritten(remote, "git reset -q --hard HEAD~2", "--force")
    with pytest.raises(BaselineError) as caught:
        kept(place)
    assert f"git push origin :{place.seen}" in caught.value.hint
    git(remote, "update-ref", "-d", place.seen)
    assert branch.append(place, night(3))
    assert len(kept(place)) == 2


def test_a_branch_that_is_gone_is_noticed(remote: Path, place: Branch) -> None:
    branch.append(place, night(0))
    git(remote, "update-ref", "-d", "refs/heads/history")
    with pytest.raises(BaselineError, match="the branch history is gone"):
        branch.append(place, night(1))


@pytest.mark.parametrize(
    ("edit", "lost"),
    [
        pytest.param(f"tail -n 2 {FILE} > cut; cat cut > {FILE}", 1, id="a line is gone"),
        pytest.param(f"truncate -s -20 {FILE}", 1, id="cut off"),
        pytest.param(f": > {FILE}", 3, id="empty"),
        pytest.param(f"git rm -q {FILE}", 3, id="deleted"),
    ],
)
def test_a_file_that_lost_nights_is_noticed(
    edit: str, lost: int, remote: Path, place: Branch
) -> None:
    for number in range(3):
        branch.append(place, night(number))
    rewritten(remote, edit)
    with pytest.raises(BaselineError, match=f"lost {lost} record"):
        branch.append(place, night(3))
    with pytest.raises(BaselineError, match=f"lost {lost} record"):
        kept(place)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        pytest.param(rf"printf '\377\376\n' > {FILE}", "is not UTF-8", id="not UTF-8"),
        pytest.param(f"printf '[%100000s\\n' | tr ' ' '[' > {FILE}", "50000 values", id="deep"),
        pytest.param(f"head -c 9000000 /dev/zero > {FILE}", "larger than 5 MiB", id="large"),
    ],
)
@pytest.mark.parametrize("is_ours", [False, True], ids=["pushed by another", "seen before"])
def test_a_branch_that_holds_something_else_is_an_error_of_one_sentence(
    remote: Path, place: Branch, edit: str, said: str, *, is_ours: bool
) -> None:
    branch.append(place, night(0))
    rewritten(remote, edit)
    if is_ours:  # then what was seen before is read, beside what is there now
        git(remote, "update-ref", place.seen, "history")
        rewritten(remote, f"rm {FILE}; cp /dev/null {FILE}")
    with pytest.raises(BaselineError, match=said) as caught:
        branch.append(place, night(1))
    assert str(caught.value).isprintable()


def test_a_remote_that_says_something_that_is_not_utf_8_is_read(
    remote: Path, place: Branch
) -> None:
    branch.append(place, night(0))
    git(remote, "update-ref", "refs/heads/history-x", "history")
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nprintf '\\377 hello\\n'\n")
    hook.chmod(0o755)
    assert branch.append(place, night(1))


def test_a_repository_that_refuses_is_an_error_with_its_words(remote: Path, place: Branch) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho protected by a rule >&2\nexit 1\n")
    hook.chmod(0o755)
    waits: list[float] = []
    with pytest.raises(
        PublishError, match=r"kept/nights\.jsonl could not be pushed to history"
    ) as caught:
        branch.append(place, night(0), waits.append)
    assert "protected by a rule" in caught.value.hint
    assert len(waits) == 3


def test_the_newest_search_of_a_metric_is_kept_beside_the_nights(
    remote: Path, place: Branch
) -> None:
    branch.append(place, night(0))
    search = bisections.of_every_kind()
    later = replace(search, spent_s=search.spent_s + 1)
    assert branch.keep_search(place, search)
    assert not branch.keep_search(place, search), "it is there already"
    assert branch.keep_search(place, later)
    odd = replace(search, workload="../../x y")
    assert branch.keep_search(place, odd)
    names = git(remote, "ls-tree", "-r", "--name-only", "history").split()
    stem = FILE.partition(".")[0]
    name = f"{stem}/searches/{search.workload}.{search.metric.name}.json"
    assert sorted(names) == sorted(
        [FILE, name, f"{stem}/searches/.._.._x_y.{search.metric.name}.json"]
    )
    assert codec.BISECT.parse(git(remote, "show", f"history:{name}").encode()) == later
    assert git(remote, "rev-parse", "history") == git(remote, "rev-parse", place.seen)


def test_a_repository_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    nowhere = Branch(str(tmp_path / "nowhere"), "history", FILE)
    with pytest.raises(NetworkError, match="ls-remote"):
        kept(nowhere)


@pytest.mark.parametrize("file", ["/etc/nights.jsonl", "../nights.jsonl"])
def test_a_path_out_of_the_branch_is_refused(file: str) -> None:
    with pytest.raises(ConfigError, match="inside the branch"):
        Branch("origin", "history", file)


def test_steps_are_looked_for_on_the_branch(
    remote: Path, place: Branch, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        branch.append(place, night(number))
    monkeypatch.chdir(remote.parent / "work")  # `origin` is that of the current clone
    assert main(["history", FILE, "--branch", "history", "--json"]) == Exit.NO_REGRESSION
    assert json.loads(capsys.readouterr().out)["series"][0]["points"] == 2


@pytest.mark.parametrize(
    ("age_h", "code"),
    [
        pytest.param(40, Exit.NO_REGRESSION, id="fresh"),
        pytest.param(60, Exit.NO_BASELINE, id="old"),
    ],
)
def test_a_silence_of_48_hours_is_an_error(
    age_h: float, code: Exit, place: Branch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = datetime.now(UTC) - timedelta(hours=age_h)
    branch.append(place, night(0).model_copy(update={"time": taken}))
    words = ["history", FILE, "--branch", "history", "--remote", place.remote, "--fresh", "48"]
    assert main(words) == code
    assert ("the newest record is 60 h old" in capsys.readouterr().err) == (code != 0)


def test_a_branch_without_a_night_is_not_fresh(place: Branch) -> None:
    words = ["history", FILE, "--branch", "history", "--remote", place.remote, "--fresh", "48"]
    assert main(words) == Exit.NO_BASELINE


def test_a_remote_without_a_branch_is_refused() -> None:
    assert main(["history", FILE, "--remote", "origin"]) == Exit.BAD_ARGUMENTS


@pytest.mark.parametrize("what", ["folder", "file", "file to nowhere"])
def test_a_link_on_the_branch_is_not_followed(
    what: str, tmp_path: Path, remote: Path, place: Branch
) -> None:
    """Whoever made it would have us write, or read, somewhere else on the machine."""
    branch.append(place, night(0))
    there = tmp_path / "elsewhere"
    there.mkdir()
    (there / "nights.jsonl").write_text("a secret of the machine\n")
    target = {"folder": there, "file": there / "nights.jsonl", "file to nowhere": there / "new"}
    name = "kept" if what == "folder" else FILE
    rewritten(remote, f"rm -r {name}; ln -s {target[what]} {name}; git add -A")
    for use in (lambda: branch.append(place, night(1)), lambda: kept(place)):
        with pytest.raises(BaselineError, match=f"{name} is a link, and not followed") as caught:
            use()
        assert "secret" not in f"{caught.value} {caught.value.hint}"
    assert [path.name for path in there.iterdir()] == ["nights.jsonl"]
    assert (there / "nights.jsonl").read_text() == "a secret of the machine\n"


def test_a_commit_says_nothing_that_a_run_says_of_itself(remote: Path, place: Branch) -> None:
    said = "x\n\nSigned-off-by: somebody <s@example.org>\nfixes #1 @team [skip ci]"
    foreign = {"commit": said, "suite": said, "reference": said, "candidate": said}
    branch.append(place, night(0).model_copy(update=foreign))
    message = git(remote, "log", "-1", "--format=%B", "history")
    assert message == f"{FILE}: add the run of 2026-01-02 03:04 UTC"


def test_a_night_of_the_future_is_refused_and_one_that_is_there_ends_no_silence(
    remote: Path, place: Branch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = datetime.now(UTC) - timedelta(hours=60)
    branch.append(place, night(0).model_copy(update={"time": old}))
    later = night(1).model_copy(
        update={"time": datetime.now(UTC) + timedelta(days=400), "reference": "another"}
    )
    with pytest.raises(BaselineError, match="which is in the future"):
        branch.append(place, later)
    line = json.dumps(later.model_dump(mode="json", by_alias=True))
    rewritten(remote, f"echo '{line}' >> {FILE}")
    words = ["history", FILE, "--branch", "history", "--remote", place.remote]
    assert main([*words, "--fresh", "48"]) == Exit.NO_BASELINE
    assert "the newest record is 60 h old" in capsys.readouterr().err
    assert main([*words, "--json"]) == Exit.NO_REGRESSION
    assert json.loads(capsys.readouterr().out)["series"][0]["points"] == 1


def test_a_night_does_not_take_the_place_of_another(place: Branch) -> None:
    branch.append(place, night(0))
    better = {
        name: value.model_copy(update={"value": 0.5}) for name, value in night(0).metrics.items()
    }
    with pytest.raises(BaselineError, match="never replaced"):
        branch.append(place, night(0).model_copy(update={"metrics": better}))
    with branch.checked_out(place) as path:
        assert nightly_records.load(path) == [night(0)]


def test_a_branch_or_file_that_is_not_there_is_named(remote: Path, place: Branch) -> None:
    with pytest.raises(BaselineError, match=f"there is no branch history of {remote}"):
        kept(place)
    branch.append(place, night(0))
    with pytest.raises(BaselineError, match=r"no other\.jsonl on the branch history of"):
        kept(replace(place, file="other.jsonl"))


def test_a_file_that_is_too_large_is_not_read(
    remote: Path, place: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nightly_records, "MAX_BYTES", 2_000)
    branch.append(place, night(0))
    rewritten(remote, f"head -c 3000 /dev/zero | tr '\\0' ' ' >> {FILE}")
    with pytest.raises(BaselineError, match="is larger than"):
        kept(place)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        pytest.param(lambda f: (f / "results.json").symlink_to("/etc/hostname"), "link", id="link"),
        pytest.param(
            lambda f: (f / "results.json").write_text("[" + "0," * 60_000 + "0]"),
            "50000 values",
            id="values",
        ),
        pytest.param(
            lambda f: (f / "results.json").write_text('{"schema": NaN}'), "NaN", id="no JSON"
        ),
        pytest.param(
            lambda f: (f / "calibration.json").write_text('{"schema": 1e999}'), "large", id="beside"
        ),
        pytest.param(lambda f: (f / "calibration.json").mkdir(), "is a folder", id="folder"),
    ],
)
def test_a_run_that_is_added_is_read_as_an_artifact_is(
    edit: Callable[[Path], object],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(tmp_path)
    if not (tmp_path / "results.json").is_symlink() and not (tmp_path / "results.json").exists():
        found = results((LATENCY, [0.1, 0.1, 0.1], [0.11, 0.11, 0.11]))
        codec.RESULTS.write(tmp_path / "results.json", found)
    file = tmp_path / "nights.jsonl"
    assert main(["history", str(file), "--append", str(tmp_path)]) == Exit.NO_BASELINE
    assert said in capsys.readouterr().err
    assert not file.exists()


def test_a_run_says_neither_its_suite_nor_which_way_is_better(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flipped = replace(metric("get_p50"), better=Better.HIGHER, gate=False)
    strange = metric("of_its_own")
    values = [0.1, 0.1, 0.1]
    specs = ("source:../milo@1", "source:../milo@2")
    found = results((flipped, values, values), (strange, values, values), specs=specs)
    codec.RESULTS.write(tmp_path / "results.json", found)
    file = tmp_path / "nights.jsonl"
    words = ["history", str(file), "--append", str(tmp_path)]
    assert main([*words, "--suite", "smoke"]) == Exit.NO_BASELINE
    assert "of the suite pr, not of smoke" in capsys.readouterr().err
    assert main([*words, "--suite", "pr", "--product", "reference"]) == Exit.NO_BASELINE
    assert main([*words, "--suite", "pr"]) == Exit.NO_REGRESSION
    (kept_night,) = nightly_records.load(file)
    assert set(kept_night.metrics) == {"object-crud/get_p50"}
    assert kept_night.metrics["object-crud/get_p50"].better is Better.LOWER
