"""Summaries that we write of local processes are read as those of ClusterLoader2 are."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.drivers.clusterloader2.report import Expected, read_report, readings
from pipeline.drivers.clusterloader2.summaries import (
    Look,
    etcd_metrics,
    resource_usage,
    write_etcd_metrics,
    write_resource_usage,
    write_summary,
)
from pipeline.system.errors import LoadError, StorageError
from tests import cl2
from tests.conftest import GOLDEN

AT = datetime(2026, 11, 23, 21, 20, 0, tzinfo=UTC)
BEFORE, AFTER = ((GOLDEN / "cl2" / f"etcd-{when}.prom").read_text() for when in ("before", "after"))
LOOKS = [Look(0.5 * i, 0.1 * i * i, 1000 * (i + 1)) for i in range(11)]


def test_what_we_write_is_read_by_the_same_reader(tmp_path: Path) -> None:
    folder = cl2.report(tmp_path / "report")
    samples = {"server": LOOKS, "etcd": [Look(0, 1, 7), Look(2, 2, 9)]}
    write_resource_usage(folder, cl2.CONFIG, samples, AT)
    write_etcd_metrics(folder, cl2.CONFIG, BEFORE, AFTER, AT)
    asked = (Expected("ResourceUsageSummary", "Use"), Expected("EtcdMetrics", "Etcd"))
    report = read_report(folder, asked)
    assert (report.missing, report.empty) == ((), ())
    found = {reading.name: reading.value for reading in readings(report)}
    assert found["cl2.cpu{component=etcd}/p50"] == 0.5
    assert found["cl2.memory{component=etcd}/p100"] == 9
    assert found["cl2.memory{component=server}/p50"] == 6000
    assert found["cl2.etcd{metric=backend_commit}/count"] == 105  # 123 less 18 in the recording
    assert found["cl2.etcd{metric=backend_commit}/share_8ms"] == pytest.approx(1.0)
    assert found["cl2.etcd{metric=database_size}"] > 0


def test_the_files_are_named_as_clusterloader2_names_them(tmp_path: Path) -> None:
    path = write_summary(tmp_path, "EtcdMetrics", "a_b", {}, AT)
    assert path.name == "EtcdMetrics_a_b_2026-11-23T21:20:00Z.json"
    east = AT.astimezone(timezone(timedelta(hours=2)))
    path = write_summary(tmp_path, "EtcdMetrics", "a_b", {}, east)
    assert path.name == "EtcdMetrics_a_b_2026-11-23T23:20:00+02:00.json"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        write_resource_usage(tmp_path / "none", "c", {"server": LOOKS}, AT)


def test_the_fields_of_etcd_are_those_of_clusterloader2_and_count_the_load_only() -> None:
    found = etcd_metrics(BEFORE, AFTER)
    assert set(found) == {
        *("backendCommitDuration", "snapshotSaveTotalDuration", "peerRoundTripTime"),
        *("walFsyncDuration", "maxDatabaseSize"),
    }
    (commits,) = found["backendCommitDuration"]
    assert commits["labels"] == {"__name__": "etcd_disk_backend_commit_duration_seconds_bucket"}
    assert list(commits["buckets"])[:2] == ["0.001", "0.002"]
    assert list(commits["buckets"])[-1] == "+Inf"
    assert found["peerRoundTripTime"] == []  # one member has no peer
    assert json.loads(json.dumps(found)) == found
    nothing = etcd_metrics(AFTER, AFTER)
    assert not any(nothing["backendCommitDuration"][0]["buckets"].values())


def test_a_series_that_was_not_there_had_counted_nothing() -> None:
    peer = (
        'etcd_network_peer_round_trip_time_seconds_bucket{{To="b\\"1",le="{}"}} {}\n'
        "# EOF of a family\n"
    )
    after = peer.format("0.0001", 3) + peer.format("+Inf", 4)
    (found,) = etcd_metrics("", after)["peerRoundTripTime"]
    assert found["buckets"] == {"0.0001": 3, "+Inf": 4}
    assert found["labels"]["To"] == 'b"1'


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        pytest.param(AFTER, BEFORE, "started again", id="counts less"),
        pytest.param(AFTER, "", "started again", id="counts nothing"),
        pytest.param("", 'etcd_disk_wal_fsync_duration_seconds_bucket{le="1"} x\n', "not", id="x"),
        pytest.param("", 'etcd_disk_wal_fsync_duration_seconds_bucket{le="1" 4\n', "not", id="cut"),
        pytest.param("", "etcd_mvcc_db_total_size_in_bytes NaN\n", "no count or size", id="NaN"),
        pytest.param("", "etcd_mvcc_db_total_size_in_bytes -1\n", "no count or size", id="-1"),
        pytest.param("", "etcd_mvcc_db_total_size_in_bytes +Inf\n", "no count or", id="infinite"),
    ],
)
def test_scrapes_that_do_not_belong_together_are_refused(
    before: str, after: str, said: str
) -> None:
    with pytest.raises(LoadError, match="etcd") as refused:
        etcd_metrics(before, after)
    assert said in f"{refused.value}"


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        pytest.param([], "seen 0 times", id="never"),
        pytest.param([Look(0, 0, 1)], "seen 1 times", id="once"),
        pytest.param([Look(0, 2, 1), Look(1, 1, 1)], "started again", id="another process"),
        pytest.param([Look(1, 1, 1), Look(1, 2, 1)], "do not rise", id="no time between"),
    ],
)
def test_a_component_that_was_not_watched_has_no_usage(looks: list[Look], said: str) -> None:
    with pytest.raises(LoadError, match=f"server.*{said}"):
        resource_usage({"server": looks})


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.floats(0.01, 10), st.floats(0, 5), st.integers(0, 2**40)),
        min_size=2,
        max_size=60,
    )
)
def test_percentiles_rise_and_are_values_that_were_seen(
    steps: list[tuple[float, float, int]],
) -> None:
    time_s = cpu_s = 0.0
    looks = []
    for lasted_s, used_s, memory in steps:
        time_s, cpu_s = time_s + lasted_s, cpu_s + used_s
        looks.append(Look(time_s, cpu_s, memory))
    found = resource_usage({"server": looks})
    assert list(found) == ["50", "90", "99", "100"]
    memory_at = [found[p][0]["Mem"] for p in found]
    cpu_at = [found[p][0]["CPU"] for p in found]
    assert memory_at == sorted(memory_at)
    assert cpu_at == sorted(cpu_at)
    assert set(memory_at) <= {look.memory for look in looks}
    assert memory_at[-1] == max(look.memory for look in looks)
