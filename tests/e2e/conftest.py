"""Whole runs of the command on real parts, with a suite of a few seconds."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.model.subject import parse_spec
from pipeline.system import paths

HEAD = """
name = "tiny"
description = "a few seconds of each workload"
pairs = 2
max_invalid = 1

[environment]
kind = "local"

"""
LIFECYCLE = """[[workload]]
name = "project-lifecycle"
[workload.driver]
kind = "k6"
script = "project_lifecycle.js"
rate = 3.0
duration_s = 3
warmup_s = 1
requests_per_iteration = 5.0
max_rate_error = 0.5
request_timeout_s = 4
deadline_s = 8
[[workload.metric]]
name = "keys_left"
select = "etcd.keys_added"
per = "projects_deleted"
unit = "1"
better = "lower"
scale = "difference"
margin = 0.5
gate = true

"""
CRUD = """[[workload]]
name = "object-crud"
[workload.driver]
kind = "k6"
script = "object_crud.js"
rate = 8.0
duration_s = 3
warmup_s = 1
requests_per_iteration = 4.2
max_rate_error = 0.5
projects = 1
objects = 5
request_timeout_s = 4
deadline_s = 8
[[workload.metric]]
name = "create_p50"
select = "http_req_duration{op=create}/p50"
unit = "s"
better = "lower"
margin = 1.0
gate = true
[[workload.metric]]
name = "get_p50"
select = "http_req_duration{op=get}/p50"
unit = "s"
better = "lower"
margin = 1.0
[[workload.metric]]
name = "cpu_per_request"
select = "server.cpu"
per = "requests"
unit = "s"
better = "lower"
margin = 1.0
"""


_DEAF = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]


@pytest.fixture(scope="package", autouse=True)
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Build everything once; after that, processes share what is built and not the lock.

    Only one run at a time measures with one cache, so that users do not disturb themselves.  Tests
    mostly wait for servers, and must not wait for each other.
    """
    toolchain.program("etcd")
    toolchain.artifact(parse_spec("reference"))
    shared, own = paths.cache(), tmp_path_factory.mktemp("cache") / "milo-perf"
    own.mkdir()
    (own / "bin").symlink_to(shared / "bin")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(own.parent))
        patch.setenv("GOCACHE", os.environ.get("GOCACHE") or str(shared.parent / "go-build"))
        yield


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(HEAD + CRUD)
    return path


@pytest.fixture
def both(suite: Path) -> Path:
    """Add the workload of Projects to the suite."""
    suite.write_text(HEAD + LIFECYCLE + CRUD)
    return suite


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `python -m pipeline …` with a temporary folder of its own.

    SIGINT is ignored at first, as it is for whatever a script starts with `&`.
    """
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    def start(*arguments: object, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*_DEAF, sys.executable, "-m", "pipeline", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={
                **os.environ,
                "TMPDIR": str(temporary),
                "XDG_STATE_HOME": str(tmp_path / "state"),
                **variables,
            },
        )

    return start
