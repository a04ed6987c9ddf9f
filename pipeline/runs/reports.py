"""Judge the results in a folder again, and write their reports."""

from pathlib import Path

from pipeline.judge import policy
from pipeline.judge.constants import MIN_PAIRS
from pipeline.model.report import Report
from pipeline.model.subject import Arm
from pipeline.render import answer_line
from pipeline.render.registry import RENDERERS, RenderContext
from pipeline.runs import traces
from pipeline.runs.deploy.folder import DeploymentFolder
from pipeline.runs.explain.explanation_file import read_explanation
from pipeline.runs.run import is_started_here
from pipeline.runs.timeline import read_timeline
from pipeline.storage import codec
from pipeline.system import paths, terminal
from pipeline.system.errors import Exit
from pipeline.system.paths import RESULTS

VERDICT = "verdict.json"
_REPORTS = {"report.txt": "text", "report.md": "markdown", "report.html": "html"}


def compare(out: Path) -> Report:
    """Judge the results in a folder, and return the report."""
    return policy.report(codec.RESULTS.read(paths.result_file(out, RESULTS)))


def write(report: Report, out: Path, exit_code: Exit) -> bool:
    """Write the verdict and every report into the run's folder; see `codec.write_reports`."""
    step = next_step(report, out)
    return codec.write_reports(
        out,
        {
            VERDICT: codec.verdict_json(report, exit_code, answer_line.answer(report), step),
            **{name: render(report, out, how) for name, how in _REPORTS.items()},
        },
    )


def write_again(out: Path, *, strict: bool = False) -> bool:
    """Judge the results in a folder as before, and write every report again."""
    report = compare(out)
    return write(report, out, policy.exit_code(report, strict=strict))


def next_step(report: Report, out: Path) -> str:
    """Return the command that would lead to an answer; empty if there is none."""
    if not answer_line.is_measured(report):
        missing = MIN_PAIRS - len(report.results.valid_pairs)
        is_up = DeploymentFolder(out).is_kept()
        return terminal.command("load", out, "--pairs", missing) if is_up else ""
    more = answer_line.more_pairs(report)
    return terminal.command("run", "--resume", out, "--pairs", more) if more else ""


def render(
    report: Report,
    out: Path,
    how: str,
    *,
    width: int = 100,
    color: bool = False,
    arm: Arm = Arm.CANDIDATE,
) -> str:
    """Return a report in one of the formats of `RENDERERS`."""
    results = report.results
    context = RenderContext(
        lambda: traces.read(out, results, is_ours=is_started_here(results, out)),
        lambda: codec.RESULTS.dumps(results),
        lambda: read_timeline(out, results, is_ours=is_started_here(results, out)),
        next_step(report, out),
        width,
        color,
        lambda: read_explanation(out, report.results),
        arm,
    )
    return RENDERERS[how](report, context)
