"""The page, the table and the numbers of releases; and the change over several steps."""

import csv
import io
import itertools
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge import policy
from pipeline.judge.releases import cumulative_change
from pipeline.judge.stats.student import Estimate, EstimateBound, quantile, sum_of_estimates
from pipeline.model.metric import Metric
from pipeline.model.releases import StepChange
from pipeline.model.report import Bound, Change, Verdict
from pipeline.model.traces import Traces
from pipeline.render.html import html
from pipeline.render.releases import (
    gaps,
    headline,
    release_rows,
    releases_csv,
    releases_markdown,
    releases_text,
)
from pipeline.render.releases_page import releases_html, series_verdict
from pipeline.runs import suite_file
from pipeline.runs.releases.request import MAX_RELEASES
from pipeline.storage import codec
from tests import pages, release_series
from tests.builders import COUNT, LATENCY, THROUGHPUT

SERIES = release_series.of_every_kind()
PAGE = releases_html(SERIES)


def change(estimate: float, error: float = 0.01, freedom: float | None = 4.0) -> StepChange:
    """Return a step whose change is a ratio; the interval is not used."""
    shown = Change(estimate, estimate, estimate)
    return StepChange("a/b", Verdict.UNCHANGED, 1.0, 1.0, shown, error, freedom, 5)


# The change over several steps


ratios = st.floats(-0.9, 9.0)
errors = st.floats(1e-6, 1.0)


@given(st.lists(st.tuples(ratios, errors, st.floats(1, 100)), min_size=1, max_size=20))
def test_the_total_is_the_product_of_the_steps_and_its_variances_add(
    steps: list[tuple[float, float, float]],
) -> None:
    total = cumulative_change(LATENCY, [change(*step) for step in steps], 0.95)
    assert total is not None
    assert total.estimate + 1 == pytest.approx(math.prod(1 + step[0] for step in steps))
    error = math.sqrt(sum(step[1] ** 2 for step in steps))
    freedom = error**4 / sum(step[1] ** 4 / step[2] for step in steps)
    half = error * quantile(0.975, freedom)
    assert math.log1p(total.low) == pytest.approx(math.log1p(total.estimate) - half, abs=1e-6)
    assert math.log1p(total.high) == pytest.approx(math.log1p(total.estimate) + half, abs=1e-6)
    least, most = min(step[2] for step in steps), sum(step[2] for step in steps)
    assert least * (1 - 1e-9) <= freedom <= most * (1 + 1e-9)


def test_the_total_of_one_step_is_the_change_of_the_run() -> None:
    for finding in policy.report(pages.measured()).findings:
        (metric,) = [m for m in SERIES.metrics if m.key == finding.comparison.key]
        step = SERIES.changes_of(metric.key)[0]
        found, own = cumulative_change(metric.metric, [step], 0.95), finding.comparison.change
        assert found is not None
        assert own is not None
        assert (found.low, found.estimate, found.high) == pytest.approx(
            (own.low, own.estimate, own.high)
        )


def test_amounts_add_and_a_metric_that_improves_upwards_keeps_its_direction() -> None:
    total = cumulative_change(COUNT, [change(3.0), change(-1.0)], 0.95)
    assert total is not None
    assert total.estimate == pytest.approx(2.0)
    faster = cumulative_change(THROUGHPUT, [change(0.5), change(1.0)], 0.95)
    assert faster is not None
    assert faster.low < faster.estimate < faster.high
    assert faster.estimate == pytest.approx(2.0)


def test_a_step_without_an_interval_leaves_the_total_empty() -> None:
    assert cumulative_change(LATENCY, [], 0.95) is None
    assert cumulative_change(LATENCY, [change(0.1), None], 0.95) is None
    without = replace(change(0.1), change=None)
    assert cumulative_change(LATENCY, [change(0.1), without], 0.95) is None
    exact = replace(change(0.1), standard_error=None)
    assert cumulative_change(LATENCY, [exact], 0.95) is None


@pytest.mark.parametrize("metric", [LATENCY, THROUGHPUT], ids=["lower", "higher"])
def test_a_bound_of_one_step_bounds_the_total_and_two_opposite_ones_say_nothing(
    metric: Metric,
) -> None:
    least = replace(change(0.5), change=Change(0.4, 0.5, 0.5, Bound.AT_LEAST))
    most = replace(change(0.5), change=Change(0.5, 0.5, 0.6, Bound.AT_MOST))
    total = cumulative_change(metric, [change(1.0), least], 0.95)
    assert total is not None
    assert total.bound is Bound.AT_LEAST
    assert total.high == pytest.approx(2.0)
    assert total.low < 2.0
    assert cumulative_change(metric, [least, most], 0.95) is None


def test_steps_whose_error_is_known_exactly_have_a_normal_interval() -> None:
    known = Estimate(1.0, 3.0, math.inf), Estimate(2.0, 4.0, math.inf)
    assert sum_of_estimates(known) == Estimate(3.0, 5.0, math.inf)
    bound = replace(known[0], bound=EstimateBound.UPPER)
    assert sum_of_estimates((bound, known[1])) == Estimate(
        3.0, 5.0, math.inf, bound=EstimateBound.UPPER
    )
    assert sum_of_estimates([Estimate(1.0, 0.0, 2.0)]) == Estimate(1.0, 0.0, math.inf)


# The page


class Tags(HTMLParser):
    """Collects every tag and attribute of a page, and the text of its table rows."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [("tag", tag), *((name, value or "") for name, value in attrs)]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]} {data}".split())


def parse(body: str) -> Tags:
    tags = Tags()
    tags.feed(body)
    return tags


def test_the_page_has_no_script_and_loads_nothing() -> None:
    for body in (PAGE, releases_html(release_series.hostile())):
        found = parse(body).found
        assert [name for name, _ in found if name == "style" or name.startswith("on")] == []
        assert not {"script", "img", "iframe", "object"} & {v for name, v in found if name == "tag"}
        assert "@import" not in body
        assert "url(" not in body


def test_every_link_within_it_leads_somewhere() -> None:
    targets = re.findall(r'id="([^"]*)"', PAGE)
    assert set(re.findall(r'href="#([^"]*)"', PAGE)) <= set(targets)
    assert len(targets) == len(set(targets))


def test_each_cell_is_linked_to_its_metric_in_the_report_of_its_step() -> None:
    report = html(policy.report(pages.measured()), Traces(), "{}")
    links = re.findall(r'href="([^"]*report\.html)#([^"]*)"', PAGE)
    assert {path for path, _ in links} == {
        f"0-{name}/report.html" for name in ("v0.30.0", "v0.31.0", "v0.32.2")
    }
    for _, anchor in links:
        assert f'id="{anchor}"' in report


def test_a_row_has_the_first_level_the_steps_and_the_total() -> None:
    rows = {row[0]: row for row in parse(PAGE).rows}
    create = rows["object-crud/ create_p50 gates"]
    assert create[1:3] == ["5.28 ms", "▶ regressed +31 % 31 to 32 %"]
    assert create[4:] == [
        "+0.30 % 0.14 to 0.46 %",
        "",
        "◀ improved −34.3 % −34.4 to −34.2 %",
        "",
        "",
        "",
        ("−13 % −14 to −13 %"),
    ]
    heads = next(row for row in parse(PAGE).rows if row[0] == "metric")
    assert heads[1:] == [
        "v0.29.3 first",
        "v0.30.0",
        "v0.30.1 not built",
        "v0.31.0 against v0.30.0",
        "v0.32.0-rc.1 same commit as v0.31.0",
        "v0.32.2 against v0.31.0",
        "v0.32.3 no numbers",
        "v0.32.4 not reached",
        "v0.32.5 not reached",
        "total v0.29.3 to v0.32.2",
    ]


def test_a_metric_that_a_step_lacks_is_empty_in_it_and_in_the_total() -> None:
    rows = {row.metric.metric.name: row for row in release_rows(SERIES)}
    cells = rows["rate"].cells
    assert [bool(cell.estimate) for cell in cells] == [False, True, False, True, *[False] * 5]
    assert rows["rate"].total.estimate == ""
    assert rows["get_p50"].total.estimate


def test_each_gap_is_a_sentence() -> None:
    assert gaps(SERIES) == [
        "v0.30.1 does not build and is skipped: no module <x>",
        "v0.32.0-rc.1 is the same commit as v0.31.0, and was measured once",
        "v0.32.3 against v0.32.2 has no numbers: 3 pairs were invalid",
        "v0.32.4, v0.32.5: not reached; `milo-perf releases --resume DIR` goes on",
    ]
    assert "no module &lt;x&gt;" in PAGE


@pytest.mark.parametrize(
    ("factors", "answer", "verdict"),
    [
        ((), "no step between two releases has numbers", Verdict.INCONCLUSIVE),
        ((1.0,), "of 1 step, 1 regressed (v0.30.0)", Verdict.REGRESSED),
        ((1.0, 1.0), "of 2 steps, 2 regressed (v0.30.0, v0.30.1)", Verdict.REGRESSED),
    ],
)
def test_the_headline_counts_the_steps(
    factors: tuple[float, ...], answer: str, verdict: Verdict
) -> None:
    names = release_series.NAMES
    steps = [
        release_series.measured(names[at + 1], names[at], factor)
        for at, factor in enumerate(factors)
    ]
    first = SERIES.steps[0]
    one = release_series.series([first, *steps], SERIES.metrics)
    assert headline(one).endswith(answer)
    assert series_verdict(one) is verdict
    assert f"is-{verdict.value}" in releases_html(one)


def test_without_a_step_nothing_says_that_no_metric_changed() -> None:
    failed = [one for one in SERIES.steps if one.exit_code][:1]
    one = release_series.series([replace(failed[0], release=release_series.NAMES[0])])
    assert "No metric" not in releases_markdown(one)
    assert "<p>Nothing was compared.</p>" in releases_html(one)
    equal = [SERIES.steps[0], replace(SERIES.steps[1], changes=())]
    assert "No metric regressed" in releases_markdown(release_series.series(equal))


def test_the_table_for_documents_has_what_changed_and_escapes_the_rest() -> None:
    table = releases_markdown(SERIES)
    assert "| object-crud/create_p50 | 5.28 ms | **▶ +31 %** (31 to 32 %) |  | +0.30 % |" in table
    assert "get_p50" not in table
    assert len(table.split()) < 450
    assert "<script>" not in releases_markdown(release_series.hostile())
    assert "../milo" not in table + PAGE + releases_csv(SERIES)


def test_the_numbers_are_one_row_for_each_change_and_names_are_no_formulas() -> None:
    rows = list(csv.DictReader(io.StringIO(releases_csv(SERIES))))
    total = [row for row in rows if row["kind"] == "total"]
    assert len(rows) - len(total) == sum(len(step.changes) for step in SERIES.measured)
    (create,) = [row for row in total if row["metric"] == "create_p50"]
    assert (create["against"], create["release"]) == ("v0.29.3", "v0.32.2")
    steps = [float(r["change"]) for r in rows if r["metric"] == "create_p50" and r["verdict"]]
    product = math.prod(1 + step for step in steps)
    assert 1 + float(create["change"]) == pytest.approx(product, rel=1e-4)
    formula = replace(SERIES.metrics[0], workload="=1+1")
    first = SERIES.measured[0]
    renamed = replace(first.changes[0], key=formula.key)
    step = replace(first, changes=(renamed,))
    one = release_series.series([SERIES.steps[0], step], [formula])
    assert "'=1+1" in releases_csv(one)


def test_the_terminal_gets_a_line_for_each_release_and_for_each_gap() -> None:
    lines = releases_text(SERIES).splitlines()
    assert lines[0] == headline(SERIES)
    assert len(lines) == 2 + len(SERIES.releases) + 1 + len(gaps(SERIES))
    assert "\x1b" not in releases_text(release_series.hostile())


def test_the_file_is_read_as_it_was_written_and_not_with_steps_of_others() -> None:
    text = codec.RELEASES.dumps(SERIES)
    assert codec.RELEASES.parse(text.encode()) == SERIES
    with pytest.raises(ValueError, match="those of the first releases"):
        codec.RELEASES.parse(text.replace('"release": "v0.30.0"', '"release": "v9"').encode())
    with pytest.raises(ValueError, match="not in `metrics`"):
        replace(SERIES, metrics=())
    with pytest.raises(ValueError, match="there twice"):
        replace(SERIES, releases=(*SERIES.releases, SERIES.releases[0]))


def test_the_file_of_the_most_releases_and_metrics_can_be_read_again(tmp_path: Path) -> None:
    loaded = suite_file.load(suite_file.path_of("nightly"))
    metric = SERIES.metrics[0]
    metrics = tuple(
        replace(metric, metric=replace(metric.metric, name=f"metric-{number}"))
        for number in range(sum(len(workload.metrics) for workload in loaded.suite.workloads))
    )
    (first, *_) = SERIES.measured[0].changes
    changes = tuple(replace(first, key=metric.key) for metric in metrics)
    names = [f"v1.{number}.0" for number in range(MAX_RELEASES)]
    series = replace(
        SERIES,
        releases=tuple(replace(SERIES.releases[0], name=name) for name in names),
        metrics=metrics,
        steps=(
            replace(SERIES.steps[0], release=names[0]),
            *(
                replace(SERIES.measured[0], release=name, against=before, changes=changes)
                for before, name in itertools.pairwise(names)
            ),
        ),
    )
    assert len(metrics) > 100
    codec.RELEASES.write(tmp_path / "releases.json", series)
    assert codec.RELEASES.read(tmp_path / "releases.json") == series
