"""What a load of ClusterLoader2 made is waited for, and is not left behind."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.drivers import created_objects
from pipeline.model.ports import Target
from pipeline.model.subject import Arm
from pipeline.system.errors import LoadError
from tests.loopback import Request, answering, target


class Server:
    """Projects, Organizations and namespaces by name, and what was asked."""

    def __init__(self, *projects: str) -> None:
        self.names: dict[str, list[str]] = {
            "projects": list(projects),
            "organizations": [],
            "namespaces": [],
        }
        self.asked: list[str] = []
        self.looks = 0
        self.vanish_after = 10**9
        self.answers = 10**9
        """Number of lists that are answered."""

    def answer(self, one: Request, _: bytes) -> None:
        path = one.path.partition("?")[0]
        kind = next(kind for kind in self.names if f"/{kind}" in path)
        self.asked.append(f"{one.command} {path.rpartition('/')[2]}")
        if one.command == "DELETE":
            name = path.rpartition("/")[2]
            if name not in self.names[kind]:
                one.say("{}", 404)
                return
            self.names[kind].remove(name)
            one.say("{}")
            return
        self.looks += 1
        if self.looks > self.answers:
            one.say("{}", 500)
            return
        if self.looks > self.vanish_after:
            self.names["projects"] = []
        one.say(json.dumps({"items": [{"metadata": {"name": n}} for n in self.names[kind]]}))

    @contextmanager
    def up(self, folder: Path) -> Iterator[dict[Arm, Target]]:
        (folder / "token").write_text("a secret")
        with answering(self.answer) as url:
            yield {
                Arm.CANDIDATE: dataclasses.replace(
                    target(url), ca_file=folder / "token", admin_token_file=folder / "token"
                )
            }


def test_the_wait_ends_when_the_last_project_of_the_load_is_gone(tmp_path: Path) -> None:
    server = Server("perf-1-project-0", "somebody-elses")
    server.vanish_after = 3
    with server.up(tmp_path) as targets:
        ends, left = created_objects.wait_until_gone(targets, "perf-1", 20)

    assert server.looks == 4
    assert left == {Arm.CANDIDATE: 0}
    assert set(ends) == {Arm.CANDIDATE}


def test_projects_that_are_never_gone_are_counted_after_a_bounded_time(tmp_path: Path) -> None:
    with Server("perf-1-project-0", "perf-1-project-1").up(tmp_path) as targets:
        _, left = created_objects.wait_until_gone(targets, "perf-1", 0.2)

    assert left == {Arm.CANDIDATE: 2}


def test_a_server_that_stops_answering_has_what_it_had_last(tmp_path: Path) -> None:
    server = Server(*(f"perf-1-project-{number}" for number in range(3)))
    server.answers = 1
    with server.up(tmp_path) as targets:
        _, left = created_objects.wait_until_gone(targets, "perf-1", 0.5)

    assert server.looks > 1
    assert left == {Arm.CANDIDATE: 3}


def test_a_dead_server_ends_the_wait(tmp_path: Path) -> None:
    def check() -> None:
        raise LoadError("the server died")

    with Server("perf-1-project-0").up(tmp_path) as targets:
        dead = {arm: dataclasses.replace(one, check=check) for arm, one in targets.items()}
        with pytest.raises(LoadError, match="died"):
            created_objects.wait_until_gone(dead, "perf-1", 20)


def test_only_what_the_load_made_is_deleted(tmp_path: Path) -> None:
    server = Server("perf-1-project-0", "perf-10-project-0", "somebody-elses")
    server.names["namespaces"] = ["default", "perf-1-1"]
    server.names["organizations"] = ["perf-1", "perf-1-organization-0", "milo-perf"]
    with server.up(tmp_path) as targets:
        created_objects.delete_objects(targets, "perf-1")

    assert server.names == {
        "projects": ["perf-10-project-0", "somebody-elses"],
        "namespaces": ["default"],
        "organizations": ["milo-perf"],
    }


def test_an_object_that_is_gone_already_keeps_no_other(tmp_path: Path) -> None:
    class Racing(Server):
        """Its controllers delete the first Project after each list."""

        def answer(self, one: Request, body: bytes) -> None:
            super().answer(one, body)
            if one.command == "GET" and one.path.endswith("/projects"):
                self.names["projects"].pop(0)

    server = Racing("perf-1-project-0", "perf-1-project-1")
    server.names["organizations"] = ["perf-1"]
    with server.up(tmp_path) as targets:
        created_objects.delete_objects(targets, "perf-1")

    assert not any(server.names.values())


def test_a_server_that_answers_no_deletion_is_asked_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(Server):
        """It lists and deletes nothing."""

        def answer(self, one: Request, body: bytes) -> None:
            if one.command == "DELETE":
                self.asked.append(one.command)
                one.say("{}", 500)
            else:
                super().answer(one, body)

    server = Stuck("perf-1-project-0", "perf-1-project-1")
    with server.up(tmp_path) as targets:
        created_objects.delete_objects(targets, "perf-1")

    assert server.asked.count("DELETE") == 1
    assert "may still be there" in caplog.text


def test_a_server_that_is_gone_keeps_nobody_from_ending(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Server().up(tmp_path) as targets:
        pass
    created_objects.delete_objects(targets, "perf-1")

    assert "may still be there" in caplog.text
