"""Call a function periodically in a thread."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def run_periodically(act: Callable[[], None], period_s: float, name: str) -> Iterator[None]:
    """Call a function periodically while the block runs; the end waits for a running call.

    Args:
        act: Function; first called after one period.  An exception from it ends the thread.
        period_s: Seconds from the end of one call to the start of the next.
        name: Name of the thread.
    """
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(period_s):
            act()

    thread = threading.Thread(target=loop, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
