"""Which faults the reference server knows, so that a typing error costs no build."""

import difflib
import math
import re
from collections.abc import Callable

from pipeline.model.subject import Spec
from pipeline.system.errors import ConfigError

FAULTS = {
    "slow-create": "duration",
    "slow-list": "duration",
    "slow-tail": "share:duration",
    "cpu": "duration",
    "leak-memory": "bytes",
    "leak-goroutines": "rate",
    "leak-project-goroutines": "count",
    "leak-files": "count",
    "orphans": "count",
    "errors": "share",
    "hang": "share",
    "slow-ready": "duration",
    "never-ready": "share",
    "project-lock": "duration",
    "slow-gc": "duration",
    "stuck-gc": "share",
    "crash-after": "duration",
}
"""Kind of size of every fault, by name; the server's own table is in reference/internal/faults."""

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_DURATION = re.compile(rf"0|(?:{_NUMBER}(?:ns|us|µs|ms|s|m|h))+")
_BYTES = re.compile(rf"({_NUMBER})(GiB|MiB|KiB|B|)")
_PLAIN = re.compile(_NUMBER)
_SHARE = re.compile(rf"({_NUMBER})(%?)")
_FACTOR = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1, "": 1}
_MOST_BYTES = 2**30
_MOST = 1_000_000


def check(spec: Spec) -> None:
    """Return if the server would accept every fault of a spec.

    Raises:
        ConfigError: Naming the fault, and the nearest known name or a size that would do.
    """
    for name, size in spec.settings:
        if name not in FAULTS:
            near = difflib.get_close_matches(name, FAULTS, n=1, cutoff=0.0)[0]
            raise ConfigError(
                f"`{spec}`: the reference has no fault `{name}`; did you mean `{near}`?",
                hint=f"known faults: {', '.join(FAULTS)}",
            )
        is_size, example = _KINDS[FAULTS[name]]
        if not is_size(size):
            raise ConfigError(
                f"`{spec}`: `{size}` is not a {FAULTS[name]}, which `{name}` needs",
                hint=f"write it like {example}",
            )


def _is_duration(text: str) -> bool:
    return _DURATION.fullmatch(text) is not None


def _is_bytes(text: str) -> bool:
    found = _BYTES.fullmatch(text)
    if found is None:
        return False
    size = float(found[1]) * _FACTOR[found[2]]
    return size <= _MOST_BYTES and size == math.trunc(size)


def _is_rate(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None and float(text) <= _MOST


def _is_count(text: str) -> bool:
    return _is_rate(text) and float(text) == math.trunc(float(text))


def _is_share(text: str) -> bool:
    found = _SHARE.fullmatch(text)
    return found is not None and float(found[1]) <= (100 if found[2] else 1)


def _is_share_duration(text: str) -> bool:
    share, colon, duration = text.partition(":")
    return bool(colon) and _is_share(share) and _is_duration(duration)


_KINDS: dict[str, tuple[Callable[[str], bool], str]] = {
    "duration": (_is_duration, "20ms, 200us or 1.5s"),
    "bytes": (_is_bytes, "512B, 4KiB or 1MiB, up to 1GiB"),
    "rate": (_is_rate, "1 or 0.1"),
    "count": (_is_count, "1 or 20"),
    "share": (_is_share, "0.5% or 0.005"),
    "share:duration": (_is_share_duration, "5%:20ms"),
}
