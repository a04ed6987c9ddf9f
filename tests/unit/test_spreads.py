"""The prior of how much pairs vary: from the pairs of earlier runs, and from no others."""

import math
from dataclasses import replace
from datetime import datetime, timedelta
from statistics import fmean, variance

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge import policy, spreads
from pipeline.judge.constants import MIN_PRIOR_RUNS, PRIOR_WINDOW
from pipeline.judge.spreads import PriorRequest, SpreadOrigin
from pipeline.model.metric import Better, Metric, Scale
from pipeline.model.prior import Prior
from pipeline.model.results import Cutoff, Failure, Interleave, ResultSet
from pipeline.model.spreads import Conditions, PairSpread, RunSpreads, SpreadHistory
from pipeline.model.subject import Arm, Product
from pipeline.system.errors import BaselineError
from tests.builders import COUNT, LATENCY, NOW, THROUGHPUT, results

KEY = "object-crud/create_p50"
OF = Conditions("pr", Product.MILO, "local", Interleave.REQUEST, "sha256:load")
HERE = {
    "cpu": "AMD EPYC 7763",
    "architecture": "x86_64",
    "logical cpus": "2",
    "memory": "7 GiB",
    "os": "ubuntu 24.04",
    "kernel": "6.8",
    "k6": "1.1.0",
}
ALIKE = {**HERE, "cpu": "Intel Xeon 8370C", "kernel": "6.11", "memory": "8 GiB", "k6": "1.2.0"}
LARGER = {**HERE, "logical cpus": "8", "memory": "31 GiB"}
ASKING = PriorRequest(OF, (KEY,), NOW + timedelta(days=1), HERE)


def earlier(
    number: int = MIN_PRIOR_RUNS,
    *,
    machine: dict[str, str] = HERE,
    value: float = 0.01,
    first: datetime = NOW - timedelta(hours=40),
    name: str = "run",
) -> list[RunSpreads]:
    """Return earlier runs, an hour apart."""
    return [
        RunSpreads(
            f"{name}-{at}", first + timedelta(hours=at), machine, {KEY: PairSpread(value, 2)}
        )
        for at in range(number)
    ]


def prior_of(
    runs: list[RunSpreads], origin: SpreadOrigin = SpreadOrigin.HERE, asking: PriorRequest = ASKING
) -> Prior | None:
    return spreads.prior_from(SpreadHistory(OF, tuple(runs)), asking, origin)


def run(*rows: object, **more: object) -> ResultSet:
    found = results(*rows, specs=("binary:a", "binary:b"), **more)  # type: ignore[arg-type]
    return replace(found, load_digest="sha256:load")


VALUES = st.lists(
    st.tuples(*[st.floats(min_value=1e-3, max_value=1e3)] * 2), min_size=2, max_size=12
)


@given(VALUES)
def test_the_spread_is_the_variance_of_the_differences_of_pairs(
    pairs: list[tuple[float, float]],
) -> None:
    before, after = ([pair[at] for pair in pairs] for at in (0, 1))
    found = spreads.pair_spreads(run((LATENCY, before, after), (COUNT, before, after)))
    ratios = variance(math.log(y / x) for x, y in pairs)
    assert found[KEY].variance == pytest.approx(ratios, rel=1e-6, abs=1e-18)
    amounts = variance(y - x for x, y in pairs)
    assert found["object-crud/files"].variance == pytest.approx(amounts, rel=1e-6, abs=1e-12)
    assert {one.degrees_of_freedom for one in found.values()} == {len(pairs) - 1}


def test_a_build_that_is_slower_by_a_factor_does_not_vary_more() -> None:
    before, after = [1.0, 1.1, 0.9], [1.02, 1.09, 0.91]
    slow = [3 * value for value in after]
    alike, slower = (spreads.pair_spreads(run((LATENCY, before, a))) for a in (after, slow))
    assert alike[KEY].variance == pytest.approx(slower[KEY].variance)


SHARE = Metric("errors_share", "1", Better.LOWER, 0.01, gate=True, scale=Scale.DIFFERENCE)
FLOORED = replace(LATENCY, floor=0.05)


def with_cutoff(cutoff: Cutoff) -> ResultSet:
    found = run((LATENCY, [1.0, 2.0, 3.0, 4.0], [1.0, 2.5, 3.0, 4.1]))
    (sample,) = found.samples[Arm.CANDIDATE]
    values = tuple(
        None if cutoff is Cutoff.NOTHING_DONE and at == 1 else v
        for at, v in enumerate(sample.values)
    )
    cut = replace(sample, values=values, cutoffs=(None, cutoff, None, None))
    return replace(found, samples={**found.samples, Arm.CANDIDATE: (cut,)})


def of_events() -> ResultSet:
    found = run((SHARE, [0.0, 0.1, 0.0], [0.1, 0.0, 0.0]))
    samples = {
        arm: tuple(replace(sample, denominators=(100.0, 100.0, 100.0)) for sample in kept)
        for arm, kept in found.samples.items()
    }
    return replace(found, samples=samples)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(of_events(), id="a share of events"),
        pytest.param(with_cutoff(Cutoff.AT_LEAST), id="cut off"),
        pytest.param(with_cutoff(Cutoff.NOTHING_DONE), id="nothing done"),
        pytest.param(run((FLOORED, [0.1, 0.2, 0.05], [0.1, 0.2, 0.3])), id="at the floor"),
        pytest.param(run((LATENCY, [1.0, None], [1.0, 2.0])), id="one pair"),
        pytest.param(run((LATENCY, [1.0, 2.0, 3.0], None)), id="one arm"),
        pytest.param(
            run((LATENCY, [1.0, 2.0, 3.0], [1.0, 2.0, 3.5]), invalid={0: "x", 1: "x"}), id="invalid"
        ),
        pytest.param(run((COUNT, [0.0, 1e19], [0.0, 0.0])), id="a variance that cannot be read"),
    ],
)
def test_what_is_not_compared_by_pairs_has_no_spread(found: ResultSet) -> None:
    assert spreads.pair_spreads(found) == {}


def test_a_pair_without_a_value_is_left_out() -> None:
    found = spreads.pair_spreads(run((LATENCY, [1.0, None, 2.0, 3.0], [1.1, 1.0, 2.0, 3.0])))
    assert found[KEY].degrees_of_freedom == 2


@given(st.permutations(range(12)), st.lists(st.floats(0, 1e6), min_size=12, max_size=12))
def test_the_order_of_runs_does_not_matter(order: list[int], variances: list[float]) -> None:
    runs = [
        replace(one, metrics={KEY: PairSpread(value, 1 + at)})
        for at, (one, value) in enumerate(zip(earlier(12), variances, strict=True))
    ]
    shuffled = [runs[at] for at in order]
    found = prior_of(runs)
    assert prior_of(shuffled) == found
    grown = SpreadHistory(OF)
    for one in shuffled:
        grown = spreads.with_run(grown, one, NOW)
    assert grown.runs == tuple(runs)
    assert found is not None
    weighted = sum(v * (1 + at) for at, v in enumerate(variances)) / 78
    assert found.spreads[KEY].variance == pytest.approx(weighted)
    assert found.spreads[KEY].runs == 12


@pytest.mark.parametrize("origin", list(SpreadOrigin))
def test_fewer_than_ten_runs_are_no_prior(origin: SpreadOrigin) -> None:
    assert prior_of(earlier(MIN_PRIOR_RUNS - 1), origin) is None
    assert prior_of(earlier(MIN_PRIOR_RUNS), origin) is not None


def test_a_metric_needs_as_many_runs_of_its_own() -> None:
    runs = earlier(12)
    few = [replace(one, metrics={}) if at < 3 else one for at, one in enumerate(runs)]
    assert prior_of(few) is None
    other = {"object-crud/get_p50": PairSpread(4.0, 2)}
    also = [replace(one, metrics={**one.metrics, **other}) for one in runs[:9]]
    both = replace(ASKING, keys=(KEY, *other))
    found = prior_of([*also, *runs[9:]], asking=both)
    assert found is not None
    assert set(found.spreads) == {KEY}


def test_only_metrics_of_the_suite_are_in_a_prior() -> None:
    strange = {f"strange/{at}": PairSpread(1.0, 2) for at in range(100)}
    runs = [replace(one, metrics={**one.metrics, **strange}) for one in earlier()]
    found = prior_of(runs)
    assert found is not None
    assert set(found.spreads) == {KEY}


def test_only_the_newest_runs_count() -> None:
    old = earlier(50, value=100.0, first=NOW - timedelta(days=90), name="old")
    found = prior_of([*old, *earlier(PRIOR_WINDOW)])
    assert found is not None
    assert found.spreads[KEY].runs == PRIOR_WINDOW
    assert found.spreads[KEY].variance == pytest.approx(0.01)
    history = SpreadHistory(OF)
    for one in [*earlier(PRIOR_WINDOW), *old]:  # what is fed late is not newer for that
        history = spreads.with_run(history, one, NOW)
    assert list(history.runs) == earlier(PRIOR_WINDOW)


def test_only_earlier_runs_count() -> None:
    later = earlier(first=ASKING.now, name="later")
    assert prior_of(later) is None
    assert prior_of([*later, *earlier(9)]) is None


@pytest.mark.parametrize(
    "other",
    [
        replace(OF, suite="smoke"),
        replace(OF, product=Product.REFERENCE),
        replace(OF, environment="kind"),
        replace(OF, interleave=Interleave.TRIAL),
        replace(OF, load_digest="sha256:another"),
    ],
    ids=["suite", "product", "environment", "interleave", "load"],
)
@pytest.mark.parametrize("origin", list(SpreadOrigin))
def test_runs_under_other_conditions_are_no_prior(other: Conditions, origin: SpreadOrigin) -> None:
    assert spreads.prior_from(SpreadHistory(other, tuple(earlier())), ASKING, origin) is None


@pytest.mark.parametrize(
    ("runs", "origin", "now", "freedom", "said"),
    [
        pytest.param(
            earlier(),
            SpreadOrigin.HERE,
            NOW,
            8.0,
            "10 runs on this machine until 2025-12-31",
            id="here",
        ),
        pytest.param(
            earlier(),
            SpreadOrigin.HERE,
            NOW + timedelta(days=20),
            4.0,
            "10 runs on this machine until 2025-12-31",
            id="here, and old",
        ),
        pytest.param(
            [*earlier(9), *earlier(3, machine=ALIKE, name="alike")],
            SpreadOrigin.HERE,
            NOW,
            4.0,
            "12 runs on machines of this class (ubuntu x86_64 with 2 cores and about 8 GiB) until"
            " 2025-12-31",
            id="some of a machine that is alike",
        ),
        pytest.param(
            [*earlier(10, machine=ALIKE, name="alike"), *earlier(11)],
            SpreadOrigin.HERE,
            NOW,
            8.0,
            "11 runs on this machine until 2025-12-31",
            id="enough of this machine among others",
        ),
        pytest.param(
            earlier(),
            SpreadOrigin.NAMED,
            NOW,
            8.0,
            "10 runs of nights.jsonl on this machine until 2025-12-31",
            id="named, of this machine",
        ),
        pytest.param(
            earlier(machine=LARGER),
            SpreadOrigin.NAMED,
            NOW,
            4.0,
            "10 runs of nights.jsonl, on ubuntu x86_64 with 8 cores and about 32 GiB; this machine"
            " is of another class",
            id="named, of another class",
        ),
        pytest.param(
            earlier(),
            SpreadOrigin.SHIPPED,
            NOW,
            4.0,
            "10 runs that the suite ships, on ubuntu x86_64 with 2 cores and about 8 GiB",
            id="shipped, of this machine",
        ),
        pytest.param(
            [*earlier(machine=LARGER), *earlier(2, machine=HERE, name="here")],
            SpreadOrigin.SHIPPED,
            NOW,
            4.0,
            "12 runs that the suite ships, on 2 classes of machines",
            id="shipped, of several classes",
        ),
    ],
)
def test_a_prior_says_where_it_is_from_and_counts_for_as_much_as_that_is_worth(
    runs: list[RunSpreads], origin: SpreadOrigin, now: datetime, freedom: float, said: str
) -> None:
    name = "nights.jsonl" if origin is SpreadOrigin.NAMED else ""
    asking = replace(ASKING, now=now)
    found = spreads.prior_from(SpreadHistory(OF, tuple(runs)), asking, origin, name)
    assert found is not None
    assert (found.degrees_of_freedom, found.source) == (freedom, said)


def test_runs_of_another_class_of_machine_are_no_prior_unless_somebody_says_so() -> None:
    assert prior_of(earlier(machine=LARGER)) is None


def test_nobody_knows_the_machine_and_a_shipped_prior_holds() -> None:
    asking = replace(ASKING, machine=None)
    found = prior_of(earlier(), SpreadOrigin.SHIPPED, asking)
    assert found is not None
    assert "another class" not in found.source
    assert prior_of(earlier(), SpreadOrigin.HERE, asking) is None


def test_a_class_is_coarser_than_a_fingerprint() -> None:
    assert spreads.machine_class(HERE) == spreads.machine_class(ALIKE)
    assert spreads.machine_class(HERE) != spreads.machine_class(LARGER)
    assert spreads.machine_class({}) == ("unknown unknown with unknown cores and unknown memory")


@given(st.dictionaries(st.sampled_from(sorted(HERE)), st.text(max_size=200)))
def test_a_class_of_anything_is_a_short_printable_text(fingerprint: dict[str, str]) -> None:
    said = spreads.machine_class(fingerprint)
    assert said.isprintable()
    assert len(said) < 300


LATE = run((LATENCY, [1.0, 1.01, 1.0], [1.5, 1.51, 1.5]))
EQUAL = run((LATENCY, [1.0, 1.01, 1.0], [1.0, 1.02, 1.0]))


def failed(found: ResultSet) -> ResultSet:
    first, *others = found.trials
    return replace(found, trials=(replace(first, failures=(Failure("it died"),)), *others))


@pytest.mark.parametrize(
    ("found", "why"),
    [
        pytest.param(EQUAL, "", id="equal builds"),
        pytest.param(replace(EQUAL, pairs_asked=8, looks=(3, 5, 8)), "", id="ended at a look"),
        pytest.param(replace(EQUAL, pairs_asked=5), "3 of 5 pairs", id="not finished"),
        pytest.param(
            replace(EQUAL, pairs_asked=8, looks=(5, 8)), "3 of 5 pairs", id="before the first look"
        ),
        pytest.param(LATE, "regressed", id="regressed"),
        pytest.param(failed(EQUAL), "failed", id="a trial failed"),
        pytest.param(replace(EQUAL, load_digest=""), "load", id="of before it was kept"),
    ],
)
def test_runs_that_say_too_little_or_differ_are_unfit(found: ResultSet, why: str) -> None:
    report = policy.report(found)
    if not why:
        assert spreads.require_usable(report) == spreads.conditions_of(found)
        return
    with pytest.raises(BaselineError, match=why):
        spreads.require_usable(report)


def test_a_run_that_was_resumed_is_there_once() -> None:
    one = earlier(1)[0]
    grown = replace(one, metrics={KEY: PairSpread(0.5, 7)})
    history = spreads.with_run(spreads.with_run(SpreadHistory(OF), one, NOW), grown, NOW)
    assert history.runs == (grown,)


def test_a_run_of_a_wrong_clock_takes_no_place_of_others() -> None:
    wrong = earlier(PRIOR_WINDOW, first=NOW + timedelta(days=1000), name="wrong")
    (right,) = earlier(1)
    history = spreads.with_run(SpreadHistory(OF, tuple(wrong)), right, NOW)
    assert history.runs == (right,)
    assert spreads.with_run(history, wrong[0], NOW).runs == (right,)


@pytest.mark.parametrize(
    ("value", "freedom"), [(-1.0, 2), (math.nan, 2), (math.inf, 2), (2.0**63, 2), (1.0, 0)]
)
def test_a_spread_that_cannot_be_is_refused(value: float, freedom: int) -> None:
    with pytest.raises(ValueError, match=r"variance|freedom"):
        PairSpread(value, freedom)


def test_runs_that_end_early_because_they_varied_little_do_not_shrink_the_prior() -> None:
    """Weighted by degrees of freedom, the mean is right; the plain mean is too small."""
    random = np.random.default_rng(5)
    kept = []
    for _ in range(4000):
        pairs = random.normal(0, 1, 8)
        number = next(k for k in (3, 5, 8) if k == 8 or np.var(pairs[:k], ddof=1) < 0.5)
        kept.append(PairSpread(float(np.var(pairs[:number], ddof=1)), number - 1))
    runs = [
        RunSpreads(f"{at}", NOW - timedelta(hours=1), HERE, {KEY: one})
        for at, one in enumerate(kept)
    ]
    pooled = [
        found.spreads[KEY].variance
        for at in range(0, 4000, PRIOR_WINDOW)
        if (found := prior_of(runs[at : at + PRIOR_WINDOW]))
    ]
    assert fmean(pooled) == pytest.approx(1, abs=0.03)
    assert fmean(one.variance for one in kept) < 0.9


def test_throughput_and_latency_have_one_scale() -> None:
    found = spreads.pair_spreads(
        run(
            (LATENCY, [1.0, 2.0, 4.0], [1.0, 2.2, 4.1]),
            (THROUGHPUT, [1.0, 2.0, 4.0], [1.0, 2.2, 4.1]),
        )
    )
    assert found[KEY] == found["object-crud/rate"]
