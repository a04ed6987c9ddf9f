"""What a person asked for, made into a plan, two specs and a stored baseline; starts nothing."""

import math
import os
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import toolchain
from pipeline.environments.kind import Kind as KindCluster
from pipeline.environments.registry import chosen, with_load_pods
from pipeline.judge.interim import looks_up_to
from pipeline.model.metric import Scale
from pipeline.model.plan import PlanSummary
from pipeline.model.results import Baseline, Interleave
from pipeline.model.sizing import Need
from pipeline.model.subject import Arm, Kind, Product, Spec, parse_spec
from pipeline.runs import preflight, suite_file
from pipeline.runs.plan import Plan
from pipeline.runs.priors import NamedSpreads
from pipeline.runs.suite_file import LoadedSuite, Suite
from pipeline.storage import strict_json
from pipeline.storage.baseline_store import Directory
from pipeline.system import paths
from pipeline.system.errors import BaselineError, ConfigError

MOST_PAIRS = 1_000
"""That a run may have of any suite; an artifact with more is refused, too."""

_OF_TRIAL = 10  # values about a trial itself, and room for what a reader should know of it


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked `run` or `plan` for.

    Attributes:
        suite: Name of a suite, or path of a file.
        candidate: Spec.
        against: Spec of the baseline, or empty.
        baseline: Name of a stored baseline, or empty; with neither, the default one.
        pairs: Number of valid pairs, or None for as many as the answer needs, up to the suite's.
        interleave: How the trials of a pair share the machine.
        seed: Of every random choice, or None to draw one.
        environment: Kind of environment, or a file that describes one; empty for the suite's own.
        keep: Whether a kind cluster that is made for the run stays.
        load_pods: How many pods of the cluster the load comes from, or None for as many as the
            environment says.
        build: Command that builds a source, with `{out}` for the path of the binary.
        budget_s: No pair is started that would end later, in seconds from the first one.
        prior: Spreads of earlier runs that a person named; None for those of this machine, or
            otherwise those that the suite ships.
    """

    suite: str
    candidate: str
    against: str = ""
    baseline: str = ""
    pairs: int | None = None
    interleave: Interleave = Interleave.REQUEST
    seed: int | None = None
    environment: str = ""
    keep: bool = False
    load_pods: int | None = None
    build: str = ""
    budget_s: float | None = None
    prior: NamedSpreads | None = None

    @property
    def place(self) -> str:
        """Where it runs, as a name, a path or the text of a file; empty for the suite's own.

        Raises:
            ConfigError: There is no such environment, or no pod of it can send a load.
        """
        if self.load_pods is None:
            return self.environment
        return with_load_pods(self.environment or "local", self.load_pods)


def planned(wish: Wish) -> tuple[LoadedSuite, Plan]:
    """Return what a wish means, without starting anything.

    Raises:
        ConfigError: It cannot be carried out.
    """
    loaded = suite_file.load(suite_file.path_of(wish.suite))
    product = spec_of(wish.candidate).product
    pairs = loaded.suite.pairs if wish.pairs is None else wish.pairs
    if pairs < 2:
        raise ConfigError(
            f"--pairs {pairs}: no interval is possible from fewer than 2 pairs",
            hint="`--pairs auto`, the default, takes as many as the answer needs",
        )
    if pairs > (most := most_pairs(loaded.suite)):
        raise ConfigError(
            f"{pairs} pairs: of this suite a run has at most {most}, so that its results can be"
            " read again",
            hint="`--pairs auto`, the default, takes as many as the answer needs",
        )
    looks = looks_up_to(pairs) if wish.pairs is None else ()
    usual_s = loaded.suite.budget_s if wish.pairs is None else None
    budget_s = usual_s if wish.budget_s is None else wish.budget_s
    if budget_s is not None and not (math.isfinite(budget_s) and budget_s > 0):
        raise ConfigError(f"a budget of {budget_s:g} s is not a finite number above zero")
    loaded = placed(loaded, wish.place, (wish.candidate, wish.against), keep=wish.keep)
    seed = random.SystemRandom().randrange(2**31) if wish.seed is None else wish.seed
    suite = loaded.suite.of(product)
    return loaded, Plan(suite, pairs, wish.interleave, seed, looks, budget_s, product)


def most_pairs(suite: Suite) -> int:
    """Return how many pairs of a suite can be read again: results of known size are read only."""
    metrics = [metric for workload in suite.workloads for metric in workload.metrics]
    counted = sum(metric.scale is Scale.DIFFERENCE for metric in metrics)  # with what they are of
    return min(MOST_PAIRS, strict_json.OURS.values // (2 * (len(metrics) + counted + _OF_TRIAL)))


def placed(
    loaded: LoadedSuite, where: str, specs: Sequence[str], *, keep: bool = False
) -> LoadedSuite:
    """Return a suite that runs elsewhere; its digest stays that of what it measures.

    Args:
        loaded: As it was read.
        where: See `Wish.environment`.
        specs: Of the builds.
        keep: See `Wish.keep`.

    Raises:
        ConfigError: There is no such environment, or a build cannot be started in it.
    """
    environment = chosen(where)[0] if where else loaded.suite.environment
    if keep:
        if not isinstance(environment, KindCluster):
            raise ConfigError(
                f"--keep is of the environment kind, and this is {environment.kind}",
                hint="only a kind cluster is made for a run, and deleted at its end",
            )
        environment = environment.model_copy(update={"keep": True})
    for written in specs:
        if environment.kind == "local" and written.startswith(f"{Kind.IMAGE}:"):
            raise ConfigError(
                f"`{written}` is a container image, and no process of this machine",
                hint='say --environment kind, or the path of a file with kind = "remote"',
            )
    suite = loaded.suite.model_copy(update={"environment": environment})
    return loaded.model_copy(update={"suite": suite})


def foreseen(wish: Wish) -> tuple[PlanSummary, Need]:
    """Return what `plan` prints: what would run, and what it takes of this machine.

    Raises:
        ConfigError: It cannot be carried out, or does not fit.
    """
    _, plan = planned(wish)
    specs = [spec_of(written) for written in (wish.candidate, wish.against) if written]
    preflight.require(plan, specs, Path("out"))
    return plan.summary(), preflight.needed(plan, specs)


@dataclass(frozen=True, slots=True)
class Sides:
    """The two builds of a comparison.

    Attributes:
        specs: One per arm.
        stored: The stored baseline that the baseline's spec is from, if any.
    """

    specs: dict[Arm, Spec]
    stored: Baseline | None


def sides(wish: Wish, loaded: LoadedSuite) -> Sides:
    """Return what a wish compares with what.

    Raises:
        ConfigError: A spec cannot be used, or the two are no builds of one product.
        BaselineError: The stored baseline is missing, unreadable or of another suite.
    """
    candidate = spec_of(wish.candidate)
    against = wish.against or _default_against(candidate, wish)
    stored = None if against else store().load(wish.baseline or _default_baseline(candidate, wish))
    if stored is not None and stored.suite_digest != loaded.digest:
        raise BaselineError(
            f"the baseline `{stored.name}` was measured by another version of the suite"
            f" `{stored.suite}`",
            hint="record it again: `run --against SPEC`, then `baseline save DIR NAME`",
        )
    baseline = spec_of(stored.subject.spec if stored else against)
    if baseline.product is not candidate.product:
        raise ConfigError(
            f"`{candidate}` and `{baseline}` are different products, and no two builds of one",
            hint="give --against the spec of another build of the same product",
        )
    return Sides({Arm.BASELINE: baseline, Arm.CANDIDATE: candidate}, stored)


def spec_of(written: str) -> Spec:
    """Return a spec whose settings its product knows.

    Raises:
        ConfigError: Saying which part cannot be used.
    """
    try:
        spec = parse_spec(written)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    toolchain.check(spec)
    return spec


def store() -> Directory:
    """Return where the stored baselines are."""
    return Directory(paths.baselines())


def _default_against(candidate: Spec, wish: Wish) -> str:
    """Return the spec of the baseline of Milo that the environment names, if it is to be used."""
    binary = os.environ.get(toolchain.BASELINE_BINARY, "")
    wanted = candidate.product is Product.MILO and not wish.baseline
    return f"binary:{binary}" if wanted and binary else ""


def _default_baseline(candidate: Spec, wish: Wish) -> str:
    """Return the name of the stored baseline of a product for a suite; of Milo's the newest."""
    suite = Path(wish.suite).stem
    if candidate.product is Product.REFERENCE:
        return f"reference-{suite}"
    shape = re.compile(rf"milo-v(\d+)\.(\d+)\.(\d+)-{re.escape(suite)}")
    found = [match for name in store().names() if (match := shape.fullmatch(name))]
    if not found:
        raise ConfigError(
            f"`{candidate}` has nothing to be compared with by the suite {suite}",
            hint=f"say --against SPEC, or set {toolchain.BASELINE_BINARY} to another Milo binary",
        )
    return max(found, key=lambda match: tuple(map(int, match.groups())))[0]
