"""The verbs of `baseline` that judge: equal builds, and stored numbers against others."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline import codec, files, noise, stages
from pipeline.errors import BaselineError, ConfigError
from pipeline.judge import calibrate, policy
from pipeline.judge.stored import against_stored, stored_pair
from pipeline.model.calibration import Calibration
from pipeline.model.report import Finding, Report
from pipeline.model.results import ResultSet
from pipeline.model.subject import Arm
from pipeline.wish import Wish, planned


def calibrated(args: argparse.Namespace, out: Path) -> tuple[Calibration, Path]:
    """Measure a build against itself, or read runs that did, and keep what that tells.

    Args:
        args: Of `baseline calibrate`.
        out: Folder of the run; without use where runs are given.

    Raises:
        PipelineError: As `run`; or the runs cannot be used.
    """
    wish = Wish(suite=args.suite, candidate=args.subject, against=args.subject, pairs=args.pairs)
    if args.runs:
        runs = [codec.read_results(files.measured(folder, files.RESULTS)) for folder in args.runs]
    else:
        report = stages.run(wish, out)
        stages.write(report, out, policy.exit_code(report, strict=False))
        runs = [report.results]
    _check(runs, args.runs or [out])
    _, plan = planned(replace(wish, pairs=None))
    found = calibrate.calibration(runs, plan.pairs)
    return found, noise.keep(found)


def _check(runs: Sequence[ResultSet], folders: Sequence[Path]) -> None:
    """Return if runs are of equal builds, of one suite, on one machine, and enough.

    Raises:
        ConfigError: They are not.
    """
    for run, folder in zip(runs, folders, strict=True):
        baseline, candidate = (run.subjects[arm] for arm in Arm)
        if (baseline.digest, baseline.spec) != (candidate.digest, candidate.spec):
            raise ConfigError(
                f"{folder}: {candidate.spec} and {baseline.spec} are not the same build",
                hint="a calibration needs runs of a build against itself",
            )
        if run.suite_digest != runs[0].suite_digest:
            raise ConfigError(f"{folder}: another suite, or another version of it")
        if run.machine.fingerprint != runs[0].machine.fingerprint:
            raise ConfigError(f"{folder}: measured on another machine, or with other tools")
    pairs = sum(len(run.valid_pairs) for run in runs)
    if pairs < calibrate.LEAST_PAIRS:
        raise ConfigError(
            f"{pairs} valid pairs of equal builds are too few: {calibrate.LEAST_PAIRS} are needed"
        )


def differences(first: str, second: str) -> list[Finding]:
    """Return what sets two stored baselines apart; advice only, since they met on no machine.

    Raises:
        BaselineError: One is missing or unreadable, or they are of different suites.
    """
    before, after = stages.stored_baseline(first), stages.stored_baseline(second)
    if before.suite_digest != after.suite_digest:
        raise BaselineError(
            f"the baselines `{first}` and `{second}` are of different suites, or versions of one",
            hint="record both again with one version of the suite",
        )
    return list(policy.findings(stored_pair(before, after, policy.APART), policy.RULE))


def compared(out: Path, name: str) -> Report:
    """Judge the candidate of a run against a stored baseline, as far as its numbers hold here.

    Raises:
        BaselineError: The run or the baseline cannot be used, or they are of different suites.
    """
    results = codec.read_results(files.measured(out, files.RESULTS))
    stored = stages.stored_baseline(name)
    if stored.suite_digest != results.suite_digest:
        raise BaselineError(
            f"{out} was measured by another suite, or version of it, than the baseline `{name}`"
        )
    rows, warnings = against_stored(results, stored, policy.APART)
    return Report(results, policy.findings(rows, policy.RULE), policy.RULE, warnings)
