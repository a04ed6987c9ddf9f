"""What every test may ask for."""

import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

GOLDEN = Path(__file__).parent / "golden"


# No test may depend on how fast a machine is.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite expected files")


@pytest.fixture(scope="session", autouse=True)
def hang_up_as_in_a_terminal() -> Iterator[None]:
    """Let programs that tests start get SIGHUP, also where `nohup` runs the tests.

    An ignored signal is inherited; one that has a handler is not.
    """
    before = signal.getsignal(signal.SIGHUP)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session", autouse=True)
def state_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is noted of runs out of the user's own state."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def log_of_one_test() -> Iterator[None]:
    """Put the log back as it was, where a test ran the command line in this process."""
    log = logging.getLogger("pipeline")
    handlers, propagate, level = list(log.handlers), log.propagate, log.level
    yield
    log.handlers[:], log.propagate = handlers, propagate
    log.setLevel(level)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare text with a file below tests/golden; with --update-golden, write the file."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return check


@pytest.fixture
def section(request: pytest.FixtureRequest) -> Callable[[str, str, str], None]:
    """Compare text with a marked part of a file; with --update-golden, write the part."""

    def check(name: str, part: str, text: str) -> None:
        path = GOLDEN / name
        whole = path.read_text(encoding="utf-8")
        before, begin, rest = whole.partition(f"<!-- {part}: begin -->\n")
        found, end, after = rest.partition(f"\n<!-- {part}: end -->")
        assert end, f"{path} has no part `{part}`"
        if request.config.getoption("--update-golden"):
            path.write_text(before + begin + text + end + after, encoding="utf-8")
            found = text
        assert text == found

    return check
