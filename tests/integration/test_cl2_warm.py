"""One request of each kind goes before Prometheus, and nothing of it stays."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.drivers.clusterloader2.warm_up import warm_up
from pipeline.model.ports import Target
from pipeline.model.subject import Arm
from pipeline.system.errors import LoadError
from tests.loopback import Request, answering, target

pytestmark = pytest.mark.real

ONE = "/api/v1/namespaces/default/secrets/perf-1-warm"


class Server:
    """Answers what a status is set for, and remembers what was asked."""

    def __init__(self, folder: Path, statuses: dict[str, list[int]]) -> None:
        (folder / "token").write_text("a secret")
        self.token = folder / "token"
        self.statuses = statuses
        self.asked: list[str] = []

    def answer(self, one: Request, _: bytes) -> None:
        self.asked.append(f"{one.command} {one.path}")
        left = self.statuses.get(one.command, [])
        one.say("{}", left.pop(0) if left else 200)

    def targets(self, url: str) -> dict[Arm, Target]:
        return {Arm.CANDIDATE: replace(target(url), admin_token_file=self.token)}


def test_each_kind_is_made_read_listed_changed_and_deleted(tmp_path: Path) -> None:
    server = Server(tmp_path, {})
    with answering(server.answer) as url:
        warm_up(server.targets(url), "perf-1")
    path = ONE.rpartition("/")[0]
    assert server.asked[:5] == [
        *(f"POST {path}", f"GET {ONE}", f"GET {path}", f"PATCH {ONE}", f"DELETE {ONE}")
    ]
    assert len(server.asked) == 10


def test_a_server_that_fails_now_and_then_is_loaded_all_the_same(tmp_path: Path) -> None:
    server = Server(tmp_path, {"POST": [500, 409], "DELETE": [503, 500]})
    with answering(server.answer) as url:
        warm_up(server.targets(url), "perf-1")
    assert server.asked.count(f"DELETE {ONE}") == 3


def test_what_was_made_is_deleted_where_the_rest_is_refused(tmp_path: Path) -> None:
    server = Server(tmp_path, {"PATCH": [403]})
    with (
        answering(server.answer) as url,
        pytest.raises(LoadError, match=f"refused PATCH {ONE}: 403"),
    ):
        warm_up(server.targets(url), "perf-1")
    assert server.asked[-1] == f"DELETE {ONE}"
