"""What equal builds were measured to do on a machine: kept, found again, held against margins."""

import hashlib
from pathlib import Path

from pipeline import codec, files
from pipeline.errors import ConfigError
from pipeline.judge import calibrate
from pipeline.model.calibration import Calibration
from pipeline.model.results import Machine
from pipeline.plan import Plan

_SHOWN = 3  # metrics named in one error


def keep(calibration: Calibration) -> Path:
    """Write a calibration where runs on this machine look for it, and return the path."""
    path = _path(calibration.suite, calibration.machine)
    path.parent.mkdir(parents=True, exist_ok=True)
    codec.write_calibration(path, calibration)
    return path


def require(plan: Plan, suite_digest: str, machine: Machine) -> None:
    """Return if every margin that gates is above the noise, as far as that was measured here.

    Raises:
        ConfigError: A margin is below it, with the margin that would work.
        BaselineError: The calibration cannot be read.
    """
    path = _path(plan.suite.name, machine)
    if not path.is_file():
        return
    known = codec.read_calibration(path)
    if known.suite_digest != suite_digest:
        return
    metrics = {
        f"{workload.name}/{metric.name}": metric.metric()
        for workload in plan.suite.workloads
        for metric in workload.metrics
    }
    tight = sorted(calibrate.too_tight(known, metrics, plan.pairs, plan.looks))
    if not tight:
        return
    named = [
        f"{key} has {metrics[key].margin:.3g}, and {least:.2g} would work"
        for key, least in tight[:_SHOWN]
    ]
    more = f"; and {len(tight) - _SHOWN} more" if len(tight) > _SHOWN else ""
    raise ConfigError(
        f"margins are below the noise of this machine at {plan.pairs} pairs: {'; '.join(named)}"
        f"{more}",
        hint="raise them, ask for more --pairs, or calibrate again in a quiet hour: the noise was"
        f" measured on {known.taken_at:%Y-%m-%d} and is in {path}",
    )


def _path(suite: str, machine: Machine) -> Path:
    facts = "\n".join(f"{name}={value}" for name, value in sorted(machine.fingerprint.items()))
    digest = hashlib.sha256(facts.encode()).hexdigest()[:12]
    return files.baselines() / "calibrations" / f"{suite}-{digest}.json"
