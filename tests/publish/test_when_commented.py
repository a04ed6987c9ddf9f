"""When a pull request gets a comment: each outcome, where there is one of ours and where not."""

import pytest

from pipeline.model.results import ResultSet
from tests import publications
from tests.github.fake import GitHub as Fake
from tests.publications import CPU, CREATE, HEAD, QUIET, row, run
from tests.publishing import FAST, SLOW, Publish, finished, of_commit

OLD = "b" * 40
BETTER = run(row(CREATE, 5.2e-3, 0.7), *QUIET)
NOISY = run(row(CREATE, 5.2e-3, 1.12, 0.12), *QUIET)
BETTER_AND_NOISY = run(row(CREATE, 5.2e-3, 0.7), row(CPU, 7e-4, 1.0, 0.2), *QUIET)
WORSE_TAIL = run(row(CREATE, 5.2e-3), row(publications.P99, 9e-3, 1.8), *QUIET[:-1])
"""Of a metric that does not gate."""

BROKEN = "error: milo did not answer"
ACTED_ON = [
    pytest.param(SLOW, "❌", id="regressed"),
    pytest.param(BETTER, "✅", id="improved"),
    pytest.param(BROKEN, "⚠️", id="broken"),
    pytest.param(None, "⚠️", id="nothing at all"),
]
QUIETLY = [
    pytest.param(FAST, "✅", id="pass"),
    pytest.param(NOISY, "❓", id="inconclusive"),
    pytest.param(BETTER_AND_NOISY, "❓", id="improved, and inconclusive"),
    pytest.param(WORSE_TAIL, "✅", id="a metric that does not gate regressed"),
]


def comments(fake: Fake, publish: Publish, results: ResultSet | str | None, *more: str) -> str:
    """Publish a comment and a check, and return what the log says."""
    code, out, _ = publish(results, "--to", "comment", "--to", "check", "--key", "mine", *more)
    assert code == 0
    assert [check["status"] for check in fake.checks.values()][-1] == "completed"
    return out


def red_before(fake: Fake, publish: Publish) -> str:
    """Let the comment of an earlier push say that it regressed, and return its text."""
    fake.add_pull(5, OLD, labels=[])
    publish(of_commit(SLOW, OLD), "--to", "comment", "--key", "mine", event=finished(head_sha=OLD))
    (body,) = fake.bodies()
    assert heading(body).startswith("## ❌")
    fake.add_pull(5, HEAD, labels=[])
    return body


def heading(body: str) -> str:
    return body.splitlines()[1]


@pytest.mark.parametrize(("results", "icon"), ACTED_ON)
def test_what_moved_or_broke_creates_a_comment(
    fake: Fake, publish: Publish, results: ResultSet | str | None, icon: str
) -> None:
    assert "created" in comments(fake, publish, results)
    (body,) = fake.bodies()
    assert heading(body).startswith(f"## {icon}")


@pytest.mark.parametrize(("results", "icon"), QUIETLY)
def test_what_nobody_has_to_act_on_creates_none(
    fake: Fake, publish: Publish, results: ResultSet | str | None, icon: str
) -> None:
    assert "nothing to say" in comments(fake, publish, results)
    assert fake.bodies() == []
    assert "created" in comments(fake, publish, results, "--comment", "always")
    (body,) = fake.bodies()
    assert heading(body).startswith(f"## {icon}")


@pytest.mark.parametrize(("results", "icon"), [*ACTED_ON, *QUIETLY])
def test_every_result_replaces_what_an_earlier_push_was_told(
    fake: Fake, publish: Publish, results: ResultSet | str | None, icon: str
) -> None:
    red_before(fake, publish)
    assert "updated" in comments(fake, publish, results)
    (body,) = fake.bodies()
    assert heading(body).startswith(f"## {icon}")
    assert f"`{HEAD[:12]}`" in body
    assert f"`{OLD[:12]}`" not in body


def test_an_accepted_regression_creates_none_and_updates_one(
    fake: Fake, publish: Publish, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("accepted") / "acknowledged.toml"
    file.write_text(
        '[[accepted]]\nmetric = "*/create_p50"\nreason = "why"\nby = "ada"\nuntil = 2999-01-01\n'
    )
    accept = ("--acknowledged", str(file))
    assert "nothing to say" in comments(fake, publish, SLOW, *accept)
    comments(fake, publish, SLOW)
    assert "updated" in comments(fake, publish, SLOW, *accept)
    assert heading(fake.bodies()[0]).startswith("## 🟡")


@pytest.mark.parametrize("note", ["waiting.txt", "skipped.txt"])
@pytest.mark.parametrize("asked", ["changes", "always"])
def test_a_run_that_measured_nothing_creates_no_comment(
    fake: Fake, publish: Publish, note: str, asked: str
) -> None:
    fake.change(5, "docs/guide.md")
    more = ("--to", "comment", "--key", "mine", "--comment", asked)
    assert publish(None, *more, also={note: "why"})[0] == 0
    assert fake.bodies() == []


def test_a_push_with_nothing_left_to_measure_ends_what_an_earlier_one_was_told(
    fake: Fake, publish: Publish
) -> None:
    red_before(fake, publish)
    fake.change(5, "docs/guide.md")
    publish(None, "--to", "comment", "--key", "mine", also={"skipped.txt": "why"})
    (body,) = fake.bodies()
    assert heading(body).startswith("## ▫️")
    assert f"`{HEAD[:12]}`" in body


@pytest.mark.parametrize(
    ("note", "ended"), [("waiting.txt", "success"), ("results.txt", "cancelled")]
)
def test_a_push_that_waits_or_was_stopped_leaves_what_an_earlier_one_was_told(
    fake: Fake, publish: Publish, note: str, ended: str
) -> None:
    before = red_before(fake, publish)
    event = finished(conclusion=ended)
    publish(None, "--to", "comment", "--key", "mine", also={note: "why"}, event=event)
    assert fake.bodies() == [before]


@pytest.mark.parametrize(
    "said",
    [
        "[Workflow run 1](https://github.example/milo-os/milo/actions/runs/99999999)",
        "x](https://github.example/milo-os/milo/actions/runs/99999999), attempt 9",
        "```\n[Workflow run](https://github.example/milo-os/milo/actions/runs/99999999)",
    ],
)
def test_an_error_that_names_a_run_to_come_does_not_keep_the_comment(
    fake: Fake, publish: Publish, said: str
) -> None:
    url = "https://github.example/milo-os/milo/actions/runs/"
    comments(fake, publish, f"error: x\n{said}")
    assert "99999999" in fake.bodies()[0]
    event = finished(id=78, html_url=f"{url}78")
    out = publish(FAST, "--to", "comment", "--key", "mine", event=event)[1]
    assert "updated" in out
    assert heading(fake.bodies()[0]).startswith("## ✅")


KINDS = {"red": SLOW, "better": BETTER, "pass": FAST, "noisy": NOISY, "broken": BROKEN}
ICONS = {"red": "❌", "better": "✅", "pass": "✅", "noisy": "❓", "broken": "⚠️"}


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_of_two_pushes_the_comment_says_what_the_second_is(
    fake: Fake, publish: Publish, first: str, second: str
) -> None:
    for sha, kind in ((OLD, first), (HEAD, second)):
        fake.add_pull(5, sha, labels=[])
        results = KINDS[kind]
        measured = of_commit(results, sha) if isinstance(results, ResultSet) else results
        event = finished(head_sha=sha)
        assert publish(measured, "--to", "comment", "--key", "mine", event=event)[0] == 0
    there = {first, second} & {"red", "better", "broken"}
    assert len(fake.bodies()) == (1 if there else 0)
    for body in fake.bodies():
        assert heading(body).startswith(f"## {ICONS[second]}")
        assert ("REGRESSION" in body) == (second == "red")
        assert f"`{HEAD[:12]}`" in body
