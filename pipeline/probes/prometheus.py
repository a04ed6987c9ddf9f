"""Goroutines of each component, from its Prometheus text."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline import web
from pipeline.errors import LoadError
from pipeline.model.results import Reading
from pipeline.ports import Span, Target

_GOROUTINES = re.compile(r"^go_goroutines ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Scrapes once, just after the load: a scrape costs a server tens of milliseconds of CPU.

    It yields `COMPONENT.goroutines` (1) and keeps each scrape in `out`.
    """

    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["_Watch"]:
        """See `Probe.watch`."""
        yield _Watch(target, out)


@dataclass(frozen=True, slots=True)
class _Watch:
    target: Target
    out: Path

    def readings(self, span: Span) -> tuple[Reading, ...]:
        """See `Watch.readings`."""
        return tuple(
            Reading(f"{component}.goroutines", self._goroutines(component, url), "1")
            for component, url in self.target.metrics.items()
        )

    def _goroutines(self, component: str, url: str) -> float:
        secure = url.startswith("https:")  # only the API server asks who we are
        text = web.text(
            url,
            ca_file=self.target.ca_file if secure else None,
            token=self.target.admin_token_file.read_text(encoding="utf-8") if secure else "",
        )
        (self.out / f"{component}.prom").write_text(text, encoding="utf-8")
        return goroutines(text, component)


def goroutines(text: str, component: str) -> float:
    """Return `go_goroutines` of a Prometheus text.

    Raises:
        LoadError: It is not in there.
    """
    found = _GOROUTINES.search(text)
    if found is None:
        raise LoadError(f"prometheus probe: {component} does not report go_goroutines")
    return float(found[1])
