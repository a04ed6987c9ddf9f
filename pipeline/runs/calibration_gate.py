"""The calibration of a machine: store it, and exclude metrics that it cannot decide."""

import hashlib
from pathlib import Path

from pipeline.judge import calibrate
from pipeline.model.calibration import Calibration
from pipeline.model.prior import Prior
from pipeline.model.results import Interleave, Machine
from pipeline.model.subject import Product
from pipeline.runs.plan import Plan
from pipeline.storage import codec
from pipeline.system import paths
from pipeline.system.log import log

_MAX_NAMES = 3  # metrics named in the log


def save(calibration: Calibration, product: Product, interleave: Interleave) -> Path:
    """Store a calibration for later runs like these on this machine, and return its path."""
    path = _path(calibration.suite, product, interleave, calibration.machine)
    path.parent.mkdir(parents=True, exist_ok=True)
    codec.CALIBRATION.write(path, calibration)
    return path


def undecidable_metrics(
    plan: Plan, suite_digest: str, machine: Machine, prior: Prior | None = None
) -> tuple[str, ...]:
    """Return the sample keys of gating metrics that this machine cannot decide in the plan's pairs.

    This follows from the prior of the run, otherwise from a calibration of the same suite, product
    and order of trials on this machine, if there is one.
    """
    metrics = plan.suite.by_key()
    keys: tuple[str, ...] = ()
    source = ""
    if prior:
        source = prior.source
        keys = calibrate.out_of_reach_with_prior(prior, metrics, plan.pairs, plan.looks)
    elif calibration := _stored(
        path := _path(plan.suite.name, plan.product, plan.interleave, machine), suite_digest
    ):
        source = f"a calibration of {calibration.taken_at:%Y-%m-%d}, in {path}"
        spreads = calibrate.spreads_of(calibration)
        keys = calibrate.out_of_reach(spreads, metrics, plan.pairs, plan.looks)
    if keys:
        more = f" and {len(keys) - _MAX_NAMES} more" if len(keys) > _MAX_NAMES else ""
        log.warning(
            "not gating, because %s pairs cannot decide it on this machine: %s%s (source: %s)",
            plan.pairs,
            ", ".join(keys[:_MAX_NAMES]),
            more,
            source,
        )
    return keys


def _stored(path: Path, suite_digest: str) -> Calibration | None:
    """Return the calibration in a file, if there is one of this version of the suite."""
    if not path.is_file():
        return None
    calibration = codec.CALIBRATION.read(path)
    return calibration if calibration.suite_digest == suite_digest else None


def _path(suite: str, product: Product, interleave: Interleave, machine: Machine) -> Path:
    facts = "\n".join(f"{name}={value}" for name, value in sorted(machine.fingerprint.items()))
    digest = hashlib.sha256(facts.encode()).hexdigest()[:12]
    return paths.baselines() / "calibrations" / f"{suite}-{product}-{interleave}-{digest}.json"
