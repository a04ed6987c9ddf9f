"""Fetch Prometheus text and parse the needed lines of it.

The text of Milo's API server has 17,000 lines.  The library's parser is exact about labels and
escapes, but takes over half a second for all of them, so the lines are filtered first.
"""

import gzip
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.model.ports import Target
from pipeline.model.replicas import by_component
from pipeline.model.results import Reading
from pipeline.system import http_client
from pipeline.system.errors import NetworkError, ProbeError, StorageError
from pipeline.system.log import log
from pipeline.system.sanitize import truncate

LabelValues = Mapping[str, tuple[str, ...]]
"""Allowed values by label; a value that ends in `*` is a prefix."""

_MAX_REASON = 300  # characters of a library's message
_GOROUTINES = "go_goroutines"
DATABASE = "etcd_mvcc_db_total_size_in_bytes"
"""Family of the size of etcd's database."""


@dataclass(frozen=True, slots=True)
class SampleLine:
    """Labels and value of one line, in the unit of its family."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class LineSelection:
    """Selects the lines of one sample name, such as `x_sum`, whose labels match."""

    sample: str
    labels: LabelValues


@dataclass(frozen=True, slots=True)
class Scrape:
    """The parsed lines of one text by sample name, and all families in it, parsed or not."""

    families: frozenset[str]
    samples: Mapping[str, tuple[SampleLine, ...]]

    def select(self, wanted: LineSelection) -> tuple[SampleLine, ...]:
        """Return the lines of a selection."""
        return tuple(
            line
            for line in self.samples.get(wanted.sample, ())
            if all(
                any(_matches(line.labels.get(label, ""), value) for value in values)
                for label, values in wanted.labels.items()
            )
        )

    def total(self, wanted: LineSelection) -> float:
        """Return the sum of the lines of a selection; 0 if there are none."""
        return sum(one.value for one in self.select(wanted))


def merge(scrapes: Sequence[Scrape], once: Collection[str] = ()) -> Scrape:
    """Return the lines of all replicas of a component, of which there is at least one.

    So a total is the sum over the replicas.  Of the samples in `once`, which all replicas count
    alike, only the first replica's lines are kept.
    """
    samples: dict[str, tuple[SampleLine, ...]] = dict(scrapes[0].samples)
    for scrape in scrapes[1:]:
        for name, lines in scrape.samples.items():
            if name not in once:
                samples[name] = (*samples.get(name, ()), *lines)
    return Scrape(frozenset().union(*(one.families for one in scrapes)), samples)


def fetch_text(target: Target, replica: str) -> str:
    """Return the Prometheus text of one replica, or raise NetworkError or StorageError."""
    url = target.metrics[replica]
    ca_file, token = credentials_for(target, url)
    return http_client.text(url, ca_file=ca_file, token=token)


def credentials_for(target: Target, url: str) -> tuple[Path | None, str]:
    """Return the CA file and the token for a URL of a component; neither for plain HTTP."""
    if not url.startswith("https:"):
        return None, ""
    return target.ca_file, target.admin_token()


def write_compressed(path: Path, text: str) -> None:
    """Write a text to a gzip file, or raise StorageError."""
    try:
        path.write_bytes(gzip.compress(text.encode(), compresslevel=1, mtime=0))
    except OSError as error:
        raise StorageError.unwritable(path, error) from error


def parse_scrape(text: str, wanted: Iterable[LineSelection]) -> Scrape:
    """Return the selected lines of a text.

    Raises:
        ProbeError: A selected line is not Prometheus text.
    """
    from prometheus_client.parser import text_string_to_metric_families

    by_name: dict[str, list[tuple[tuple[str, ...], ...]]] = {}
    for one in wanted:
        by_name.setdefault(one.sample, []).append(_needles(one.labels))
    families: set[str] = set()
    lines: list[str] = []
    for line in text.split("\n"):  # a label's value may have another end of a line
        if line.startswith("# TYPE "):
            families.add(line.split(" ", 3)[2])
            continue
        name = line.partition(" ")[0].partition("{")[0]
        if any(_may_match(line, needles) for needles in by_name.get(name, ())):
            lines.append(line)
    samples: dict[str, list[SampleLine]] = {}
    try:
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                value = float(sample.value)  # the library reads `7` as an int
                samples.setdefault(sample.name, []).append(SampleLine(sample.labels, value))
    except (OverflowError, ValueError) as error:
        raise ProbeError(f"not Prometheus text: {truncate(f'{error}', _MAX_REASON)}") from error
    return Scrape(frozenset(families), {name: tuple(ones) for name, ones in samples.items()})


def read_plain_value(text: bytes, family: str) -> float | None:
    """Return the value of a family without labels, or None if the text has none.

    It takes a hundredth of the time of `parse_scrape`, for a probe that reads every second.
    """
    match = re.search(rf"\n{family} ([^\n]*)".encode(), text)
    try:
        return float(match[1]) if match else None
    except ValueError:
        return None


def current_sizes(target: Target) -> tuple[Reading, ...]:
    """Return the current `COMPONENT.goroutines` (1) and `etcd.db_bytes` (B, of the first member).

    Goroutines of replicas are added up.  A component that does not answer has no readings.
    """
    readings = []
    for component, replicas in by_component(target.metrics).items():
        try:
            texts = [b"\n" + fetch_text(target, replica).encode() for replica in replicas]
        except (NetworkError, ProbeError, StorageError) as error:
            log.warning("cannot read the sizes of %s: %s", component, error)
            continue
        goroutines = [read_plain_value(text, _GOROUTINES) for text in texts]
        if known := [one for one in goroutines if one is not None]:
            readings.append(Reading(f"{component}.goroutines", sum(known), "1"))
        if component == "etcd" and (size := read_plain_value(texts[0], DATABASE)) is not None:
            readings.append(Reading("etcd.db_bytes", size, "B"))
    return tuple(readings)


def _needles(labels: LabelValues) -> tuple[tuple[str, ...], ...]:
    """Return, for each label, the texts of which a matching line contains one."""
    return tuple(
        tuple(
            f'{label}="{value[:-1]}' if value.endswith("*") else f'{label}="{value}"'
            for value in values
        )
        for label, values in labels.items()
    )


def _may_match(line: str, needles: tuple[tuple[str, ...], ...]) -> bool:
    return all(any(needle in line for needle in one) for one in needles)


def _matches(value: str, wanted: str) -> bool:
    return value.startswith(wanted[:-1]) if wanted.endswith("*") else value == wanted
