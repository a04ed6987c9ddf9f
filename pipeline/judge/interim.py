"""Interim analyses ("looks"): when a run may end, and the rule at each number of pairs."""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.judge import constants
from pipeline.model.report import Rule
from pipeline.model.results import ResultSet


def looks_up_to(most: int) -> tuple[int, ...]:
    """Return the looks of a run with at most `most` valid pairs; none if there is only one."""
    before = tuple(look for look in constants.LOOKS if look < most)
    return (*before, most) if before else ()


def alpha_shares(looks: int) -> tuple[float, ...]:
    """Return the share of alpha that each of one or more looks spends; they add up to 1."""
    if looks == 1:
        return (1.0,)
    between = [min(constants.NEXT_SHARE, (1.0 - constants.FIRST_SHARE) / (looks - 1))] * (looks - 2)
    return (constants.FIRST_SHARE, *between, 1.0 - constants.FIRST_SHARE - sum(between))


def alpha_share_at(pairs: int, looks: Sequence[int]) -> float:
    """Return the share of alpha that may be spent at a number of valid pairs; 1 without looks.

    A run that was stopped between two looks spends the share of the next one, which never comes.
    """
    if not looks:
        return 1.0
    now = next((at for at, look in enumerate(looks) if pairs <= look), len(looks) - 1)
    return alpha_shares(len(looks))[now]


def rule_at(pairs: int, looks: Sequence[int]) -> Rule:
    """Return the rule at a number of valid pairs; without looks, the number of pairs is fixed.

    Each look spends its share of alpha on red, and an equal share of the probability to pass
    wrongly.  All looks together spend as much as a single analysis.
    """
    if not looks:
        return constants.RULE
    alpha = constants.FAMILY_ALPHA * alpha_share_at(pairs, looks)
    return replace(constants.RULE, alpha=alpha, pass_alpha=constants.PASS_ALPHA / len(looks))


def rule_for(results: ResultSet, pairs: int) -> Rule:
    """Return the rule for a run at a number of valid pairs.

    A run keeps a reserve of both error probabilities, which added looks share: all looks together
    spend no more than the total, however many are added.
    """
    looks = results.looks
    planned, added = looks[: len(looks) - results.added], looks[len(looks) - results.added :]
    last = planned[-1] if planned else results.pairs_asked
    if pairs <= last or not added:
        rule = rule_at(pairs, planned if len(planned) > 1 else ())
        share = 1.0 - constants.RESERVE
    else:
        rule, before = constants.RULE, sum(look < pairs for look in added[:-1])
        share = constants.RESERVE * constants.ADDED_SHARE * (1.0 - constants.ADDED_SHARE) ** before
    return replace(rule, alpha=rule.alpha * share, pass_alpha=rule.pass_alpha * share)


def rule_for_more_pairs(results: ResultSet) -> Rule:
    """Return the rule for a run once it has more pairs."""
    more = len(results.valid_pairs) + 1
    if more <= results.pairs_asked:
        return rule_for(results, more)
    looks = (*(results.looks or (results.pairs_asked,)), more)
    added = results.added + 1
    return rule_for(replace(results, looks=looks, pairs_asked=more, added=added), more)
