"""How well change points agree with those of human annotators: F1 and covering.

Source: van den Burg and Williams, An Evaluation of Change Point Detection Algorithms,
arXiv:2003.06222 (2020), sections 4.1 and 4.2.  Indexes are the first points of segments; the first
of the series counts as one for everybody, which is why finding nothing has a score.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise


def f1(annotations: Sequence[Collection[int]], found: Collection[int], margin: int = 5) -> float:
    """Return the harmonic mean of precision and recall.

    Args:
        annotations: The points of each annotator.
        found: The points in question.
        margin: How many points apart two may be that mean the same.
    """
    ours = {0, *found}
    theirs = [{0, *points} for points in annotations]
    precision = _hits(set[int]().union(*theirs), ours, margin) / len(ours)
    recall = sum(_hits(one, ours, margin) / len(one) for one in theirs) / len(theirs)
    return 2 * precision * recall / (precision + recall)


def covering(annotations: Sequence[Collection[int]], found: Collection[int], points: int) -> float:
    """Return the share of the annotators' segments that ours cover, averaged over annotators."""
    ours = _segments(found, points)
    scores = [
        sum(
            (end - start) * max(_overlap((start, end), segment) for segment in ours)
            for start, end in _segments(one, points)
        )
        for one in annotations
    ]
    return sum(scores) / len(scores) / points


def _hits(true: Collection[int], found: Collection[int], margin: int) -> int:
    """Return the number of true points that are found; each found point counts once."""
    left, hits = set(found), 0
    for point in sorted(true):
        near = [other for other in left if abs(other - point) <= margin]
        if near:
            left.remove(min(near, key=lambda other: (abs(other - point), other)))
            hits += 1
    return hits


def _segments(points: Collection[int], n: int) -> list[tuple[int, int]]:
    return list(pairwise([0, *sorted(set(points) - {0}), n]))


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Return the Jaccard index of two stretches."""
    both = max(0, min(one[1], other[1]) - max(one[0], other[0]))
    return both / (max(one[1], other[1]) - min(one[0], other[0]))
