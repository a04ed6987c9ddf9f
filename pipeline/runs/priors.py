"""Choose the prior of a run: a named file, earlier runs on this machine, or a shipped one.

The history of this machine holds only runs that this user measured on it; see `feed_history`.  A
shipped file that cannot be read is a BaselineError.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from pipeline.judge.constants import MIN_PRIOR_RUNS
from pipeline.judge.spreads import (
    PriorRequest,
    SpreadOrigin,
    conditions_name,
    prior_from,
    require_usable,
    run_spreads,
    usable_runs,
    with_run,
)
from pipeline.model.prior import Prior
from pipeline.model.report import Report
from pipeline.model.results import Interleave, Machine
from pipeline.model.spreads import Conditions, SpreadHistory
from pipeline.model.subject import Product
from pipeline.runs.suite_file import Suite, load_digest
from pipeline.storage import codec
from pipeline.system import paths
from pipeline.system.errors import BaselineError, ConfigError, StorageError
from pipeline.system.lock import exclusive_lock
from pipeline.system.log import log

_FOLDER = "spreads"
"""Name of the folder in the user's state folder, and in `baselines/`."""

_UNUSABLE = (BaselineError, ConfigError, StorageError, OSError)
"""Errors of a file of earlier runs, or of its folder."""


@dataclass(frozen=True, slots=True)
class NamedSpreads:
    """Spreads of a file that the user named, one history for each of its conditions."""

    name: str = ""
    histories: tuple[SpreadHistory, ...] = ()


NO_PRIOR = NamedSpreads()
"""The request for no prior."""


def prior_request(
    suite: Suite, product: Product, interleave: Interleave, machine: Machine | None = None
) -> PriorRequest:
    """Return the request of a run that starts now, on a machine if known."""
    of_product = suite.of(product)
    keys = [key for key, _ in of_product.keyed_metrics()]
    digest = load_digest(of_product)
    environment = conditions_name(suite.environment.kind, suite.environment.facts)
    conditions = Conditions(suite.name, product, environment, interleave, digest)
    return PriorRequest(
        conditions, keys, datetime.now(UTC), machine.fingerprint if machine else None
    )


def choose_prior(request: PriorRequest, named: NamedSpreads | None) -> Prior | None:
    """Return the prior of a run: the named one, this machine's, the shipped one, or none."""
    if named == NO_PRIOR:
        return None
    chosen = _named_prior(request, named) if named else None
    chosen = chosen or _machine_prior(request) or shipped_prior(request)
    if chosen:
        log.info("prior of the variation between pairs: %s", chosen.source)
    return chosen


def shipped_prior(request: PriorRequest) -> Prior | None:
    """Return the prior that is shipped for this version of the suite and load, if any."""
    history = _shipped_history(request)
    return prior_from(history, request, SpreadOrigin.SHIPPED) if history else None


def usual_pair_s(request: PriorRequest) -> float | None:
    """Return the median duration of a pair in earlier runs: here, or else in the shipped ones.

    A file that cannot be read is left out; whoever chooses the prior says so.
    """
    for read in (_machine_history, _shipped_history):
        try:
            history = read(request)
        except _UNUSABLE:
            continue
        runs = usable_runs(history, request) if history else ()
        if known := [run.pair_s for run in runs if run.pair_s > 0]:
            return median(known)
    return None


def shipped_path(baselines: Path, conditions: Conditions) -> Path:
    """Return the path of the spread file that a suite ships."""
    return baselines / _FOLDER / f"{conditions.suite}-{conditions.product}.json"


def feed_history(report: Report) -> bool:
    """Add the spreads of a run to the history of this machine, and return whether they were added.

    A run with too few pairs, or with different builds, is left out.  A file that cannot be read or
    written is only logged, because the verdict of the run does not depend on it.
    """
    try:
        conditions = require_usable(report)
    except BaselineError as error:
        log.debug("not used for later priors: %s", error)
        return False
    try:
        path = _path(conditions)
        path.parent.mkdir(exist_ok=True)
        with exclusive_lock(path.parent / "spreads.lock", "storing the variation between pairs"):
            before, new = _read_history(path, conditions), run_spreads(report.results)
            history = with_run(before, new, datetime.now(UTC))
            codec.SPREADS.write(path, history)
    except _UNUSABLE as error:
        log.warning("the variation between pairs could not be stored for later runs: %s", error)
        return False
    log.debug("the variation between pairs is stored: %s runs in %s", len(history.runs), path)
    if len(history.runs) < MIN_PRIOR_RUNS:
        log.info(
            "%s of %s runs stored that a prior of this machine needs",
            len(history.runs),
            MIN_PRIOR_RUNS,
        )
    return True


def _named_prior(request: PriorRequest, named: NamedSpreads) -> Prior | None:
    for history in named.histories:
        if chosen := prior_from(history, request, SpreadOrigin.NAMED, named.name):
            return chosen
    number = max((len(usable_runs(history, request)) for history in named.histories), default=0)
    log.warning(
        "%s has %s earlier runs of this suite, product, environment and load, and a prior needs"
        " %s: it is not used",
        named.name,
        number or "no",
        MIN_PRIOR_RUNS,
    )
    return None


def _machine_prior(request: PriorRequest) -> Prior | None:
    try:
        history = _machine_history(request)
    except _UNUSABLE as error:
        log.warning("earlier runs on this machine are not used: %s", error)
        return None
    return prior_from(history, request, SpreadOrigin.HERE)


def _machine_history(request: PriorRequest) -> SpreadHistory:
    return _read_history(_path(request.conditions), request.conditions)


def _shipped_history(request: PriorRequest) -> SpreadHistory | None:
    path = shipped_path(paths.project_path("baselines"), request.conditions)
    return codec.SPREADS.read(path) if path.is_file() else None


def _read_history(path: Path, conditions: Conditions) -> SpreadHistory:
    """Return the history of this machine; empty if there is none."""
    if not path.exists():
        return SpreadHistory(conditions)
    try:
        history = codec.SPREADS.read(path)
    except BaselineError as error:
        raise BaselineError(f"{error}; remove the file to begin a new one") from error
    if history.conditions != conditions:
        raise BaselineError(f"{path}: it belongs to other runs; remove it to begin a new one")
    return history


def _path(conditions: Conditions) -> Path:
    """Return the path of the history of some conditions on this machine."""
    text = json.dumps(asdict(conditions), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    suite = re.sub(r"[^a-z0-9_-]", "_", conditions.suite)[:40]
    return paths.state() / _FOLDER / f"{suite}-{conditions.product}-{digest}.json"
