"""What equal builds were measured to do on a machine: kept, found again, and what it excludes."""

import hashlib
from pathlib import Path

from pipeline.judge import calibrate
from pipeline.model.calibration import Calibration
from pipeline.model.prior import Prior
from pipeline.model.results import Machine
from pipeline.runs.plan import Plan
from pipeline.storage import codec
from pipeline.system import paths
from pipeline.system.log import log

_SHOWN = 3  # metrics named in the log


def keep(calibration: Calibration) -> Path:
    """Write a calibration where runs on this machine look for it, and return the path."""
    path = _path(calibration.suite, calibration.machine)
    path.parent.mkdir(parents=True, exist_ok=True)
    codec.write_calibration(path, calibration)
    return path


def out_of_reach(
    plan: Plan, suite_digest: str, machine: Machine, prior: Prior | None = None
) -> tuple[str, ...]:
    """Return the sample keys of gating metrics that this machine cannot decide in so many pairs.

    That is known from earlier runs where the run has a prior, and otherwise from a calibration of
    the same suite on this machine, if there is one.

    Args:
        plan: Of the run, with the suite of one product.
        suite_digest: See `ResultSet`.
        machine: Where it runs.
        prior: That its intervals lean on.

    Raises:
        BaselineError: The calibration cannot be read.
    """
    metrics = plan.suite.by_key()
    found: tuple[str, ...] = ()
    source = ""
    if prior:
        source = prior.source
        found = calibrate.out_of_reach_by(prior, metrics, plan.pairs, plan.looks)
    elif known := _known(plan.suite.name, suite_digest, machine):
        source = f"a calibration of {known.taken_at:%Y-%m-%d}, in {_path(known.suite, machine)}"
        spreads = calibrate.spreads_of(known)
        found = calibrate.out_of_reach(spreads, metrics, plan.pairs, plan.looks)
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        log.warning(
            "not gating on this machine, where %s pairs cannot decide it: %s%s (known from %s)",
            plan.pairs,
            ", ".join(found[:_SHOWN]),
            more,
            source,
        )
    return found


def _known(suite: str, suite_digest: str, machine: Machine) -> Calibration | None:
    """Return the calibration of a suite on a machine; None where there is none of it as it is."""
    path = _path(suite, machine)
    if not path.is_file():
        return None
    known = codec.read_calibration(path)
    return known if known.suite_digest == suite_digest else None


def _path(suite: str, machine: Machine) -> Path:
    facts = "\n".join(f"{name}={value}" for name, value in sorted(machine.fingerprint.items()))
    digest = hashlib.sha256(facts.encode()).hexdigest()[:12]
    return paths.baselines() / "calibrations" / f"{suite}-{digest}.json"
