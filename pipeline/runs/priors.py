"""Where the prior of a run comes from: a named file, earlier runs here, or what a suite ships.

Only runs that were measured by this user on this machine are kept here; see `feed`.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.judge.spreads import (
    LEAST_RUNS,
    PriorRequest,
    SpreadOrigin,
    conditions_of,
    prior,
    run_spreads,
    unfit,
    usable,
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
"""Name of the folder below the state of the user, and below `baselines/`."""


@dataclass(frozen=True, slots=True)
class NamedSpreads:
    """Spreads that a person named, instead of those of this machine.

    Attributes:
        name: Of the file; empty for no prior at all.
        histories: What is in it, by different conditions.
    """

    name: str = ""
    histories: tuple[SpreadHistory, ...] = ()


NO_PRIOR = NamedSpreads()
"""A run that asks for it has no prior."""


def request(
    suite: Suite, product: Product, interleave: Interleave, machine: Machine | None = None
) -> PriorRequest:
    """Return what is asked for by a run that begins now.

    Args:
        suite: With the environment that the run is in.
        product: That is measured.
        interleave: How the trials of a pair share the machine.
        machine: Where the run is measured; None where nobody can tell.
    """
    of_product = suite.of(product)
    keys = [f"{w.name}/{metric.name}" for w in of_product.workloads for metric in w.metrics]
    digest = load_digest(of_product)
    conditions = Conditions(suite.name, product, suite.environment.kind, interleave, digest)
    return PriorRequest(
        conditions, keys, datetime.now(UTC), machine.fingerprint if machine else None
    )


def chosen(asked: PriorRequest, named: NamedSpreads | None) -> Prior | None:
    """Return the prior of a run: the named one, this machine's, the shipped one, or none.

    Args:
        asked: By the run.
        named: What a person named, if anything.

    Raises:
        BaselineError: The spread file that the suite ships cannot be read.
    """
    if named == NO_PRIOR:
        return None
    found = _of_named(asked, named) if named else None
    found = found or _of_this_machine(asked) or shipped(asked)
    if found:
        log.info("prior of how much the pairs vary: %s", found.source)
    return found


def shipped(asked: PriorRequest) -> Prior | None:
    """Return the prior that the suite ships, if it ships one for what is measured as it is now.

    Raises:
        BaselineError: The file cannot be read.
    """
    path = shipped_path(paths.project_path("baselines"), asked.conditions)
    return prior(codec.read_spreads(path), asked, SpreadOrigin.SHIPPED) if path.is_file() else None


def shipped_path(baselines: Path, conditions: Conditions) -> Path:
    """Return the path of the spread file that a suite ships.

    Args:
        baselines: Folder of the stored baselines.
        conditions: Of the spreads.
    """
    return baselines / _FOLDER / f"{conditions.suite}-{conditions.product}.json"


def feed(report: Report) -> bool:
    """Keep how much the pairs of a run varied, and return whether it is kept.

    A run that says too little, or whose builds differ, is left out.  A file that cannot be read or
    written is only logged: the answer of the run stands without it.

    Args:
        report: Of a run that this user measured on this machine.
    """
    conditions = conditions_of(report.results)
    if conditions is None or (why := unfit(report)):
        log.debug("no part of later priors: %s", why if conditions else "its load is not known")
        return False
    try:
        path = _path(conditions)
        path.parent.mkdir(exist_ok=True)
        with exclusive_lock(path.parent / "spreads.lock", "keeping how much its pairs varied"):
            before, new = _kept(path, conditions), run_spreads(report.results)
            history = with_run(before, new, datetime.now(UTC))
            codec.write_spreads(path, history)
    except (BaselineError, ConfigError, StorageError, OSError) as error:
        log.warning("how much the pairs varied is not kept for later runs: %s", error)
        return False
    log.debug("how much the pairs varied is kept: %s runs in %s", len(history.runs), path)
    if len(history.runs) < LEAST_RUNS:
        log.info(
            "%s of the %s runs are kept that the prior of this machine needs",
            len(history.runs),
            LEAST_RUNS,
        )
    return True


def _of_named(asked: PriorRequest, named: NamedSpreads) -> Prior | None:
    for history in named.histories:
        if found := prior(history, asked, SpreadOrigin.NAMED, named.name):
            return found
    number = max((len(usable(history, asked)) for history in named.histories), default=0)
    log.warning(
        "%s has %s earlier runs of this suite, product, environment and load, and a prior needs"
        " %s: it is not used",
        named.name,
        number or "no",
        LEAST_RUNS,
    )
    return None


def _of_this_machine(asked: PriorRequest) -> Prior | None:
    try:
        history = _kept(_path(asked.conditions), asked.conditions)
    except (BaselineError, ConfigError, StorageError, OSError) as error:
        log.warning("what earlier runs on this machine say is not used: %s", error)
        return None
    return prior(history, asked, SpreadOrigin.HERE)


def _kept(path: Path, conditions: Conditions) -> SpreadHistory:
    """Return what was kept on this machine; empty where nothing was.

    Raises:
        BaselineError: It cannot be read.
    """
    if not path.exists():
        return SpreadHistory(conditions)
    try:
        found = codec.read_spreads(path)
    except BaselineError as error:
        raise BaselineError(f"{error}; remove the file to begin a new one") from error
    if found.conditions != conditions:
        raise BaselineError(f"{path}: it is of other runs; remove it to begin a new one")
    return found


def _path(conditions: Conditions) -> Path:
    """Return where spreads are kept on this machine: one file for each of the conditions.

    Raises:
        ConfigError: There is no folder for it.
    """
    told = json.dumps(asdict(conditions), sort_keys=True)
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    suite = re.sub(r"[^a-z0-9_-]", "_", conditions.suite)[:40]
    return paths.state() / _FOLDER / f"{suite}-{conditions.product}-{digest}.json"
