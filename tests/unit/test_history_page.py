"""The page of a history as text: its policy, its words, its steps, its bytes."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.commands.main import main
from pipeline.judge.history import HistoryRule
from pipeline.model.history import ChangePoint, HistorySeries, JudgedSeries
from pipeline.model.metric import Scale
from pipeline.render import history_page
from pipeline.render.history_page import headline, history_html, step_counts
from tests import histories
from tests.unit.test_hostile import NAMES

RULE = HistoryRule()
KINDS = histories.of_every_kind()
PAGE = history_html(KINDS, RULE)


def of(name: str = "get", *, reason: str = "") -> JudgedSeries:
    """Return a series with one step for the worse."""
    return histories.placed(
        HistorySeries(name, histories.points((30, 5.0), (30, 6.0))), reason=reason
    )


def calm(name: str = "calm") -> JudgedSeries:
    return histories.placed(HistorySeries(name, histories.points((30, 5.0))))


def test_the_same_histories_give_the_same_bytes() -> None:
    assert history_html(histories.of_every_kind(), RULE) == PAGE


def test_its_policy_allows_its_own_style_and_nothing_else() -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', PAGE)
    style = re.search(r"<style>(.*?)</style>", PAGE, re.DOTALL)
    assert policy is not None
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy[1].startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "script-src" not in policy[1]
    assert "unsafe" not in policy[1]


def test_nothing_is_loaded_run_or_styled_in_place() -> None:
    found: list[tuple[str, str | None]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.extend([("tag", tag), *attrs])  # type: ignore[method-assign]
    parser.feed(PAGE)
    addresses = [value or "" for name, value in found if name in ("src", "href")]
    assert addresses
    assert [one for one in addresses if not one.startswith(("#", "data:,"))] == []
    assert [name for name, _ in found if name == "style" or name.startswith("on")] == []
    assert not {"script", "img", "iframe", "object"} & {v for name, v in found if name == "tag"}
    assert "@import" not in PAGE
    assert "url(" not in PAGE


def test_every_link_within_it_leads_somewhere() -> None:
    targets = re.findall(r'id="([^"]*)"', PAGE)
    assert set(re.findall(r'href="#([^"]*)"', PAGE)) <= set(targets)
    assert len(targets) == len(set(targets))


def test_a_step_is_told_with_its_place_its_size_and_its_levels() -> None:
    body = history_html([of()], RULE)
    (step,) = of().steps
    assert f"<td>{step.index} <small><bdi>night {step.index}</bdi></small></td>" in body
    assert f"<bdi>{step.before.commit}..{step.after.commit}</bdi>" in body
    (_, before), (after, _) = history_page.levels(of())
    assert f'<td class="number">{before:.4g}</td>\n<td class="number">{after:.4g}</td>' in body
    assert after / before - 1 == pytest.approx(step.change, abs=0.01)
    assert "from night 0 to last night" in body


def test_an_acknowledged_step_is_hollow_has_its_reason_and_does_not_alarm() -> None:
    body = history_html([of(reason="audit log")], RULE)
    assert "<h1>no unacknowledged regression in 1 series</h1>" in body
    assert '<td class="reason"><bdi>audit log</bdi></td>' in body
    assert body.count(">△</text>") == 1
    assert '<g class="is-unchanged">' in body
    alarming = history_html([of()], RULE)
    assert "<h1>1 unacknowledged regression in 1 of 1 series</h1>" in alarming
    assert '<g class="is-regressed">' in alarming
    assert ">▲</text>" in alarming


@pytest.mark.parametrize(
    ("shown", "found", "verdict"),
    [
        pytest.param([], "cannot tell: none of 0 series has 9 points", "inconclusive", id="none"),
        pytest.param(
            [histories.placed(HistorySeries("x", ()))],
            "cannot tell: none of 1",
            "inconclusive",
            id="empty",
        ),
        pytest.param(
            [KINDS[4]], "cannot tell: none of 1 series has 9 points", "inconclusive", id="too short"
        ),
        pytest.param([calm(), KINDS[4]], "no unacknowledged regression", "unchanged", id="calm"),
        pytest.param([calm(), of(), of()], "2 unacknowledged regressions", "regressed", id="worse"),
    ],
)
def test_the_headline_is_derived_from_the_steps(
    shown: list[JudgedSeries], found: str, verdict: str
) -> None:
    body = history_html(shown, RULE)
    assert headline(shown).answer.startswith(found)
    assert f"<h1>{headline(shown).answer}</h1>" in body
    assert f'<header class="answer is-{verdict}">' in body


def test_steps_and_series_are_counted() -> None:
    assert step_counts(KINDS) == (
        "4 steps for the worse, 2 acknowledged; 1 for the better; 1 series without a step;"
        " 1 too short to tell"
    )


def test_the_constants_shown_are_those_of_the_rule() -> None:
    body = history_html([calm()], HistoryRule(least=0.077))
    assert "ratios below 7.7 % are ignored, amounts below 0.077 too" in body
    assert "ratios below 2.5 % are ignored, amounts of any size count" in PAGE


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_adds_no_element_and_nothing_unprintable(name: str) -> None:
    def body(text: str) -> str:
        judged = of(text, reason=text)
        place = replace(judged.steps[0].after, time=text, commit=text)
        step = replace(judged.steps[0], before=place, after=place)
        hostile = replace(judged, steps=(step,), notes=(text,), first=place, last=place)
        return history_html([hostile], RULE)

    elements = re.findall(r"<([a-z][a-z0-9]*)", body(name))
    assert elements == re.findall(r"<([a-z][a-z0-9]*)", body("x"))
    assert [c for c in body(name) if not c.isprintable() and c != "\n"] == []
    body(name).encode()  # a lone surrogate could not be written


def test_of_many_points_the_extremes_are_drawn() -> None:
    values = [1.0] * 5000
    values[1234], values[4000] = 9.0, 0.5
    drawn = history_page.thin_out(values, 100)
    assert len(drawn) <= 100
    assert {1234, 4000} <= set(drawn)
    assert drawn == sorted(drawn)
    assert history_page.thin_out(values[:100], 100) == list(range(100))


def test_the_oldest_points_are_counted_where_a_series_is_drawn() -> None:
    line = HistorySeries("x", (1.0,) * 20 + (2.0,) * 20, left_out=100)
    judged = JudgedSeries(line, (ChangePoint(120, 1.0, 0.9, 1.1, is_worse=True),))
    assert history_page.levels(judged) == [(1.0, 1.0), (2.0, 2.0)]
    assert ">120</text>" in history_page.series_plot(judged, 800, judged.steps)


@pytest.mark.parametrize(
    "values", [(0.0,) * 8, (-5.0,) * 8, (1e-300,) * 8, (0.0, 1e300) * 4], ids=repr
)
def test_any_values_can_be_drawn(values: tuple[float, ...]) -> None:
    judged = JudgedSeries(HistorySeries("x", values, scale=Scale.DIFFERENCE), ())
    drawn = history_page.series_plot(judged, 800, ())
    assert 'class="dots"' in drawn
    assert "nan" not in drawn
    assert "inf" not in drawn


@pytest.mark.parametrize("every", [500, 3], ids=["two levels", "a step every 3 points"])
def test_30_series_of_1000_points_fit_in_2_mb(every: int) -> None:
    values = histories.points(*[(every, 5.0 + at % 2) for at in range(1000 // every)])
    steps = tuple(
        ChangePoint(at, 0.2, 0.1, 0.3, is_worse=True) for at in range(every, len(values), every)
    )
    shown = [
        JudgedSeries(HistorySeries(f"object-crud/metric_{n}", values), steps) for n in range(30)
    ]
    body = history_html(shown, RULE)
    assert body.count('class="dots"') == 30
    assert len(body.encode()) < 2_000_000
    if len(steps) > 40:
        assert f"{len(steps) - 40} older steps are shown as levels only" in body
        assert f"{30 * len(steps) - 20} more" in body


def test_the_verb_writes_the_page_and_prints_what_it_always_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv, page = tmp_path / "x.csv", tmp_path / "x.html"
    values = histories.points((30, 5.0), (30, 6.0))
    lines = [f"{at},{value!r},c{at}" for at, value in enumerate(values)]
    csv.write_text("\n".join(["time,value,commit", *lines]))
    assert main(["history", str(csv)]) == 0
    printed = capsys.readouterr().out
    assert main(["history", str(csv), "--html", str(page)]) == 0
    assert capsys.readouterr().out == printed
    body = page.read_text(encoding="utf-8")
    assert "<bdi>c29..c30</bdi>" in body
    assert "from 0 to 59" in body
    assert main(["history", str(csv), "--alarm", "--html", str(page)]) == 3
    assert page.read_text(encoding="utf-8") == body


def test_the_page_never_takes_the_place_of_what_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv = tmp_path / "x.csv"
    csv.write_text("time,value\n1,2\n")
    assert main(["history", str(csv), "--html", str(tmp_path / "." / "x.csv")]) == 2
    assert "this file is read" in capsys.readouterr().err
    assert csv.read_text() == "time,value\n1,2\n"
    assert main(["history", str(csv), "--html", str(tmp_path / "none" / "x.html")]) == 8
    assert "cannot be written" in capsys.readouterr().err
