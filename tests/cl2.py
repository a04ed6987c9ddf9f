"""Reports of ClusterLoader2: recorded ones, and made ones whose parts a test sets."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from pipeline.drivers.clusterloader2.wire import ExpectedSummary
from tests.conftest import GOLDEN

RECORDED = ("projects", "objects-fast", "prometheus", "violation")
CONFIG = "milo-objects"
AT = "2026-11-23T21:19:56Z"
AVAILABLE = {
    "clusterMetrics": {"availabilityPercentage": 99.5, "longestUnavailablePeriod": "1m2.5s"},
    "hostMetrics": None,
}
TIMED = {
    "version": "v1",
    "dataItems": [{"data": {"total": 7.5}, "unit": "s", "labels": {"test": "phases"}}],
}
ASKED = (ExpectedSummary("Timer", "Timer"), ExpectedSummary("APIAvailability", "Avail"))


def recorded(name: str) -> Path:
    """Return the folder of a recorded report; its file names have no `:`, which git may refuse."""
    return GOLDEN / "cl2" / name


def as_written(name: str, folder: Path) -> Path:
    """Copy a recorded report, with the file names that it had."""
    folder.mkdir()
    for path in recorded(name).iterdir():
        stem, mark, time = path.name.partition("T")
        if path.name.endswith("Z.json"):
            stem, mark, time = path.name.rpartition("T")
            time = time.replace("-", ":")
        shutil.copy(path, folder / f"{stem}{mark}{time}")
    return folder


def case(name: str, time: str = "1.5", failure: str = "") -> str:
    """Return a `testcase` of junit.xml."""
    inside = f'<failure type="Failure">{escape(failure)}</failure>' if failure else ""
    return (
        f'<testcase name={quoteattr(name)} classname="ClusterLoaderV2" time="{time}">'
        f"{inside}</testcase>\n"
    )


def junit(*cases: str) -> str:
    """Return the text of junit.xml; without cases, of one step."""
    made = cases or (
        case(f"{CONFIG} overall (objects.yaml)", "17.5"),
        case(f"{CONFIG}: [step: 01] create objects", "2.5"),
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="ClusterLoaderV2" tests="0"'
        f' failures="0" errors="0" time="17.595">\n{"".join(made)}</testsuite>'
    )


def named(summary: str, config: str = CONFIG, at: str = AT) -> str:
    """Return the name of a summary's file."""
    return f"{summary}_{config}_{at}.json"


def perfdata(*items: tuple[Mapping[str, float], str, Mapping[str, str]]) -> dict[str, object]:
    """Return the body of PerfData: for each item its data, unit and labels."""
    return {
        "version": "v1",
        "dataItems": [{"data": d, "unit": u, "labels": labels} for d, u, labels in items],
    }


def latency(
    p50_ms: float, p99_ms: float, **labels: str
) -> tuple[dict[str, float], str, dict[str, str]]:
    """Return an item of APIResponsivenessPrometheus."""
    data = {"Perc50": p50_ms, "Perc90": p99_ms, "Perc99": p99_ms}
    common = {"Verb": "POST", "Resource": "secrets", "Subresource": "", "Scope": "resource"}
    return data, "ms", {**common, "Count": "200", "SlowCount": "0", **labels}


def report(
    folder: Path, bodies: Mapping[str, object] | None = None, steps: Sequence[str] = ()
) -> Path:
    """Write a report, and return its folder.

    Args:
        folder: May be there.
        bodies: JSON by name of the summary, or text that is written as it is.
        steps: Cases of junit.xml.
    """
    folder.mkdir(exist_ok=True)
    (folder / "junit.xml").write_text(junit(*steps), encoding="utf-8")
    chosen = {"Timer": TIMED, "APIAvailability": AVAILABLE} if bodies is None else bodies
    for summary, body in chosen.items():
        text = body if isinstance(body, str) else json.dumps(body, indent=2)
        (folder / named(summary)).write_text(text, encoding="utf-8")
    return folder
