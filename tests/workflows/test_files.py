"""What every workflow keeps to, as far as no linter of `nox -s lint` looks at it."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.workflows.acting import ACTION, ROOT, STUBS, for_act, git

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
EXAMPLES = sorted((ROOT / "docs" / "examples" / "milo").glob("performance*.yml"))
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
EVERY = [
    pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in (*WORKFLOWS, *EXAMPLES)
]


def read(text: str) -> Any:  # noqa: ANN401 (YAML)
    return YAML(typ="safe").load(text)


def steps(body: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 (YAML)
    for job in body.get("jobs", {}).values():
        yield from job.get("steps", ())
    yield from body.get("runs", {}).get("steps", ())


@pytest.mark.parametrize("path", EVERY)
def test_a_workflow_gives_nothing_at_the_top_and_every_job_has_an_end(path: Path) -> None:
    body = read(path.read_text())
    assert body["permissions"] == {}
    assert "pull_request_target" not in body["on"]
    for name, job in body["jobs"].items():
        assert "permissions" in job, name
        assert job.get("secrets") != "inherit", name
        assert "uses" in job or job["timeout-minutes"], name


@pytest.mark.parametrize("path", [*EVERY, *(pytest.param(p, id=p.parent.name) for p in ACTIONS)])
def test_no_value_of_somebody_else_is_pasted_into_a_command(path: Path) -> None:
    for step in steps(read(path.read_text())):
        assert "${{" not in step.get("run", ""), step


def test_the_commands_of_the_guide_install_two_workflows_of_this_commit(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "howto" / "install-in-milo.md").read_text()
    (commands,) = re.findall(r"^```\n(mkdir .*?)^```$", guide, re.MULTILINE | re.DOTALL)
    ours, milo = tmp_path / "milo-perf", tmp_path / "milo"
    for folder in (ours, milo):
        folder.mkdir()
        git(folder, "init", "--quiet")
    git(ours, "remote", "add", "origin", "git@github.com:somebody/milo-perf.git")
    git(ours, "commit", "--quiet", "--allow-empty", "-m", "x")
    shutil.copytree(EXAMPLES[0].parent, ours / "docs" / "examples" / "milo")
    for name in ("user.name", "user.email"):
        git(milo, "config", name, "x")
    subprocess.run(["bash", "-euc", commands], cwd=milo, check=True, capture_output=True)
    installed = sorted((milo / ".github" / "workflows").iterdir())
    assert [one.name for one in installed] == [one.name for one in EXAMPLES]
    commit = git(ours, "rev-parse", "HEAD")
    for one in installed:
        (job,) = read(one.read_text())["jobs"].values()
        reusable = {"performance.yml": "benchmark.yml", "performance-report.yml": "report.yml"}
        called = f"somebody/milo-perf/.github/workflows/{reusable[one.name]}@{commit}"
        assert job["uses"] == called


def test_an_action_has_the_same_commit_and_version_everywhere() -> None:
    text = "".join(path.read_text() for path in (*WORKFLOWS, *ACTIONS))
    pins = {(name, sha) for _, name, sha in ACTION.findall(text)}
    assert len({name for name, _ in pins}) == len(pins) >= 6
    assert len(re.findall(r"uses: [a-z-]+/", text)) == len(
        re.findall(r"uses: [a-z-]+/[a-z-]+@[0-9a-f]{40} # v[0-9.]+", text)
    )


def test_every_action_of_a_called_workflow_has_a_stub() -> None:
    called = [ROOT / ".github/workflows" / f"{name}.yml" for name in ("benchmark", "report")]
    text = "".join(path.read_text() for path in (*called, *ACTIONS))
    assert {name for _, name, _ in ACTION.findall(text)} <= {path.name for path in STUBS.iterdir()}


@pytest.mark.parametrize("path", EVERY)
def test_what_act_runs_differs_from_what_is_committed_in_nothing_but_what_it_does_not_know(
    path: Path,
) -> None:
    text = path.read_text()
    before, after = read(text), read(for_act(text))
    before.pop("cache-mode", None)
    for job in before["jobs"].values():
        if job.get("uses", "").startswith("$/"):
            job["uses"] = "." + job["uses"].removeprefix("$")
    assert before == after


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_a_caller_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 21


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_a_caller_gives_what_is_asked_for_and_no_more(path: Path) -> None:
    """GitHub refuses to start a workflow that asks for more than its caller has."""
    (job,) = read(path.read_text())["jobs"].values()
    name = re.search(r"workflows/(\w+)\.yml@", job["uses"])
    assert name
    called = read((ROOT / ".github" / "workflows" / f"{name[1]}.yml").read_text())
    asked: dict[str, str] = {}
    for inner in called["jobs"].values():
        asked |= inner["permissions"]
    assert job["permissions"] == asked
    assert set(job.get("with", {})) <= set(called["on"]["workflow_call"]["inputs"])


def test_what_can_write_never_restores_a_cache_that_others_filled() -> None:
    for path in WORKFLOWS:
        for name, job in read(path.read_text())["jobs"].items():
            if "write" in job.get("permissions", {}).values():
                for step in job.get("steps", ()):
                    if step.get("uses", "").endswith("/.github/actions/setup"):
                        assert step["with"]["cache"] == "false", (path.name, name)
                    assert "actions/cache" not in step.get("uses", ""), (path.name, name)


def test_what_decides_is_the_same_in_both_reusable_workflows() -> None:
    """The report decides again, so it has to start from the same words as the benchmark."""
    workflows = ROOT / ".github" / "workflows"
    measure, report = (
        read((workflows / name).read_text())["on"]["workflow_call"]["inputs"]
        for name in ("benchmark.yml", "report.yml")
    )
    for name in ("suite", "key", "pairs", "driver", "fail-on", "ignore", "fork-label", "build"):
        assert measure[name]["default"] == report[name]["default"], name


@pytest.mark.parametrize("folder", [EXAMPLES, WORKFLOWS], ids=["examples", "ours"])
def test_a_caller_tells_the_report_what_it_tells_the_benchmark(folder: list[Path]) -> None:
    told = {}
    for path in folder:
        for job in read(path.read_text())["jobs"].values():
            if path.stem in ("performance", "performance-report"):
                told[path.stem] = job.get("with", {})
    shared = ("suite", "key", "pairs", "driver", "fail-on", "ignore", "fork-label", "build")
    measure, report = (
        {name: value for name, value in told[of].items() if name in shared}
        for of in ("performance", "performance-report")
    )
    assert measure == report


@pytest.mark.parametrize("path", [p for p in (*WORKFLOWS, *EXAMPLES) if p.stem.endswith("-report")])
def test_a_report_that_waits_is_not_cancelled_by_a_later_one(path: Path) -> None:
    """GitHub keeps one that waits in a group: of an attempt there are but two, begun and ended."""
    group = read(path.read_text())["concurrency"]
    assert "workflow_run.id" in group["group"]
    assert "workflow_run.run_attempt" in group["group"]
    assert group["cancel-in-progress"] is False


def test_every_input_of_the_report_reaches_the_command() -> None:
    workflow = (ROOT / ".github" / "workflows" / "report.yml").read_text()
    script = (ROOT / ".github" / "scripts" / "report.sh").read_text()
    names = ("suite", "product", "pairs", "fail-on", "ignore", "fork-label", "build", "key")
    for name in (*names, "driver", "comment", "acknowledged"):
        variable = name.upper().replace("-", "_")
        assert f"      {variable}: ${{{{ inputs.{name} }}}}\n" in workflow, name
        assert f'--{name} "${variable}"' in script, name


def test_only_a_page_that_the_trusted_job_made_is_passed_on() -> None:
    """A page out of an artifact may hold a script, and say anything."""
    body = read((ROOT / ".github" / "workflows" / "report.yml").read_text())
    (job,) = body["jobs"].values()
    (upload,) = [s for s in job["steps"] if "upload-artifact" in s.get("uses", "")]
    fetched = [s["with"]["path"] for s in job["steps"] if "download-artifact" in s.get("uses", "")]
    assert upload["with"]["path"] == "${{ runner.temp }}/page/*.html"
    assert upload["with"]["archive"] == "false"
    assert fetched == ["${{ runner.temp }}/untrusted"]
    script = (ROOT / ".github" / "scripts" / "report.sh").read_text()
    assert "page=$RUNNER_TEMP/page/" in script
    assert "cp " not in script
    assert "mv " not in script


def test_what_is_measured_has_no_token_that_writes_to_the_branch_of_the_history() -> None:
    for name in ("nightly", "nightly-gke", "aa", "releases"):
        jobs = read((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())["jobs"]
        writers = {
            job for job, body in jobs.items() if body["permissions"].get("contents") == "write"
        }
        assert writers == {"keep"}, name
        (keep,) = (jobs[writer] for writer in writers)
        setups = [step["with"] for step in keep["steps"] if "actions/setup" in step.get("uses", "")]
        assert setups == [{"cache": "false", "go": "false"}], name


def test_every_night_that_is_measured_is_kept_and_missed() -> None:
    jobs = read((ROOT / ".github" / "workflows" / "nightly.yml").read_text())["jobs"]
    measured = {
        job["with"]["key"]: job["with"]["suite"]
        for job in jobs.values()
        if "benchmark" in job.get("uses", "")
    }
    assert measured == {"nightly": "nightly", "full": "full", "kind": "full"}
    assert jobs["kind"]["with"]["environment"] == "kind"
    for name in ("keep", "silence"):
        listed = jobs[name]["strategy"]["matrix"]["include"]
        assert {one["key"]: one["suite"] for one in listed} == measured


def test_only_the_job_that_publishes_the_site_can_write_and_it_runs_nothing_of_ours() -> None:
    workflow = read((ROOT / ".github" / "workflows" / "site.yml").read_text())
    build, deploy = workflow["jobs"]["build"], workflow["jobs"]["deploy"]
    assert set(build["permissions"].values()) == {"read"}
    assert deploy["permissions"] == {"pages": "write", "id-token": "write"}
    (step,) = deploy["steps"]
    assert step["uses"].startswith("actions/deploy-pages@")
    uses = [one.get("run", one.get("uses", "")) for one in build["steps"]]
    assert uses[1].endswith("site.sh check")  # before anything is installed or built
    texts = [path.read_text() for path in WORKFLOWS]
    writes = [text for text in texts if "HISTORY_BRANCH" in text and "contents: write" in text]
    named = {read(text)["name"] for text in writes}
    assert set(workflow["on"]["workflow_run"]["workflows"]) == named
