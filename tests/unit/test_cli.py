"""Bad arguments get one clear sentence and their exit code; good ones answer quickly."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from pipeline.commands import main
from pipeline.storage import codec
from pipeline.system import paths
from pipeline.system.errors import Exit
from pipeline.toolchain import milo
from pipeline.toolchain.milo import BuildInfo
from tests import pages


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    try:
        code = main.main([str(argument) for argument in arguments])
    except SystemExit as left:
        code = int(left.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(["run", "--pairs", "1"], 2, "at least 2 pairs", id="one pair"),
        pytest.param(["run", "--pairs", "x"], 2, "a number or `auto`", id="pairs is a word"),
        pytest.param(["run", "--budget", "nan"], 2, "is not a duration", id="budget is no number"),
        pytest.param(["run", "--budget", "-5m"], 2, "--budget", id="budget below zero"),
        pytest.param(
            ["run", "--budget", "9" * 400 + "h"], 2, "is not a duration", id="endless budget"
        ),
        pytest.param(["plan", "--pairs", "5000"], 2, "at most", id="more than can be read again"),
        pytest.param(
            ["capacity", "projects", "--budget", "inf"],
            2,
            "is not a duration",
            id="infinite budget",
        ),
        pytest.param(
            ["capacity", "projects", "--rate", "nan"], 2, "finite number", id="rate is no number"
        ),
        *(
            pytest.param(
                [
                    *("cluster", "create", "--project=perf-nights", "--location=us-central1-a"),
                    *("--run=7", "--account=a@b", "--dry-run", f"--budget-usd={budget}"),
                ],
                2,
                "not a finite number above zero",
                id=f"{budget} USD",
            )
            for budget in ("nan", "inf", "-inf", "-10", "0", "1e400")
        ),
        pytest.param(["run", "--candidate", "moon"], 2, "not a subject", id="unknown subject"),
        pytest.param(
            ["run", "--candidate", "reference?slow-creat=1ms"], 2, "slow-create", id="unknown fault"
        ),
        pytest.param(
            ["run", "--candidate", "reference?cpu=fast"], 2, "cpu", id="size that is none"
        ),
        pytest.param(
            ["run", "--against", "reference", "--baseline", "x"], 2, "not allowed", id="two sources"
        ),
        pytest.param(["run", "--suite", "yearly"], 2, "no suite `yearly`", id="unknown suite"),
        pytest.param(["run", "--baseline", "nobody"], 7, "no baseline `nobody`", id="no baseline"),
        pytest.param(["run", "--resume", "x", "--seed", "1"], 2, "--seed", id="resume with seed"),
        pytest.param(["run", "--resume", "/nonexistent"], 7, "no such folder", id="resume nothing"),
        pytest.param(["compare", "/nonexistent"], 7, "no such folder", id="compare nothing"),
        pytest.param(["render", "/nonexistent"], 7, "no such folder", id="render nothing"),
        pytest.param(["baseline", "show", "../x"], 2, "cannot be the name", id="name with a path"),
        pytest.param(
            ["baseline", "save", "/nonexistent", "x"], 7, "no such folder", id="save nothing"
        ),
        pytest.param(["capacity"], 2, "capacity of what?", id="capacity of nothing"),
        pytest.param(["capacity", "moons"], 2, "invalid choice", id="capacity of moons"),
        pytest.param(["capacity", "projects"], 2, "at least one limit", id="no limit"),
        pytest.param(
            ["capacity", "projects", "--limit", "p99(gte)<1s"],
            2,
            "expected one of get, list, create, update, delete\n  p99(gte)<1s\n      ^\n",
            id="limit with a slip",
        ),
        pytest.param(
            ["capacity", "projects", "--budget", "30"],
            2,
            "write 90s, 30m",
            id="budget without unit",
        ),
        pytest.param(
            ["capacity", "--resume", "x", "--rate", "5"], 2, "--rate cannot", id="resume with rate"
        ),
        pytest.param(
            ["capacity", "objects", "--resume", "x"], 2, "counted cannot", id="resume with things"
        ),
        pytest.param(
            ["capacity", "--resume", "/nonexistent"], 7, "no such folder", id="resume no search"
        ),
        pytest.param(
            ["capacity", "projects", "--limit", "db<1GB", "--subject", "moon"],
            2,
            "not a subject",
            id="capacity of an unknown subject",
        ),
        pytest.param(["nonsense"], 2, "invalid choice", id="unknown command"),
        pytest.param(["run", "--environment", "moon"], 2, "no environment", id="environment"),
        *(
            pytest.param(words, 2, "its value is empty", id=f"{words[0]} {words[-2:]}")
            for words in (
                ["run", "--candidate", "reference", "--against", ""],
                ["run", "--candidate", "reference", "--against="],
                ["plan", "--environment", ""],
                ["compare", "x", "--baseline", ""],
                ["history", "x.csv", "--html", ""],
                ["render", ""],
            )
        ),
        *(
            pytest.param(words, code, "nosuchuser", id=f"home of nobody {words[0]} {words[-1]}")
            for code, words in (
                (2, ["plan", "--suite", "~nosuchuser/x.toml"]),
                (2, ["plan", "--environment", "~nosuchuser/x.toml"]),
                (2, ["run", "--candidate", "binary:~nosuchuser/x"]),
                (2, ["bisect", "~nosuchuser/x", "--good", "a", "--bad", "b", "--build", "c"]),
            )
        ),
        *(
            pytest.param([*words, "a" * 300], code, "", id=f"a long name {words[0]}")
            for code, words in (
                (2, ["render"]),
                (2, ["plan", "--suite"]),
                (2, ["baseline", "show"]),
                (2, ["site", "--out", "s", "--history"]),
            )
        ),
        pytest.param(["explain", "x", "--pairs", "0"], 2, "above zero", id="no extra pairs"),
        pytest.param(
            ["publish", "x", "--pull-request", "0"], 2, "above zero", id="no pull request"
        ),
        pytest.param(["plan", "--baseline", "nobody"], 7, "no baseline `nobody`", id="plan: none"),
        pytest.param(["plan", "--prior", "nofile"], 7, "nofile", id="plan: no prior"),
        pytest.param(
            ["plan", "--against", "binary:x"], 2, "of different products", id="plan: two products"
        ),
        pytest.param(
            ["plan", "--candidate", "source:.@HEAD@{1}"], 2, "has an `@`", id="two @ in a spec"
        ),
        pytest.param(["releases", "--push", "x", "--branch", "b"], 7, "no such folder", id="push"),
    ],
)
def test_bad_input_is_one_clear_sentence_with_its_exit_code(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    found, _, stderr = told(capsys, *arguments)

    assert (found, said in stderr) == (code, True), stderr
    assert "Traceback" not in stderr


def test_an_error_and_its_hint_are_written_to_the_file_that_is_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "error.txt"
    code, _, stderr = told(capsys, "--error-file", str(file), "compare", "/nonexistent")

    assert code == 7
    assert file.read_text() == stderr
    assert stderr.startswith("error: ")

    file.unlink()
    told(capsys, "--error-file", str(file), "plan", "--suite", "smoke")
    assert not file.exists()


def test_options_that_are_empty_by_default_may_be_empty(
    capsys: pytest.CaptureFixture[str],
) -> None:
    empty = ("--report-url", "--ignore", "--fork-label", "--build")
    words = [word for name in empty for word in (name, "")]
    words += ["--artifact-url=", "--suite=a="]  # a value may end as an empty one does
    assert "is empty" not in told(capsys, "publish", "/nonexistent", "--to", "check", *words)[2]


def test_errors_of_arguments_are_written_to_the_file_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "error.txt"
    for words in (["--error-file", str(file), "plan", "--bogus"], [f"--error-file={file}", "no"]):
        code, _, stderr = told(capsys, *words)
        assert code == 2
        assert file.read_text() == stderr
        file.unlink()


def test_an_error_of_a_name_that_is_no_text_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "error.txt"
    code, _, _ = told(capsys, "--error-file", str(file), "render", os.fsdecode(b"no\xff"))
    assert code == 7
    assert "no such folder" in file.read_text()


@pytest.mark.parametrize("command", [["plan", "--suite", "smoke"], ["doctor"], ["--help"]])
def test_a_folder_that_was_deleted_is_one_sentence(command: list[str], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os, sys; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r});"
    code += f"from pipeline.commands.main import main; sys.exit(main({command!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(paths.project_path())},
        check=False,
    )
    assert done.returncode == (0 if command == ["--help"] else 8)
    assert ("the current folder cannot be used" in done.stderr) is (command != ["--help"])
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_meant_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("runs/old", "runs/new", "empty", "search"):
        Path(name).mkdir(parents=True)
    for number, name in enumerate(("old", "new")):
        codec.RESULTS.write(Path("runs", name, "results.json"), pages.measured())
        os.utime(Path("runs", name, "results.json"), (number, number))
    Path("search/capacity.json").write_text("{}")
    newest = "newest first: runs/new, runs/old"
    for command in ("compare", "render", "baseline calibrate --runs", "run --resume"):
        words = command.split()
        assert newest in told(capsys, *words, "runs")[2]
        assert newest in told(capsys, *words, "runs/none")[2]
        assert "`milo-perf capacity --resume search`" in told(capsys, *words, "search")[2]
        code, _, said = told(capsys, *words, "runs/new/results.json")
        assert (code, "name the folder that it is in: runs/new" in said) == (7, True), said
        assert "by default it is below out/" in told(capsys, *words, "empty")[2]
    assert "`milo-perf compare runs/new`" in told(capsys, "capacity", "--resume", "runs/new")[2]
    assert "`milo-perf compare runs/new`" in told(capsys, "evaluate", "--resume", "runs/new")[2]
    Path("runs").rename("out")
    assert "newest first: out/new" in told(capsys, "compare", "nowhere")[2]


def test_a_binary_that_cannot_be_run_says_why(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    program, plain = tmp_path / "bin" / "milo", tmp_path / "my milo"
    program.parent.mkdir()
    for path in (program, plain):
        path.write_bytes(b"x")
    program.chmod(0o755)
    for path, said, hint in (
        (tmp_path / "bin", "is a folder", f"name the program: {program}"),
        (plain, "is not an executable file", f"chmod +x '{plain}'"),
        (tmp_path / "no" / "milo", "is not there", "wants the program that Milo's build writes"),
    ):
        spec = f"binary:{path}"
        for others in (["--against", spec], ["--against", "binary:/bin/other"], []):
            words = ["run", "--candidate", spec, *others, "--out", tmp_path / "out"]
            code, _, stderr = told(capsys, *words)
            assert (code, said in stderr, hint in stderr) == (5, True, True), stderr


def test_a_stored_baseline_that_must_be_built_is_named_with_both_ways_out(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "milo").write_bytes(b"x")
    monkeypatch.setattr(milo, "require_milo", lambda _: BuildInfo("1.26", "m", "v1", {}))
    candidate = f"binary:{tmp_path}/milo"
    code, _, stderr = told(capsys, "run", "--candidate", candidate, "--out", tmp_path / "out")
    assert code == Exit.BAD_ARGUMENTS, stderr
    assert "the stored baseline milo-v0.32.5-pr: `source:" in stderr
    assert "--build 'go build" in stderr
    assert "--against binary:PATH" in stderr


def test_a_run_is_rendered_in_every_format_and_judging_it_again_writes_the_page(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    codec.RESULTS.write(tmp_path / "results.json", pages.measured())
    shown = {
        how: told(capsys, "render", tmp_path, "--format", how)[1]
        for how in ("text", "markdown", "html", "junit", "perfdata")
    }
    assert shown["html"].startswith("<!doctype html>")
    assert ET.fromstring(shown["junit"]).tag == "testsuites"
    assert json.loads(shown["perfdata"])["version"] == "v1"
    assert all("REGRESSION" in shown[how] for how in ("text", "markdown", "html"))
    code, _, _ = told(capsys, "compare", tmp_path)
    assert code == Exit.REGRESSION
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


def test_a_run_never_overwrites_a_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "precious").write_text("x")
    code, _, stderr = told(capsys, "run", "--against", "reference", "--out", tmp_path)

    assert code == Exit.BAD_ARGUMENTS
    assert "is not empty" in stderr


def test_a_baseline_of_another_suite_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = (
        paths.project_path("suites", "pr.toml")
        .read_text()
        .replace("margin = 0.035", "margin = 0.036")
    )
    (tmp_path / "pr.toml").write_text(text)
    code, _, stderr = told(
        capsys, "run", "--suite", tmp_path / "pr.toml", "--baseline", "reference-pr"
    )

    assert code == Exit.NO_BASELINE
    assert "another version of the suite" in stderr


def test_plan_says_what_would_run_and_starts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code, stdout, _ = told(capsys, "plan", "--suite", "pr", "--pairs", "7")

    assert code == 0
    for word in (
        "7",
        "time",
        "requests",
        "memory",
        "open files",
        "disk",
        "object-crud",
        "Nothing was started",
    ):
        assert word in stdout


def test_baselines_can_be_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    _, listed, _ = told(capsys, "baseline", "list")
    code, shown, _ = told(capsys, "baseline", "show", "reference-pr")

    assert "reference-pr" in listed
    assert code == 0
    assert "object-crud/create_p50" in shown


def test_stored_baselines_are_readable_and_of_the_suites_as_they_are() -> None:
    from pipeline.runs import suite_file

    for path in paths.project_path("baselines").glob("*.json"):
        baseline = codec.BASELINE.read(path)
        assert baseline.name == path.stem
        assert baseline.suite_digest == suite_file.load(suite_file.path_of(baseline.suite)).digest


def test_a_python_that_lacks_a_package_is_told_so() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            CODE_WITHOUT_PACKAGES.format(root=str(paths.project_path())),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == Exit.NOT_STARTED, done.stderr
    assert "is not installed" in done.stderr
    assert "Traceback" not in done.stderr


CODE_WITHOUT_PACKAGES = """
import sys
sys.path.insert(0, {root!r})
from pipeline.commands import main as cli
sys.exit(cli.main(["plan"]))
"""


@pytest.mark.parametrize("command", [[], ["run"], ["capacity"], ["publish"]])
def test_help_loads_no_heavy_library(command: list[str]) -> None:
    code = (
        "import sys; from pipeline.commands import main as cli\n"
        "try: cli.main([*sys.argv[1:], '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'scipy', 'pandas', 'numpy', 'pydantic', 'requests', 'rich', 'cryptography'}\n"
        "heavy |= {'psutil', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=True
    )

    assert done.stderr.strip() == "[]"


def test_every_command_and_exit_code_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    commands = paths.project_path("docs", "commands.md").read_text()
    codes = paths.project_path("docs", "exit-codes.md").read_text()
    with pytest.raises(SystemExit):
        main.main(["--help"])
    names = re.findall(r"(?m)^    (\w+) {2,}", capsys.readouterr().out)

    assert {"run", "plan", "publish", "doctor"} <= set(names)
    for name in names:
        assert f"`milo-perf {name} " in commands or f"`milo-perf {name}`" in commands, name
    for code in Exit:
        assert f"| {code.value} |" in codes


def test_the_committed_schemas_are_valid_json() -> None:
    for path in paths.project_path("docs", "schemas").glob("*.json"):
        assert json.loads(path.read_text())["type"] == "object"


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["plan", "--suite", "smoke"], "need"),
        (["baseline", "list"], "baselines"),
        (["baseline", "show", "reference-pr"], "samples"),
        (["baseline", "diff", "reference-pr", "reference-pr"], "findings"),
    ],
)
def test_every_answer_is_there_as_json(
    words: list[str], key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = told(capsys, *words, "--json")
    assert code == 0
    assert json.loads(out)[key]
