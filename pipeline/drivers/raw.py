"""Raw points as k6's `csv` output writes them: one line per metric and request."""

import math
import urllib.parse
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.errors import LoadError
from pipeline.plain import clipped

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

HINT = "k6.log beside it says what k6 did"

_CHUNK = 50_000  # lines held at once
_LATER = 429
# From k6's source, lib/netext/httpext/error_codes.go; its documentation lists them too.
_TIMED_OUT = "1050"
# A bad URL, DNS, a blocked address, an errno of this machine (no port, too many open files), TLS.
_OWN_FAULT = frozenset(
    {"1020", "1100", "1101", "1110", "1111", "1202", "1213", "1300", "1310", "1311"}
)
_SHOWN = 40  # characters of a name that are worth quoting
_SENTENCE = 300  # characters of what a library says
_GROUP = ["metric_name", "extra_tags", "status", "error_code", "expected_response"]
_COLUMNS = [*_GROUP, "timestamp", "metric_value"]
# What k6 measures of itself and of each request, and nothing here needs.
_UNUSED = frozenset(
    {
        *(f"http_req_{part}" for part in ("blocked", "connecting", "tls_handshaking", "sending")),
        *("http_req_waiting", "http_req_receiving", "http_req_failed", "http_reqs"),
        *("ws_connecting", "ws_session_duration", "ws_msgs_received", "ws_msgs_sent", "ws_ping"),
        *("vus", "vus_max", "data_sent", "data_received", "iteration_duration", "checks"),
        "group_duration",
    }
)


class Series(NamedTuple):
    """Points that agree in all that is written beside their numbers."""

    metric: str
    tags: Mapping[str, str]
    status: str
    error_code: str
    expected: bool
    times_us: "np.ndarray[Any, np.dtype[np.int64]]"
    measured: "np.ndarray[Any, np.dtype[np.float64]]"

    @property
    def later(self) -> bool:
        """Whether the answers were `429`, and obeyed."""
        return self.status == str(_LATER) and self.expected

    @property
    def failed(self) -> bool:
        """Whether there was no answer, or a bad one."""
        code = int(self.status) if self.status.isdigit() else 0
        return (code == 0 or code >= 400) and not self.expected

    @property
    def cut_off(self) -> bool:
        """Whether the values are times at which k6 or the script gave up waiting."""
        return self.error_code == _TIMED_OUT or self.tags.get("cut") == "yes"

    @property
    def local_failure(self) -> bool:
        """Whether k6 could not send the requests: nothing of it reached the build."""
        return self.failed and self.error_code in _OWN_FAULT


def read_series(path: Path) -> Iterator[Series]:
    """Yield all points that are needed, in parts.

    Raises:
        LoadError: Naming the file and what is wrong with it.
    """
    import numpy as np
    import pandas as pd

    try:
        with pd.read_csv(
            path,
            compression="gzip",
            usecols=_COLUMNS,
            dtype=dict.fromkeys(_GROUP, "category")
            | {"timestamp": "int64", "metric_value": "float64"},
            keep_default_na=False,
            chunksize=_CHUNK,
        ) as chunks:
            while True:
                with np.errstate(invalid="raise"):  # a time that no int64 can be
                    chunk = next(chunks, None)
                if chunk is None:
                    break
                yield from _parts(path, chunk)
    except (FileNotFoundError, pd.errors.EmptyDataError) as error:
        raise LoadError(f"{path}: k6 wrote nothing", hint=HINT) from error
    except (EOFError, zlib.error) as error:
        raise LoadError(f"{path}: the file is cut off or damaged", hint=HINT) from error
    except (OSError, ArithmeticError, ValueError) as error:
        said = clipped(f"{error}", _SENTENCE)
        raise LoadError(f"{path}: not what k6 writes: {said}", hint=HINT) from error


def _parts(path: Path, chunk: "pd.DataFrame") -> Iterator[Series]:
    needed = chunk[~chunk["metric_name"].isin(_UNUSED)]
    groups = needed.groupby(_GROUP, observed=True, sort=False)
    for key, rows in groups:
        metric, tags, status, error_code, expected = map(str, key)
        values = rows["metric_value"].to_numpy()
        if not (values >= 0).all() or math.isinf(values.max()):
            said = clipped(metric, _SHOWN)
            raise LoadError(f"{path}: a value of {said} is not a number from 0 up", hint=HINT)
        yield Series(
            metric,
            dict(urllib.parse.parse_qsl(tags)),
            status,
            error_code,
            expected.lower() == "true",  # pandas makes booleans of a column of nothing else
            rows["timestamp"].to_numpy(),
            values,
        )
