"""The summary of a job, and the annotations that its log shows."""

import secrets
from pathlib import Path

from pipeline.model.publication import Outcome, Publication
from pipeline.publish import checks
from pipeline.render.comment import TextKind, comment, publication_answer
from pipeline.system.errors import ConfigError, StorageError, hint_for

MOST_ANNOTATIONS = 10
"""Of a step, that GitHub shows."""

MOST_BYTES = 2**20
"""Of the summary of a step; GitHub drops a longer one as a whole."""


def write(publication: Publication, path: Path) -> str:
    """Add the summary to the file of the step, and return what was done in a sentence.

    Raises:
        ConfigError: The file has no room left.
        StorageError: The file cannot be written.
    """
    text = f"{comment(publication, TextKind.PLAIN)}\n"
    try:
        size = path.stat().st_size if path.exists() else 0
        if size + len(text.encode()) > MOST_BYTES:
            raise ConfigError(f"{path}: the summary of this step would be above 1 MiB")
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StorageError(
            f"{path}: the summary cannot be written: {error.strerror}", hint=hint_for(error)
        ) from error
    return "summary: written"


def commands(publication: Publication) -> list[str]:
    """Return the annotations of a step, as the commands that its runner obeys."""
    if publication.outcome in (Outcome.BROKEN, Outcome.INCOMPLETE):
        return [_command("error", publication_answer(publication))]
    if publication.outcome is Outcome.INCONCLUSIVE:
        return [_command("warning", publication_answer(publication))]
    found = checks.annotations(publication)[:MOST_ANNOTATIONS]
    return [_command("error", one["message"]) for one in found]


def quoted(text: str, *, is_in_actions: bool) -> str:
    """Return text for a log whose runner obeys commands, so that none in it is obeyed."""
    if not is_in_actions:
        return text
    token = secrets.token_hex(16)
    return f"::stop-commands::{token}\n{text}\n::{token}::"


def _command(level: str, message: str) -> str:
    for character, escape in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        message = message.replace(character, escape)
    return f"::{level} title=Performance::{message}"
