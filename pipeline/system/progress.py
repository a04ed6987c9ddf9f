"""Progress of a run: a live line on a terminal, log lines elsewhere."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from pipeline.system import output
from pipeline.system.log import log


class Progress(Protocol):
    """Receiver of progress reports."""

    def stage(self, title: str, left_s: float) -> None:
        """Report that a stage begins, and how many seconds are left in total."""
        ...


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Show progress while the block runs, except with --quiet."""
    if log.isEnabledFor(logging.INFO) and output.supports_escapes(sys.stderr):
        with _live() as progress:
            yield progress
    else:
        yield _LogProgress()


def format_duration(seconds: float) -> str:
    """Return a duration as text, such as `45 s` or `4 min 10 s`."""
    whole = max(0, round(seconds))
    return f"{whole} s" if whole < 90 else f"{whole // 60} min {whole % 60:02} s"


class _LogProgress:
    def stage(self, title: str, left_s: float) -> None:
        log.info("%s (about %s left)", title, format_duration(left_s))


@contextmanager
def _live() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
    from rich.text import Text

    class TimeLeft(ProgressColumn):
        """Remaining time, counted down between two stages."""

        def render(self, task: Task) -> Text:
            if task.fields["until"] is None:
                return Text("")
            left_s = float(task.fields["until"]) - time.monotonic()
            return Text(
                f"{format_duration(left_s)} left" if left_s > 0 else "finishing", style="cyan"
            )

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeLeft(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:

        class LiveProgress:
            """Moves the bar by the share of the time that has passed."""

            began = time.monotonic()
            task = bar.add_task("starting", total=1.0, until=None)

            def stage(self, title: str, left_s: float) -> None:
                now = time.monotonic()
                passed = now - self.began
                share = passed / (passed + max(left_s, 0.1))
                bar.update(self.task, description=title, completed=share, until=now + left_s)

        yield LiveProgress()
