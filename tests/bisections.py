"""Searches for a commit, made of numbers only: histories, simulated judges and searches."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pipeline.judge import bisect as judge
from pipeline.judge import scale
from pipeline.judge.bisect import BisectDecision, BisectState
from pipeline.model.bisect import (
    Bisection,
    Commit,
    CommitEvidence,
    CommitOutcome,
    FoundCommit,
)
from pipeline.model.metric import Metric
from pipeline.model.results import Machine
from tests.builders import LATENCY, NOW

_BEGAN = datetime(2026, 3, 1, tzinfo=UTC)


def commit(number: int, inputs: str = "", subject: str = "") -> Commit:
    """Return the commit of a number; its build inputs are its own unless given."""
    return Commit(
        f"{number + 1:012x}{0:028x}",
        f"{number + 1:040d}",
        inputs or f"inputs {number}",
        _BEGAN + timedelta(hours=number),
        subject or f"change {number} (#{700 + number})",
    )


def bisection(
    commits: int = 16, metric: Metric = LATENCY, sd_margins: float = 0.5, freedom: float = 4.0
) -> Bisection:
    """Return a search that has measured nothing, with so many commits after the good end."""
    margin = scale.margin(metric)
    return Bisection(
        repository="../milo",
        url="https://host.invalid/milo-os/milo",
        good="v1.0.0",
        bad="v1.1.0",
        commits=tuple(commit(number) for number in range(commits + 1)),
        suite="pr",
        suite_digest="sha256:" + "5" * 64,
        environment="local",
        workload="object-crud",
        metric=metric,
        prior_variance=judge.first_variance(metric, (sd_margins * margin) ** 2),
        prior_freedom=freedom,
        seed=7,
        machine=Machine({"cpu": "a cpu"}, {}),
        tools={},
        taken_at=NOW,
        build="go build -o {out} ./cmd/milo",
    )


@dataclass
class SimulatedJudge:
    """Measures commits by drawing numbers.

    Attributes:
        level: Returns the true worsening of a position, in margins.
        sd_margins: Standard deviation of a pair, in margins.
        seed: Random seed.
        freedom: Degrees of freedom of the noise; infinite for normal noise.
        skipped: Positions that cannot be built.
        most: Number of pairs after which a search is given up.
    """

    level: Callable[[int], float]
    sd_margins: float = 0.5
    seed: int = 1
    freedom: float = math.inf
    skipped: frozenset[int] = frozenset()
    most: int = 300
    draws: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.draws = random.Random(self.seed)

    def search(self, start: Bisection) -> tuple[Bisection, BisectDecision]:
        """Return a search when it is decided, and its last decision."""
        latest = start
        for _ in range(self.most):
            decision = judge.decide(latest)
            if decision.state is BisectState.FOUND:
                found = FoundCommit(latest.positions[decision.high], ("pkg/a.go",))
                latest = replace(latest, found=(*latest.found, found))
                if len(latest.found) >= latest.wanted:
                    return replace(latest, is_finished=True), decision
            elif decision.position is None:
                return replace(latest, is_finished=True), decision
            else:
                latest = latest.with_evidence(self.evidence(latest, decision.position))
        return latest, judge.decide(latest)

    def evidence(self, latest: Bisection, position: int) -> CommitEvidence:
        """Return the evidence of a position with one more pair."""
        index = latest.positions[position]
        if position in self.skipped:
            return CommitEvidence(index, CommitOutcome.NOT_BUILT, reason="no", exit_code=5)
        known = latest.evidence_at(position) or CommitEvidence(index, CommitOutcome.MEASURED)
        value = self.level(position) + self.sd_margins * self._noise()
        difference = value * scale.margin(latest.metric)
        return replace(known, differences=(*known.differences, difference), spent_s=60.0)

    def _noise(self) -> float:
        """Return noise of variance 1."""
        normal, nu = self.draws.gauss(0.0, 1.0), self.freedom
        if math.isinf(nu):
            return normal
        chi_squared = 2 * self.draws.gammavariate(nu / 2, 1.0)
        return normal / math.sqrt(chi_squared / nu) * math.sqrt((nu - 2) / nu)


def step_at(position: int, margins: float = 3.0) -> Callable[[int], float]:
    """Return levels that rise once."""
    return lambda at: margins if at >= position else 0.0


def of_every_kind() -> Bisection:
    """Return a finished search with every outcome, in which one commit explains a part."""

    def level(at: int) -> float:
        return (4.0 if at >= 20 else 0.0) + (1.5 if at >= 50 else 0.0)

    simulated = SimulatedJudge(level, 0.3, seed=2, skipped=frozenset({32}))
    found, _ = simulated.search(bisection(64, sd_margins=0.3))
    tried = {one.commit for one in found.evidence}
    free = next(at for at in range(1, 64) if at not in tried)
    same = CommitEvidence(free, CommitOutcome.SAME_BUILD, same_as=found.evidence[1].commit)
    failed = CommitEvidence(
        next(at for at in range(free + 1, 64) if at not in tried),
        CommitOutcome.FAILED,
        folder="commits/x",
        reason="the server exited with 2",
        exit_code=6,
    )
    return found.with_evidence(same).with_evidence(failed)


def hostile(bad: str) -> Bisection:
    """Return a search in which every text is hostile."""
    one = of_every_kind()
    return replace(
        one,
        repository=bad,
        good=bad,
        bad=bad,
        suite=bad,
        environment=bad,
        workload=bad,
        build=bad,
        place=bad,
        suite_path=bad,
        metric=replace(one.metric, name=bad, description=bad),
        machine=Machine({bad: bad}, {}),
        commits=tuple(replace(commit, subject=f"{bad} {commit.subject}") for commit in one.commits),
        evidence=tuple(
            replace(evidence, reason=bad, folder=bad) if evidence.reason else evidence
            for evidence in one.evidence
        ),
        found=tuple(replace(found, files=(bad, "a/b.go")) for found in one.found),
    )
