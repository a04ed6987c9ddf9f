"""Moderated variances: what earlier runs make of the spread of a few pairs."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge import constants, policy, scale
from pipeline.judge.rows import rows_of_results
from pipeline.judge.stats.student import Estimate, ObservedVariance, moderate, variance_inflation
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.prior import Prior, Spread
from pipeline.model.report import Finding, Verdict
from pipeline.model.results import ResultSet
from tests.builders import LATENCY, results

SOME = st.floats(1e-6, 1e6)
GATES = 28
SPREAD = 0.02
KNOWN = Prior("12 runs on this machine", 4.0, {})


def test_a_moderated_variance_is_the_mean_by_degrees_of_freedom() -> None:
    found = moderate(
        Estimate(0.1, 0.3 / math.sqrt(3), 2), 3, prior_variance=0.01, prior_degrees_of_freedom=8.0
    )
    assert found.mean == 0.1
    assert found.degrees_of_freedom == 10
    assert found.standard_error == pytest.approx(math.sqrt((8 * 0.01 + 2 * 0.09) / 10 / 3))


@given(seen=SOME, prior=SOME, freedom=st.floats(0.1, 100), pairs=st.integers(2, 50))
def test_a_moderated_variance_lies_between_the_two(
    seen: float, prior: float, freedom: float, pairs: int
) -> None:
    found = moderate(Estimate(0.0, math.sqrt(seen / pairs), pairs - 1), pairs, prior, freedom)
    variance = found.standard_error**2 * pairs
    assert min(seen, prior) * (1 - 1e-9) <= variance <= max(seen, prior) * (1 + 1e-9)
    assert found.degrees_of_freedom > pairs - 1


@given(st.lists(st.tuples(SOME, st.integers(1, 20), SOME), max_size=30), SOME)
def test_a_run_is_never_taken_to_be_quieter_than_it_has_shown(
    many: list[tuple[float, int, float]], unit: float
) -> None:
    seen = [ObservedVariance(*one) for one in many]
    assert variance_inflation(seen) >= 1
    other = [ObservedVariance(v * unit, f, p * unit) for v, f, p in many]
    assert variance_inflation(other) == pytest.approx(variance_inflation(seen))


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("pairs", [3, 5, 8])
def test_the_widening_is_how_much_noisier_the_run_is(noise: float, pairs: int) -> None:
    random = np.random.default_rng(pairs)
    found = [
        variance_inflation(
            [
                ObservedVariance(v, pairs - 1, 1.0)
                for v in noise**2 * random.chisquare(pairs - 1, 40) / (pairs - 1)
            ]
        )
        for _ in range(200)
    ]
    assert np.median(found) == pytest.approx(max(1.0, noise**2), rel=0.2)


def equal_run(
    random: np.random.Generator,
    pairs: int,
    *,
    gates: int = GATES,
    noise: float = 1.0,
    worse: float = 0.0,
    margin: float = 0.035,
    tolerance: float = 0.10,
    prior: Prior | None = KNOWN,
) -> ResultSet:
    """Return a run of equal builds with looks at 3, 5 and 8; the first metric may be worse."""
    rows = []
    for at in range(gates):
        shift = worse if at == 0 else 0.0
        after = np.exp(random.normal(shift, SPREAD * noise, pairs))
        metric = replace(LATENCY, name=f"m{at}", margin=margin, tolerance=tolerance)
        rows.append((metric, [1.0] * pairs, after.tolist()))
    run = results(*rows, pairs_asked=8)
    spreads = {f"object-crud/m{at}": Spread(SPREAD**2, 12) for at in range(gates)}
    known = replace(prior, spreads=spreads) if prior else None
    return replace(run, looks=(3, 5, 8), prior=known)


def ended(random: np.random.Generator, **settings: object) -> tuple[tuple[Finding, ...], int]:
    """Return the findings of a run that ends as `run` does, and its number of pairs."""
    whole = equal_run(random, 8, **settings)  # type: ignore[arg-type]
    for pairs in (3, 5, 8):
        if policy.is_enough(so_far := whole.of_first(pairs)):
            return policy.report(so_far).findings, pairs
    raise AssertionError("eight pairs are all there are")


def share(verdict: Verdict, runs: int, **settings: object) -> float:
    """Return the share of runs of which some gating metric has a verdict."""
    random = np.random.default_rng(2)
    found = (ended(random, **settings)[0] for _ in range(runs))
    return sum(any(f.verdict is verdict for f in one) for one in found) / runs


@pytest.mark.parametrize("noise", [1.0, 2.0, 3.0])
def test_equal_builds_are_seldom_red_also_where_the_prior_is_too_small(noise: float) -> None:
    assert share(Verdict.REGRESSED, 100, noise=noise) <= constants.FAMILY_ALPHA


def test_equal_builds_pass_at_few_pairs_where_the_noise_is_known() -> None:
    random = np.random.default_rng(5)
    found = [ended(random, margin=0.06, tolerance=0.12) for _ in range(60)]
    passed = [all(f.verdict is Verdict.UNCHANGED for f in one) for one, _ in found]
    assert sum(passed) / len(passed) >= 0.9
    assert sum(pairs for _, pairs in found) / len(found) < 6


def test_a_regression_of_one_and_a_half_margins_does_not_hide_behind_a_pass() -> None:
    random = np.random.default_rng(6)
    reds = [
        ended(random, gates=10, worse=1.5 * math.log1p(0.035))[0][0].verdict is Verdict.REGRESSED
        for _ in range(60)
    ]
    assert sum(reds) / len(reds) > 0.9


@pytest.mark.parametrize(("times", "most"), [(1.0, 0.025), (1.5, 0.01)])
def test_a_build_that_is_worse_by_the_tolerance_hardly_ever_passes(
    times: float, most: float
) -> None:
    # With a margin as large as the tolerance, so that nothing but the interval stands against it.
    runs, random = 400, np.random.default_rng(7)
    worse = times * math.log1p(0.10)
    passed = sum(
        ended(random, gates=1, worse=worse, margin=0.10)[0][0].verdict is Verdict.UNCHANGED
        for _ in range(runs)
    )
    assert passed / runs <= most + 2 * math.sqrt(most / runs)


def test_a_count_that_never_varied_keeps_its_own_spread() -> None:
    run = results((LATENCY, [1.0, 1.0, 1.0], [1.1, 1.2, 1.15]))
    known = Prior("12 runs", 8.0, {"object-crud/create_p50": Spread(0.0, 12)})
    assert rows_of_results(replace(run, prior=known)) == rows_of_results(run)


def test_a_prior_that_does_not_hold_is_not_used() -> None:
    metrics = [replace(LATENCY, name=f"m{at}") for at in range(9)]
    run = results(*((m, [1.0] * 4, [1.0, 1.2, 0.9, 1.1]) for m in metrics))
    known = Prior("12 runs", 8.0, {f"object-crud/{m.name}": Spread(1e-6, 12) for m in metrics})
    assert rows_of_results(replace(run, prior=known)) == rows_of_results(run)


@pytest.mark.parametrize(("later", "verdict"), [(1.0, Verdict.REGRESSED), (1.3, Verdict.REGRESSED)])
def test_a_rejection_of_an_early_look_is_kept(later: float, verdict: Verdict) -> None:
    after = [1.2, 1.2001, 1.1999, *[later] * 5]
    run = results((LATENCY, [1.0] * 8, after), pairs_asked=8)
    (found,) = policy.report(replace(run, looks=(3, 5, 8))).findings
    assert found.verdict is verdict
    is_kept = found.kept is not None
    assert is_kept is (later == 1.0)
    if found.kept:
        assert found.kept.pairs in (3, 5)
        assert found.kept.change is not None
        assert found.kept.change.estimate > 0.05


def test_a_run_that_stops_at_red_ends_at_the_first_look_that_is() -> None:
    noisy = replace(LATENCY, name="noisy")
    run = results(
        (LATENCY, [1.0] * 3, [1.2, 1.2001, 1.1999]),
        (noisy, [1.0] * 3, [1.3, 0.8, 1.1]),
        pairs_asked=8,
    )
    run = replace(run, looks=(3, 5, 8))
    assert not policy.is_enough(run)
    assert policy.is_enough(replace(run, stops_at_red=True))


def test_a_pass_that_may_hide_a_regression_waits_for_the_next_look() -> None:
    metric = replace(LATENCY, tolerance=0.2)
    run = replace(results((metric, [1.0] * 3, [1.03, 1.04, 1.045]), pairs_asked=8), looks=(3, 5, 8))
    (found,) = policy.report(run).findings
    assert found.verdict is Verdict.UNCHANGED
    assert not policy.is_enough(run)
    calm = results((metric, [1.0] * 3, [1.01, 0.99, 1.02]), pairs_asked=8)
    assert policy.is_enough(replace(calm, looks=(3, 5, 8)))


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        pytest.param([1.02, 1.03, 1.025], Verdict.UNCHANGED, id="within the margin"),
        pytest.param([1.02, 1.09, 0.99], Verdict.UNCHANGED, id="at worst within the tolerance"),
        pytest.param([1.02, 1.35, 0.80], Verdict.INCONCLUSIVE, id="not even the tolerance"),
        pytest.param([1.02, 1.2, 1.0], Verdict.INCONCLUSIVE, id="beyond the margin, not sure"),
    ],
)
def test_a_pass_excludes_the_tolerance(after: list[float], verdict: Verdict) -> None:
    metric = replace(LATENCY, tolerance=0.30)
    (found,) = policy.report(results((metric, [1.0] * 3, after))).findings
    assert found.verdict is verdict


@given(
    margin=st.floats(0.001, 1),
    more=st.floats(0, 3),
    scaled=st.sampled_from(list(Scale)),
    better=st.sampled_from(list(Better)),
)
def test_a_tolerance_is_at_least_the_margin(
    margin: float, more: float, scaled: Scale, better: Better
) -> None:
    metric = Metric("m", "1", better, margin, scale=scaled, tolerance=margin + more)
    assert scale.tolerance(metric) >= scale.margin(metric)
    assert scale.tolerance(replace(metric, tolerance=None)) == scale.margin(metric)
    if more > 0:
        with pytest.raises(ValueError, match="tolerance"):
            replace(metric, tolerance=margin / 2)
