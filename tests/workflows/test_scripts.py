"""The shell scripts of the workflows, on real git, with a `docker` and a pipeline of our own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loopback import Request, answering
from tests.workflows.acting import ROOT, git, script


@pytest.fixture
def subject(tmp_path: Path) -> Path:
    """Return a clone at `change`, which left `main` before the last commit there."""
    source, clone = tmp_path / "source", tmp_path / "subject"
    source.mkdir()
    git(source, "init", "--quiet", "--initial-branch=main")
    for name in ("go.mod", "docs/guide.md", "go/reference/main.go"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("1")
    commit(source, "first")
    git(source, "branch", "change")
    (source / "go.mod").write_text("2")
    commit(source, "later on main")
    git(source, "tag", "v1.0.0")
    git(tmp_path, "clone", "--quiet", str(source), str(clone))
    git(clone, "checkout", "--quiet", "change")
    return clone


def commit(folder: Path, message: str) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def outputs(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def decided(subject: Path, **more: str) -> dict[str, str]:
    base = git(subject, "rev-parse", "origin/main")
    usual = {"IGNORE": "docs/**\n**/*.md\n", "IS_FORK": "false", "FORK_LABEL": "", "LABEL": ""}
    given = {"BASE": base, **usual, **more}
    return outputs(script("decide.sh", SUBJECT=subject, NOTES=subject.parent / "notes", **given))


@pytest.mark.parametrize(
    ("changed", "answer"),
    [
        pytest.param(["docs/guide.md"], "no", id="documentation"),
        pytest.param(["docs/deep/er/x.svg", "README.md", "a/b.md"], "no", id="more of it"),
        pytest.param(["main.go"], "yes", id="code"),
        pytest.param(["docs/guide.md", "main.go"], "yes", id="both"),
        pytest.param(["docs.go"], "yes", id="a name that begins alike"),
        pytest.param([], "no", id="nothing"),
    ],
)
def test_only_what_can_change_the_answer_is_measured(
    changed: list[str], answer: str, subject: Path
) -> None:
    for name in changed:
        (subject / name).parent.mkdir(parents=True, exist_ok=True)
        (subject / name).write_text("changed")
    git(subject, "add", "--all")
    git(subject, "commit", "--quiet", "--allow-empty", "-m", "change")
    assert decided(subject)["measure"] == answer
    note = subject.parent / "notes" / "skipped.txt"
    assert note.exists() == (answer == "no")


def test_a_file_that_was_moved_out_of_the_documentation_counts(subject: Path) -> None:
    git(subject, "mv", "docs/guide.md", "guide.go")
    commit(subject, "move")
    assert decided(subject)["measure"] == "yes"


def test_the_baseline_is_where_the_branch_was_left_and_not_the_tip_of_the_other(
    subject: Path,
) -> None:
    (subject / "main.go").write_text("x")
    head = commit(subject, "change")
    found = decided(subject)
    assert found["base"] == git(subject, "rev-parse", "origin/change")
    assert found["head"] == head


@pytest.mark.parametrize(
    ("is_fork", "label", "answer"),
    [("false", "", "yes"), ("true", "", "wait"), ("true", "bug", "wait"), ("true", "perf", "yes")],
)
def test_a_fork_is_measured_when_somebody_has_put_the_label_on_this_push(
    is_fork: str, label: str, answer: str, subject: Path
) -> None:
    (subject / "main.go").write_text("x")
    commit(subject, "change")
    found = decided(subject, IS_FORK=is_fork, FORK_LABEL="perf", LABEL=label)
    assert found["measure"] == answer
    note = subject.parent / "notes" / "waiting.txt"
    assert note.exists() == (answer == "wait")


def test_what_is_no_pull_request_is_always_measured(subject: Path) -> None:
    assert decided(subject, BASE="")["measure"] == "yes"


def builds(subject: Path, candidate: str, baseline: str, base: str = "b" * 40) -> dict[str, str]:
    given = {"CANDIDATE": candidate, "BASELINE": baseline, "HEAD": "h" * 40, "BASE": base}
    where = {"SUBJECT": subject, "PIPELINE": subject, "ARMS": "/arms"}
    return outputs(script("builds.sh", **given, **where))


def test_a_checkout_is_the_pull_request_against_where_it_left(subject: Path) -> None:
    found = builds(subject, "checkout", "checkout")
    assert found["candidate"] == f"source:.@{'h' * 40}"
    assert found["baseline"] == f"source:.@{'b' * 40}"


@pytest.mark.parametrize(
    ("written", "means"),
    [
        pytest.param("checkout:main", "source:.@{main}", id="branch"),
        pytest.param("checkout:v1.0.0?env.A=1", "source:.@v1.0.0?env.A=1", id="tag"),
        pytest.param("artifact:milo", "binary:/arms/baseline/milo", id="artifact"),
        pytest.param("image:r/milo:v1", "binary:/arms/baseline/milo", id="image"),
        pytest.param("reference?orphans=3", "reference?orphans=3", id="reference"),
        pytest.param("reference@main", "reference@{tree}", id="reference of a commit"),
    ],
)
def test_every_way_to_write_a_build(written: str, means: str, subject: Path) -> None:
    git(subject, "branch", "--delete", "--force", "main")  # as a checkout leaves it
    facts = {
        "main": git(subject, "rev-parse", "origin/main"),
        "tree": git(subject, "rev-parse", "origin/main:go/reference"),
    }
    assert builds(subject, "reference", written)["baseline"] == means.format(**facts)


def test_a_revision_from_before_the_folder_go_still_names_its_reference(subject: Path) -> None:
    git(subject, "mv", "go/reference", "reference")
    old = commit(subject, "as it once was")
    found = builds(subject, "reference", f"reference@{old}")
    assert found["baseline"] == f"reference@{git(subject, 'rev-parse', f'{old}:reference')}"


def test_a_fetched_build_says_what_to_fetch(subject: Path) -> None:
    found = builds(subject, "artifact:new-milo?env.GOGC=50", "image:r/milo@sha256:12")
    assert found["candidate-artifact"] == "new-milo"
    assert found["candidate"] == "binary:/arms/candidate/milo?env.GOGC=50"
    assert found["baseline-image"] == "r/milo@sha256:12"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        pytest.param("checkout", "needs a pull request", id="no pull request"),
        pytest.param("milo", "is none of", id="unknown"),
        pytest.param("reference@nowhere", "no folder go/reference/", id="no such revision"),
    ],
)
def test_a_build_that_means_nothing_ends_the_job(written: str, said: str, subject: Path) -> None:
    given = {"CANDIDATE": "reference", "BASELINE": written, "HEAD": "h" * 40, "BASE": ""}
    done = script("builds.sh", **given, SUBJECT=subject, PIPELINE=subject, ARMS="/arms")
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("arm", ["CANDIDATE", "BASELINE"])
def test_a_build_of_two_lines_sets_no_output_of_its_own(arm: str, subject: Path) -> None:
    given = {"CANDIDATE": "reference", "BASELINE": "reference", "HEAD": "h" * 40, "BASE": ""}
    given[arm] = "reference\ncandidate=binary:/tmp/evil"
    done = script("builds.sh", **given, SUBJECT=subject, PIPELINE=subject, ARMS="/arms")
    assert done.returncode == 2
    assert "more than one line" in done.stderr
    assert "evil" not in done.stdout


def test_a_label_of_two_lines_sets_no_output_of_its_own(subject: Path) -> None:
    (subject / "main.go").write_text("x")
    commit(subject, "change")
    found = decided(subject, IS_FORK="true", FORK_LABEL="perf\nmeasure=yes", LABEL="")
    assert found["measure"] == "wait"
    assert "perf measure=yes" in found["why"]


def concluded(tmp_path: Path, **said: str) -> tuple[int, str, str]:
    """Return the exit code, the outputs and the summary of the job that a branch may require."""
    output, summary = tmp_path / "concluded", tmp_path / "summary"
    for path in (output, summary):
        path.write_text("")
    usual = {
        "DECIDED": "success",
        "MEASURE": "yes",
        "WHY": "",
        "MEASURED": "success",
        "VERDICT": "unchanged",
        "CODE": "0",
        "FAIL_ON": "regression",
    }
    files = {"GITHUB_OUTPUT": output, "GITHUB_STEP_SUMMARY": summary}
    done = script("conclude.sh", **{**usual, **said}, **files)
    return done.returncode, output.read_text(), summary.read_text()


@pytest.mark.parametrize(
    ("said", "code", "verdict"),
    [
        ({}, 0, "unchanged"),
        ({"VERDICT": "improved"}, 0, "improved"),
        ({"VERDICT": "inconclusive"}, 0, "inconclusive"),
        ({"VERDICT": "inconclusive", "FAIL_ON": "inconclusive"}, 4, "inconclusive"),
        ({"VERDICT": "inconclusive", "FAIL_ON": "undecided"}, 4, "inconclusive"),
        ({"VERDICT": "regressed", "CODE": "3"}, 3, "regressed"),
        ({"VERDICT": "regressed", "CODE": "3", "FAIL_ON": "inconclusive"}, 3, "regressed"),
        ({"VERDICT": "regressed", "CODE": "3", "FAIL_ON": "never"}, 0, "regressed"),
        ({"CODE": "5", "VERDICT": ""}, 5, "failed"),
        ({"CODE": "5", "VERDICT": "", "FAIL_ON": "never"}, 0, "failed"),
        ({"MEASURE": "no", "WHY": "documentation", "CODE": "", "VERDICT": ""}, 0, "skipped"),
        ({"MEASURE": "wait", "CODE": "", "VERDICT": ""}, 1, "skipped"),
        ({"MEASURE": "wait", "FAIL_ON": "never"}, 1, "skipped"),
    ],
)
def test_an_answer_that_is_known_decides(
    said: dict[str, str], code: int, verdict: str, tmp_path: Path
) -> None:
    found, output, _ = concluded(tmp_path, **said)
    assert (found, output) == (code, f"verdict={verdict}\n")


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"VERDICT": ""}, id="an empty verdict"),
        pytest.param({"VERDICT": "great"}, id="a verdict that is none"),
        pytest.param({"VERDICT": "regressed"}, id="red, and the code of a pass"),
        pytest.param({"VERDICT": "unchanged", "CODE": "3"}, id="green, and the code of a red"),
        pytest.param({"VERDICT": "unchanged\nverdict=improved"}, id="a verdict of two lines"),
        pytest.param({"VERDICT": "unchanged\n"}, id="a verdict with a line break"),
        pytest.param({"CODE": ""}, id="no code"),
        pytest.param({"CODE": "0\n0"}, id="a code of two lines"),
        pytest.param({"CODE": "00"}, id="a code with a zero before it"),
        pytest.param({"CODE": "256"}, id="a code that would wrap to 0"),
        pytest.param({"CODE": "0", "MEASURED": "failure"}, id="a job that failed after its answer"),
        pytest.param({"MEASURED": "cancelled"}, id="a job that was cancelled"),
        pytest.param(
            {"MEASURED": "skipped", "CODE": "", "VERDICT": ""}, id="a job that was skipped"
        ),
        pytest.param({"MEASURE": ""}, id="nobody decided"),
        pytest.param({"MEASURE": "no\nyes"}, id="decided in two lines"),
        pytest.param({"DECIDED": "failure", "MEASURE": "no"}, id="deciding failed"),
        pytest.param({"DECIDED": "cancelled", "MEASURE": "no"}, id="deciding was cancelled"),
        pytest.param({"FAIL_ON": "Never"}, id="a word for fail-on that is none"),
        pytest.param({"FAIL_ON": ""}, id="no word for fail-on"),
    ],
)
def test_an_answer_that_is_not_known_is_red(said: dict[str, str], tmp_path: Path) -> None:
    code, output, _ = concluded(tmp_path, **said)
    assert code != 0
    assert output == "verdict=failed\n"


def test_why_nothing_was_measured_is_one_line(tmp_path: Path) -> None:
    _, _, summary = concluded(tmp_path, MEASURE="no", WHY="a\n# b\n::error::c")
    assert summary == "Not measured: a # b ::error::c.\n"


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """Return a `python` that writes down what it was asked, and ends as the file `code` says."""
    program = tmp_path / "python"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *import*) shift $(($# - 1)); echo improved; exit;; esac\n'
        f'echo "$@" >> {tmp_path}/asked\necho "the last line" >&2\n'
        'case "$*" in *--error-file*) while [ "$1" != --error-file ]; do shift; done;\n'
        f'  [ "$(cat {tmp_path}/code)" -lt 5 ] || echo "error: it went wrong" > "$2";; esac\n'
        f"exit $(cat {tmp_path}/code)\n"
    )
    program.chmod(0o755)
    (tmp_path / "code").write_text("0")
    return program


def measured(tmp_path: Path, pipeline: Path, **more: object) -> dict[str, str]:
    output = tmp_path / "output"
    usual: dict[str, object] = {
        "SUITE": "pr",
        "PAIRS": "auto",
        "BUDGET": "",
        "BUILD": "make",
        "IMAGE_PATH": "/milo",
        "CANDIDATE": "reference",
        "BASELINE": "reference",
        "CANDIDATE_IMAGE": "",
        "BASELINE_IMAGE": "",
        "SUBJECT": tmp_path,
        "ARMS": tmp_path / "arms",
        "OUT": tmp_path / "out",
        "PYTHON": pipeline,
        "GITHUB_OUTPUT": output,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }
    done = script("measure.sh", **{**usual, **more})
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in output.read_text().splitlines())


@pytest.mark.parametrize("code", [0, 3, 4, 5, 6, 8, 10])
def test_the_exit_code_of_the_pipeline_survives(code: int, tmp_path: Path, pipeline: Path) -> None:
    (tmp_path / "code").write_text(str(code))
    assert measured(tmp_path, pipeline)["exit-code"] == str(code)
    error = tmp_path / "out" / "error.txt"
    assert (error.read_text() if error.exists() else "") == (
        "error: it went wrong\n" if code > 4 else ""
    )


@pytest.mark.parametrize("verdict", ["great", "", "improved\\nexit-code=0"])
def test_a_verdict_that_is_none_is_no_output(verdict: str, tmp_path: Path, pipeline: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "verdict.json").write_text("{}")
    found = measured(tmp_path, pipeline)
    assert found["verdict"] == "improved"
    (tmp_path / "output").unlink()
    pipeline.write_text(pipeline.read_text().replace("echo improved", f"printf '{verdict}'"))
    (tmp_path / "code").write_text("5")
    assert measured(tmp_path, pipeline) == {"exit-code": "5"}


def test_a_source_is_built_by_the_callers_command(tmp_path: Path, pipeline: Path) -> None:
    measured(tmp_path, pipeline, CANDIDATE="source:x@1", BUDGET="20m")
    asked = (tmp_path / "asked").read_text()
    assert "--build make" in asked
    assert "--budget 20m" in asked


@pytest.mark.parametrize("driver", ["", "all", "k6"])
def test_a_run_of_one_driver_says_so(driver: str, tmp_path: Path, pipeline: Path) -> None:
    measured(tmp_path, pipeline, DRIVER=driver, ENVIRONMENT="kind")
    asked = (tmp_path / "asked").read_text()
    assert ("--driver k6" in asked) == (driver == "k6")
    assert ("--driver" in asked) == (driver == "k6")
    assert "--environment kind" in asked


@pytest.mark.parametrize("environment", ["", "suite"])
def test_a_suite_runs_in_its_own_environment_unless_another_is_named(
    environment: str, tmp_path: Path, pipeline: Path
) -> None:
    measured(tmp_path, pipeline, ENVIRONMENT=environment)
    assert "--environment" not in (tmp_path / "asked").read_text()


@pytest.mark.parametrize(
    ("suite", "driver", "needed"),
    [("full", "all", "true"), ("full", "k6", "false"), ("pr", "", "false")],
)
def test_clusterloader2_is_built_for_the_suites_that_need_it(
    suite: str, driver: str, needed: str, tmp_path: Path
) -> None:
    given = {"SUITE": suite, "DRIVER": driver, "SUBJECT": tmp_path, "PYTHON": sys.executable}
    done = script("clusterloader2.sh", "needed", **given, PYTHONPATH=ROOT)
    assert outputs(done) == {"needed": needed}


def test_a_suite_that_cannot_be_read_is_left_to_the_run_that_reports_it(tmp_path: Path) -> None:
    given = {"SUITE": "none.toml", "DRIVER": "", "SUBJECT": tmp_path, "PYTHON": sys.executable}
    done = script("clusterloader2.sh", "needed", **given, PYTHONPATH=ROOT)
    assert outputs(done) == {"needed": "false"}
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_clusterloader2_is_built_once_and_a_build_that_failed_is_not_kept(tmp_path: Path) -> None:
    fake = tmp_path / "go"
    fake.write_text(
        f'#!/bin/sh\necho "$CGO_ENABLED $*" >> {tmp_path}/asked\n'
        f"[ -e {tmp_path}/fails ] && exit 1\n"
        'while [ "$1" != -o ]; do shift; done; echo built > "$2"; chmod +x "$2"\n'
    )
    fake.chmod(0o755)
    (tmp_path / "fails").touch()
    given = {
        "HOME": tmp_path,
        "SOURCE": tmp_path,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }
    assert script("clusterloader2.sh", "build", **given).returncode != 0
    (tmp_path / "fails").unlink()
    first, second = (outputs(script("clusterloader2.sh", "build", **given)) for _ in range(2))
    assert first == second
    assert Path(first["path"]).read_text() == "built\n"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == 2
    assert asked[0].startswith("0 build -trimpath -o ")


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        pytest.param(200, {"build_type": "workflow"}, 0, "", id="enabled"),
        pytest.param(200, {"build_type": "legacy"}, 1, "is built from a branch", id="branch"),
        pytest.param(404, {"message": "Not Found"}, 1, "is not enabled in milo-os/milo", id="off"),
        pytest.param(403, {}, 1, "needs the permission pages: read", id="no right"),
        pytest.param(422, {}, 1, "does not say whether", id="another answer"),
    ],
)
def test_pages_that_are_not_enabled_are_one_error_with_the_next_step(
    status: int, body: dict[str, str], code: int, said: str
) -> None:
    asked: list[tuple[str, str]] = []

    def answer(request: Request, _: bytes) -> None:
        asked.append((request.path, request.headers["Authorization"]))
        request.say(json.dumps(body), status)

    with answering(answer) as url:
        given = {"GITHUB_API_URL": url, "GITHUB_REPOSITORY": "milo-os/milo"}
        done = script("site.sh", "check", **given, GITHUB_TOKEN="secret-token")
    assert done.returncode == code, done.stderr
    assert done.stderr.count("::error") == (1 if said else 0)
    assert said in done.stderr
    assert ("choose GitHub Actions" in done.stderr) == (said.startswith("is "))
    assert asked == [("/repos/milo-os/milo/pages", "Bearer secret-token")]
    assert "secret-token" not in done.stdout + done.stderr


def test_a_site_that_cannot_be_built_is_an_annotation(tmp_path: Path, pipeline: Path) -> None:
    (tmp_path / "code").write_text("7")
    given = {"BRANCH": "history", "REMOTE": "r", "SOURCE": "s", "ACKNOWLEDGED": "none"}
    where = {"OUT": tmp_path / "site", "GITHUB_STEP_SUMMARY": tmp_path / "summary"}
    done = script("site.sh", "build", **given, **where, PYTHON=pipeline)
    assert done.returncode == 7
    assert "::error title=No site::error: it went wrong" in done.stderr
    assert "site --history history --remote r --source s" in (tmp_path / "asked").read_text()


def test_a_binary_of_an_artifact_gets_its_name_and_may_be_executed(
    tmp_path: Path, pipeline: Path
) -> None:
    fetched = tmp_path / "arms" / "candidate" / "bin" / "milo-linux"
    fetched.parent.mkdir(parents=True)
    fetched.write_text("a binary")
    measured(tmp_path, pipeline)
    assert os.access(tmp_path / "arms" / "candidate" / "milo", os.X_OK)


def test_a_binary_of_an_image_is_copied_out_and_the_image_is_not_run(
    tmp_path: Path, pipeline: Path
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/docker-asked\n'
        'case $1 in create) echo box;; cp) echo a binary > "$3";; esac\n'
    )
    docker.chmod(0o755)
    measured(tmp_path, pipeline, BASELINE_IMAGE="r/milo:v1")
    arms = tmp_path / "arms"
    assert (tmp_path / "docker-asked").read_text().splitlines() == [
        "create -- r/milo:v1 -",
        f"cp box:/milo {arms}/baseline/milo",
        "rm box",
    ]
    assert os.access(arms / "baseline" / "milo", os.X_OK)


def reported(tmp_path: Path, step: str, **more: str) -> tuple[list[str], str]:
    """Return the arguments of `publish` in a step of the report, and the folder it runs in."""
    fake = tmp_path / "python"
    fake.write_text(f'#!/bin/sh\n{{ pwd; printf "%s\\n" "$@"; }} > {tmp_path}/asked\n')
    fake.chmod(0o755)
    (tmp_path / "workspace").mkdir(exist_ok=True)
    usual = {
        "SUITE": "pr",
        "KEY": "both/pr",
        "COMMENT": "changes",
        "PRODUCT": "milo",
        "PAIRS": "auto",
        "DRIVER": "",
        "FAIL_ON": "regression",
        "IGNORE": "docs/**\n**/*.md\n",
        "FORK_LABEL": "",
        "BUILD": "go build -o {out} ./cmd/milo",
        "ACKNOWLEDGED": "",
        "RUN_URL": "https://github.example/runs/77",
        "PAGE_URL": "",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_WORKSPACE": str(tmp_path / "workspace"),
        "PYTHON": str(fake),
    }
    done = script("report.sh", step, **{**usual, **more})
    assert done.returncode == 0, done.stderr
    folder, *asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[:4] == ["-P", "-m", "pipeline", "publish"]
    return asked[4:], folder


def test_the_report_first_only_says_that_it_is_in_progress(tmp_path: Path) -> None:
    asked, _ = reported(tmp_path, "start")
    assert asked == [f"{tmp_path}/untrusted", "--key", "both/pr", "--to", "check", "--start"]


def test_page_and_comment_are_decided_by_the_same_words(tmp_path: Path) -> None:
    (page, _), (said, _) = reported(tmp_path, "page"), reported(tmp_path, "publish")
    where = page.index("--to")
    assert page[where:] == ["--to", "page", "--page", f"{tmp_path}/page/milo-perf-both-pr.html"]
    assert said[:where] == page[:where]
    assert said[said.index("--build") + 1] == "go build -o {out} ./cmd/milo"


def test_a_report_without_a_page_links_to_the_archives(tmp_path: Path) -> None:
    asked, _ = reported(tmp_path, "publish", PAGE_URL="https://github.example/runs/78/artifacts/5")
    assert asked[-4:] == [
        *("--report-url", "https://github.example/runs/78/artifacts/5"),
        *("--artifact-url", "https://github.example/runs/77#artifacts"),
    ]
    asked, _ = reported(tmp_path, "publish")
    assert asked[asked.index("--report-url") + 1] == ""


def test_a_report_of_one_driver_is_decided_by_its_workloads(tmp_path: Path) -> None:
    assert "--driver" not in reported(tmp_path, "page")[0]
    asked, _ = reported(tmp_path, "page", DRIVER="k6")
    assert asked[asked.index("--driver") + 1] == "k6"


def test_the_report_reads_an_artifact_as_it_came_beside_the_trusted_files(tmp_path: Path) -> None:
    (tmp_path / "untrusted").mkdir()
    (tmp_path / "untrusted" / "results.zip").write_text("a zip")
    (tmp_path / "workspace" / "trusted").mkdir(parents=True)
    asked, folder = reported(tmp_path, "publish", ACKNOWLEDGED="known.toml")
    assert asked[0] == f"{tmp_path}/untrusted/results.zip"
    assert folder == f"{tmp_path}/workspace/trusted"
    assert asked[asked.index("--acknowledged") + 1] == "known.toml"


def test_the_image_is_pushed_with_a_password_that_no_argument_has(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "skopeo").write_text(
        "#!/usr/bin/env bash\n"
        f'echo "$*" >> {tmp_path}/calls\n'
        f'[ "$1" != login ] || cat > {tmp_path}/password\n'
        'for one in "$@"; do [ "$previous" != --digestfile ] || echo -n sha256:ab > "$one";'
        " previous=$one; done\n"
        "echo from skopeo\n"
    )
    (tools / "skopeo").chmod(0o755)
    done = script(
        *("image.sh", "push", "dist/x.tar"),
        PATH=f"{tools}:/usr/bin:/bin",
        HOME=tmp_path,
        TOKEN="s3cret",
        USER="me",
        REGISTRY="ghcr.io",
        GITHUB_REPOSITORY="Owner/Milo-Perf",
        GITHUB_REF_NAME="v0.1.0",
    )
    assert outputs(done) == {"name": "ghcr.io/owner/milo-perf", "digest": "sha256:ab"}
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].endswith("--username me --password-stdin ghcr.io")
    assert calls[1].endswith("oci-archive:dist/x.tar docker://ghcr.io/owner/milo-perf:0.1.0")
    assert "--all" in calls[1]
    assert "s3cret" not in "".join(calls)
    assert (tmp_path / "password").read_text().strip() == "s3cret"


def test_the_image_has_no_other_step() -> None:
    done = script("image.sh", "remove", "x")
    assert (done.returncode, done.stderr) == (2, "image.sh: no step `remove`\n")
