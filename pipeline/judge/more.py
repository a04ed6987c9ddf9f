"""More pairs for a run that has ended: how many it may have, and what they may decide."""

from dataclasses import replace

from pipeline.judge import policy
from pipeline.model.results import ResultSet
from pipeline.system.errors import ConfigError


def with_more(results: ResultSet, more: int, *, is_over: bool) -> tuple[ResultSet, int]:
    """Return results that may have more pairs, and the number of valid ones at which to stop.

    Looks that were planned stay where they are.  Pairs beyond the last one are looked at once more,
    where they end, with what `policy.rule_of` keeps back for that.

    Args:
        results: Of a run, from one pair on.
        more: How many more valid pairs are wanted.
        is_over: Whether its budget ended it.

    Raises:
        ConfigError: They could not change the answer.
    """
    valid = len(results.valid_pairs)
    _require_open(results, valid)
    looks, asked = _used(results, valid, is_over=is_over)
    total, added = valid + more, results.added
    if total > asked:
        looks, asked, added, until = (*(looks or (asked,)), total), total, added + 1, total
    else:
        until = next((look for look in looks if look >= total), asked)
    longer = replace(
        results, looks=looks, pairs_asked=asked, added=added, stops_at_red=False, budget_s=None
    )
    return longer, until


def _require_open(results: ResultSet, valid: int) -> None:
    """Refuse more pairs for a run whose every gating metric is settled."""
    found = policy.report(results).findings
    has_ended = valid >= results.pairs_asked or (valid in results.looks and policy.may_end(found))
    if has_ended and policy.is_settled(found):
        raise ConfigError(
            f"after {valid} pairs every gating metric is settled, so more would not change the"
            " answer",
            hint="for more exact numbers start a new run with a larger --pairs",
        )


def _used(results: ResultSet, valid: int, *, is_over: bool) -> tuple[tuple[int, ...], int]:
    """Return the looks of a run, and how many pairs it may have, without what is spent.

    A budget ends a run between two looks, and it is then judged as at the next one, which is spent.
    """
    looks = results.looks
    if not is_over or valid in looks or valid >= results.pairs_asked:
        return looks, results.pairs_asked
    if not looks:
        return (), valid
    spent = next(look for look in looks if look > valid)
    looks = tuple(valid if look == spent else look for look in looks)
    return looks, looks[-1]
