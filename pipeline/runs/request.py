"""Resolve a request: fill in every default and check it, without starting anything.

A request that cannot be carried out is a ConfigError; a stored baseline that is missing, unreadable
or of another suite is a BaselineError.
"""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import toolchain
from pipeline.environments import registry
from pipeline.judge.constants import MIN_PAIRS
from pipeline.judge.interim import looks_up_to
from pipeline.model.metric import Scale
from pipeline.model.plan import PlanSummary
from pipeline.model.ports import EnvironmentSettings
from pipeline.model.request import MAX_PAIRS, RunRequest, StoredRequest
from pipeline.model.results import MINIMAL, PROFILE, Baseline, Machine, profile_of
from pipeline.model.sizing import ResourceEstimate
from pipeline.model.subject import Arm, Product, Spec, SpecKind, parse_spec
from pipeline.runs import preflight, priors, suite_file
from pipeline.runs.plan import Plan, draw_seed
from pipeline.runs.suite_file import LoadedSuite, Suite
from pipeline.storage import strict_json
from pipeline.storage.baseline_store import Directory
from pipeline.system import paths
from pipeline.system.errors import BaselineError, ConfigError

_VALUES_PER_TRIAL = 10  # about the trial itself, warnings included


@dataclass(frozen=True, slots=True)
class ResolvedRun:
    """A request with every default filled in; nothing has been started.

    The suite is in the environment that the run uses.  `stored` is the baseline of a stored spec.
    """

    request: RunRequest
    suite: LoadedSuite
    plan: Plan
    specs: Mapping[Arm, Spec]
    stored: Baseline | None

    @property
    def product(self) -> Product:
        """What is measured."""
        return self.specs[Arm.CANDIDATE].product

    @property
    def omitted(self) -> tuple[str, ...]:
        """Names of the suite's workloads that the plan does not run; see `RunRequest.driver`."""
        planned = {workload.name for workload in self.plan.suite.workloads}
        return tuple(w.name for w in self.suite.suite.workloads if w.name not in planned)

    def to_store(self) -> StoredRequest:
        """Return the content of request.json."""
        return StoredRequest(
            request=self.request,
            suite_digest=self.suite.digest,
            candidate=str(self.specs[Arm.CANDIDATE]),
            baseline=str(self.specs[Arm.BASELINE]),
            pairs=self.plan.pairs,
            looks=self.plan.looks,
            budget_s=self.plan.budget_s,
            seed=self.plan.seed,
            environment=registry.to_values(self.plan.suite.environment),
        )


def resolve(request: RunRequest) -> ResolvedRun:
    """Return what a request means."""
    suite, plan = resolve_plan(request)
    specs, stored = _resolve_builds(request, suite)
    return ResolvedRun(request, suite, plan, specs, stored)


def resolve_plan(request: RunRequest) -> tuple[LoadedSuite, Plan]:
    """Return the suite of a request, in its environment, and the plan."""
    loaded = suite_file.load_to_measure(suite_file.path_of(request.suite))
    product = spec_of(request.candidate).product
    pairs = loaded.suite.pairs if request.pairs is None else request.pairs
    asked = f"--pairs {pairs}" if request.pairs is not None else f"{request.suite}: pairs = {pairs}"
    _require_possible(pairs, loaded.suite, asked)
    looks = looks_up_to(pairs) if request.pairs is None else ()
    usual_s = loaded.suite.budget_s if request.pairs is None else None
    budget_s = usual_s if request.budget_s is None else request.budget_s
    if budget_s is not None and not (math.isfinite(budget_s) and budget_s > 0):
        raise ConfigError(f"a budget of {budget_s:g} s is not a finite number above zero")
    environment = resolve_environment(request, loaded.suite.environment)
    loaded = in_environment(loaded, environment)
    seed = draw_seed(request.seed)
    suite = loaded.suite.of(product).only(request.driver)
    require_startable(environment, product)
    _require_environment_for(suite)
    plan = Plan(suite, pairs, request.interleave, seed, looks, budget_s, product)
    earlier = priors.prior_request(suite, product, request.interleave)
    if pair_s := priors.usual_pair_s(earlier):
        plan = replace(plan, pace=pair_s / plan.pair_s)
    return loaded, plan


def require_startable(environment: EnvironmentSettings, product: Product) -> None:
    """Raise ConfigError if builds of a product have no such profile, or no replicas."""
    profile = environment.facts.get(PROFILE, MINIMAL)
    if product is Product.MILO or (profile == MINIMAL and environment.replicas == 1):
        return
    what = f"profile {profile}" if profile != MINIMAL else f"{environment.replicas} replicas"
    raise ConfigError(
        f"`{product}` cannot be started with {what}: only Milo can",
        hint="give a build of Milo, or leave --profile, and `profile` and `replicas` in"
        " [environment], out",
    )


def _require_environment_for(suite: Suite) -> None:
    """Refuse loads that need more than the environment can do.

    Raises:
        ConfigError: Naming the first such load.
    """
    for workload in suite.workloads:
        pods, most = suite.environment.load_pods, workload.driver.max_pods
        if most is not None and pods > most:
            raise ConfigError(
                f"{workload.name}: a load of {workload.driver.title} can be divided over at most"
                f" {most} load pods, and the environment has {pods}",
                hint=f"set load_pods = {most}, or use --load-pods {most}",
            )
        if workload.driver.restarts and not suite.environment.can_restart:
            raise ConfigError(
                f"{workload.name}: it restarts the controllers of each build, which the environment"
                f" {suite.environment.kind} cannot do",
                hint="use --environment local, or another suite",
            )


def _require_possible(pairs: int, suite: Suite, source: str) -> None:
    if pairs < MIN_PAIRS:
        raise ConfigError(f"{source}: an interval needs at least {MIN_PAIRS} pairs")
    if pairs > (most := max_pairs(suite)):
        raise ConfigError(
            f"{source}: a run of this suite has at most {most} pairs, because larger results cannot"
            " be read again"
        )


def max_pairs(suite: Suite) -> int:
    """Return the largest number of pairs of a suite whose results.json can be read again."""
    metrics = [metric for _, metric in suite.keyed_metrics()]
    denominators = sum(metric.scale is Scale.DIFFERENCE for metric in metrics)
    per_trial = len(metrics) + denominators + _VALUES_PER_TRIAL
    readable = strict_json.OURS.values // (len(Arm) * per_trial)
    return min(MAX_PAIRS, readable) - suite.max_invalid


def resolve_environment(request: RunRequest, default: EnvironmentSettings) -> EnvironmentSettings:
    """Return the environment of a request, by default that of the suite, with its overrides."""
    environment = registry.read_environment(request.environment) if request.environment else default
    if request.load_pods is not None:
        option = f"--load-pods {request.load_pods}"
        environment = registry.with_setting(environment, "load_pods", request.load_pods, option)
    environment = registry.with_profile(environment, request.profile)
    if request.keep:
        environment = registry.with_setting(environment, "keep", value=True, option="--keep")
    for spec in (request.candidate, request.against):
        if not environment.starts_images and spec.startswith(f"{SpecKind.IMAGE}:"):
            raise ConfigError(
                f"`{spec}` is a container image: the environment {environment.kind} starts none",
                hint='say --environment kind, or the path of a file with kind = "remote"',
            )
    return environment


def in_environment(loaded: LoadedSuite, environment: EnvironmentSettings) -> LoadedSuite:
    """Return a suite that runs elsewhere; its digest stays that of what it measures."""
    suite = loaded.suite.model_copy(update={"environment": environment})
    return loaded.model_copy(update={"suite": suite})


def preview(request: RunRequest) -> tuple[PlanSummary, ResourceEstimate]:
    """Return what `plan` prints: what would run, and what it needs of this machine."""
    loaded, plan = resolve_plan(request)
    if request.against or request.baseline:
        _resolve_builds(request, loaded)
    if request.prior:
        from pipeline.runs.history.spreads_file import named_spreads

        named_spreads(request.prior)
    specs = [spec_of(spec) for spec in (request.candidate, request.against) if spec]
    preflight.require(plan, specs, Path("out"))
    return plan.summary(), preflight.resource_estimate(plan, specs)


def _resolve_builds(
    request: RunRequest, loaded: LoadedSuite
) -> tuple[Mapping[Arm, Spec], Baseline | None]:
    """Return the spec of each arm, and the stored baseline that one is from."""
    candidate = spec_of(request.candidate)
    against = request.against or _default_against(candidate, request)
    stored = None
    if not against:
        stored = store().load(request.baseline or _default_baseline(candidate, request, loaded))
        if stored.suite_digest != loaded.digest:
            raise BaselineError(
                f"the baseline `{stored.name}` was measured by another version of the suite"
                f" `{stored.suite}`",
                hint="record it again: `run --against SPEC`, then `baseline save DIR NAME`",
            )
        if request.baseline:
            machine = Machine(dict(loaded.suite.environment.facts), {})
            require_same_profile(machine, stored.machine, f"this run and `{stored.name}`")
    baseline = spec_of(stored.subject.spec if stored else against)
    if baseline.product is not candidate.product:
        raise ConfigError(
            f"`{candidate}` and `{baseline}` are builds of different products",
            hint="give --against the spec of another build of the same product",
        )
    return {Arm.BASELINE: baseline, Arm.CANDIDATE: candidate}, stored


def spec_of(text: str) -> Spec:
    """Return a spec whose settings its product knows."""
    try:
        spec = parse_spec(text)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    toolchain.check_settings(spec)
    return spec


def default_candidate() -> str:
    """Return the spec of the build under test where none is given."""
    binary = os.environ.get(toolchain.BINARY, "")
    return f"binary:{binary}" if binary else "reference"


def store() -> Directory:
    """Return the store of baselines."""
    return Directory(paths.baselines(), paths.shipped_baselines())


def require_same_profile(one: Machine, other: Machine, names: str) -> None:
    """Raise ConfigError, which names both, if the start profiles of two results differ."""
    if one.profile != other.profile:
        raise ConfigError(
            f"{names} cannot be compared: Milo was started in the profiles {one.profile} and"
            f" {other.profile}",
            hint="measure both with the same --profile",
        )


def _default_against(candidate: Spec, request: RunRequest) -> str:
    """Return the spec of the Milo binary to compare with, from the environment; empty for none."""
    binary = os.environ.get(toolchain.BASELINE_BINARY, "")
    is_wanted = candidate.product is Product.MILO and not request.baseline
    return f"binary:{binary}" if is_wanted and binary else ""


def _default_baseline(candidate: Spec, request: RunRequest, loaded: LoadedSuite) -> str:
    """Return the name of the stored baseline of a product for a suite; of Milo, the newest.

    The name ends with the start profile, where it is not the minimal one.
    """
    suite = Path(request.suite).stem
    if candidate.product is Product.REFERENCE:
        return f"reference-{suite}"
    profile = profile_of(loaded.suite.environment.facts)
    end = "" if profile == MINIMAL else f"-{re.sub(r'[^a-z0-9]+', '-', profile)}"
    pattern = re.compile(rf"milo-v(\d+)\.(\d+)\.(\d+)-{re.escape(suite + end)}")
    matches = [match for name in store().names() if (match := pattern.fullmatch(name))]
    if not matches:
        raise ConfigError(
            f"`{candidate}` has nothing to be compared with by the suite {suite}",
            hint=f"say --against SPEC, or set {toolchain.BASELINE_BINARY} to another Milo binary",
        )
    return max(matches, key=lambda match: tuple(map(int, match.groups())))[0]
