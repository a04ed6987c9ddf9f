"""Flame graphs of the candidate, with what changed and whether it is beyond chance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.judge.causes import FoundCauses, MovedFunctions
from pipeline.model.explanation import FlameFrame, FlameGraph
from pipeline.model.profiles import EvidenceKind

MAX_FRAMES = 2_400
"""Largest number of frames of an explanation: more would make its page larger than 2 MB."""

_MAX_GRAPHS = 2
_MAX_DEPTH = 60
_MIN_WIDTH = 0.002  # share of the whole width
_MIN_MOVED_WIDTH = 0.0002  # of a frame that moved
_MAX_NAME = 120
_WAITS = (EvidenceKind.BLOCK, EvidenceKind.MUTEX, EvidenceKind.WALL)


@dataclass(slots=True)
class _Node:
    """One frame with all calls from it."""

    baseline: float = 0.0
    candidate: float = 0.0
    children: dict[str, "_Node"] = field(default_factory=dict)


def flame_graphs(found: FoundCauses, workloads: int = 1) -> tuple[FlameGraph, ...]:
    """Return the flame graphs that belong to the first causes, and the one of CPU.

    `workloads` is the number of workloads that share the frames of an explanation.
    """
    most = MAX_FRAMES // (_MAX_GRAPHS * workloads)
    by_kind = {(one.table.evidence.component, one.table.evidence.kind): one for one in found.moved}
    wanted = [(cause.component, cause.kind) for cause in found.causes]
    wanted.append(("server", EvidenceKind.CPU))
    graphs = [
        graph
        for key in dict.fromkeys(wanted)
        if key in by_kind and (graph := flame_graph(by_kind[key], most)) is not None
    ]
    return tuple(graphs[:_MAX_GRAPHS])


def flame_graph(moved: MovedFunctions, most: int) -> FlameGraph | None:
    """Return a flame graph of at most `most` frames; None if nothing would be drawn.

    Most waiting is that of goroutines with nothing to do, so of waits only the stacks are drawn
    that have a function which moved.
    """
    table = moved.table
    is_wait = table.evidence.kind in _WAITS
    root = _Node()
    before, after = table.baseline.mean(axis=1).tolist(), table.candidate.mean(axis=1).tolist()
    for at, stack in enumerate(table.stacks):
        if is_wait and moved.names.isdisjoint(stack):
            continue
        node = root
        node.baseline += before[at]
        node.candidate += after[at]
        for name in stack[::-1][:_MAX_DEPTH]:
            node = node.children.setdefault(name, _Node())
            node.baseline += before[at]
            node.candidate += after[at]
    if root.candidate <= 0:
        return None
    frames = sorted(
        _frames(root, moved.names, root.candidate), key=lambda one: (not one.has_moved, -one.width)
    )
    kept = _with_parents(frames[:most])
    drawn = sum(one.width for one in kept if one.depth == 0)
    return FlameGraph(
        table.evidence.component,
        table.evidence.kind,
        table.evidence.unit,
        tuple(sorted(kept, key=lambda one: (one.depth, one.start))),
        max(0.0, 1.0 - drawn),
    )


def _frames(root: _Node, names: frozenset[str], total: float) -> Iterator[FlameFrame]:
    """Yield every frame that is wide enough, with its place."""
    waiting: list[tuple[_Node, int, float]] = [(root, 0, 0.0)]
    while waiting:
        node, depth, start = waiting.pop()
        for name, child in sorted(node.children.items()):
            width = child.candidate / total
            if width >= (_MIN_MOVED_WIDTH if name in names else _MIN_WIDTH):
                larger = max(child.baseline, child.candidate)
                yield FlameFrame(
                    name=name[:_MAX_NAME],
                    depth=depth,
                    start=round(start, 6),
                    width=round(width, 6),
                    baseline=_short(child.baseline),
                    candidate=_short(child.candidate),
                    change=round((child.candidate - child.baseline) / larger, 3),
                    has_moved=name in names,
                )
                waiting.append((child, depth + 1, start))
            start += width


def _short(value: float) -> float:
    """Return a value with five significant digits, which is more than a tooltip shows."""
    return float(f"{value:.5g}")


def _with_parents(frames: Sequence[FlameFrame]) -> list[FlameFrame]:
    """Return frames without those whose parent is missing: the widest were kept."""
    kept: list[FlameFrame] = []
    by_depth: dict[int, list[FlameFrame]] = {}
    for one in sorted(frames, key=lambda frame: frame.depth):
        above = by_depth.get(one.depth - 1, [])
        if one.depth == 0 or any(_contains(parent, one) for parent in above):
            kept.append(one)
            by_depth.setdefault(one.depth, []).append(one)
    return kept


def _contains(parent: FlameFrame, child: FlameFrame) -> bool:
    slack = 1e-5  # the edges are rounded
    is_after = child.start >= parent.start - slack
    return is_after and child.start + child.width <= parent.start + parent.width + slack
