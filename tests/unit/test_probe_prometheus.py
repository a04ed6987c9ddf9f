"""Prometheus texts are read exactly, and what is not in them is never a number."""

import csv
import gzip
from pathlib import Path

import pytest

from pipeline.model.ports import Span
from pipeline.probes.curated import CURATED_METRICS, Reduction
from pipeline.probes.prometheus import PrometheusProbe, readings, select_lines
from pipeline.probes.scrape import LineSelection, parse_scrape
from pipeline.system.errors import LoadError, NetworkError, StorageError
from tests.loopback import probe_values, serving, target

# Names, labels and bounds are those of Milo v0.30.0 and etcd 3.6; the numbers are made up.
REQUESTS = (
    'apiserver_request_total{{code="{code}",component="apiserver",dry_run="",group="",'
    'resource="{resource}",scope="resource",subresource="",verb="{verb}",version="v1"}} {count}\n'
)
DURATION = (
    'apiserver_request_duration_seconds_{part}{{component="apiserver",dry_run="",group="",'
    'resource="secrets",scope="resource",subresource="",verb="POST",version="v1"{le}}} {count}\n'
)


def requests(*counts: tuple[str, str, str, int]) -> str:
    lines = [
        REQUESTS.format(code=code, resource=resource, verb=verb, count=count)
        for code, resource, verb, count in counts
    ]
    return "# TYPE apiserver_request_total counter\n" + "".join(lines)


def durations(total: float, *at_most: tuple[str, int]) -> str:
    lines = [
        DURATION.format(part="bucket", le=f',le="{bound}"', count=count) for bound, count in at_most
    ]
    lines.append(DURATION.format(part="sum", le="", count=total))
    lines.append(DURATION.format(part="count", le="", count=at_most[-1][1]))
    return "# TYPE apiserver_request_duration_seconds histogram\n" + "".join(lines)


def found(component: str, before: str, after: str) -> dict[str, float]:
    return probe_values(
        tuple(readings(component, select_lines(component, before), select_lines(component, after)))
    )


def test_counters_are_what_the_load_added_by_verb_resource_and_class() -> None:
    before = requests(("200", "secrets", "GET", 10), ("429", "secrets", "WATCH", 5))
    after = requests(
        ("200", "secrets", "GET", 17),
        ("429", "secrets", "WATCH", 7),
        ("500", "configmaps", "PUT", 2),
        ("503", "configmaps", "PUT", 1),
    )

    seen = found("server", before, after)

    assert seen["server.requests"] == 12
    assert seen["server.requests_429"] == 2
    assert seen["server.requests_5xx"] == 3
    assert seen["server.requests{verb=GET}"] == 7
    assert seen["server.requests{resource=configmaps}"] == 3


def test_a_family_without_a_series_that_fits_counted_nothing() -> None:
    text = requests(("200", "secrets", "GET", 10))

    assert found("server", text, text)["server.requests_429"] == 0


def test_a_family_that_a_version_lacks_is_not_reported() -> None:
    assert found("server", "go_goroutines 4\n", "go_goroutines 4\n") == {}
    assert "manager.requests" not in found("manager", "", "# TYPE go_goroutines gauge\n")


def test_a_counter_that_appears_with_its_first_series_is_zero_beside_one_that_is_there() -> None:
    children = "# TYPE projectstorage_child_creations_total counter\n"
    series = 'projectstorage_child_creations_total{resource_group="",resource_kind="secrets"} 5\n'

    seen = found("server", children + series, children + series)

    assert seen["server.reinitializing"] == 0
    assert seen["server.storage_children"] == 0
    assert "server.rejected" not in seen


def test_requests_are_counted_by_priority_level_and_flow_schema() -> None:
    def text(load: int, exempt: int, rejected: int) -> str:
        name = "apiserver_flowcontrol"
        lines = [f"# TYPE {name}_dispatched_requests_total counter"]
        for key, count in (("global-default", load), ("exempt", exempt)):
            labels = f'flow_schema="{key}",priority_level="{key}"'
            lines.append(f"{name}_dispatched_requests_total{{{labels}}} {count}")
        if rejected:
            labels = 'flow_schema="global-default",priority_level="global-default"'
            lines.append(f"# TYPE {name}_rejected_requests_total counter")
            for reason in ("queue-full", "time-out"):
                series = f'{labels},reason="{reason}"'
                lines.append(f"{name}_rejected_requests_total{{{series}}} {rejected}")
        return "\n".join([*lines, ""])

    seen = found("server", text(100, 7, 0), text(350, 9, 3))

    assert seen["server.dispatched{level=global-default}"] == 250
    assert seen["server.dispatched{schema=exempt}"] == 2
    assert seen["server.rejected{level=global-default}"] == 6
    assert seen["server.rejected{schema=catch-all}"] == 0
    assert found("server", text(1, 1, 0), text(2, 1, 0))["server.rejected{level=exempt}"] == 0


def test_a_gauge_is_that_after_the_load_and_what_was_added() -> None:
    seen = found("etcd", _goroutines(1090), _goroutines(1200))

    assert seen["etcd.goroutines"] == 1200
    assert seen["etcd.goroutines_added"] == 110


def test_a_gauge_that_fell_added_nothing() -> None:
    assert found("etcd", _goroutines(1200), _goroutines(1090))["etcd.goroutines_added"] == 0


def _goroutines(count: int) -> str:
    return f"# TYPE go_goroutines gauge\ngo_goroutines {count:.3e}\n"


def test_a_mean_is_of_the_load_alone() -> None:
    before = durations(100.0, ("0.05", 0), ("0.1", 10), ("+Inf", 10))
    after = durations(100.6, ("0.05", 0), ("0.1", 30), ("+Inf", 30))

    mean = found("server", before, after)["server.duration_mean{verb=POST,resource=secrets}"]

    assert mean == pytest.approx(0.03)


def test_no_request_has_no_mean_and_no_quantile() -> None:
    text = durations(100.0, ("0.05", 0), ("0.1", 10), ("+Inf", 10))

    assert not [name for name in found("server", text, text) if "duration" in name]


def test_a_quantile_comes_with_the_width_of_its_bucket() -> None:
    before = durations(1.0, ("0.05", 50), ("0.1", 50), ("0.2", 50), ("+Inf", 50))
    after = durations(9.0, ("0.05", 50), ("0.1", 148), ("0.2", 150), ("+Inf", 150))

    seen = found("server", before, after)

    assert seen["server.duration_p99_width"] == pytest.approx(0.1)
    assert seen["server.duration_p99"] == pytest.approx(0.15)


def test_a_restart_is_told_and_no_difference_across_it_is_reported() -> None:
    before = "process_start_time_seconds 1.79546587561e+09\n" + _goroutines(50)
    after = "process_start_time_seconds 1.79546599999e+09\n" + _goroutines(40)

    assert found("server", before, after) == {"server.restarts": 1, "server.goroutines": 40}
    assert found("server", before, before)["server.restarts"] == 0


def test_numbers_that_are_none_are_not_reported() -> None:
    text = "# TYPE go_goroutines gauge\ngo_goroutines NaN\n"

    assert found("etcd", text, text) == {}


def test_escaped_quotes_and_commas_in_labels_are_read() -> None:
    text = 'x_total{path="a,\\"b\\"}",code="200"} 3\nx_total{path="",code="200"} 4\n'

    assert parse_scrape(text, [LineSelection("x_total", {"code": ("2*",)})]).total(
        LineSelection("x_total", {"path": ('a,"b"}',)})
    ) == pytest.approx(3)


def test_text_that_is_not_prometheus_is_an_error() -> None:
    with pytest.raises(LoadError, match="not Prometheus text"):
        select_lines("server", "go_goroutines many\n")


def test_every_reading_has_a_name_of_its_own() -> None:
    names = [(one.component, one.name) for one in CURATED_METRICS]

    assert len(set(names)) == len(names)
    assert all(one.reduction is Reduction.COUNT for one in CURATED_METRICS if one.beside)


def test_the_probe_scrapes_before_and_after_and_keeps_both_texts(tmp_path: Path) -> None:
    texts = [_goroutines(40), _goroutines(42)]
    with serving(*texts) as url, PrometheusProbe().watch(target(url), tmp_path) as watch:
        seen = probe_values(watch.readings(Span(0, 1)))

    assert seen == {"etcd.goroutines": 42, "etcd.goroutines_added": 2}
    kept = [
        gzip.decompress((tmp_path / f"etcd-{when}.prom.gz").read_bytes()).decode()
        for when in ("before", "after")
    ]
    assert kept == texts
    with (tmp_path / "goroutines.csv").open() as file:
        looks = list(csv.DictReader(file))
    assert [(look["series"], float(look["value"])) for look in looks] == [
        ("etcd.goroutines", 40),
        ("etcd.goroutines", 42),
    ]
    assert float(looks[0]["time_s"]) < float(looks[1]["time_s"])


def test_a_server_that_does_not_answer_is_an_error_of_the_probe(tmp_path: Path) -> None:
    dead = target("http://127.0.0.1:1")
    with pytest.raises(NetworkError, match="no answer"), PrometheusProbe().watch(dead, tmp_path):
        pass


def test_a_token_that_cannot_be_read_is_an_error_of_the_probe(tmp_path: Path) -> None:
    guarded = target("https://127.0.0.1:1")
    with (
        pytest.raises(StorageError, match="token cannot be read"),
        PrometheusProbe().watch(guarded, tmp_path),
    ):
        pass
