"""Read raw points of k6's `csv` output: one line per metric and request."""

import gzip
import io
import math
import urllib.parse
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.system.errors import LoadError
from pipeline.system.sanitize import truncate

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

HINT = "see k6.log beside it"

_CHUNK = 50_000  # lines held at once
_CHUNK_BYTES = 2**25  # size limit of a chunk: three times the size of k6's lines
_BUFFER = 2**18
_LATER = 429
# From k6's source, lib/netext/httpext/error_codes.go; its documentation lists them too.
_TIMED_OUT = "1050"
# A bad URL, DNS, a blocked address, an errno of this machine (no port, too many open files), TLS.
_OWN_FAULT = frozenset(
    {"1020", "1100", "1101", "1110", "1111", "1202", "1213", "1300", "1310", "1311"}
)
_MAX_NAME = 40  # characters of a quoted name
_MAX_REASON = 300  # characters of a library's message
_GROUP = ["metric_name", "extra_tags", "status", "error_code", "expected_response"]
_COLUMNS = [*_GROUP, "timestamp", "metric_value"]
UNUSED = frozenset(
    {
        *(f"http_req_{part}" for part in ("blocked", "connecting", "tls_handshaking", "sending")),
        *("http_req_waiting", "http_req_receiving", "http_req_failed", "http_reqs"),
        *("ws_connecting", "ws_session_duration", "ws_msgs_received", "ws_msgs_sent", "ws_ping"),
        *("vus", "vus_max", "data_sent", "data_received", "iteration_duration", "checks"),
        "group_duration",
    }
)
"""Metrics of k6 that nothing here needs."""


@dataclass(slots=True)
class ReadBudget:
    """Remaining amount that may be read, from one file or from several together."""

    size: int = 2**36  # bytes, uncompressed
    lines: int = 10**9  # points
    kinds: int = 20_000  # combinations of metric, tags, status and error

    @property
    def is_spent(self) -> bool:
        """Whether nothing more may be read."""
        return self.size <= 0 or self.lines <= 0

    @classmethod
    def foreign(cls) -> "ReadBudget":
        """Return the budget for an untrusted folder: a few seconds, and some ten MB."""
        return cls(size=2 * 10**8, lines=1_500_000, kinds=2_000)


class PointSeries(NamedTuple):
    """Points with the same metric, tags, status and error."""

    metric: str
    tags: Mapping[str, str]
    status: str
    error_code: str
    expected: bool
    times_us: "np.ndarray[Any, np.dtype[np.int64]]"
    measured: "np.ndarray[Any, np.dtype[np.float64]]"

    @property
    def is_deferred(self) -> bool:
        """Whether the answers were `429`, and the script retried later."""
        return self.status == str(_LATER) and self.expected

    @property
    def failed(self) -> bool:
        """Whether there was no answer, or an error status."""
        code = int(self.status) if self.status.isdigit() else 0
        return (code == 0 or code >= 400) and not self.expected

    @property
    def cut_off(self) -> bool:
        """Whether the values are times after which k6 or the script gave up."""
        return self.error_code == _TIMED_OUT or self.tags.get("cut") == "yes"

    @property
    def local_failure(self) -> bool:
        """Whether k6 could not send the requests, so that nothing reached the build."""
        return self.failed and self.error_code in _OWN_FAULT


def read_series(path: Path, budget: ReadBudget | None = None) -> Iterator[PointSeries]:
    """Yield all needed points, in parts; reduce the budget, if there is one, by what is read.

    Raises:
        LoadError: The file is missing, cut off or not what k6 writes.
    """
    import numpy as np
    import pandas as pd

    splitter = _Splitter(path, budget or ReadBudget())
    try:
        with (
            gzip.open(path, "rb") as unpacked,
            _BoundedStream(path, unpacked, splitter.budget) as bounded,
            pd.read_csv(
                io.BufferedReader(bounded, _BUFFER),
                usecols=_COLUMNS,
                dtype=dict.fromkeys(_GROUP, "category")
                | {"timestamp": "int64", "metric_value": "float64"},
                keep_default_na=False,
                chunksize=_CHUNK,
            ) as chunks,
        ):
            while True:
                bounded.start_chunk()
                with np.errstate(invalid="raise"):  # a time that no int64 can be
                    chunk = next(chunks, None)
                if chunk is None:
                    break
                yield from splitter.parts(chunk)
    except (FileNotFoundError, pd.errors.EmptyDataError) as error:
        raise LoadError(f"{path}: k6 wrote nothing", hint=HINT) from error
    except (EOFError, zlib.error) as error:
        raise LoadError(f"{path}: the file is cut off or damaged", hint=HINT) from error
    except (OSError, ArithmeticError, ValueError) as error:
        why = truncate(f"{error}", _MAX_REASON)
        raise LoadError(f"{path}: not what k6 writes: {why}", hint=HINT) from error


class _BoundedStream(io.RawIOBase):
    """A stream that raises an error if it, or one of its lines, is longer than allowed."""

    def __init__(self, path: Path, file: gzip.GzipFile, budget: ReadBudget) -> None:
        super().__init__()
        self._path, self._file, self._budget = path, file, budget
        self._chunk_bytes = 0

    def start_chunk(self) -> None:
        self._chunk_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 (any buffer)
        count = self._file.readinto(buffer)
        self._chunk_bytes += count
        self._budget.size -= count
        if self._budget.size < 0:
            raise LoadError(f"{self._path}: it is larger, unpacked, than is read", hint=HINT)
        if self._chunk_bytes > _CHUNK_BYTES:
            raise ValueError("its lines are longer than those of k6")
        return count


@dataclass(frozen=True, slots=True)
class _Splitter:
    """Splits points by metric, tags, status and error."""

    path: Path
    budget: ReadBudget
    tags: dict[tuple[str, ...], Mapping[str, str]] = field(default_factory=dict)

    def parts(self, chunk: "pd.DataFrame") -> Iterator[PointSeries]:
        """Yield the points of a chunk by their kind, in order of each kind's first point."""
        import numpy as np

        self.budget.lines -= len(chunk)
        if self.budget.lines < 0:
            raise LoadError(f"{self.path}: it has more points than are read", hint=HINT)
        needed = chunk[~chunk["metric_name"].isin(UNUSED)]
        if needed.empty:
            return
        values = needed["metric_value"].to_numpy()
        if (bad := ~((values >= 0) & (values < math.inf))).any():
            metric = truncate(str(needed["metric_name"].iloc[int(bad.argmax())]), _MAX_NAME)
            message = f"{self.path}: a value of {metric} is not a number from 0 up"
            raise LoadError(message, hint=HINT)
        codes = _kind_codes(needed)
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes))
        firsts = order[np.concatenate([[0], ends[:-1]])]
        columns = [needed[name].iloc[firsts].astype(str) for name in _GROUP]
        times_us = needed["timestamp"].to_numpy()[order]
        values = values[order]
        begin = 0
        for key, end in zip(zip(*columns, strict=True), ends, strict=True):
            metric, _, status, error_code, expected = key
            yield PointSeries(
                metric,
                self._tags(key),
                status,
                error_code,
                expected.lower() == "true",  # pandas makes booleans of a column of nothing else
                times_us[begin:end],
                values[begin:end],
            )
            begin = end

    def _tags(self, key: tuple[str, ...]) -> Mapping[str, str]:
        if key not in self.tags:
            if len(self.tags) == self.budget.kinds:
                message = f"{self.path}: it has more than {self.budget.kinds} kinds of points"
                raise LoadError(message, hint=HINT)
            self.tags[key] = dict(urllib.parse.parse_qsl(key[1]))
        return self.tags[key]


def _kind_codes(needed: "pd.DataFrame") -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Return a number for the kind of each point, counted in order of their first points."""
    import numpy as np
    import pandas as pd

    codes = np.zeros(len(needed), dtype=np.int64)
    for name in _GROUP:
        column = needed[name].cat
        codes, _ = pd.factorize(codes * (len(column.categories) + 1) + column.codes.to_numpy())
    return codes
