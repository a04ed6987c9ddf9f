"""No step where nothing steps: modes, spikes, growing noise, weeks, drifts; and an honest date."""

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.commands.main import main
from pipeline.judge.history import MIN_POINTS, HistoryRule, acknowledge, analyze_series
from pipeline.judge.stats.noise import Floats
from pipeline.judge.stats.trend import weekly_rhythm
from pipeline.model.history import Acknowledgement, HistorySeries, JudgedSeries
from pipeline.model.metric import Better, Scale
from pipeline.render.history import history_text
from pipeline.render.history_page import history_html
from pipeline.runs.history import history_json
from tests.unit.test_history import csv

RULE = HistoryRule()
SEEDS = 40
MONDAY = 4  # 1970-01-05, in days since 1970
Draw = np.random.Generator


def noisy(draw: Draw, n: int = 80, sd: float = 0.01) -> Floats:
    values: Floats = 100 * np.exp(draw.normal(0, sd, n))
    return values


def two_modes(draw: Draw) -> Floats:
    values: Floats = noisy(draw, sd=0.006) * np.where(draw.random(80) < 0.5, 1.0, 1.17)
    return values


def a_seldom_mode(draw: Draw) -> Floats:
    values: Floats = noisy(draw) * np.where(draw.random(80) < 0.25, 1.17, 1.0)
    return values


def spikes(draw: Draw) -> Floats:
    values: Floats = noisy(draw) * np.where(
        draw.random(80) < 0.08, 1 + draw.exponential(0.5, 80), 1.0
    )
    return values


def noise_that_grows_at_once(draw: Draw) -> Floats:
    values: Floats = 100 * np.exp(draw.normal(0, 1, 80) * np.repeat([0.007, 0.056], 40))
    return values


def noise_that_grows_slowly(draw: Draw) -> Floats:
    values: Floats = 100 * np.exp(draw.normal(0, 1, 80) * np.geomspace(0.005, 0.04, 80))
    return values


def noise_that_comes_and_goes(draw: Draw) -> Floats:
    values: Floats = 100 * np.exp(
        draw.normal(0, 1, 80) * np.repeat([0.01, 0.06, 0.01], [30, 20, 30])
    )
    return values


def weekends(draw: Draw) -> Floats:
    values: Floats = noisy(draw, 84) * np.where(np.arange(84) % 7 >= 5, 0.6, 1.0)
    return values


def mondays(draw: Draw) -> Floats:
    values: Floats = noisy(draw, 84) * np.where(np.arange(84) % 7 == 0, 1.1, 1.0)
    return values


def judged(values: Floats, **more: object) -> JudgedSeries:
    return analyze_series(HistorySeries("x", tuple(values.tolist()), **more), RULE)  # type: ignore[arg-type]  # any of Line's


@pytest.mark.parametrize(
    ("make", "most"),
    [
        # Stated: 5 % of series.  8 of 40 is beyond that once in a thousand times.
        pytest.param(two_modes, 7, id="two modes"),
        pytest.param(a_seldom_mode, 7, id="a seldom mode"),
        pytest.param(spikes, 7, id="spikes"),
        # Measured: about 10 % where the noise changes.
        pytest.param(noise_that_grows_at_once, 11, id="noise grows at once"),
        pytest.param(noise_that_grows_slowly, 11, id="noise grows slowly"),
        pytest.param(noise_that_comes_and_goes, 11, id="noise comes and goes"),
        pytest.param(weekends, 7, id="weekends"),
        pytest.param(mondays, 7, id="mondays"),
    ],
)
def test_few_series_without_a_step_show_one(make: Callable[[Draw], Floats], most: int) -> None:
    found = [judged(make(np.random.default_rng([seed, 1]))) for seed in range(SEEDS)]
    assert sum(bool(one.steps) for one in found) <= most


@settings(max_examples=20, deadline=None)
@given(
    make=st.sampled_from([two_modes, spikes, noise_that_grows_at_once, weekends]),
    seed=st.integers(0, 10_000),
    step=st.floats(1.0, 1.2),
)
def test_a_step_that_is_shown_is_surely_not_nothing(
    make: Callable[[Draw], Floats], seed: int, step: float
) -> None:
    values = make(np.random.default_rng(seed))
    values[40:] *= step
    for found in judged(values).steps:
        assert found.low > 0 or found.high < 0
        assert found.first <= found.index <= found.last


@pytest.mark.parametrize("make", [two_modes, spikes, noise_that_grows_slowly, weekends])
def test_a_large_step_is_found_among_them(make: Callable[[Draw], Floats]) -> None:
    hits = 0
    for seed in range(20):
        values = make(np.random.default_rng([seed, 2]))
        values[40:] *= 1.3
        hits += any(abs(step.index - 40) <= 5 for step in judged(values).steps)
    assert hits >= 18


@given(
    n=st.integers(9, 60),
    spikes=st.lists(st.tuples(st.integers(0, 59), st.floats(0.5, 100)), min_size=1, max_size=2),
)
def test_one_or_two_other_nights_of_a_constant_series_are_no_step(
    n: int, spikes: list[tuple[int, float]]
) -> None:
    values = np.full(n, 100.0)
    for at, factor in spikes:
        values[at % n] *= factor
    found = judged(values)
    assert not found.steps
    assert found.drift is None


@settings(max_examples=30)
@given(at=st.integers(0, 39), factor=st.sampled_from([0.1, 10, 1000]))
def test_a_spike_hides_no_step_of_a_series_without_noise(at: int, factor: float) -> None:
    values = np.array([100.0] * 25 + [120.0] * 15)
    values[at] *= factor
    (step,) = judged(values).steps
    assert abs(step.index - 25) <= 5
    assert step.change == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize(("n", "chance"), [(40, 0.05), (40, 0.1), (60, 0.03)])
def test_events_that_are_rare_seldom_make_a_step_or_a_drift(n: int, chance: float) -> None:
    """Counts that are mostly 0: about 5 % with a step are stated."""
    seen = drifts = 0
    for seed in range(60):
        draw = np.random.default_rng([seed, n])
        values = (draw.random(n) < chance).astype(float)
        found = judged(values, scale=Scale.DIFFERENCE)
        seen += bool(found.steps)
        drifts += found.drift is not None
    assert seen <= 7
    assert drifts <= 1


@pytest.mark.parametrize("a_day", [1, 2, 3])
def test_a_step_is_found_beside_weekends_however_often_a_day_is_measured(a_day: int) -> None:
    hits = 0
    for seed in range(10):
        draw = np.random.default_rng([seed, a_day])
        days = np.repeat(np.arange(84), a_day)
        values = noisy(draw, len(days)) * np.where(days % 7 >= 5, 0.6, 1.0)
        values[days >= 50] *= 1.1
        found = judged(values, days=tuple((days + MONDAY).tolist()))
        hits += len(found.steps) == 1 and abs(found.steps[0].index - 50 * a_day) <= 1
        assert found.rhythm is not None
    assert hits >= 9


def test_a_weekly_rhythm_is_told_by_its_days_though_nights_are_missing() -> None:
    draw = np.random.default_rng(5)
    days = np.flatnonzero(draw.random(150) < 0.8)
    values = noisy(draw, len(days)) * np.where(days % 7 >= 5, 0.6, 1.0)
    found = judged(values, days=tuple((days + MONDAY).tolist()))
    assert not found.steps
    assert found.rhythm is not None
    assert found.rhythm.is_dated
    assert found.rhythm.changes[5:] == pytest.approx((-0.4, -0.4), abs=0.02)
    assert found.rhythm.changes[:5] == pytest.approx((0, 0, 0, 0, 0), abs=0.02)
    assert "weekly rhythm: Sat -" in history_text([found])
    assert "weekly rhythm: Sat -" in history_html([found], RULE)


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_a_rhythm_is_seldom_seen_where_there_is_none(rho: float) -> None:
    """Stated: one series in a thousand; wandering ones somewhat more often."""
    seen = 0
    for seed in range(200):
        x = np.random.default_rng(seed).normal(size=84)
        for n in range(1, 84):
            x[n] += rho * x[n - 1]
        seen += weekly_rhythm(x, np.arange(84)) is not None
    assert seen <= 7


@pytest.mark.parametrize(
    ("n", "a_night", "sd"),
    [
        pytest.param(80, 0.001, 0.01, id="a tenth of a per cent a night"),
        pytest.param(120, 0.0008, 0.01, id="long"),
        pytest.param(60, 0.005, 0.01, id="fast"),
        pytest.param(100, -0.0015, 0.015, id="down"),
    ],
)
def test_a_slow_drift_is_no_step_and_is_told(n: int, a_night: float, sd: float) -> None:
    stepping = covered = 0
    for seed in range(20):
        values = noisy(np.random.default_rng([seed, 3]), n, sd) * np.exp(a_night * np.arange(n))
        found = judged(values)
        stepping += bool(found.steps)
        if found.drift is not None:
            of_30 = np.expm1(30 * a_night)
            wide = 0.3 * abs(of_30)
            covered += found.drift.low - wide <= of_30 <= found.drift.high + wide
            assert found.drift.is_worse is (a_night > 0)
    assert stepping <= 4
    assert covered >= 16


def test_a_drift_does_not_hide_a_step() -> None:
    hits = 0
    for seed in range(20):
        values = noisy(np.random.default_rng([seed, 4])) * np.exp(0.001 * np.arange(80))
        values[50:] *= 1.08
        hits += any(abs(step.index - 50) <= 3 for step in judged(values).steps)
    assert hits >= 19


def test_a_staircase_and_a_single_step_are_no_drift() -> None:
    for seed in range(20):
        values = noisy(np.random.default_rng([seed, 5]), 100)
        stairs = values * np.repeat([1.0, 1.04, 1.08, 1.12], 25)
        assert judged(stairs).drift is None
        assert judged(values * np.repeat([1.0, 1.05], 50)).drift is None


def test_a_drift_without_noise_is_a_drift() -> None:
    found = judged(100 * np.exp(0.001 * np.arange(60.0)))
    assert not found.steps
    assert found.drift is not None
    assert found.drift.change == pytest.approx(np.expm1(0.03))


@pytest.mark.parametrize("better", [Better.LOWER, Better.HIGHER])
def test_a_drift_is_told_on_the_terminal_and_on_the_page(better: Better) -> None:
    values = noisy(np.random.default_rng(1)) * np.exp(0.001 * np.arange(80))
    found = judged(values, better=better)
    towards = "worse" if better is Better.LOWER else "better"
    assert "drift of +" in history_text([found])
    page = history_html([found], RULE)
    assert "per 30 nights" in page
    assert f", {towards}," in page
    assert ("but 1 drift" in page) is (better is Better.LOWER)
    assert "no step, a drift" in page


@pytest.mark.parametrize("after", [1, 2, 3, 10, 40])
@pytest.mark.parametrize("size", [0.04, 0.15])
def test_the_range_of_a_step_holds_the_night_of_the_change(after: int, size: float) -> None:
    """Of steps that are shown near it; of the last nights few are."""
    held = shown = 0
    for seed in range(30):
        values = noisy(np.random.default_rng([seed, 6]), 60)
        values[60 - after :] *= 1 + size
        near = [s for s in judged(values).steps if abs(s.index - (60 - after)) <= 6]
        shown += bool(near)
        held += any(s.first <= 60 - after <= s.last for s in near)
    assert held >= shown - 3
    assert shown >= 25 or after < 3


def test_a_large_step_of_two_nights_ago_is_not_dated_to_three_nights_ago() -> None:
    values = noisy(np.random.default_rng(2), 60)
    values[58:] *= 1.15
    steps = judged(values).steps
    assert [(step.first, step.index, step.last) for step in steps] in ([], [(58, 58, 58)])


@pytest.mark.parametrize("bad", [1, 2])
@pytest.mark.parametrize("nights", [12, 40, 84])
@pytest.mark.parametrize("are_last", [True, False])
def test_one_or_two_bad_nights_at_an_end_are_no_step(
    bad: int, nights: int, *, are_last: bool
) -> None:
    for seed in range(20):
        values = noisy(np.random.default_rng([seed, 7]), nights)
        values[-bad:] *= 3
        found = judged(values if are_last else values[::-1].copy()).steps
        assert all(3 <= step.index <= nights - 3 for step in found)


def test_a_range_names_the_commits_on_both_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = noisy(np.random.default_rng(3), 80, 0.02)
    values[40:] *= 1.05
    path = csv(tmp_path / "x.csv", values.tolist(), commits=True)
    assert main(["history", str(path), "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    jsonschema.validate(body, history_json.schema())
    (change,) = body["series"][0]["changes"]
    assert change["earliest"] < change["latest"]
    assert change["earliest"] <= 40 <= change["latest"]
    assert change["commit_before"] == f"c{change['earliest'] - 1}"
    assert change["commit_latest"] == f"c{change['latest']}"
    assert main(["history", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"({change['earliest']} to {change['latest']})" in out
    assert f"{change['commit_before']}..{change['commit_latest']}" in out


def test_an_acknowledgement_within_the_range_fits() -> None:
    values = noisy(np.random.default_rng(3), 80, 0.02)
    values[40:] *= 1.05
    found = judged(values)
    (step,) = found.steps
    for point in (step.first, step.last):
        said = acknowledge(found, [Acknowledgement("x", "known", index=point)], {})
        assert said.steps[0].acknowledged == "known"
    beyond = max(step.last, step.index + 3) + 1
    said = acknowledge(found, [Acknowledgement("x", "known", index=beyond)], {})
    assert not said.steps[0].acknowledged


@pytest.mark.parametrize("n", range(MIN_POINTS))
def test_of_too_few_points_it_is_said_how_many_are_needed(
    n: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [100.0] * (n - n // 2) + [200.0] * (n // 2)
    found = analyze_series(HistorySeries("x", tuple(values)), RULE)
    assert (found.steps, found.needed) == ((), MIN_POINTS)
    if n:
        path = csv(tmp_path / "x.csv", values)
        assert main(["history", str(path), "--alarm"]) == 0
        out = capsys.readouterr().out
        assert "too short to tell" in out
        assert f"a step needs {MIN_POINTS}" in out
        assert "no step" not in out
        main(["history", str(path), "--json"])
        (series,) = json.loads(capsys.readouterr().out)["series"]
        assert series["too_short"] == {"points": n, "needed": MIN_POINTS}


@pytest.mark.parametrize("n", [MIN_POINTS, MIN_POINTS + 1, MIN_POINTS + 3])
def test_of_as_many_as_are_needed_a_large_step_is_seen(n: int) -> None:
    hits = 0
    for seed in range(40):
        values = noisy(np.random.default_rng([seed, n]), n)
        values[n - 3 :] *= 2
        hits += bool(
            analyze_series(HistorySeries("x", tuple(values.tolist())), HistoryRule(seed=seed)).steps
        )
    assert hits >= 34


@pytest.mark.parametrize(
    ("make", "key"),
    [
        pytest.param(weekends, "weekly", id="weekly"),
        pytest.param(lambda draw: noisy(draw) * np.exp(0.001 * np.arange(80)), "drift", id="drift"),
    ],
)
def test_what_is_no_step_does_not_alarm_and_is_in_the_json(
    make: Callable[[Draw], Floats], key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = csv(tmp_path / "x.csv", make(np.random.default_rng(1)).tolist())
    assert main(["history", str(path), "--alarm", "--json"]) == 0
    body = json.loads(capsys.readouterr().out)
    jsonschema.validate(body, history_json.schema())
    (series,) = body["series"]
    assert series["changes"] == []
    assert series[key] is not None
    assert series["drift" if key == "weekly" else "weekly"] is None


def test_amounts_drift_and_have_weeks_too() -> None:
    draw = np.random.default_rng(1)
    drifting = draw.normal(0, 0.5, 80) + 0.1 * np.arange(80) - 5
    found = judged(drifting, scale=Scale.DIFFERENCE)
    assert not found.steps
    assert found.drift is not None
    assert found.drift.low < 3.0 < found.drift.high
    weekly = draw.normal(0, 0.5, 84) - 6 * (np.arange(84) % 7 >= 5)
    rhythm = judged(weekly, scale=Scale.DIFFERENCE).rhythm
    assert rhythm is not None
    assert rhythm.changes[5:] == pytest.approx((-6, -6), abs=1)


def test_the_committed_schema_is_that_of_the_answer(golden: Callable[[str, str], None]) -> None:
    text = json.dumps(history_json.schema(), indent=1, sort_keys=True) + "\n"
    golden("../../docs/schemas/history-1.schema.json", text)
