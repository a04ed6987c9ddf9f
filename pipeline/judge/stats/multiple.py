"""P values adjusted for the number of tests."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted by Holm's method, in the order given.

    Rejecting where the adjusted p is below alpha keeps the family-wise error rate below alpha,
    whatever the dependence between the tests.

    Source:
        Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scand. J. Statist. 6 (1979).
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for done, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted by Benjamini and Hochberg's method, in the order given.

    Rejecting where the adjusted p is below alpha keeps the false discovery rate below alpha, for
    tests that are independent or positively dependent.

    Source:
        Benjamini and Hochberg, Controlling the False Discovery Rate, J. R. Statist. Soc. B 57
        (1995).
    """
    number = len(p_values)
    adjusted = [0.0] * number
    smallest = 1.0
    for rank, index in zip(
        range(number, 0, -1),
        sorted(range(number), key=p_values.__getitem__, reverse=True),
        strict=True,
    ):
        smallest = min(smallest, number / rank * p_values[index])
        adjusted[index] = smallest
    return adjusted
