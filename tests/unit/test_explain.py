"""Extra pairs are profiled on both arms, and what is missing is named."""

import gzip
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.judge.causes import find_causes
from pipeline.model.metric import Better, Metric
from pipeline.model.ports import Load, Span
from pipeline.model.profiles import EvidenceKind, Stack, StackProfile
from pipeline.model.request import ExplainRequest
from pipeline.model.results import Interleave, Reading, ResultSet
from pipeline.model.subject import Arm, Product
from pipeline.probes import profiles
from pipeline.probes.profiles import ProfilesProbe
from pipeline.probes.sampling import write_csv
from pipeline.runs import suite_file
from pipeline.runs.explain import run as explaining
from pipeline.runs.explain import series
from pipeline.runs.explain.evidence import operation_of, read_evidence
from pipeline.runs.explain.explanation_file import FOLDER
from pipeline.runs.explain.recorder import RecordingDriver, read_load
from pipeline.runs.plan import Plan
from pipeline.storage import codec, pprof
from pipeline.system.errors import BaselineError, ConfigError, ProbeError
from tests.builders import LATENCY, results
from tests.explanations import READING
from tests.loopback import Request, answering, target

WAIT = "example.org/faults.Wait"


def profile(kind: str, **stacks: float) -> bytes:
    """Return a profile whose stacks are single functions, with as many events as their value."""
    types: tuple[tuple[str, str], ...] = ((kind, "count"),)
    if kind != "goroutine":
        types = (("contentions", "count"), (kind, "nanoseconds"))
    values: dict[Stack, tuple[float, ...]] = {
        (f"a.b/c.{name}",): (value,) * len(types) for name, value in stacks.items()
    }
    return pprof.dump_profile(StackProfile(types, values))


class Served:
    """A server whose mutex profile is forbidden and whose heap is a bomb."""

    def answer(self, request: Request, _body: bytes) -> None:
        path = request.path.partition("?")[0]
        if path == "/debug/pprof/mutex":
            request.say("no", 403)
        elif path == "/debug/pprof/heap":
            request.say(bytes(pprof.MAX_BYTES + 1))
        elif path == "/debug/pprof/profile":
            time.sleep(0.02)
            request.say(profile("cpu", F=2e7))
        else:
            request.say(profile("goroutine", F=3))


def test_every_profile_is_kept_and_every_gap_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "WALL_PERIOD_S", 0.02)
    with answering(Served().answer) as url:
        watched = target(url, metrics={"etcd": f"{url}/metrics"})
        began_s = time.time()
        with ProfilesProbe().watch(watched, tmp_path) as watch:
            time.sleep(0.2)
            assert watch.readings(Span(began_s, time.time())) == ()

    lines = (tmp_path / "profiles.csv").read_text().splitlines()
    assert sum(",cpu,load-" in line for line in lines) >= 2
    assert any("mutex" in line and "the server answered 403" in line for line in lines)
    assert any("heap" in line and "more than 16 MiB" in line for line in lines)
    total = pprof.read_profile(tmp_path / "etcd-wall-load.pb.gz")
    assert total.column("goroutine")[("a.b/c.F",)] % 3 == 0
    assert pprof.read_profile(tmp_path / "etcd-cpu-load-00.pb.gz").column("cpu")


class SlowAfterTheFirst(Served):
    """A server whose second CPU profile takes long."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.first = True

    def answer(self, request: Request, body: bytes) -> None:
        if request.path.startswith("/debug/pprof/profile"):
            is_first, self.first = self.first, False
            if not is_first:
                self.asked.set()
                time.sleep(3)
        super().answer(request, body)


def test_a_profile_of_after_the_load_is_not_waited_for(tmp_path: Path) -> None:
    served, probe = SlowAfterTheFirst(), ProfilesProbe()
    with answering(served.answer) as url, answering(Served().answer) as other_url:
        one, two = (target(u, metrics={"etcd": f"{u}/metrics"}) for u in (url, other_url))
        began_s = time.time()
        with probe.watch(two, tmp_path) as other, probe.watch(one, tmp_path) as watch:
            assert served.asked.wait(10)
            asked_s = time.monotonic()
            watch.readings(Span(began_s, began_s + 1e-3))
            assert time.monotonic() - asked_s < 2
            assert all(source.stopped.is_set() for source in other.sources)
        assert not probe.running

    lines = (tmp_path / "profiles.csv").read_text().splitlines()
    cpu = [line for line in lines if ",cpu," in line]
    assert len(cpu) == 1
    assert "load-00" in cpu[0]


def test_nothing_runs_on_when_the_load_fails(tmp_path: Path) -> None:
    with answering(Served().answer) as url:
        watched = target(url, metrics={"etcd": f"{url}/metrics"})
        with (
            pytest.raises(ValueError, match="the load failed"),
            ProfilesProbe().watch(watched, tmp_path) as watch,
        ):
            raise ValueError("the load failed")
    assert not any(thread.is_alive() for one in watch.sources for thread in one.threads)


class Counted:
    """A driver that did so many creates."""

    def measure(self, targets: object, out: Path, seed: int) -> Load:
        readings = (Reading("http_req_duration{op=create}/count", 100.0, "1"),)
        return Load(dict.fromkeys(Arm, readings), dict.fromkeys(Arm, Span(10.0, 20.0)))


def test_the_operations_of_a_load_are_kept(tmp_path: Path) -> None:
    RecordingDriver(Counted()).measure({}, tmp_path, 1)
    load = read_load(tmp_path / "load.csv", Arm.CANDIDATE)
    assert load.span == Span(10.0, 20.0)
    assert operation_of(READING, load.readings) == ("create", 100.0)
    with pytest.raises(ProbeError, match="what the load did is unknown"):
        read_load(tmp_path / "gone.csv", Arm.CANDIDATE)


@pytest.mark.parametrize(
    ("reading", "readings", "per"),
    [
        (READING, {"http_req_duration{op=create}/count": 4, "requests": 9}, ("create", 4)),
        ("server.cpu", {"requests": 9}, ("request", 9)),
        ("projects.ready/p50", {"projects_created": 6, "projects_deleted": 3}, ("Project", 6)),
        ("projects.gone/p50", {"projects_created": 6, "projects_deleted": 3}, ("Project", 3)),
    ],
)
def test_values_are_divided_by_what_the_metric_is_about(
    reading: str, readings: dict[str, float], per: tuple[str, float]
) -> None:
    assert operation_of(reading, readings) == per
    with pytest.raises(ProbeError, match="nothing that can be counted"):
        operation_of(reading, {})


def text(**values: float) -> bytes:
    lines = [f'{name}{{verb="GET",le="+Inf"}} {value}' for name, value in values.items()]
    return gzip.compress("\n".join(["# TYPE a counter", *lines, "idle_total 7"]).encode())


def extra_pairs(out: Path, pairs: int = 4) -> ResultSet:
    """Write the evidence of some pairs: only the candidate waits, and asks etcd twice."""
    for pair in range(pairs):
        workload = out / "pairs" / f"{pair:03}" / "object-crud"
        for arm in Arm:
            folder = workload / arm
            folder.mkdir(parents=True)
            rows = []
            for kind, unit in (("block", "delay"), ("goroutines", "goroutine")):
                for when in ("before", "after"):
                    is_after = when == "after"
                    stacks = {
                        f"F{n}": 1e7 * n * (is_after + 0.01 * ((7 * n + 3 * pair + len(arm)) % 5))
                        for n in range(1, 30)
                    }
                    if is_after and arm is Arm.CANDIDATE and kind == "block":
                        stacks["Wait"] = 5e8 + 1e7 * pair
                    name = f"server-{kind}-{when}.pb.gz"
                    (folder / name).write_bytes(profile(unit, **stacks))
                    rows.append(("server", kind, when, name, 0, 1, 1, ""))
            rows.append(("server", "mutex", "after", "", 0, 0, 1, "HTTP 403"))
            write_csv(folder / "profiles.csv", profiles.COLUMNS, rows)
            requests = (400.0 if arm is Arm.CANDIDATE else 200.0) + pair
            (folder / "server-before.prom.gz").write_bytes(text(etcd_requests_total=50.0))
            (folder / "server-after.prom.gz").write_bytes(text(etcd_requests_total=50.0 + requests))
        RecordingDriver(Counted()).measure({}, workload, pair)
    return results((LATENCY, [1.0] * pairs, [1.0] * pairs))


def test_what_waits_is_named_from_files_to_cause(tmp_path: Path) -> None:
    run = extra_pairs(tmp_path)
    found = read_evidence(tmp_path, run, "object-crud", READING)

    assert (found.per, found.pairs) == ("create", 4)
    assert any("mutex of server: HTTP 403" in gap for gap in found.gaps)
    causes = find_causes(
        found.stacks,
        found.series,
        Metric("create_p50", "s", Better.LOWER, 0.05),
        reading=READING,
        is_rise=True,
    ).causes
    assert causes[0].name == "a.b/c.Wait"
    assert causes[0].change == pytest.approx(5e-3, rel=0.1)


def test_each_file_is_read_once_also_if_two_kinds_of_evidence_are_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = extra_pairs(tmp_path)
    types = tuple(
        (f"{what}_{of}", unit)
        for what in ("alloc", "inuse")
        for of, unit in (("objects", "count"), ("space", "bytes"))
    )
    for table in tmp_path.rglob("profiles.csv"):
        for when, size in (("before", 1e6), ("after", 9e6)):
            heap = StackProfile(types, {("a.b/c.Keep",): (4.0, size, 2.0, size / 2)})
            pprof.write_profile(table.with_name(f"server-heap-{when}.pb.gz"), heap)
            with table.open("a", encoding="utf-8") as file:
                file.write(f"server,heap,{when},server-heap-{when}.pb.gz,0,1,1,\r\n")
    read: list[Path] = []
    real = pprof.read_profile

    def counted(path: Path) -> StackProfile:
        read.append(path)
        return real(path)

    monkeypatch.setattr(pprof, "read_profile", counted)
    found = read_evidence(tmp_path, run, "object-crud", READING)

    kinds = {one.kind: one for one in found.stacks}
    (heap_stack,) = kinds[EvidenceKind.HEAP].pairs[0][0].values()
    (allocated,) = kinds[EvidenceKind.ALLOCATIONS].pairs[0][0].values()
    assert (heap_stack, allocated) == (4.5e6, 8e6)
    assert len([path for path in read if "heap" in path.name]) == 2 * 2 * 4
    assert len(read) == len(set(read))


def test_a_pair_with_a_broken_profile_is_left_out_and_named(tmp_path: Path) -> None:
    run = extra_pairs(tmp_path)
    arm = tmp_path / "pairs" / "001" / "object-crud" / "candidate"
    (arm / "server-block-after.pb.gz").write_bytes(b"\x1f\x8bbroken")
    (arm.parent.parent.parent / "002" / "object-crud" / "load.csv").unlink()
    found = read_evidence(tmp_path, run, "object-crud", READING)

    assert found.pairs == 3
    assert "pair 2: load.csv" in " ".join(found.gaps)
    assert any(gap.startswith("block of server: server-block-after.pb.gz:") for gap in found.gaps)
    assert {one.kind for one in found.stacks} == {EvidenceKind.GOROUTINES}


@pytest.mark.parametrize(
    "types",
    [
        (("contentions", "count"), ("delay", "milliseconds")),
        (("contentions", "count"), ("waits", "nanoseconds")),
        (("waits", "count"), ("delay", "nanoseconds")),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_profiles_of_other_types_or_units_are_a_gap_and_no_change(
    tmp_path: Path, types: tuple[tuple[str, str], ...], when: str
) -> None:
    """In the candidate alone, every function would have moved, or by a factor of a million."""
    run = extra_pairs(tmp_path)
    other = pprof.dump_profile(StackProfile(types, {("a.b/c.F1",): (9e8, 9e8)}))
    for path in tmp_path.rglob(f"candidate/server-block-{when}.pb.gz"):
        path.write_bytes(other)
    found = read_evidence(tmp_path, run, "object-crud", READING)
    assert {one.kind for one in found.stacks} == {EvidenceKind.GOROUTINES}
    assert any("has no sample type" in gap for gap in found.gaps)


@pytest.mark.parametrize("start", ["nan", "inf", "2"])
def test_a_time_that_is_none_is_a_gap(tmp_path: Path, start: str) -> None:
    run = extra_pairs(tmp_path)
    rows = [("server", "wall", "load", "server-goroutines-after.pb.gz", start, 1, 1, "")]
    for path in tmp_path.rglob("profiles.csv"):
        write_csv(path, profiles.COLUMNS, rows)
    found = read_evidence(tmp_path, run, "object-crud", READING)
    assert found.stacks == ()
    assert any("profiles.csv cannot be read" in gap for gap in found.gaps)


def test_increases_without_the_profile_from_before_are_a_gap(tmp_path: Path) -> None:
    run = extra_pairs(tmp_path)
    rows = [("server", "block", "after", "server-block-after.pb.gz", 0, 1, 1, "")]
    for path in tmp_path.rglob("candidate/profiles.csv"):
        write_csv(path, profiles.COLUMNS, rows)
    found = read_evidence(tmp_path, run, "object-crud", READING)
    assert EvidenceKind.BLOCK not in {one.kind for one in found.stacks}
    assert any("there is no profile" in gap for gap in found.gaps)


def test_a_profile_of_another_folder_is_never_read(tmp_path: Path) -> None:
    run = extra_pairs(tmp_path, 3)
    rows = [("server", "block", "after", "../../../../secret.pb.gz", 0, 1, 1, "")]
    (tmp_path / "secret.pb.gz").write_bytes(profile("delay", Secret=9e9))
    for path in tmp_path.rglob("profiles.csv"):
        write_csv(path, profiles.COLUMNS, rows)
    found = read_evidence(tmp_path, run, "object-crud", READING)

    assert found.stacks == ()


def test_only_what_grew_is_compared_and_summed_up(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(text(etcd_requests_total=5, x_seconds_bucket=1))
    (tmp_path / "b.gz").write_bytes(text(etcd_requests_total=25, x_seconds_bucket=9))
    grown = series.growth(tmp_path / "a.gz", tmp_path / "b.gz")
    assert grown == {("etcd_requests_total", (("verb", "GET"),)): 20.0}

    found = series.comparable_series([(grown, grown)] * 3)
    assert {one.name for one in found} == {
        "etcd_requests_total",
        'etcd_requests_total{verb="GET"}',
    }
    assert found[0].group == "etcd requests"
    assert found[0].may_cause
    assert series.group_of("process_cpu_seconds_total") == "process"
    with pytest.raises(ProbeError, match="cannot be read"):
        series.growth(tmp_path / "gone.gz", tmp_path / "b.gz")


def test_gauges_are_no_evidence_and_a_sum_has_its_own_events(tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 5)):
        lines = [
            "# TYPE heap_bytes gauge",
            f"heap_bytes {value}e8",
            "# TYPE sizes histogram",
            f"sizes_sum {1000 * value}",
            f"sizes_count {value}",
        ]
        (tmp_path / name).write_bytes(gzip.compress("\n".join(lines).encode()))
    grown = series.growth(tmp_path / "a", tmp_path / "b")
    events = {one.name: one.event for one in series.comparable_series([(grown, grown)] * 3)}
    assert events == {"sizes_sum": 1000.0, "sizes_count": 1.0}


def with_keys(out: Path, left: int = 1) -> ResultSet:
    """Return results of extra pairs whose candidate leaves some keys of each Project in etcd."""
    run = extra_pairs(out)
    for arm in Arm:
        for folder in out.rglob(arm.value):
            left_here = 100 * left if arm is Arm.CANDIDATE else 0
            for path in folder.glob("server-*"):
                path.with_name(path.name.replace("server", "etcd", 1)).write_bytes(
                    path.read_bytes()
                )
            rows = [("etcd", "goroutines", "after", "etcd-goroutines-after.pb.gz", 0, 1, 1, "")]
            write_csv(folder / "profiles.csv", profiles.COLUMNS, rows)
            usual = {f"type{n}": 100 * n for n in range(1, 15)}
            for when, new in (("before", {}), ("after", {"configmaps": left_here, **usual})):
                keys = {"projects": {"namespaces": 1, **new}, "others": {"roles": 3}}
                (folder / f"etcd-keys-{when}.json").write_text(json.dumps(keys))
    return run


def test_keys_that_are_left_in_etcd_are_named_by_type(tmp_path: Path) -> None:
    found = read_evidence(tmp_path, with_keys(tmp_path), "object-crud", READING)
    metric = Metric("keys_left", "1", Better.LOWER, 0.2)
    first = find_causes((), found.series, metric, reading="etcd.keys_left", is_rise=True).causes[0]
    assert first.name == 'etcd_keys{in="projects",type="configmaps"}'
    assert (first.component, first.baseline, first.candidate) == ("etcd", 0.0, 1.0)


@pytest.mark.parametrize(
    "text", [None, "{", "[]", '{"projects": {"a": "b"}}', '{"projects": null}']
)
def test_keys_that_one_arm_does_not_have_are_a_gap_and_no_change(
    tmp_path: Path, text: str | None
) -> None:
    run = with_keys(tmp_path)
    path = next(tmp_path.rglob("candidate/etcd-keys-after.json"))
    path.unlink() if text is None else path.write_text(text)
    found = read_evidence(tmp_path, run, "object-crud", READING)
    assert not [one for of in found.series for one in of.series if "etcd_keys" in one.name]
    assert any(gap.startswith("keys in etcd: ") for gap in found.gaps)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "1.7e308"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_metric_that_is_no_number_hides_no_other(
    tmp_path: Path, value: str, *, is_first: bool
) -> None:
    run = extra_pairs(tmp_path)
    for path in tmp_path.rglob("server-after.prom.gz"):
        lines = gzip.decompress(path.read_bytes()).decode().split("\n")
        odd = [f'{name}_total{{at="{n}"}} {value}' for name in "ax" for n in range(2)]
        lines = [*odd, *lines] if is_first else [*lines, *odd]
        path.write_bytes(gzip.compress("\n".join(lines).encode()))
    found = read_evidence(tmp_path, run, "object-crud", READING)
    metric = Metric("create_p50", "s", Better.LOWER, 0.05)
    moved = find_causes((), found.series, metric, reading=READING, is_rise=True).metrics
    assert [one.name for one in moved] == ["etcd_requests_total"]


@pytest.mark.parametrize("end", ["\u2028", "\x85", "\x0b", "\x1c"])
def test_a_label_may_have_another_end_of_a_line(tmp_path: Path, end: str) -> None:
    for name, value in (("a", 5), ("b", 25)):
        line = f'etcd_requests_total{{verb="a{end}b"}} {value}\n'
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(line.encode()))
    grown = series.growth(tmp_path / "a.gz", tmp_path / "b.gz")
    assert grown == {("etcd_requests_total", (("verb", f"a{end}b"),)): 20.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / FOLDER).mkdir()
    return tmp_path


def asked(
    folder: Path, metric: str, pairs: int | None = None, *, is_resumed: bool = False
) -> ExplainRequest:
    suite = suite_file.load(suite_file.path_of("smoke")).suite.of(Product.REFERENCE)
    run = results((LATENCY, [1.0, 1.1, 1.0], [1.0, 1.1, 1.0]))
    return explaining.new_request(folder, suite, run, (metric, pairs), is_resumed=is_resumed)


def test_bad_arguments_are_one_clear_error(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no metric `object-crud/creat_p50`") as error:
        asked(folder, "object-crud/creat_p50")
    assert error.value.hint == "did you mean object-crud/create_p50?"
    with pytest.raises(ConfigError, match="--pairs 2: an explanation needs 3 to 40 pairs"):
        asked(folder, "object-crud/create_p50", 2)
    with pytest.raises(ConfigError, match="nothing to explain"):
        asked(folder, "")
    with pytest.raises(BaselineError, match="no such file"):
        asked(folder, "", is_resumed=True)


def test_extra_pairs_are_kept_and_continued_on_request(folder: Path) -> None:
    asked(folder, "object-crud/create_p50")
    (folder / FOLDER / "pairs.json").write_text("{}")
    with pytest.raises(ConfigError, match="has the extra pairs of an earlier explanation"):
        asked(folder, "object-crud/create_p50")
    request = asked(folder, "", 8, is_resumed=True)
    assert request == codec.EXPLAIN_REQUEST.read(folder / FOLDER / "request.json")
    assert request.metrics == ("object-crud/create_p50",)
    assert (request.pairs, request.budget_s) == (8, None)
    with pytest.raises(ConfigError, match="cannot be changed by --resume"):
        asked(folder, "object-crud/get_p50", is_resumed=True)


@pytest.mark.parametrize(
    ("pair_s", "asked_pairs", "measured"),
    [(40.0, None, 4), (55.0, None, 3), (500.0, None, 3), (500.0, 5, 5)],
)
def test_a_fourth_pair_is_measured_if_it_ends_in_three_minutes(
    folder: Path, pair_s: float, asked_pairs: int | None, measured: int
) -> None:
    suite = suite_file.load(suite_file.path_of("smoke")).suite.of(Product.REFERENCE)
    request = asked(folder, "object-crud/create_p50", asked_pairs)
    plan = Plan(suite, request.pairs, Interleave.REQUEST, 1)
    for pairs in range(1, measured + 1):
        run = results((LATENCY, [1.0] * pairs, [1.0] * pairs))
        trials = tuple(replace(trial, duration_s=pair_s) for trial in run.trials)
        enough = explaining.is_enough(plan, request, replace(run, trials=trials))
        assert enough == (pairs == measured)


def test_pairs_one_after_the_other_are_found(tmp_path: Path) -> None:
    run = replace(extra_pairs(tmp_path, 3), interleave=Interleave.TRIAL)
    found = read_evidence(tmp_path, run, "object-crud", READING)
    assert found.pairs == 0
    assert found.gaps[0].startswith("pair 0: load.csv")
