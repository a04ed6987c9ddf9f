"""The output formats of a report: to add one, write a renderer and name it here.

A renderer imports its module when it is called, so that the command line knows every name at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from pipeline.model.metric import Better
from pipeline.model.subject import Arm

if TYPE_CHECKING:
    from pipeline.model.explanation import Explanation
    from pipeline.model.report import Report
    from pipeline.model.traces import Timeline, Traces
    from pipeline.render.exports import ExportData


@dataclass(frozen=True, slots=True)
class RenderContext:
    """What a renderer may need beside the report.

    Attributes:
        load_traces: Function that reads the traces that the run's folder keeps.
        load_timeline: Function that reads what the candidate did over time.
        next_step: Command that leads to an answer; empty if there is none.
        load_explanation: Function that reads what `explain` says of the run; None if nothing does.
        arm: Arm of the formats that hold one build.
    """

    load_traces: "Callable[[], Traces]"
    load_results_json: Callable[[], str]
    load_timeline: "Callable[[], Timeline]"
    next_step: str = ""
    width: int = 100
    color: bool = False
    load_explanation: "Callable[[], Explanation | None]" = lambda: None
    arm: Arm = Arm.CANDIDATE


Renderer: TypeAlias = "Callable[[Report, RenderContext], str]"
"""A function that turns a report into one output format."""

Exporter: TypeAlias = "Callable[[ExportData], str]"
"""A function that turns the numbers of a run or of a judged table into a format of another tool."""


def _text(report: "Report", context: RenderContext) -> str:
    from pipeline.render.text import text

    return text(report, width=context.width, color=context.color, next_step=context.next_step)


def _markdown(report: "Report", context: RenderContext) -> str:
    from pipeline.render.markdown import markdown

    return markdown(report, next_step=context.next_step)


def _html(report: "Report", context: RenderContext) -> str:
    from pipeline.render.html import html

    results_json = context.load_results_json()
    return html(
        report,
        context.load_traces(),
        results_json,
        next_step=context.next_step,
        explanation=context.load_explanation(),
    )


def _junit(report: "Report", context: RenderContext) -> str:  # noqa: ARG001 (a Renderer)
    from pipeline.render.junit import junit

    return junit(report)


def _perfdata(report: "Report", context: RenderContext) -> str:  # noqa: ARG001 (a Renderer)
    from pipeline.render.perfdata import perfdata

    return perfdata(report)


def _timeline(report: "Report", context: RenderContext) -> str:  # noqa: ARG001 (a Renderer)
    from pipeline.render.timeline import timeline_svg

    return timeline_svg(context.load_timeline())


def _benchfmt(data: "ExportData") -> str:
    from pipeline.render.benchfmt import benchfmt

    return benchfmt(data)


def _bencher(data: "ExportData") -> str:
    from pipeline.render.bencher import bencher

    return bencher(data)


def _smaller_is_better(data: "ExportData") -> str:
    from pipeline.render.action_benchmark import action_benchmark

    return action_benchmark(data, Better.LOWER)


def _bigger_is_better(data: "ExportData") -> str:
    from pipeline.render.action_benchmark import action_benchmark

    return action_benchmark(data, Better.HIGHER)


def _openmetrics(data: "ExportData") -> str:
    from pipeline.render.openmetrics import openmetrics

    return openmetrics(data)


EXPORTERS: Final[dict[str, Exporter]] = {
    "benchfmt": _benchfmt,
    "bencher": _bencher,
    "customSmallerIsBetter": _smaller_is_better,
    "customBiggerIsBetter": _bigger_is_better,
    "openmetrics": _openmetrics,
}
"""Formats of other tools, of runs and of judged tables.  Two are named like the `tool` of
github-action-benchmark."""

ONE_ARM: Final = frozenset({"bencher", "customSmallerIsBetter", "customBiggerIsBetter"})
"""Formats that hold one build."""


def _exported(export: Exporter, report: "Report", context: RenderContext) -> str:
    from pipeline.render.exports import of_report

    return export(of_report(report, context.arm))


RENDERERS: Final[dict[str, Renderer]] = {
    "text": _text,
    "markdown": _markdown,
    "html": _html,
    "junit": _junit,
    "perfdata": _perfdata,
    "timeline": _timeline,
    **{name: partial(_exported, export) for name, export in EXPORTERS.items()},
}
"""Renderers by the name of their format."""
