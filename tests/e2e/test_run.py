"""The main job, from the command to the verdict, on real etcd, real servers and real k6."""

from pathlib import Path

import jsonschema
import pytest

from pipeline.model.subject import Arm
from pipeline.storage import codec
from pipeline.system.errors import Exit
from tests.running import Command, finished, nothing_is_left, verdict_of

pytestmark = [pytest.mark.real, pytest.mark.measuring]


def test_equal_builds_are_not_red_and_everything_is_left_in_the_folder(
    command: Command, both: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = command("run", "--suite", both, "--against", "reference", "--out", "out", "--seed", 1)
    stdout, _ = finished(process, Exit.NO_REGRESSION)

    verdict = verdict_of(out)
    results = codec.RESULTS.read(out / "results.json")
    jsonschema.validate(verdict, codec.schemas()["verdict-2.schema.json"])
    assert verdict["pairs_valid"] == 2
    assert (out / "report.txt").read_text().splitlines()[0] in stdout
    assert "--seed 1" in (out / "report.txt").read_text()
    assert (out / "report.md").read_text().startswith("<!-- ")
    page = (out / "report.html").read_text()
    assert "<figcaption>server.goroutines over time, before the load and after it<" in page
    assert "raw times, all valid pairs together" in page
    for workload in ("project-lifecycle", "object-crud"):
        assert (out / "pairs" / "000" / workload / "points.csv.gz").stat().st_size > 1000
    for component in ("etcd", "server"):
        for arm in Arm:
            assert (out / "pairs" / "000" / f"{component}-{arm}.log").is_file()
    keys = next(s for s in results.samples[Arm.CANDIDATE] if s.metric.name == "keys_left")
    assert keys.values == (1.0, 1.0)
    (kept,) = (tmp_path / "state" / "milo-perf" / "spreads").glob("tiny-reference-*.json")
    assert codec.SPREADS.read(kept).conditions.load_digest == results.load_digest
    assert [one.time for one in codec.SPREADS.read(kept).runs] == [results.taken_at]
    assert {"etcd", "k6", "milo-perf"} <= set(results.tools)
    assert nothing_is_left(tmp_path, out)


def test_known_faults_are_red_on_their_own_metrics(
    command: Command, both: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    candidate = "reference?slow-create=80ms&orphans=3"
    process = command(
        *("run", "--suite", both, "--against", "reference", "--candidate", candidate),
        *("--out", out, "--interleave", "trial", "--pairs", "3"),  # of two, one noisy one is enough
    )
    finished(process, Exit.REGRESSION)

    red = {m["metric"] for m in verdict_of(out)["findings"] if m["verdict"] == "regressed"}
    assert red == {"create_p50", "keys_left"}
    assert nothing_is_left(tmp_path, out)


ERRORS = """[[workload.metric]]
name = "errors_share"
select = "errors_share"
unit = "1"
scale = "difference"
margin = 0.02
gate = true
"""


@pytest.mark.parametrize(
    ("fault", "setup_s", "load_s", "red"),
    [
        pytest.param("slow-create=2s", 60, 3, "errors_share", id="a thousand times slower"),
        pytest.param("hang=10%", 60, 3, "errors_share", id="does not answer"),
        # A slow machine needs some seconds until both builds are ready and the load begins.
        pytest.param("crash-after=12s", 60, 15, "failed_trials", id="crashes under load"),
        pytest.param("slow-create=60s", 5, 3, "failed_trials", id="cannot be prepared"),
    ],
)
def test_a_build_that_hardly_works_is_a_result(
    command: Command,
    suite: Path,
    tmp_path: Path,
    *,
    fault: str,
    setup_s: int,
    load_s: int,
    red: str,
) -> None:
    deadlines = f"request_timeout_s = 1\nsetup_s = {setup_s}"
    text = suite.read_text().replace("request_timeout_s = 4", deadlines)
    suite.write_text(text.replace("duration_s = 3", f"duration_s = {load_s}") + ERRORS)
    out = tmp_path / "out"
    process = command(
        *("run", "--suite", suite, "--against", "reference", "--candidate", f"reference?{fault}"),
        *("--out", out, "--pairs", "2"),
    )
    finished(process, Exit.REGRESSION)

    found = verdict_of(out)
    assert red in {m["metric"] for m in found["findings"] if m["verdict"] == "regressed"}
    assert found["pairs_valid"] == 2
    assert nothing_is_left(tmp_path, out)
