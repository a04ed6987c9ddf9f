"""When a run is looked at, and how much of the chance of an error each look may spend."""

from collections.abc import Sequence

LOOKS = (3, 5, 8, 12, 20)
"""Numbers of valid pairs at which a run may end."""

FIRST_SHARE = 0.1
"""Share of alpha that the first look spends, which knows the noise least."""

NEXT_SHARE = 0.2
"""Share that each look after it spends; the last one takes what is left.

Of three looks .1, .2 and .7: most is kept for the look that has most pairs.  The chance of a false
red at any look is at most the sum of what they spend, whatever the dependence between them.

Source:
    Bonferroni's inequality over looks; the idea of spending is Lan and DeMets, Biometrika 70
    (1983), whose functions assume that many pairs are there from the first look on.
"""

RESERVE = 0.1
"""Share of alpha that a run keeps back for looks that are added once it has ended.

What has been spent cannot be spent again, so without it an added look could never say anything.
"""

ADDED_SHARE = 0.8
"""Share of what is left of the reserve that each added look spends: it never runs out."""


def looks_up_to(most: int) -> tuple[int, ...]:
    """Return the looks of a run that may have as many valid pairs; none where there is but one."""
    before = tuple(look for look in LOOKS if look < most)
    return (*before, most) if before else ()


def share_of(pairs: int, looks: Sequence[int]) -> float:
    """Return the share of alpha that may be spent now.

    Args:
        pairs: Valid ones so far; of a run that was stopped between two looks, the share of the
            next one, which then never comes.
        looks: Of the run, rising; none of a run of a fixed number of pairs.
    """
    if not looks:
        return 1.0
    now = next((at for at, look in enumerate(looks) if pairs <= look), len(looks) - 1)
    return shares_of(len(looks))[now]


def reserve_of(added: int) -> float:
    """Return the share of alpha that a look spends which was added to a run that had ended.

    Args:
        added: How many looks were added before it.
    """
    return RESERVE * ADDED_SHARE * (1.0 - ADDED_SHARE) ** added


def shares_of(looks: int) -> tuple[float, ...]:
    """Return the share of alpha that each of so many looks spends; together they spend all.

    Args:
        looks: Number of looks, at least 1.
    """
    if looks == 1:
        return (1.0,)
    between = [min(NEXT_SHARE, (1.0 - FIRST_SHARE) / (looks - 1))] * (looks - 2)
    return (FIRST_SHARE, *between, 1.0 - FIRST_SHARE - sum(between))
