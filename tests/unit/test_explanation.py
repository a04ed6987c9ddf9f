"""What changed inside is said in one sentence, and names of functions are only text."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.judge import acceptance, policy
from pipeline.model.explanation import Explanation
from pipeline.model.publication import Origin
from pipeline.render.comment import comment
from pipeline.render.explanation import sentence, text
from pipeline.render.flame import colour_class
from pipeline.render.html import html
from pipeline.runs.explain.explanation_file import parse_explanation, read_explanation
from pipeline.storage import codec
from tests import pages, publications
from tests.explanations import explanation

RESULTS = pages.measured()
OTHER = replace(RESULTS, seed=RESULTS.seed + 1)
REPORT = policy.report(RESULTS)
FOUND = explanation(RESULTS)
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=y>",
    "a|b\n| :-- |\n\n# c ```\n<!-- milo-perf:report -->",
    "@org/team #1 GH-2 https://x.y www.x.y [a](b) ![c](d)",
    "\x1b]0;a\x07\x1b[2J\x9b31m\n::error::b",
    "a\u202eb\u2066c\u200fd",
    "{{ 7*7 }} ${{ secrets.X }} &amp; ]]>",
    "long<&|" * 2000,
)


def of_comment(found: Explanation) -> str:
    published = acceptance.publication_of("pr", Origin(), REPORT, today=publications.TODAY)
    return comment(replace(published, explanation=found))


def page(found: Explanation | None) -> str:
    return html(REPORT, pages.traces(), "{}", explanation=found)


def test_the_answer_is_one_sentence() -> None:
    assert sentence(FOUND.workloads[0]) == (
        "create p50 +31 %: `faults.(*Injector).Wait` +900 µs of waiting per create (block profile,"
        ' 4 of 4 pairs); `etcd_requests_total{operation="example.org/faults.(*Injector).Wait"}`'
        " per create 1 → 2"
    )


def test_no_cause_above_chance_is_said() -> None:
    quiet = replace(FOUND.workloads[0], causes=(), metrics=(), flames=())
    assert sentence(quiet) == (
        "create p50 +31 %: no function and no server metric moved beyond chance (4 pairs,"
        " 1234 tests)"
    )


def test_a_terminal_shows_three_rows_and_the_gaps() -> None:
    shown = text(FOUND)
    assert "called by" in shown
    assert "missing: mutex of server" in shown
    assert "at most 1 % of explanations" in shown


def test_the_page_has_a_flame_graph_that_can_be_searched() -> None:
    shown = page(FOUND)
    (drawing,) = re.findall(r'<svg[^>]*class="flame".*?</svg></svg>', shown, re.DOTALL)
    assert ">example.org/faults.(*Injector).Wait</text>" in drawing
    assert 'class="up-3"' in drawing
    assert 'class="same"' in drawing
    assert "style=" not in drawing
    assert "What changed inside" not in page(None)


def test_a_change_within_chance_is_grey() -> None:
    frames = FOUND.workloads[0].flames[0].frames
    assert [colour_class(one) for one in frames] == ["up-2", "up-3", "same"]
    cold = replace(frames[0], change=-0.1)
    assert colour_class(cold) == "down-1"
    assert colour_class(replace(cold, has_moved=False)) == "same"


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_names_of_functions_are_only_text(name: str) -> None:
    hostile = explanation(RESULTS, name)
    tags = set(re.findall(r"<([a-z][a-z0-9]*)", page(hostile)))
    assert tags <= set(re.findall(r"<([a-z][a-z0-9]*)", page(FOUND)))
    said = of_comment(hostile)
    assert said.count("<!-- milo-perf:") == 1
    assert "<script" not in said
    prose = re.sub(r"`[^`\n]*`", "", said.replace("&#", ""))  # a code span has no links
    assert not re.search(r"(?<!\w)@\w|(?<!\w)#\d|GH-\d|://|www\.", prose)
    for shown in (text(hostile), page(hostile), said):
        assert [c for c in shown if not c.isprintable() and c not in "\n\u200b\xa0"] == []
        assert not re.search(r"(?m)^::", shown)
        assert len(shown) < 2_000_000


def test_the_comment_has_the_causes() -> None:
    said = of_comment(FOUND)
    assert "**Inside**: create p50 +31 %" in said
    assert "| `faults.(*Injector).Wait` | API server, block profile | 0 s | 900 µs |" in said


def test_an_explanation_is_read_again_only_beside_its_results(tmp_path: Path) -> None:
    folder = tmp_path / "explain"
    folder.mkdir()
    codec.EXPLANATION.write(folder / "explain.json", FOUND)

    assert read_explanation(tmp_path, RESULTS) == FOUND
    assert read_explanation(tmp_path, OTHER) is None
    (folder / "explain.json").write_text("{")
    assert read_explanation(tmp_path, RESULTS) is None
    assert read_explanation(tmp_path / "explain", RESULTS) is None


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("start", 2.0, "outside of its drawing"),
        ("width", -0.5, "outside of its drawing"),
        ("depth", 10**6, "outside of its drawing"),
        ("baseline", "1e400", "baseline"),
    ],
)
def test_a_frame_that_no_run_draws_is_refused(key: str, value: object, reason: str) -> None:
    body = json.loads(codec.EXPLANATION.dumps(FOUND))
    body["workloads"][0]["flames"][0]["frames"][1][key] = value
    with pytest.raises(ValueError, match=reason):
        parse_explanation(json.dumps(body).encode(), RESULTS)


def test_more_frames_than_ours_are_refused() -> None:
    body = json.loads(codec.EXPLANATION.dumps(FOUND))
    frames = body["workloads"][0]["flames"][0]["frames"]
    frames += [frames[1]] * 4900
    with pytest.raises(ValueError, match="more workloads or frames"):
        parse_explanation(json.dumps(body).encode(), RESULTS)
