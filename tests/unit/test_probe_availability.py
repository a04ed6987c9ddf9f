"""What is not answered counts for as long as it took, and tries never pile up."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.model.ports import Span
from pipeline.probes.availability import (
    NAME,
    AvailabilityCheck,
    AvailabilityProbe,
    summarize_checks,
)
from pipeline.system.errors import LoadError
from tests.loopback import Request, answering, probe_values, target


def one(
    start_s: float, ready_s: float, write_s: float, *, ready: bool, written: bool
) -> AvailabilityCheck:
    return AvailabilityCheck(
        start_s, start_s + ready_s, start_s + ready_s + write_s, ready, written
    )


def fine(start_s: float) -> AvailabilityCheck:
    return one(start_s, 0.001, 0.004, ready=True, written=True)


def test_a_server_that_always_answers_has_gaps_of_one_period() -> None:
    seen = probe_values(summarize_checks([fine(i / 10) for i in range(101)], Span(1.0, 9.0)))

    assert seen["availability.ready_share"] == 1
    assert seen["availability.write_share"] == 1
    assert seen["availability.longest_gap"] == pytest.approx(0.1, abs=0.01)


def test_a_try_that_hung_counts_for_those_that_were_due_meanwhile() -> None:
    hung = one(5.0, 0.001, 1.0, ready=True, written=False)
    tries = [*(fine(i / 10) for i in range(50)), hung, *(fine(6 + i / 10) for i in range(41))]

    seen = probe_values(summarize_checks(tries, Span(0.0, 10.0)))

    assert seen["availability.ready_share"] == 1
    assert seen["availability.write_share"] == pytest.approx(91 / 101, abs=0.001)
    assert seen["availability.longest_gap"] == pytest.approx(1.1, abs=0.02)


def test_a_server_that_never_answered_has_one_gap_as_long_as_the_load() -> None:
    refused = [one(i / 10, 0.001, 0.001, ready=False, written=False) for i in range(100)]

    seen = probe_values(summarize_checks(refused, Span(0.0, 10.0)))

    assert seen == {
        "availability.ready_share": 0,
        "availability.write_share": 0,
        "availability.longest_gap": 10,
    }


def test_a_load_in_which_nothing_was_tried_is_an_error() -> None:
    with pytest.raises(LoadError, match="no request was sent"):
        summarize_checks([fine(0)], Span(5, 6))


class Server:
    """Answers, unless it is told to hang."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.changes: list[object] = []
        self.refuses = False

    def answer(self, request: Request, body: bytes) -> None:
        self.free.wait(20)
        if request.command == "POST":
            request.say("{}", 403 if self.refuses else 409)
        elif request.command == "PATCH":
            assert request.path.endswith(f"/configmaps/{NAME}")
            assert request.headers["Content-Type"] == "application/merge-patch+json"
            self.changes.append(json.loads(body)["data"]["number"])
            request.say("{}")
        else:
            request.say("ok")


@contextmanager
def watched(server: Server, tmp_path: Path) -> Iterator[Callable[[Span], dict[str, float]]]:
    token = tmp_path / "token"
    token.write_text("secret")
    with answering(server.answer) as url:
        victim = target(url)
        object.__setattr__(victim, "admin_token_file", token)
        with AvailabilityProbe().watch(victim, tmp_path) as watch:
            yield lambda span: probe_values(watch.readings(span))
        server.free.set()


def test_each_write_changes_something(tmp_path: Path) -> None:
    server = Server()
    with watched(server, tmp_path) as readings:
        began = time.time()
        time.sleep(0.45)
        seen = readings(Span(began, time.time()))

    assert seen["availability.write_share"] == 1
    assert len(set(map(str, server.changes))) == len(server.changes) >= 3
    assert (tmp_path / "availability.csv").read_text().startswith("start_s,")


def test_tries_at_a_server_that_hangs_do_not_pile_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.probes.availability.TIMEOUT_S", 0.2)
    server = Server()
    with watched(server, tmp_path) as readings:
        began = time.time()
        threads = threading.active_count()
        server.free.clear()
        time.sleep(1)
        assert threading.active_count() <= threads + 12  # of the server: one for each that hangs
        seen = readings(Span(began, time.time()))

    assert seen["availability.ready_share"] < 0.5
    assert seen["availability.longest_gap"] > 0.6


def test_leaving_does_not_wait_for_a_server_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.probes.availability.TIMEOUT_S", 20.0)
    server = Server()
    with watched(server, tmp_path):
        server.free.clear()
        time.sleep(0.2)
        began = time.monotonic()

    assert time.monotonic() - began < 10  # the server hangs for 20 s


def test_a_server_that_refuses_the_write_is_an_error(tmp_path: Path) -> None:
    server = Server()
    server.refuses = True
    with (
        pytest.raises(LoadError, match="the server refused its ConfigMap: 403"),
        watched(server, tmp_path),
    ):
        pass
