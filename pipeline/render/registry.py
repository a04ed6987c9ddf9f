"""The output formats of a report: to add one, write a renderer and name it here.

A renderer imports its module when it is called, so that the command line knows every name at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from pipeline.model.explanation import Explanation
    from pipeline.model.report import Report
    from pipeline.model.traces import Timeline, Traces


@dataclass(frozen=True, slots=True)
class RenderContext:
    """What a renderer may need beside the report.

    Attributes:
        load_traces: Function that reads the traces that the run's folder keeps.
        load_timeline: Function that reads what the candidate did over time.
        next_step: Command that would settle an inconclusive run; empty if there is none.
        load_explanation: Function that reads what `explain` says of the run; None if nothing does.
    """

    load_traces: "Callable[[], Traces]"
    load_results_json: Callable[[], str]
    load_timeline: "Callable[[], Timeline]"
    next_step: str = ""
    width: int = 100
    color: bool = False
    load_explanation: "Callable[[], Explanation | None]" = lambda: None


Renderer: TypeAlias = "Callable[[Report, RenderContext], str]"
"""A function that turns a report into one output format."""


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


RENDERERS: Final[dict[str, Renderer]] = {
    "text": _text,
    "markdown": _markdown,
    "html": _html,
    "junit": _junit,
    "perfdata": _perfdata,
    "timeline": _timeline,
}
"""Renderers by the name of their format."""
