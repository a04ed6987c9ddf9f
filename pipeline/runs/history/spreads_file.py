"""The argument `--prior`: a spread file, or a file of nights, told apart by their schemas."""

from pathlib import Path

from pipeline.model.spreads import SpreadHistory
from pipeline.runs.history import nights
from pipeline.runs.priors import NO_PRIOR, NamedSpreads
from pipeline.storage import codec, strict_json
from pipeline.system.errors import BaselineError

_NONE = "none"


def named_spreads(written: str) -> NamedSpreads:
    """Return what `--prior` names: the spreads of a file, or `none`.

    Raises:
        BaselineError: The file cannot be read, or is of another kind.
    """
    if written == _NONE:
        return NO_PRIOR
    path = Path(written)
    return NamedSpreads(path.name, _read(path))


def newest_spreads(path: Path) -> SpreadHistory:
    """Return the spreads of a file; of nights, those under the conditions of the newest one.

    Raises:
        BaselineError: The file cannot be read, is of another kind, or has no spreads.
    """
    known = [history for history in _read(path) if history.runs]
    if not known:
        raise BaselineError(f"{path}: nothing in it says how much its pairs varied")
    return max(known, key=lambda history: max(run.time for run in history.runs))


def _read(path: Path) -> tuple[SpreadHistory, ...]:
    hint = "a file that `baseline spreads` or `history --append` writes, or `none`"
    try:
        with path.open("rb") as file:
            data = file.read(nights.MOST_BYTES + 1)
    except OSError as error:
        raise BaselineError(f"{path}: cannot be read: {error.strerror}", hint=hint) from error
    if nights.is_nights(path) or _is_of_nights(data):
        return nights.spread_histories(nights.parse(data, path))
    try:
        return (codec.parse_spreads(data),)
    except ValueError as error:
        raise BaselineError(f"{path}: {error}", hint=hint) from error


def _is_of_nights(data: bytes) -> bool:
    """Return whether the first line is a night by its schema."""
    first = data.lstrip().partition(b"\n")[0]
    try:
        body = strict_json.loads(first)
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("schema") == nights.NIGHT
