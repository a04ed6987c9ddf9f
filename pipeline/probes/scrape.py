"""Prometheus text: fetched, kept, and read only as far as it is asked for.

The text of Milo's API server has 17,000 lines.  The library's parser is exact about labels and
escapes, and takes over half a second for all of them, so the lines are filtered first.
"""

import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.model.ports import Target
from pipeline.system import http_client
from pipeline.system.errors import ProbeError, StorageError
from pipeline.system.sanitize import truncate

Labels = Mapping[str, tuple[str, ...]]
"""Values that a label may have, by label; one that ends in `*` stands for all that begin so."""


_SENTENCE = 300  # characters of what a library says


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its labels and its value, in the unit that its family is in."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Selection:
    """Which lines are read: those of one sample name, such as `x_sum`, whose labels fit."""

    sample: str
    labels: Labels


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one text says.

    Attributes:
        families: Every family that it has, read or not.
        samples: The lines that were asked for, by sample name.
    """

    families: frozenset[str]
    samples: Mapping[str, tuple[Line, ...]]

    def select(self, wanted: Selection) -> tuple[Line, ...]:
        """Return the lines that a selection means."""
        found = self.samples.get(wanted.sample, ())
        return tuple(one for one in found if _fits(one.labels, wanted.labels))

    def total(self, wanted: Selection) -> float:
        """Return the sum of the lines that a selection means; 0 where there are none."""
        return sum(one.value for one in self.select(wanted))


def fetch(target: Target, component: str) -> str:
    """Return the Prometheus text of one component.

    Raises:
        NetworkError: The component did not answer.
        StorageError: The token cannot be read.
    """
    url = target.metrics[component]
    ca_file, token = access(target, url)
    return http_client.text(url, ca_file=ca_file, token=token)


def access(target: Target, url: str) -> tuple[Path | None, str]:
    """Return the authority and the token for a URL of a component; neither for plain HTTP.

    Raises:
        StorageError: The token cannot be read.
    """
    if not url.startswith("https:"):
        return None, ""
    return target.ca_file, target.admin_token()


def keep(path: Path, text: str) -> None:
    """Write a text, compressed.

    Raises:
        StorageError: It cannot be written.
    """
    try:
        path.write_bytes(gzip.compress(text.encode(), compresslevel=1, mtime=0))
    except OSError as error:
        raise StorageError.unwritable(path, error) from error


def read(text: str, wanted: Iterable[Selection]) -> Scrape:
    """Return what is asked for of a text.

    Raises:
        ProbeError: A line that is asked for is not Prometheus text.
    """
    from prometheus_client.parser import text_string_to_metric_families

    by_name: dict[str, list[tuple[tuple[str, ...], ...]]] = {}
    for one in wanted:
        by_name.setdefault(one.sample, []).append(_needles(one.labels))
    families: set[str] = set()
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            families.add(line.split(" ", 3)[2])
            continue
        name = line.partition(" ")[0].partition("{")[0]
        if any(_may_fit(line, needles) for needles in by_name.get(name, ())):
            lines.append(line)
    samples: dict[str, list[Line]] = {}
    try:
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                value = float(sample.value)  # the library reads `7` as an int
                samples.setdefault(sample.name, []).append(Line(sample.labels, value))
    except (OverflowError, ValueError) as error:
        raise ProbeError(f"not Prometheus text: {truncate(f'{error}', _SENTENCE)}") from error
    return Scrape(frozenset(families), {name: tuple(found) for name, found in samples.items()})


def plain(text: bytes, family: str) -> float | None:
    """Return the value of a family without labels, or None; for who asks every second.

    It takes a hundredth of the time that `read` takes.
    """
    needle = f"\n{family} ".encode()
    at = text.find(needle)
    if at < 0:
        return None
    start = at + len(needle)
    end = text.find(b"\n", start)
    try:
        return float(text[start : end if end >= 0 else None])
    except ValueError:
        return None


def _needles(labels: Labels) -> tuple[tuple[str, ...], ...]:
    """Return, for each label, the texts of which a line that fits must contain one."""
    return tuple(
        tuple(
            f'{label}="{value[:-1]}' if value.endswith("*") else f'{label}="{value}"'
            for value in values
        )
        for label, values in labels.items()
    )


def _may_fit(line: str, needles: tuple[tuple[str, ...], ...]) -> bool:
    return all(any(needle in line for needle in one) for one in needles)


def _fits(labels: Mapping[str, str], wanted: Labels) -> bool:
    return all(
        any(_is(labels.get(label, ""), value) for value in values)
        for label, values in wanted.items()
    )


def _is(value: str, wanted: str) -> bool:
    return value.startswith(wanted[:-1]) if wanted.endswith("*") else value == wanted
