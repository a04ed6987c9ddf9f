"""Values that one arm lacks and the other has: a build that loses values may lose its slow ones."""

from collections.abc import Mapping

from pipeline.model.subject import Arm

MOST = 0.2
"""One arm may lack a larger share of its values than the other by so much: one pair of five."""

SOME = 0.05
"""Beyond this, it may do so only as far as chance explains, ..."""

CHANCE = 0.01
"""... which it does not where losses that hit both arms alike are so lopsided less often."""


_DIGITS = 9  # of a share; what is beyond is the rounding of doubles


def lopsided(lost: Mapping[Arm, int], asked: Mapping[Arm, int]) -> list[str]:
    """Return a sentence if one arm lacks many more values than the other; both have some.

    Args:
        lost: Number of values that each arm lacks.
        asked: Number that each was to have.

    Source:
        Values that are not missing at random: Rubin, Inference and Missing Data, Biometrika 63
        (1976).  The test is the binomial one of two rates: Przyborowski and Wilenski, Homogeneity
        of Results in Testing Samples from Poisson Series, Biometrika 31 (1940).
    """
    from scipy.special import bdtrc

    if any(lost[arm] == asked[arm] for arm in Arm):
        return []
    shares = {arm: lost[arm] / asked[arm] for arm in Arm}
    more = max(Arm, key=shares.__getitem__)
    (less,) = (arm for arm in Arm if arm is not more)
    apart = round(shares[more] - shares[less], _DIGITS)
    if apart <= SOME:
        return []
    chance = asked[more] / (asked[more] + asked[less])
    p = float(bdtrc(lost[more] - 1, lost[more] + lost[less], chance))
    if apart <= MOST and p >= CHANCE:
        return []
    said = f"the {more} lacks {lost[more]} of {asked[more]} values and the {less} {lost[less]}"
    return [f"inconclusive: {said}, and those that are missing may be the slow ones"]
