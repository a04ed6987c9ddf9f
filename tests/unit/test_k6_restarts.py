"""A script lets the pipeline restart a build, and only a build of its own load."""

import dataclasses
import threading
import time
import urllib.error
import urllib.request

import pytest

from pipeline.drivers.k6.restarts import serve_restarts
from pipeline.model.request import RunRequest
from pipeline.model.subject import Arm
from pipeline.runs.request import resolve_plan
from pipeline.system.errors import ConfigError, Exit
from tests.fakes import target


def post(url: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="POST")) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_thread_that_handles_requests_restarts_the_build_that_is_named() -> None:
    restarted: list[tuple[Arm, str]] = []
    targets = {
        arm: dataclasses.replace(
            target(),
            restart=lambda arm=arm: restarted.append((arm, threading.current_thread().name)),  # type: ignore[misc]
        )
        for arm in Arm
    }
    answers: list[int] = []
    with serve_restarts(targets) as endpoint:
        url = endpoint.variables["CANDIDATE_RESTART_URL"]
        asking = threading.Thread(target=lambda: answers.append(post(url)))
        asking.start()
        while endpoint.requests.empty():
            time.sleep(0.005)
        assert not restarted
        endpoint.handle()
        asking.join()
        endpoint.handle()
    assert restarted == [(Arm.CANDIDATE, threading.current_thread().name)]
    assert answers == [200]


def test_nobody_can_restart_a_build_without_the_path() -> None:
    with serve_restarts({Arm.CANDIDATE: target()}) as endpoint:
        (url,) = endpoint.variables.values()
        assert post(f"{url}x") == 404
        assert endpoint.requests.empty()


def test_a_load_that_restarts_nothing_has_no_endpoint() -> None:
    with serve_restarts({}) as endpoint:
        endpoint.handle()
    assert not endpoint.variables


def test_a_load_that_restarts_builds_is_refused_where_the_environment_cannot() -> None:
    assert resolve_plan(RunRequest(suite="restart", candidate="reference"))[1].suite.workloads
    with pytest.raises(ConfigError, match="restart: it restarts the controllers") as caught:
        resolve_plan(RunRequest(suite="restart", candidate="reference", environment="kind"))
    assert caught.value.exit_code is Exit.BAD_ARGUMENTS
