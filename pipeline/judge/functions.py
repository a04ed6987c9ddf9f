"""From stacks to functions: values of sites and of functions anywhere on a stack, pair by pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.judge.stats.moderation import Floats
from pipeline.model.explanation import CauseScope
from pipeline.model.profiles import EvidenceKind, Stack

if TYPE_CHECKING:  # scipy.sparse loads late
    from scipy.sparse import csr_array

COLLECTOR = "runtime.gcBgMarkWorker"
"""Function in which Go's garbage collector runs."""

_RUNTIME_SITES = (COLLECTOR, "runtime.gcAssistAlloc", "runtime.bgsweep", "runtime.bgscavenge")
"""Work of the runtime that belongs to no function of the build, although one may pay for it."""


@dataclass(frozen=True, slots=True)
class StackEvidence:
    """The profiles of one kind and component, pair by pair.

    Attributes:
        unit: Base unit of the values: `s`, `B` or `1`.
        event: Value of the smallest event, in `unit`.
        least: Smallest mean value of a profile for a function to be tested.
        pairs: Values by stack of the baseline and the candidate of each pair, in `unit`.
        operations: Number of operations of both arms of each pair.
        events: Mean number of events by stack over all profiles; empty if that is the value by
            `event`.
    """

    component: str
    kind: EvidenceKind
    unit: str
    event: float
    least: float
    pairs: tuple[tuple[dict[Stack, float], dict[Stack, float]], ...]
    operations: tuple[tuple[float, float], ...]
    events: Mapping[Stack, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StackTable:
    """Values per operation of every stack, pair by pair, and the functions on each.

    Attributes:
        baseline: Shape (stacks, pairs).
        candidate: Shape (stacks, pairs).
    """

    evidence: StackEvidence
    stacks: tuple[Stack, ...]
    baseline: Floats
    candidate: Floats
    functions: tuple[str, ...]
    membership: "csr_array[Any, Any]"
    sites: tuple[int, ...]

    @cached_property
    def mean_changes(self) -> Floats:
        """Mean change of each stack."""
        change: Floats = (self.candidate - self.baseline).mean(axis=1)
        return change

    def event_counts(self) -> Floats:
        """Return the mean number of events of each function as a site, then with what it calls."""
        if self.evidence.events:
            known = self.evidence.events
            counts = np.array([known.get(stack, 0.0) for stack in self.stacks])
        else:
            operations = np.array(self.evidence.operations).T
            totals = self.baseline * operations[0] + self.candidate * operations[1]
            counts = totals.mean(axis=1) / 2 / self.evidence.event
        sites = np.bincount(self.sites, counts, len(self.functions))
        return np.concatenate([sites, self.membership @ counts])

    def stacks_of(self, function: int, scope: CauseScope) -> list[int]:
        """Return the stacks that count for a function."""
        if scope is CauseScope.SITE:
            return [at for at, site in enumerate(self.sites) if site == function]
        row = self.membership
        return list(map(int, row.indices[row.indptr[function] : row.indptr[function + 1]]))

    def attributed_changes(self, function: int, scope: CauseScope) -> Floats:
        """Return the part of a function's change that is new in the whole program, by pair.

        A function that is wrapped around others takes over all that is below it, although nothing
        became slower.  So a change at a site below it counts only as far as the site changed in the
        whole program.  Where a site changed the other way, by chance, the share of the site that is
        below the function counts, so that chance cancels out.
        """
        of = self.stacks_of(function, scope)
        if scope is CauseScope.SITE:
            changes: Floats = (self.candidate - self.baseline)[of].sum(axis=0)
            return changes
        sites = [self.sites[at] for at in of]
        own = self._by_site(self.candidate[of] - self.baseline[of], sites)
        total = self._by_site(self.candidate - self.baseline, list(self.sites))
        # The arm that has more of the function says how much of each site is below it.
        arm = self.candidate if own.sum() > 0 else self.baseline
        shares = self._share(arm, of, sites)
        is_same_way = own * total > 0
        smaller = np.sign(total) * np.minimum(np.abs(own), np.abs(total))
        attributed: Floats = np.where(is_same_way, smaller, shares * total).sum(axis=0)
        return attributed

    def _share(self, values: Floats, of: Sequence[int], sites: Sequence[int]) -> Floats:
        """Return the share of each site that some stacks have in one arm, over all pairs.

        A site that the arm never showed has the share of all sites together that both arms have.
        """
        below = self._by_site(values[of].mean(axis=1, keepdims=True), sites)
        everywhere = self._levels(values)
        in_both = (self._levels(self.baseline) > 0) & (self._levels(self.candidate) > 0)
        usual = float(below[in_both].sum()) / max(float(everywhere[in_both].sum()), 1e-300)
        return np.divide(below, everywhere, out=np.full_like(below, usual), where=everywhere > 0)

    def _levels(self, values: Floats) -> Floats:
        """Return the mean of each site over the pairs, shape (functions, 1)."""
        return self._by_site(values.mean(axis=1, keepdims=True), list(self.sites))

    def _by_site(self, values: Floats, sites: Sequence[int]) -> Floats:
        """Return the sums of stacks by site, shape (functions, pairs)."""
        sums = np.zeros((len(self.functions), values.shape[1]))
        np.add.at(sums, sites, values)
        return sums

    def example(self, function: int, scope: CauseScope) -> Stack:
        """Return the stack of a function that moved most."""
        of = self.stacks_of(function, scope)
        return self.stacks[max(of, key=lambda at: abs(float(self.mean_changes[at])))]


def stack_table(evidence: StackEvidence) -> StackTable:
    """Return the table of the stacks of all pairs."""
    from scipy.sparse import csr_array

    numbers: dict[Stack, int] = {}
    for pair in evidence.pairs:
        for values in pair:
            for stack in values:
                numbers.setdefault(stack, len(numbers))
    shape = (len(numbers), len(evidence.pairs))
    arms = np.zeros((2, *shape))
    for at, (pair, operations) in enumerate(zip(evidence.pairs, evidence.operations, strict=True)):
        for arm, (values, count) in enumerate(zip(pair, operations, strict=True)):
            for stack, value in values.items():
                arms[arm, numbers[stack], at] = value / count
    names: dict[str, int] = {}
    rows: list[int] = []
    columns: list[int] = []
    sites = []
    for stack, number in numbers.items():
        for name in set(stack):
            rows.append(names.setdefault(name, len(names)))
            columns.append(number)
        sites.append(names[site_of(stack)])
    membership = csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(names), len(numbers)))
    return StackTable(
        evidence, tuple(numbers), arms[0], arms[1], tuple(names), membership, tuple(sites)
    )


def site_of(stack: Stack) -> str:
    """Return the function that a sample belongs to.

    That is the first one outside of Go's runtime and standard library, counted from the leaf.
    Without one it is the root of the stack; the garbage collector is always its own.
    """
    for name in _RUNTIME_SITES:
        if name in stack:
            return name
    return next((name for name in stack if not is_standard(name)), stack[-1])


def is_standard(function: str) -> bool:
    """Return whether a function is of Go's runtime or standard library.

    The first part of the path of any other package has a dot, except of the package `main`.
    """
    first, slash, _ = function.partition("/")
    if slash:
        return "." not in first
    return first.partition(".")[0] != "main"


def depth_in(stack: Stack, functions: Sequence[str]) -> str:
    """Return the function of several that is nearest to the leaf, standard ones last."""
    return min(functions, key=lambda name: (is_standard(name), stack.index(name)))
