"""The report as one HTML page, rendered by us from what we decided.

The page in an artifact is a stranger's: it may say anything, and may run a script.  So it is never
passed on.  This one is made anew from the numbers, by the margins of our own suite, and has only
the command that we recommend.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

from pipeline.model.publication import Publication
from pipeline.model.report import Report, RunWarning, WarningKind
from pipeline.model.traces import Traces
from pipeline.render.comment import FORK_WARNING, publication_answer
from pipeline.render.html import html
from pipeline.storage import codec
from pipeline.system.errors import ConfigError, StorageError, hint_for

_NONE: Final = "page: none, because there is no report"


def write(publication: Publication, path: Path | None) -> str:
    """Write the page, and return what was done in a sentence.

    Args:
        publication: One without a report has no page, and the file is not written.
        path: Of the file; its folder is made.

    Raises:
        ConfigError: There is no path.
        StorageError: The file cannot be written.
    """
    if path is None:
        raise ConfigError("--to page needs a file to write", hint="add --page FILE")
    if publication.report is None:
        return _NONE
    text = rendered(publication, publication.report)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"{path}: the page cannot be written: {error.strerror}", hint=hint_for(error)
        ) from error
    return f"page: written to {path}"


def rendered(publication: Publication, report: Report) -> str:
    """Return the page of a publication's report, with the publisher's notes among its warnings."""
    notes = (*((FORK_WARNING,) if publication.origin.is_fork else ()), *publication.notes)
    warnings = (RunWarning(WarningKind.NOTE, note) for note in notes)
    noted = replace(report, warnings=(*warnings, *report.warnings))
    return html(
        noted,
        Traces(),
        codec.RESULTS.dumps(report.results),
        answer=publication_answer(publication),
        command=publication.command,
    )
