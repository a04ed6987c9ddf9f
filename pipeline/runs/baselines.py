"""Stored baselines: save, compare and calibrate them, and collect spreads for a prior.

A run or baseline that is missing, unreadable, unfinished or of another suite is a BaselineError.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from pipeline import toolchain
from pipeline.environments.registry import read_environment
from pipeline.judge import calibrate, constants, policy
from pipeline.judge.constants import MIN_PRIOR_RUNS
from pipeline.judge.launches import by_launch
from pipeline.judge.spreads import require_usable, run_id, run_spreads, with_run
from pipeline.judge.stored import report_against, stored_pair
from pipeline.model.calibration import Calibration
from pipeline.model.report import Finding, Report
from pipeline.model.request import RunRequest
from pipeline.model.results import Baseline, Interleave, ResultSet
from pipeline.model.spreads import SpreadHistory
from pipeline.model.subject import Arm, Product
from pipeline.runs import calibration_gate, priors, reports, run, suite_file
from pipeline.runs.request import in_environment, require_same_profile, resolve_plan, spec_of, store
from pipeline.storage import codec
from pipeline.system import paths
from pipeline.system.errors import BaselineError, ConfigError
from pipeline.system.log import log


def run_calibration(
    request: RunRequest, folders: Sequence[Path], out: Path
) -> tuple[Calibration, Path]:
    """Calibrate by a build measured against itself, or by the runs in folders that did that.

    Return the calibration, and the file that it is stored in.
    """
    if folders:
        runs = [_results(folder) for folder in folders]
    else:
        report = run.run(request, out)
        reports.write(report, out, policy.exit_code(report, strict=False))
        runs, folders = [report.results], [out]
    product = _require_usable(runs, folders)
    loaded, plan = resolve_plan(replace(request, pairs=None))
    if runs[0].suite_digest != loaded.digest:
        raise ConfigError(
            f"{folders[0]}: measured by another suite than {request.suite}, or version of it",
            hint=f"name theirs: --suite {runs[0].suite}; runs of an older version are of no use",
        )
    for results, folder in zip(runs, folders, strict=True):
        run.feed(policy.report(results), folder)
    calibration = calibrate.calibration(runs, plan.pairs)
    return calibration, calibration_gate.save(calibration, product, runs[0].interleave)


def _require_usable(runs: Sequence[ResultSet], folders: Sequence[Path]) -> Product:
    """Return the product of runs that belong together.

    Raises:
        ConfigError: They are of different builds, suites, products, conditions or machines, one is
            there twice, or they have too few pairs.
    """
    seen: dict[str, Path] = {}
    kinds: list[tuple[Product, str, Interleave]] = []
    for results, folder in zip(runs, folders, strict=True):
        baseline, candidate = (results.subjects[arm] for arm in Arm)
        if (baseline.digest, baseline.spec) != (candidate.digest, candidate.spec):
            raise ConfigError(
                f"{folder}: {candidate.spec} and {baseline.spec} are not the same build",
                hint="a calibration needs runs of a build against itself",
            )
        if results.suite_digest != runs[0].suite_digest:
            raise ConfigError(f"{folder}: another suite, or another version of it")
        product = spec_of(candidate.spec).product
        kinds.append((product, results.environment, results.interleave))
        if kinds[-1] != kinds[0]:
            raise ConfigError(
                f"{folder}: its product, environment or order of trials differs from that of"
                f" {folders[0]}",
                hint="equal builds of one kind vary otherwise than those of another",
            )
        if results.machine.fingerprint != runs[0].machine.fingerprint:
            raise ConfigError(f"{folder}: measured on another machine, or with other tools")
        if (same := seen.setdefault(run_id(results), folder)) is not folder:
            raise ConfigError(f"{folder}: is the same run as {same}", hint="name each run once")
    pairs = sum(len(results.valid_pairs) for results in runs)
    if pairs < calibrate.MIN_CALIBRATION_PAIRS:
        raise ConfigError(
            f"{pairs} valid pairs of equal builds are too few:"
            f" {calibrate.MIN_CALIBRATION_PAIRS} are needed"
        )
    return kinds[0][0]


def spreads_of(
    folders: Sequence[Path], files_of: Mapping[Path, SpreadHistory] = MappingProxyType({})
) -> SpreadHistory:
    """Return the spreads of several runs together; runs with too few pairs are left out.

    Args:
        folders: Folders of runs.
        files_of: Content of spread files and of files of nightly records, by path.

    Raises:
        BaselineError: A run cannot be read, or no run is left.
        ConfigError: The runs differ in suite, product, environment or load.
    """
    parts = [*files_of.items(), *((folder, _spreads_in(folder)) for folder in folders)]
    now = datetime.now(UTC)
    merged: SpreadHistory | None = None
    for path, part in parts:
        if part is None:
            continue
        if merged is not None and part.conditions != merged.conditions:
            raise ConfigError(
                f"{path}: its suite, product, environment or load differs from that of the others",
                hint="give runs that differ only in the build and the time",
            )
        for spreads in part.runs:
            merged = with_run(merged or SpreadHistory(part.conditions), spreads, now)
    if merged is None or not merged.runs:
        raise BaselineError("no run is left whose spreads could be kept")
    if len(merged.runs) < MIN_PRIOR_RUNS:
        log.warning("%s runs: a prior needs %s", len(merged.runs), MIN_PRIOR_RUNS)
    return merged


def _results(folder: Path) -> ResultSet:
    return by_launch(codec.RESULTS.read(paths.result_file(folder, paths.RESULTS)))


def _spreads_in(folder: Path) -> SpreadHistory | None:
    """Return the spreads of the run in a folder; None, with a warning, if they cannot be used."""
    results = _with_load(_results(folder), folder)
    try:
        conditions = require_usable(policy.report(results))
    except BaselineError as error:
        log.warning("%s is left out: %s", folder, error)
        return None
    return SpreadHistory(conditions, (run_spreads(results),))


def _with_load(results: ResultSet, folder: Path) -> ResultSet:
    """Return results with their load digest; older results get it from the suite in the folder."""
    if results.load_digest:
        return results
    loaded = suite_file.load(folder / suite_file.SUITE)
    if loaded.digest != results.suite_digest:
        raise ConfigError(f"{folder}: the suite or one of its scripts changed since the run")
    path = folder / run.ENVIRONMENT  # results without a load digest are older than request.json
    environment = read_environment(str(path)) if path.is_file() else loaded.suite.environment
    suite = in_environment(loaded, environment).suite
    product = spec_of(results.subjects[Arm.CANDIDATE].spec).product
    return replace(results, load_digest=suite_file.load_digest(suite.of(product)))


def save_spreads(history: SpreadHistory) -> Path:
    """Write spreads to the file that is shipped with their suite, and return its path."""
    path = priors.shipped_path(paths.baselines(), history.conditions)
    path.parent.mkdir(parents=True, exist_ok=True)
    codec.SPREADS.write(path, history)
    return path


def save_baseline(out: Path, name: str, source: str = "") -> Path:
    """Store the candidate of a run as a baseline, and return the path of its file.

    `source` is the `URL@REVISION` from which the binary that was measured can be built again; empty
    to name it by its digest.
    """
    results = _results(out)
    valid = results.valid_pairs
    needed = results.looks[0] if results.looks else results.pairs_asked
    if len(valid) < needed:
        raise BaselineError(
            f"{out}: {len(valid)} of {needed} pairs were measured",
            hint="finish it with `run --resume`",
        )
    measured = results.subjects[Arm.CANDIDATE]
    subject = toolchain.pin_to_source(measured, source) if source else toolchain.pin(measured)
    samples = tuple(
        replace(s.of_pairs(valid), denominators=()) for s in results.samples[Arm.CANDIDATE]
    )
    return store().save(
        Baseline(
            name=name,
            suite=results.suite,
            suite_digest=results.suite_digest,
            subject=subject,
            machine=results.machine,
            tools=results.tools,
            taken_at=results.taken_at,
            samples=samples,
        )
    )


def differences(first: str, second: str) -> list[Finding]:
    """Compare two stored baselines.  They were measured at different times, so nothing gates."""
    before, after = store().load(first), store().load(second)
    if before.suite_digest != after.suite_digest:
        raise BaselineError(
            f"the baselines `{first}` and `{second}` are of different suites, or versions of one",
            hint="record both again with one version of the suite",
        )
    require_same_profile(before.machine, after.machine, f"`{first}` and `{second}`")
    rows = stored_pair(before, after, constants.BETWEEN_RUN_SD)
    return list(policy.findings(rows, constants.RULE))


def compare_with_stored(out: Path, name: str) -> Report:
    """Judge the candidate of a run against the stored numbers of a baseline."""
    results = _results(out)
    stored = store().load(name)
    if stored.suite_digest != results.suite_digest:
        raise BaselineError(
            f"{out} was measured by another suite, or version of it, than the baseline `{name}`"
        )
    require_same_profile(results.machine, stored.machine, f"{out} and the baseline `{name}`")
    return report_against(results, stored)
