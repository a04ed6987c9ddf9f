"""Folders and files of hostile shapes, for the tests and for `python -m dev.benchmarks hostile`."""

import gzip
from pathlib import Path

from pipeline.model.metric import Better, Metric
from pipeline.model.results import ResultSet
from pipeline.storage import codec
from pipeline.system import paths
from tests import builders

POINTS_HEAD = (
    b"metric_name,timestamp,metric_value,error_code,expected_response,name,scenario,status,"
    b"extra_tags,metadata\n"
)
_METRIC = Metric("create_p50", "s", Better.LOWER, margin=0.05, gate=True)


def point(
    at: int = 1_000_000, value: float = 10, tags: str = "arm=baseline&phase=load&op=create"
) -> bytes:
    """Return one line of raw points."""
    return f"http_req_duration,{at},{value},,true,create,load,201,{tags},\n".encode()


def run(folder: Path, points: bytes, pairs: int = 1) -> ResultSet:
    """Write a run of the suite `pr` of one metric, each pair with these raw points."""
    values = [0.01] * pairs
    found = builders.results((_METRIC, values, values), specs=("reference", "reference"))
    codec.RESULTS.write(folder / "results.json", found)
    (folder / "suite.toml").write_text(paths.project_path("suites", "pr.toml").read_text())
    packed = gzip.compress(POINTS_HEAD + points, 1)
    for pair in range(pairs):
        place = folder / "pairs" / f"{pair:03}" / "object-crud"
        place.mkdir(parents=True)
        (place / "points.csv.gz").write_bytes(packed)
    return found
