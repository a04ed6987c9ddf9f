"""Every output format is declared once, in the registry of renderers."""

from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from pipeline.commands.main import main
from pipeline.judge import policy
from pipeline.model.metric import Better
from pipeline.model.report import Report
from pipeline.model.results import ResultSet
from pipeline.model.traces import Timeline, Traces
from pipeline.render.registry import RENDERERS, RenderContext
from pipeline.storage import codec
from tests import pages


def _no_timeline() -> Timeline:
    raise AssertionError


@pytest.mark.parametrize(
    "name", sorted(RENDERERS.keys() - {"timeline"})
)  # draws no metric of a report
def test_every_format_names_each_metric_of_the_report(name: str) -> None:
    report = pages.report()
    text = RENDERERS[name](report, RenderContext(Traces, lambda: "{}", _no_timeline))
    direction = {"customSmallerIsBetter": Better.LOWER, "customBiggerIsBetter": Better.HIGHER}
    for metric in (finding.comparison.metric for finding in report.findings):
        if metric.better is direction.get(name, metric.better):
            assert metric.name in text.replace("\n", "")


@pytest.mark.parametrize("name", sorted(RENDERERS.keys() - {"timeline", "benchfmt", "perfdata"}))
def test_a_time_of_another_zone_is_shown_in_utc(name: str) -> None:
    def shown(run: ResultSet) -> str:
        context = RenderContext(Traces, lambda: "{}", _no_timeline)
        return RENDERERS[name](policy.report(run), context)

    run = pages.measured()
    zone = timezone(timedelta(hours=14))
    assert shown(replace(run, taken_at=run.taken_at.astimezone(zone))) == shown(run)


def test_a_renderer_in_the_registry_is_a_format_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def suite_only(report: Report, context: RenderContext) -> str:
        return f"{report.results.suite} {context.load_results_json()[:1]}\n"

    codec.RESULTS.write(tmp_path / "results.json", pages.measured())
    monkeypatch.setitem(RENDERERS, "suite", suite_only)
    assert main(["render", str(tmp_path), "--format", "suite"]) == 0
    assert capsys.readouterr().out == f"{pages.measured().suite} {{\n"
