"""The cause of a change is named first, and equal builds name nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.judge.causes import ALPHA, Series, SeriesEvidence, find_causes
from pipeline.judge.flames import MAX_FRAMES, flame_graphs
from pipeline.judge.functions import COLLECTOR, is_standard, site_of
from pipeline.judge.stats.moderation import independent_rows, moderated_tests, variance_prior
from pipeline.model.metric import Better, Metric
from pipeline.model.profiles import EvidenceKind, Stack
from tests.explanations import CREATE, READING, ROOT, FakeServer, metric_evidence, server_stacks

WAIT = "example.org/faults.(*Injector).Wait"
SLOW = ("runtime.selectgo", WAIT, "example.org/faults.(*Injector).Request", *ROOT)


def test_prior_degrees_of_freedom_are_found_again() -> None:
    random = np.random.default_rng(1)
    truth, own = 5.0, 3.0
    scales = truth / random.chisquare(truth, 4000)
    observed = scales * random.chisquare(own, 4000) / own
    prior = variance_prior(observed, np.ones(4000), own)
    assert prior.degrees_of_freedom == pytest.approx(truth, rel=0.2)
    assert prior.variances[0] == pytest.approx(1.0, rel=0.1)


def test_p_values_of_equal_rows_are_uniform() -> None:
    random = np.random.default_rng(2)
    sds = np.sqrt(6.0 / random.chisquare(6.0, 5000))
    differences = random.normal(0, 1, (5000, 4)) * sds[:, None]
    p_values = moderated_tests(differences, np.ones(5000)).p_values
    assert stats.kstest(p_values, "uniform").pvalue > 0.001
    assert (p_values < 0.001).mean() < 0.003


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1])
def test_equal_builds_name_nothing(noise: float) -> None:
    """Twenty explanations, whatever the launches of a pair differ by."""
    for seed in range(20):
        stacks = server_stacks(120, seed)
        counts = {f"m{at}": (5.0 * 1.5 ** (at % 12),) * 2 for at in range(60)}
        found = find_causes(
            [
                FakeServer(stacks=stacks, noise=noise).evidence(seed=seed),
                FakeServer(EvidenceKind.BLOCK, stacks=stacks, noise=noise).evidence(seed=seed + 99),
            ],
            [metric_evidence(counts, seed=seed)],
            CREATE,
            reading=READING,
            is_rise=True,
        )
        assert found.causes == ()
        assert found.tests > 100


@pytest.mark.parametrize("is_heavy", [False, True])
@pytest.mark.parametrize("rows", [30, 100])
def test_metrics_that_vary_together_name_nothing_more_often_than_stated(
    rows: int, *, is_heavy: bool
) -> None:
    """The launches of a pair differ by 10 %, and by more: many metrics say it, and it is one."""
    named = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        levels = np.exp(random.uniform(1.0, 11.5, rows))
        shape = (1, 4, 2)
        whole = 0.05 * random.standard_t(3, shape) if is_heavy else random.normal(0, 0.1, shape)
        own = random.normal(0, 0.01, (rows, 4, 2))
        values = np.round(levels[:, None, None] * np.exp(whole + own))
        series = tuple(
            Series(
                *(f"m{at}", "etcd requests", "1", 1.0),
                may_cause=True,
                values=tuple(map(tuple, of_row.tolist())),
            )
            for at, of_row in enumerate(values)
        )
        evidence = SeriesEvidence("server", series, ((1000.0, 1000.0),) * 4)
        found = find_causes([], [evidence], CREATE, reading=READING, is_rise=True)
        named += bool(found.metrics)
    assert named <= 5


@given(st.integers(0, 2**32))
def test_rows_that_move_together_are_one_and_others_are_many(seed: int) -> None:
    random = np.random.default_rng(seed)
    together = random.normal(size=(1, 4)) * random.uniform(0.1, 10, (200, 1))
    assert independent_rows(together) == pytest.approx(1.0)
    assert independent_rows(random.normal(size=(200, 4))) > 10
    assert independent_rows(np.zeros((5, 4))) == 1.0


def usual_metrics(seed: int, added: int = 0) -> list[SeriesEvidence]:
    """Return metrics as `reference` has them, of which one counts more in the candidate.

    Most counts are the same in every launch, and some are not; what the runtime counts differs by
    some percent, and sums of waits by a factor.
    """
    random = np.random.default_rng(seed)
    shape = (4, 2)
    made = [(f"fixed{n}", "etcd requests", "1", 1.0, np.full(shape, 6.0 * n)) for n in range(1, 60)]
    made += [
        (f"some{n}", "watch cache", "1", 1.0, random.poisson(n, shape) + 0.0) for n in range(1, 15)
    ]
    for number in range(12):
        level, noise = 10.0 ** random.uniform(3, 6), random.normal(0, 0.08, shape)
        made.append((f"run{number}", "Go runtime", "1", 1.0, level * np.exp(noise)))
        times = 0.1 * np.exp(random.normal(0, 0.15, (3, *shape)))
        made += [
            (f"time{number}-{n}", "etcd requests", "s", 1e-3, one) for n, one in enumerate(times)
        ]
        if number < 6:  # answers of a thousand bytes, to four requests or five
            sizes = 1074.0 * random.integers(4, 6, shape)
            made.append((f"sizes{number}_sum", "watch cache", "1", 1074.0, sizes))
            waits = 0.05 * np.exp(random.normal(0, 3.0, shape))
            made.append((f"wait{number}", "priority and fairness", "s", 1e-3, waits))
    made.append(("retries", "work queues", "1", 1.0, np.array([[0.0, added]] * 4)))
    series = tuple(
        Series(
            *(name, group, unit, event),
            may_cause=group != "Go runtime",
            values=tuple((float(before), float(after)) for before, after in values),
        )
        for name, group, unit, event, values in made
    )
    return [SeriesEvidence("server", series, ((6.0, 6.0),) * 4)]


GONE = Metric("gone_p50", "s", Better.LOWER, 0.05)


def test_usual_metrics_of_equal_builds_name_nothing_more_often_than_stated() -> None:
    def is_named(seed: int) -> bool:
        found = find_causes(
            [], usual_metrics(seed), GONE, reading="projects.gone/p50", is_rise=True
        )
        return bool(found.metrics)

    assert sum(map(is_named, range(300))) <= 6


@pytest.mark.parametrize("seed", range(20))
def test_what_happens_to_each_of_six_projects_is_named(seed: int) -> None:
    """A deletion that comes six times in each pair, and never before, is no chance."""
    evidence = usual_metrics(seed, added=6)
    found = find_causes([], evidence, GONE, reading="projects.gone/p50", is_rise=True)
    assert [one.name for one in found.causes] == ["retries"]


def test_of_metrics_that_are_new_the_sum_comes_first() -> None:
    others = {f"rest_client_requests_total{{n={n}}}": (300.0, 300.0) for n in range(40)}
    new = {f'answers{{code="500"{more}}}': (0.0, 100.0 / n) for n, more in ((2, ',a="b"'), (1, ""))}
    metric = Metric("errors_share", "1", Better.LOWER, 0.2)
    found = find_causes(
        [], [metric_evidence({**others, **new})], metric, reading="errors_share", is_rise=True
    )
    assert [one.name for one in found.causes] == [
        'answers{code="500"}',
        'answers{code="500",a="b"}',
    ]


LOCK = ("sync.(*Mutex).Unlock", WAIT, *ROOT)
LEAK = ("runtime.gopark", WAIT)


@pytest.mark.parametrize("stack", [LOCK, LEAK])
@pytest.mark.parametrize("share", [0.3, 3.0, 100.0])
@pytest.mark.parametrize("is_rise", [True, False])
def test_a_function_that_is_most_of_a_profile_is_named_and_no_other(
    stack: Stack, share: float, *, is_rise: bool
) -> None:
    """A leak of ten times the usual goroutines was what all others were compared with."""
    usual = server_stacks(80)
    much = {stack: share * sum(usual.values())}
    server = (
        FakeServer(stacks=usual, added=much)
        if is_rise
        else FakeServer(stacks=usual | much, added={stack: -much[stack]})
    )
    found = find_causes([server.evidence(seed=9)], [], CREATE, reading=READING, is_rise=is_rise)
    assert [one.name for one in found.causes] == [WAIT]


@pytest.mark.parametrize("sites", range(6))
@pytest.mark.parametrize("pairs", [4, 12])
def test_a_cause_is_named_in_a_profile_of_few_functions(sites: int, pairs: int) -> None:
    usual = {(f"a.b/c.F{at}", "x.y/z.Root"): 2.0 for at in range(sites)} | {LOCK: 0.5}
    server = FakeServer(EvidenceKind.MUTEX, stacks=usual, added={LOCK: 5.0})
    found = find_causes([server.evidence(pairs)], [], CREATE, reading=READING, is_rise=True)
    assert [one.name for one in found.causes] == [WAIT]


@pytest.mark.parametrize("kind", [EvidenceKind.BLOCK, EvidenceKind.WALL, EvidenceKind.CPU])
def test_a_sleep_is_named_first(kind: EvidenceKind) -> None:
    server = FakeServer(kind, added={SLOW: 0.5})
    found = find_causes([server.evidence()], [], CREATE, reading=READING, is_rise=True)

    first = found.causes[0]
    assert first.name == WAIT
    assert first.change == pytest.approx(0.5e-3, rel=0.2)
    assert first.low < first.change < first.high
    assert first.p < ALPHA
    assert (first.agreeing, first.pairs) == (4, 4)
    assert first.callers[0] == "example.org/faults.(*Injector).Request"


def test_code_that_moved_below_another_function_is_no_cause() -> None:
    """A middleware is put around everything, and one handler becomes slower."""
    inner = server_stacks(80)
    wrapped = {
        (*stack[: -len(ROOT)], "example.org/app.withFaults", *ROOT): value
        for stack, value in inner.items()
    }
    added = {stack: -value for stack, value in inner.items()} | wrapped
    server = FakeServer(stacks=inner, added={**added, SLOW: 0.6}, noise=0.0)
    found = find_causes([server.evidence()], [], CREATE, reading=READING, is_rise=True)

    assert found.causes[0].name == WAIT
    assert "example.org/app.withFaults" not in {one.name for one in found.causes}


def test_a_function_that_calls_others_is_named_where_only_it_grew() -> None:
    """Admission reads from etcd as others do: what waits is shared, who asks is not."""
    shared = ("google.golang.org/grpc.recv", "go.etcd.io/etcd/client.Get")
    other = {(*shared, f"example.org/api.Handler{n}", *ROOT): 4.0 for n in range(5)}
    admit = (*shared, "example.org/admission.(*Lifecycle).Admit", *ROOT)
    server = FakeServer(
        EvidenceKind.BLOCK, stacks=server_stacks(80) | other | {admit: 0.2}, added={admit: 3.0}
    )
    found = find_causes([server.evidence()], [], CREATE, reading=READING, is_rise=True)

    assert found.causes[0].name == "example.org/admission.(*Lifecycle).Admit"


KINDS = {
    "server.heap": FakeServer(
        *(EvidenceKind.HEAP, "B"),
        stacks={one: 2.0**22 * value for one, value in server_stacks(80).items()},
        added={("example.org/faults.leak", *ROOT): 2.0**25},
        event=2.0**19,
        least=2.0**20,
    ),
    "server.goroutines": FakeServer(
        *(EvidenceKind.GOROUTINES, "1"),
        stacks={one: 20 * value for one, value in server_stacks(80).items()},
        added={("runtime.gopark", "example.org/faults.leak.func1"): 60.0},
        event=1.0,
        least=1.0,
    ),
    "server.cpu": FakeServer(
        added={("crypto/sha256.block", "example.org/faults.burn", *ROOT): 1.0}
    ),
}


@pytest.mark.parametrize("reading", KINDS)
def test_the_kind_that_fits_the_metric_comes_first(reading: str) -> None:
    right = KINDS[reading]
    waits = FakeServer(EvidenceKind.BLOCK, added={SLOW: 5.0})
    metric = Metric(reading.replace(".", "_"), right.unit, Better.LOWER, 0.05)
    found = find_causes(
        [waits.evidence(), right.evidence()], [], metric, reading=reading, is_rise=True
    )

    assert found.causes[0].kind is right.kind
    assert "faults" in found.causes[0].name


def test_a_request_more_to_etcd_is_named_with_its_numbers() -> None:
    others = {f"rest_client_requests_total{{n={n}}}": (300.0, 300.0) for n in range(40)}
    metrics = metric_evidence({**others, 'etcd_requests_total{operation="get"}': (1000.0, 2000.0)})
    keys = Metric("keys_left", "1", Better.LOWER, 0.2)
    found = find_causes([], [metrics], keys, reading="etcd.keys_left", is_rise=True)

    assert [one.name for one in found.causes] == ['etcd_requests_total{operation="get"}']
    assert found.causes[0].candidate == pytest.approx(2.0, rel=0.05)
    assert found.metrics == found.causes


def test_improvements_are_explained_by_what_became_less() -> None:
    server = FakeServer(stacks=server_stacks(120) | {SLOW: 1.0}, added={SLOW: -1.0})
    found = find_causes([server.evidence()], [], CREATE, reading=READING, is_rise=False)

    assert found.causes[0].name == WAIT
    assert found.causes[0].change < 0


def test_the_site_of_a_sample() -> None:
    assert site_of(("crypto/sha256.block", "a.b/c.F", "net/http.serve")) == "a.b/c.F"
    assert site_of(("runtime.scanobject", COLLECTOR)) == COLLECTOR
    assert site_of(("runtime.scanobject", "runtime.gcAssistAlloc", "a.b/c.F")) == (
        "runtime.gcAssistAlloc"
    )
    assert site_of(("internal/poll.wait", "net/http.serve")) == "net/http.serve"
    assert is_standard("time.Sleep")
    assert is_standard("vendor/golang.org/x/net/http2.F")
    assert not is_standard("main.main")
    assert not is_standard("k8s.io/apiserver/pkg/server.F")


def test_a_flame_graph_is_drawn_within_its_parents() -> None:
    server = FakeServer(added={SLOW: 3.0})
    found = find_causes([server.evidence()], [], CREATE, reading=READING, is_rise=True)
    (graph,) = flame_graphs(found)

    assert len(graph.frames) <= MAX_FRAMES
    by_depth: dict[int, list[tuple[float, float]]] = {}
    for frame in graph.frames:
        by_depth.setdefault(frame.depth, []).append((frame.start, frame.start + frame.width))
        if frame.depth:
            assert any(
                low - 1e-5 <= frame.start and frame.start + frame.width <= high + 1e-5
                for low, high in by_depth[frame.depth - 1]
            )
    red = {frame.name for frame in graph.frames if frame.has_moved}
    assert WAIT in red
    assert len(red) < 20
