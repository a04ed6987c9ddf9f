"""Write what a job shows without GitHub's API: the report page, the summary, and annotations."""

import secrets
from dataclasses import replace
from pathlib import Path

from pipeline.model.publication import Outcome, Publication
from pipeline.model.report import Report, RunWarning, WarningKind
from pipeline.model.traces import Traces
from pipeline.publish import checks
from pipeline.render.comment import FORK_WARNING, TextKind, comment, publication_answer
from pipeline.render.html import html
from pipeline.storage import codec
from pipeline.system.errors import ConfigError, StorageError

MAX_ANNOTATIONS = 10
"""Number of annotations of a step that GitHub shows."""

MAX_SUMMARY_BYTES = 2**20
"""Size of the summary of a step; GitHub drops a longer one as a whole."""


def write_page(publication: Publication, path: Path | None) -> str:
    """Write the report as an HTML page, and return what was done in a sentence.

    The page in an artifact is a stranger's and may run a script, so it is never passed on.  This
    one is rendered anew from the numbers, by the margins of our own suite.

    Raises:
        ConfigError: There is no path.
        StorageError: The file cannot be written.
    """
    if path is None:
        raise ConfigError("--to page needs a file to write", hint="add --page FILE")
    if publication.report is None:
        return "page: none, because there is no report"
    text = page_html(publication, publication.report)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError.unwritable(path, error) from error
    return f"page: written to {path}"


def page_html(publication: Publication, report: Report) -> str:
    """Return the page of a publication's report, with the publication's notes as warnings."""
    fork = (FORK_WARNING,) if publication.origin.is_fork else ()
    notes = (RunWarning(WarningKind.NOTE, note) for note in (*fork, *publication.notes))
    return html(
        replace(report, warnings=(*notes, *report.warnings)),
        Traces(),
        codec.RESULTS.dumps(report.results),
        answer=publication_answer(publication),
        command=publication.command,
        explanation=publication.explanation,
    )


def write_summary(publication: Publication, path: Path) -> str:
    """Append the summary to the file of the step, and return what was done in a sentence.

    Raises:
        ConfigError: The summary would be too long.
        StorageError: The file cannot be written.
    """
    text = f"{comment(publication, TextKind.PLAIN)}\n"
    try:
        size = path.stat().st_size if path.exists() else 0
        if size + len(text.encode()) > MAX_SUMMARY_BYTES:
            raise ConfigError(f"{path}: the summary of this step would be above 1 MiB")
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StorageError.unwritable(path, error) from error
    return "summary: written"


def annotation_commands(publication: Publication) -> list[str]:
    """Return the annotations of a step as workflow commands."""
    if publication.outcome in (Outcome.BROKEN, Outcome.INCOMPLETE):
        return [_command("error", publication_answer(publication))]
    if publication.outcome is Outcome.INCONCLUSIVE:
        return [_command("warning", publication_answer(publication))]
    annotations = checks.annotations(publication)[:MAX_ANNOTATIONS]
    return [_command("error", one["message"]) for one in annotations]


def quote_commands(text: str, *, is_in_actions: bool) -> str:
    """Return text for a log in which the runner obeys no workflow command."""
    if not is_in_actions:
        return text
    token = secrets.token_hex(16)
    return f"::stop-commands::{token}\n{text}\n::{token}::"


def _command(level: str, message: str) -> str:
    for character, escape in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        message = message.replace(character, escape)
    return f"::{level} title=Performance::{message}"
