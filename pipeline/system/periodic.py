"""Do something every so often, in a thread of its own, while a block runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def run_periodically(act: Callable[[], None], period_s: float, name: str) -> Iterator[None]:
    """Act again and again while the block runs; leaving waits for what is being done.

    Args:
        act: For the first time after one period; what it raises ends the thread.
        period_s: Seconds from the end of one act to the begin of the next.
        name: Of the thread.
    """
    stop = threading.Event()

    def go_on() -> None:
        while not stop.wait(period_s):
            act()

    thread = threading.Thread(target=go_on, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
