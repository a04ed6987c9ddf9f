"""The argument `--prior`: a spread file or a file of nightly records, recognised by its content.

A file that cannot be read, is of another kind or has no spreads is a BaselineError.
"""

from pathlib import Path

from pipeline.model.spreads import SpreadHistory
from pipeline.runs.history import nightly_records
from pipeline.runs.priors import NO_PRIOR, NamedSpreads
from pipeline.storage import codec, strict_json
from pipeline.system.errors import BaselineError


def named_spreads(name: str) -> NamedSpreads:
    """Return what `--prior` names: the spreads of a file, or `none`."""
    return NO_PRIOR if name == "none" else NamedSpreads(Path(name).name, _read(Path(name)))


def newest_spreads(path: Path) -> SpreadHistory:
    """Return the spreads of a file; of nightly records, those like the newest one."""
    histories = [history for history in _read(path) if history.runs]
    if not histories:
        raise BaselineError(f"{path}: no run in it says how much its pairs varied")
    return max(histories, key=lambda history: max(run.time for run in history.runs))


def _read(path: Path) -> tuple[SpreadHistory, ...]:
    hint = "a file that `baseline spreads` or `history --append` writes, or `none`"
    try:
        with path.open("rb") as file:
            data = file.read(nightly_records.MAX_BYTES + 1)
    except OSError as error:
        raise BaselineError(f"{path}: cannot be read: {error.strerror}", hint=hint) from error
    if nightly_records.is_nightly_file(path) or _is_nightly(data):
        return nightly_records.spread_histories(nightly_records.parse(data, path))
    try:
        return (codec.SPREADS.parse(data),)
    except ValueError as error:
        raise BaselineError(f"{path}: {error}", hint=hint) from error


def _is_nightly(data: bytes) -> bool:
    """Return whether the first line is a nightly record, by its schema."""
    try:
        body = strict_json.loads(data.lstrip().partition(b"\n")[0])
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("schema") == nightly_records.SCHEMA_NAME
