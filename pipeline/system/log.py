"""The logger, which prints to stderr; stdout is for results."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.system import output
from pipeline.system.redact import redact

log = logging.getLogger("pipeline")


class _Stderr(logging.Handler):
    """Prints to the current stderr, which a live progress line replaces for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line."""
        output.print_stderr(self.format(record))


class _Redacted(logging.Formatter):
    """Removes passwords, also from tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record without passwords."""
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
    """Log the duration of a block; on GitHub Actions, its lines become a folded group."""
    on_actions = log.isEnabledFor(logging.INFO) and os.environ.get("GITHUB_ACTIONS") == "true"
    started = time.monotonic()
    if on_actions:
        output.print_stderr(f"::group::{title}")
    try:
        yield
    finally:
        if on_actions:
            output.print_stderr("::endgroup::")
        log.info("%s: %.1f s", title, time.monotonic() - started)
