"""Looks: when they are, what they spend, and how often all of them together err."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.judge.constants import FAMILY_ALPHA, LOOKS, PASS_ALPHA, RULE
from pipeline.judge.interim import alpha_share_at, alpha_shares, looks_up_to, rule_at
from pipeline.judge.policy import findings
from pipeline.judge.rows import rows_of_results
from pipeline.model.report import Verdict
from tests.builders import LATENCY, results


@pytest.mark.parametrize(
    ("most", "looks"),
    [(2, ()), (3, ()), (4, (3, 4)), (8, (3, 5, 8)), (20, LOOKS), (30, (*LOOKS, 30))],
)
def test_the_last_look_is_at_the_end(most: int, looks: tuple[int, ...]) -> None:
    assert looks_up_to(most) == looks


@pytest.mark.parametrize("most", [4, 5, 8, 10, 20, 30])
def test_all_looks_together_spend_what_there_is(most: int) -> None:
    looks = looks_up_to(most)
    assert sum(alpha_share_at(pairs, looks) for pairs in looks) == pytest.approx(1.0)


def test_a_run_stopped_between_looks_spends_what_the_next_would_have() -> None:
    assert alpha_share_at(4, (3, 5, 8)) == alpha_share_at(5, (3, 5, 8)) == 0.2
    assert alpha_share_at(4, ()) == 1.0


def test_a_fixed_number_of_pairs_has_all_of_alpha() -> None:
    assert rule_at(5, ()) == RULE
    assert rule_at(3, (3, 5, 8)) == replace(
        RULE, alpha=FAMILY_ALPHA * 0.1, pass_alpha=PASS_ALPHA / 3
    )


@pytest.mark.parametrize("looks", range(1, 40))
def test_later_looks_may_spend_as_much_as_earlier_ones(looks: int) -> None:
    shares = alpha_shares(looks)
    assert len(shares) == looks
    assert math.fsum(shares) == pytest.approx(1.0)
    assert list(shares) == pytest.approx(sorted(shares)) or looks > 10
    assert min(shares) > 0


def test_most_is_kept_for_the_last_of_three_looks() -> None:
    assert alpha_shares(3) == pytest.approx((0.1, 0.2, 0.7))


@pytest.mark.parametrize("spread", [0.01, 0.03, 0.08])
def test_equal_builds_are_seldom_red_at_any_look(spread: float) -> None:
    random = np.random.default_rng(3)
    metric = replace(LATENCY, margin=0.001)
    runs, reds = 300, 0
    for _ in range(runs):
        after = np.exp(random.normal(0, spread, LOOKS[-1]))
        for pairs in LOOKS:
            run = results((metric, [1.0] * pairs, list(after[:pairs])))
            (found,) = findings(rows_of_results(run), rule_at(pairs, LOOKS))
            if found.verdict is not Verdict.INCONCLUSIVE:
                reds += found.verdict is Verdict.REGRESSED
                break
    level = FAMILY_ALPHA / RULE.min_family_size
    assert reds / runs <= level + 3 * math.sqrt(level / runs)
