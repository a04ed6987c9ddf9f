"""Projects are timed by the events of one watch, which goes on when the server ends it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.model.ports import Span
from pipeline.probes.projects import ProjectLifetimes, ProjectsProbe
from pipeline.system.errors import LoadError
from tests.loopback import Request, answering, probe_values, target


def event(
    kind: str, name: str, version: int = 6, *, ready: bool = False, deleted: bool = False
) -> dict[str, object]:
    metadata: dict[str, object] = {"uid": name, "name": name, "resourceVersion": str(version)}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"type": kind, "object": {"metadata": metadata, "status": {"conditions": conditions}}}


def project(*arguments: object, **facts: bool) -> dict[str, object]:
    found = event(*arguments, **facts)["object"]  # type: ignore[arg-type]  # any fact
    assert isinstance(found, dict)
    return found


def seen(lives: ProjectLifetimes, now: float = 30.0) -> dict[str, float]:
    return probe_values(tuple(lives.readings(now)))


def test_times_are_from_first_seen_to_ready_and_from_deleted_to_gone() -> None:
    lives = ProjectLifetimes()
    lives.add_event("ADDED", project("ADDED", "a"), 10.0)
    lives.add_event("MODIFIED", project("MODIFIED", "a", ready=True), 10.5)
    lives.add_event("MODIFIED", project("MODIFIED", "a", ready=True), 11.0)
    lives.add_event("MODIFIED", project("MODIFIED", "a", ready=True, deleted=True), 12.0)
    lives.add_event("MODIFIED", project("MODIFIED", "a", deleted=True), 13.0)
    lives.add_event("DELETED", project("DELETED", "a", deleted=True), 14.0)

    assert seen(lives) == {
        "projects.created": 1,
        "projects.ready/count": 1,
        "projects.ready/mean": 0.5,
        "projects.gone/count": 1,
        "projects.gone/mean": 2.0,
        "projects.gone_late": 0,
        "projects.never_ready": 0,
        "projects.never_ready_share": 0,
        "projects.never_gone": 0,
        "projects.gaps": 0,
    }


def test_what_never_became_ready_or_never_went_is_counted() -> None:
    lives = ProjectLifetimes()
    for name in ("stuck", "going", "fine", "short"):
        lives.add_event("ADDED", project("ADDED", name), 10.0)
    lives.add_event("MODIFIED", project("MODIFIED", "fine", ready=True), 11.0)
    lives.add_event("MODIFIED", project("MODIFIED", "going", ready=True), 11.0)
    lives.add_event("MODIFIED", project("MODIFIED", "going", ready=True, deleted=True), 12.0)
    lives.add_event("DELETED", project("DELETED", "short", deleted=True), 12.0)

    found = seen(lives)

    assert found["projects.never_ready"] == 1
    assert found["projects.never_ready_share"] == 0.25
    assert found["projects.never_gone"] == 1
    assert found["projects.gone/count"] == 2  # one was never seen on its way: gone at once


def test_a_wait_that_did_not_end_is_as_long_as_it_was_watched_at_least() -> None:
    lives = ProjectLifetimes()
    for name in ("a", "b", "c", "d", "e", "f"):
        lives.add_event("ADDED", project("ADDED", name), 10.0)
        lives.add_event("MODIFIED", project("MODIFIED", name, ready=True, deleted=True), 12.0)
    for name in ("a", "b", "c", "d"):
        lives.add_event("DELETED", project("DELETED", name, deleted=True), 20.0)

    found = {reading.name: reading for reading in lives.readings(72.0)}

    assert (found["projects.gone/p50"].value, found["projects.gone/p50"].at_least) == (8.0, False)
    mean = found["projects.gone/mean"]
    assert mean.value == pytest.approx((4 * 8.0 + 2 * 60.0) / 6)
    assert mean.at_least


@pytest.mark.parametrize(
    ("gone_after", "now", "late"),
    [
        pytest.param([7.0, 8.0, 92.0, 92.0], 120.0, 0.5, id="two that waited"),
        pytest.param([7.0, 8.0, 9.0, None], 120.0, 0.25, id="one that never goes"),
        pytest.param([7.0, 8.0, 20.0], 120.0, 0.0, id="just in time"),
        pytest.param([7.0, None], 15.0, None, id="nobody knows yet"),
        pytest.param([], 15.0, None, id="nothing was deleted"),
    ],
)
def test_a_project_that_is_gone_late_is_counted(
    gone_after: list[float | None], now: float, late: float | None
) -> None:
    lives = ProjectLifetimes()
    for number, after in enumerate(gone_after):
        name = str(number)
        lives.add_event("ADDED", project("ADDED", name), 0.0)
        lives.add_event("MODIFIED", project("MODIFIED", name, deleted=True), 0.0)
        if after is not None:
            lives.add_event("DELETED", project("DELETED", name, deleted=True), after)
    found = {reading.name: reading for reading in lives.readings(now)}
    if late is None:
        assert "projects.gone_late" not in found
    else:
        assert found["projects.gone_late"].value == late
        assert found["projects.gone_late"].denominator is None  # they are not independent


def test_a_project_that_was_there_before_counts_nowhere() -> None:
    lives = ProjectLifetimes()
    lives.add_event("MODIFIED", project("MODIFIED", "old", ready=True), 10.0)
    lives.add_event("DELETED", project("DELETED", "old"), 11.0)

    assert seen(lives)["projects.created"] == 0
    assert "projects.never_ready_share" not in seen(lives)


def test_projects_that_lived_in_a_gap_are_left_out() -> None:
    lives = ProjectLifetimes()
    lives.add_event("ADDED", project("ADDED", "before"), 9.0)
    lives.add_event("DELETED", project("DELETED", "before"), 9.5)
    lives.add_event("ADDED", project("ADDED", "in it"), 10.0)
    lives.add_gap()
    lives.add_event("MODIFIED", project("MODIFIED", "in it", ready=True), 20.0)

    assert seen(lives)["projects.gaps"] == 1
    assert seen(lives)["projects.gone/count"] == 1
    assert seen(lives)["projects.ready/count"] == 0


class Server:
    """Answers each watch with the next list of events; the last watch stays open, silent."""

    def __init__(self, *watches: list[dict[str, object]] | int) -> None:
        self.watches = list(watches)
        self.asked: list[str] = []
        self.over = threading.Event()

    def answer(self, request: Request, _body: bytes) -> None:
        query = parse_qs(urlsplit(request.path).query)
        if "watch" not in query:
            request.say(json.dumps({"metadata": {"resourceVersion": "5"}, "items": []}))
            return
        self.asked.append(query["resourceVersion"][0])
        said = self.watches.pop(0) if self.watches else []
        if isinstance(said, int):
            request.say("{}", said)
            return
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for one in said:
            line = json.dumps(one).encode() + b"\n"
            request.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        if not self.watches:
            self.over.wait(20)
        request.wfile.write(b"0\r\n\r\n")


@contextmanager
def watched(server: Server, tmp_path: Path) -> Iterator[Callable[[], dict[str, float]]]:
    token = tmp_path / "token"
    token.write_text("secret")
    with answering(server.answer) as url:
        one = target(url)
        object.__setattr__(one, "admin_token_file", token)
        with ProjectsProbe().watch(one, tmp_path) as watch:
            yield lambda: probe_values(watch.readings(Span(0, 1)))
        server.over.set()


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_watch_goes_on_from_the_last_version_when_the_server_ends_it(tmp_path: Path) -> None:
    server = Server(
        [event("ADDED", "a", 6), event("BOOKMARK", "", 9)], [event("MODIFIED", "a", 10, ready=True)]
    )
    with watched(server, tmp_path) as readings:
        until(lambda: len(server.asked) == 2 and readings()["projects.never_ready"] == 0)

    assert server.asked == ["5", "9"]


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(
            [{"type": "ERROR", "object": {"code": 410, "message": "expired"}}], id="event"
        ),
        pytest.param(410, id="status"),
    ],
)
def test_a_server_that_has_forgotten_the_version_is_listed_anew(
    tmp_path: Path, gone: list[dict[str, object]] | int, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server([event("ADDED", "a", 6)], gone, [event("ADDED", "b", 7)])
    with watched(server, tmp_path) as readings:
        until(lambda: readings()["projects.created"] == 2)

        assert readings()["projects.gaps"] == 1
    assert server.asked == ["5", "6", "5"]
    assert "the watch had a gap" in caplog.text


def test_a_refused_watch_is_tried_again(tmp_path: Path) -> None:
    server = Server(429, [event("ADDED", "a")])
    with watched(server, tmp_path) as readings:
        until(lambda: readings()["projects.created"] == 1)

    assert server.asked == ["5", "5"]


def test_a_watch_that_broke_and_is_not_back_is_an_error(tmp_path: Path) -> None:
    server = Server([event("ADDED", "a")], *[500] * 100)
    with watched(server, tmp_path) as readings:
        until(lambda: len(server.asked) > 2)
        with pytest.raises(LoadError, match=r"the watch broke: .*: 500"):
            readings()


def test_a_silent_watch_ends_at_once(tmp_path: Path) -> None:
    server = Server()
    with watched(server, tmp_path) as readings:
        readings()
        began = time.monotonic()

    assert time.monotonic() - began < 10  # the server is silent for 20 s


def test_nonsense_in_the_stream_is_an_error_not_a_project(tmp_path: Path) -> None:
    nonsense: list[dict[str, object]] = [{"type": "ADDED"}]
    server = Server(*[nonsense] * 100)
    with (
        watched(server, tmp_path) as readings,
        pytest.raises(LoadError, match="not an event of a watch"),
    ):
        until(lambda: not readings())
