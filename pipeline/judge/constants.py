"""Every constant that decides a verdict on a run or a table.

The constants of a history are in `judge.history`.  `docs/statistics.md` gives the reasons, and
`docs/verdicts.md` what they achieve on data with known answers.
"""

from datetime import timedelta

from pipeline.model.report import Rule

# Tests and intervals

FAMILY_ALPHA = 0.05
"""Largest probability of any false red among the gating metrics of equal builds."""

MIN_FAMILY_SIZE = 5
"""Smallest number of tests that p values are adjusted for: a metric alone errs one time in 100."""

CONFIDENCE = 0.95
"""Two-sided confidence level of the intervals that are shown."""

PASS_ALPHA = (1 - CONFIDENCE) / 2
"""Largest probability of a pass although the build got worse by the tolerance."""

MAX_HALF_WIDTH = 1.5
"""Largest half-width of an interval for a pass, in tolerances.  A wider interval that ends below
the tolerance was moved there by chance."""

POWER = 0.80
"""Probability to find a change as large as the detectable change of a report."""

BETWEEN_RUN_SD = 0.05
"""Assumed standard deviation between two separate runs of equal builds (other machine, noisy
neighbours, time of day), as a ratio.  Means of equal builds on virtual machines of one type differ
by as much; see docs/verdicts.md."""

MIN_PAIRS = 2
"""Smallest number of pairs with an interval: fewer have no spread."""

RULE = Rule(
    alpha=FAMILY_ALPHA,
    confidence=CONFIDENCE,
    power=POWER,
    min_family_size=MIN_FAMILY_SIZE,
    pass_alpha=PASS_ALPHA,
    max_half_width=MAX_HALF_WIDTH,
    between_run_sd=BETWEEN_RUN_SD,
)
"""The constants of a single analysis at a fixed number of pairs."""

MAX_ADVISED_PAIRS = 200
"""Largest number of pairs that is advised: nobody waits for more."""

MIN_FAILURES = 2
"""Smallest number of pairs in which a build must fail, and the other never, to be called worse:
one failure may be chance."""

# Interim analyses ("looks"): when a run may end, and the share of alpha that each one spends

LOOKS = (3, 5, 8, 12, 20)
"""Numbers of valid pairs at which a run may end."""

FIRST_SHARE = 0.1
"""Share of alpha of the first look, at which the spread is least known."""

NEXT_SHARE = 0.2
"""Share of alpha of each later look; the last look gets the rest.

Three looks get 0.1, 0.2 and 0.7: most is kept for the look with most pairs.  The probability of a
false red at any look is at most the sum of the shares, whatever the dependence between looks.

Source:
    Bonferroni's inequality over looks.  Alpha spending is from Lan and DeMets, Biometrika 70
    (1983), whose functions assume many pairs from the first look on.
"""

RESERVE = 0.1
"""Share of alpha that a run keeps for looks that are added after it has ended.

Alpha cannot be spent twice, so without a reserve an added look could never reject.
"""

ADDED_SHARE = 0.8
"""Share of the rest of the reserve that each added look spends, so that it never runs out."""

SUSPECT_MARGINS = 0.5
"""An unchanged metric is suspect if its estimate exceeds this many margins, ..."""

SUSPECT_ALPHA = 0.2
"""... and its own one-sided p value is below this.  A suspect metric keeps a run from ending early.

Without this rule, a run that could pass at its first look would hide small regressions: one of 1.5
margins was found in 89 to 94 of 100 simulated runs, and is in 95 to 99 with it (docs/verdicts.md).
"""

# Missing values: a build that loses values may lose its slow ones

MAX_IMBALANCE = 0.2
"""Largest difference of the shares of values that the arms lack: one pair of five."""

FREE_IMBALANCE = 0.05
"""Difference of the shares of missing values that is ignored.  Between this and `MAX_IMBALANCE`,
..."""

IMBALANCE_ALPHA = 0.01
"""... losses are lopsided if a binomial test that both arms lose values alike has a p value below
this."""

# Values that are rounded to steps larger than the margin

ROUNDING_SD = 0.5
"""Standard deviation of a difference of two rounded values, in steps.

Rounding both values to whole steps has 0.41 of a step (each has the variance step^2 / 12).  This is
a little more, so that one step alone is never evidence.
"""

MIN_CONSTANT_VALUES = 5
"""Number of values of an arm, all equal, from which they count as exact.  If equal builds are
rounded, one arm is all one value and the other all the next in at most 1 of 4^5 comparisons."""

# Spreads of earlier runs (the prior of the variances)

MAX_VARIANCE_INFLATION = 9.0
"""Ratio of a run's variances to those of earlier runs above which the prior is not used."""

MIN_PRIOR_RUNS = 10
"""Smallest number of earlier runs of a prior, for the suite and for each metric: the mean of so
many variances of three pairs is known to about a third (20 degrees of freedom)."""

PRIOR_WINDOW = 30
"""Number of newest runs that are kept and used: machines and their neighbours change."""

FRESH_AGE = timedelta(days=14)
"""Largest age of the newest run of the same machine for a fresh prior."""

FRESH_DEGREES_OF_FREEDOM = 8.0
"""Degrees of freedom of a prior from fresh runs of the same machine."""

PRIOR_DEGREES_OF_FREEDOM = 4.0
"""Degrees of freedom of every other prior.  With launches twice as noisy as the prior, 4 give 3.5 %
false alarms and 8 give 5.8 %, so only the same machine gets 8."""
