"""One logger, to stderr; stdout belongs to results.

On GitHub Actions a step becomes a folded group.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.system import output
from pipeline.system.redact import redact

log = logging.getLogger("pipeline")


class _Stderr(logging.Handler):
    """Prints to what is stderr at that moment: a live progress line takes its place for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line."""
        output.print_stderr(self.format(record))


class _Redacted(logging.Formatter):
    """Shows no password, also not one that an exception in a traceback has."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record without what is secret."""
        return redact(super().format(record))


def configure(*, verbose: bool, quiet: bool = False) -> None:
    """Send log lines to stderr; call once, from the command line only."""
    handler = _Stderr()
    handler.setFormatter(_Redacted("%(asctime)s %(message)s", "%H:%M:%S"))
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Log how long a block took, and fold its lines on GitHub Actions."""
    on_actions = os.environ.get("GITHUB_ACTIONS") == "true"
    started = time.monotonic()
    if on_actions:
        output.print_stderr(f"::group::{title}")
    try:
        yield
    finally:
        if on_actions:
            output.print_stderr("::endgroup::")
        log.info("%s: %.1f s", title, time.monotonic() - started)
