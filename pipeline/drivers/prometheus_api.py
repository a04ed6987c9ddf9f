"""Ask a Prometheus over its HTTP API: an answer, or an error that says what is wrong."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from pipeline.system import http_client
from pipeline.system.errors import LoadError, NetworkError


@dataclass(frozen=True, slots=True)
class Point:
    """One series of an instant vector: its labels, and a value that is finite."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """What a Prometheus scrapes.

    Attributes:
        job: The name of its job.
        url: Where its text is.
        health: `up`, `down`, or `unknown` before the first scrape.
        error: Why it is down.
    """

    job: str
    url: str
    health: str
    error: str


def points(url: str, expression: str) -> tuple[Point, ...]:
    """Return what an expression in PromQL is now; series without a finite value are left out.

    Raises:
        LoadError: No Prometheus, none in time, or an expression that is not an instant vector.
    """
    data = _data(url, "query", {"query": expression})
    try:
        if data["resultType"] != "vector":
            raise LoadError(
                f"`{expression}` is a {data['resultType']}, not an instant vector",
                hint="a range such as `[1m]` needs a function around it, such as `rate`",
            )
        found = [Point(one["metric"], float(one["value"][1])) for one in data["result"]]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _strange(url) from error
    return tuple(point for point in found if math.isfinite(point.value))


def check_up(url: str, over_s: float) -> None:
    """Return if no target was down, now or in the last seconds.

    Raises:
        LoadError: One was, or there is no answer.
    """
    now = "up == 0"
    past = f"min_over_time(up[{math.ceil(over_s)}s]) == 0"
    down = points(url, past if over_s else now)
    if down:
        labels = down[0].labels
        when = f"at some time in the last {over_s:g} s" if over_s else "now"
        raise LoadError(
            f"Prometheus could not scrape `{labels.get('job')}`"
            f" at {labels.get('instance')}, {when}",
            hint="what it says of that time is not whole",
        )


def targets(url: str) -> tuple[ScrapeTarget, ...]:
    """Return what a Prometheus scrapes.

    Raises:
        LoadError: No Prometheus, or none in time.
    """
    data = _data(url, "targets", {"state": "active"})
    try:
        return tuple(
            ScrapeTarget(
                str(one["labels"]["job"]),
                str(one["scrapeUrl"]),
                str(one["health"]),
                str(one["lastError"]),
            )
            for one in data["activeTargets"]
        )
    except (KeyError, TypeError) as error:
        raise _strange(url) from error


def _data(url: str, what: str, parameters: Mapping[str, str]) -> Any:  # noqa: ANN401 (parsed JSON)
    try:
        text = http_client.text(f"{url.rstrip('/')}/api/v1/{what}?{urlencode(parameters)}")
    except NetworkError as error:
        raise LoadError(
            f"Prometheus at {url} does not give an answer: {error}",
            hint="is it there, and not too busy? its log is prometheus.log, if we started it",
        ) from error
    try:
        return json.loads(text)["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise _strange(url) from error


def _strange(url: str) -> LoadError:
    return LoadError(f"what answers at {url} does not answer like a Prometheus")
