"""What a plan says before anything starts: how many pairs there are, and how many fit."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge.interim import looks_up_to
from pipeline.model.request import RunRequest
from pipeline.model.results import Interleave
from pipeline.model.subject import Product
from pipeline.render.plan import pairs_text
from pipeline.runs import request, suite_file
from pipeline.runs.plan import Plan
from tests.fakes import tiny

LEAST = "but a run needs at least 3: about 31 s"
PAIR_S = 10.2  # 5 s of load and 1 s before it, 3 s for the servers and 1.2 s for k6


@pytest.fixture
def suite(tmp_path: Path) -> suite_file.Suite:
    return tiny(tmp_path)


@pytest.mark.parametrize(
    ("pairs", "budget_pairs", "is_fixed", "said"),
    [
        (8, None, False, "3, 5 or 8 pairs of about 10 s"),
        (8, 8.5, False, "3, 5 or 8 pairs of about 10 s; the budget of 87 s allows 8"),
        (8, 7.2, False, "3, 5 or 7 pairs of about 10 s; the budget of 73 s allows 7"),
        (8, 5.1, False, "3 or 5 pairs of about 10 s; the budget of 52 s allows 5"),
        (8, 2.9, False, f"3 pairs of about 10 s; the budget of 30 s allows 2, {LEAST}"),
        (8, 0.5, False, f"3 pairs of about 10 s; the budget of 5 s allows none, {LEAST}"),
        (20, 17.648, False, "3, 5, 8, 12 or 17 pairs of about 10 s; the budget of 3 min allows 17"),
        (6, None, True, "6 pairs of about 10 s"),
        (6, 4.5, True, "4 pairs of about 10 s; the budget of 46 s allows 4"),
    ],
)
def test_a_plan_says_how_many_pairs_fit(
    suite: suite_file.Suite, pairs: int, budget_pairs: float | None, said: str, *, is_fixed: bool
) -> None:
    budget_s = None if budget_pairs is None else budget_pairs * PAIR_S
    looks = () if is_fixed else looks_up_to(pairs)
    plan = Plan(suite, pairs, Interleave.REQUEST, 1, looks, budget_s, Product.REFERENCE)
    assert pairs_text(plan.summary()) == said


@given(
    pairs=st.integers(2, 30),
    budget_s=st.floats(1, 10_000),
    is_fixed=st.booleans(),
    interleave=st.sampled_from(Interleave),
)
def test_what_fits_is_at_most_what_is_asked_for_and_the_first_look_always_comes(
    pairs: int, budget_s: float, interleave: Interleave, *, is_fixed: bool
) -> None:
    suite = suite_file.load(suite_file.path_of("smoke")).suite
    looks = () if is_fixed else looks_up_to(pairs)
    plan = Plan(suite, pairs, interleave, 1, looks, budget_s)
    found = plan.summary()
    assert found.fits <= pairs
    assert found.fits * plan.pair_s <= budget_s
    assert found.fits == pairs or (found.fits + 1) * plan.pair_s > budget_s
    assert found.ends == tuple(sorted(set(found.ends)))
    assert found.ends[-1] == max(found.fits, plan.min_pairs)
    assert found.ends[0] == plan.min_pairs or found.ends[0] == found.ends[-1]


def test_the_suite_says_whether_the_first_regression_ends_a_run() -> None:
    stops = {
        name: suite_file.load(suite_file.path_of(name)).suite.stop_at_red
        for name in ("smoke", "pr", "nightly")
    }
    assert stops == {"smoke": True, "pr": True, "nightly": False}


def test_when_a_run_ends_is_no_part_of_what_its_values_mean(tmp_path: Path) -> None:
    text = suite_file.path_of("pr").read_text(encoding="utf-8")
    other = tmp_path / "pr.toml"
    other.write_text(text.replace("stop_at_red = true", "stop_at_red = false"), encoding="utf-8")
    assert suite_file.load(other).digest == suite_file.load(suite_file.path_of("pr")).digest


def test_the_plan_of_a_suite_has_its_budget() -> None:
    _, plan = request.resolve_plan(RunRequest("smoke", "reference", environment="kind"))
    assert plan.summary().budget_s == 180
