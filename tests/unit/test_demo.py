"""`demo` ends with 0 if the fault was caught, and says first what it will do."""

import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.commands.main import main
from pipeline.judge import policy
from pipeline.model.explanation import Explanation, WorkloadExplanation
from pipeline.model.metric import Better, Metric
from pipeline.model.report import Report
from pipeline.model.request import RunRequest
from pipeline.model.subject import parse_spec
from pipeline.runs import demo, run, suite_file
from pipeline.runs.explain import run as explain
from pipeline.storage import codec
from pipeline.system import terminal
from pipeline.system.errors import LoadError
from pipeline.toolchain import reference
from tests.builders import NOW, results

LEAK = Metric("server_goroutines", "1", Better.LOWER, 0.1, gate=True)
GET = Metric("get_p50", "s", Better.LOWER, 0.2, gate=True)
SAME, WORSE = [1180.0, 1182.0, 1179.0], [1540.0, 1544.0, 1541.0]
Demo = Callable[..., tuple[int, str]]


@pytest.fixture
def demonstrate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Demo:
    """Return what runs the command on given numbers; it returns the exit code and the output."""

    def demonstrated(
        leak: list[float], get: list[float], *words: str, cause: Explanation | None = None
    ) -> tuple[int, str]:
        def measure(request: RunRequest, out: Path) -> Report:
            assert request == demo.request()
            printed.append(capsys.readouterr().out)
            out.mkdir()
            found = results((LEAK, SAME, leak), (GET, SAME, get))
            codec.RESULTS.write(out / "results.json", found)
            return policy.report(found)

        def explain_fault(out: Path, *, metric: str, pairs: int) -> Explanation:
            assert (out / "report.html").exists()
            assert (metric, pairs) == (demo.METRIC, demo.EXTRA_PAIRS)
            if cause is None:
                raise LoadError("k6 crashed")
            return cause

        printed: list[str] = []
        monkeypatch.setattr(run, "run", measure)
        monkeypatch.setattr(explain, "explain", explain_fault)
        code = main(["demo", "--out", str(tmp_path / "out"), *words])
        (before,) = printed
        assert "candidate leaks five goroutines with each write of an object" in before
        assert "3. It prints the verdict" in before
        assert "What is missing is built\nfirst" in before
        return code, "".join(capsys.readouterr())

    return demonstrated


def test_a_caught_fault_is_a_success(demonstrate: Demo) -> None:
    code, said = demonstrate(WORSE, SAME)
    assert code == 0
    assert said.startswith("REGRESSION: server goroutines +31")
    assert "the baseline has 1,180 goroutines, and the candidate 1,542." in said
    page = Path(said.rpartition("The page is ")[2].splitlines()[0])
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_cause_is_what_was_measured_and_not_what_is_known(demonstrate: Demo) -> None:
    found = WorkloadExplanation("object-crud", LEAK, None, per="create", pairs=4, tests=812)
    cause = Explanation(run="", taken_at=NOW, alpha=0.05, workloads=(found,))
    code, said = demonstrate(WORSE, SAME, cause=cause)
    assert code == 0
    assert "server goroutines: no function and no server metric moved beyond chance" in said
    assert "leak" not in said.partition("Caught")[2]


def test_a_cause_that_cannot_be_measured_leaves_the_fault_caught(
    demonstrate: Demo,
) -> None:
    code, said = demonstrate(WORSE, SAME)
    assert code == 0
    assert "the cause was not measured: k6 crashed" in said
    assert "The page is /" in said


@pytest.mark.parametrize(
    ("leak", "get", "answer"),
    [
        pytest.param(SAME, SAME, "PASS", id="nothing"),
        pytest.param(SAME, WORSE, "REGRESSION: get p50", id="another metric"),
        pytest.param([300.0, 9000.0, 1800.0], SAME, "INCONCLUSIVE", id="too much noise"),
    ],
)
def test_a_fault_that_was_not_caught_is_exit_code_4(
    demonstrate: Demo, leak: list[float], get: list[float], answer: str
) -> None:
    code, said = demonstrate(leak, get)
    assert code == 4
    assert "Not caught: the candidate leaks goroutines" in said
    assert f"\n  {answer}" in said.partition("Not caught")[2]


@pytest.mark.parametrize("display", ["", ":0"])
@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("words", [(), ("--no-open",)])
def test_the_page_is_opened_only_for_a_person_with_a_display(
    demonstrate: Demo,
    monkeypatch: pytest.MonkeyPatch,
    display: str,
    words: tuple[str, ...],
    *,
    is_terminal: bool,
) -> None:
    opened: list[str] = []

    def open_page(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", open_page)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    _, said = demonstrate(WORSE, SAME, *words)
    if display and is_terminal and not words:
        assert [url.endswith("/out/report.html") for url in opened] == [True]
        assert "Opened /" in said
    else:
        assert opened == []
        assert "The page is /" in said


def test_a_browser_that_does_not_start_is_no_opened_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("DISPLAY", ":0")
    assert not terminal.open_in_browser(tmp_path / "report.html")


def test_the_suite_has_the_metric_of_the_fault_and_the_fault_exists() -> None:
    suite = suite_file.load(suite_file.path_of(demo.SUITE)).suite
    (metric,) = (m for key, m in suite.keyed_metrics() if key == demo.METRIC)
    assert metric.gate
    reference.check_settings(parse_spec(demo.request().candidate))
