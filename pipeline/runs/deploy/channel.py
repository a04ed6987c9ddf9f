"""Questions to the keeper of a deployment, over a Unix socket that only this user may use.

A question and its answer are one line of JSON each.  An error of the keeper is raised where the
question was asked.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.system import errors
from pipeline.system.errors import LoadError, PipelineError, SetupDeathError

_POLL_S = 0.5
_MAX_BYTES = 2**20

_ERRORS: Mapping[str, type[PipelineError]] = {
    name: one
    for name, one in vars(errors).items()
    if isinstance(one, type) and issubclass(one, PipelineError)
}

Question = dict[str, Any]


def ask(path: Path, question: Question, is_alive: Callable[[], bool]) -> Any:  # noqa: ANN401 (JSON)
    """Return the keeper's answer, however long it takes.

    Args:
        path: Path of the keeper's socket.
        question: JSON object.
        is_alive: Function that returns False once the keeper has ended.

    Raises:
        LoadError: The keeper has ended.
        PipelineError: Error that the keeper answered with.
    """
    gone = LoadError(
        f"the deployment in {path.parent} ended meanwhile",
        hint=f"its log is {path.with_name('keeper.log')}",
    )
    try:
        with _address(path) as address, socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address)
            connection.sendall(json.dumps(question).encode() + b"\n")
            connection.settimeout(_POLL_S)
            line = b""
            while not line.endswith(b"\n"):
                try:
                    received = connection.recv(_MAX_BYTES)
                except TimeoutError:
                    if not is_alive():
                        raise gone from None
                    continue
                if not received:
                    raise gone
                line += received
    except OSError as error:
        raise gone from error
    answer = json.loads(line)
    if failure := answer.get("error"):
        message, hint = failure["message"], failure["hint"]
        if arm := failure.get("arm"):  # the keeper may be of an older version
            raise SetupDeathError(message, arm=arm, hint=hint)
        raise _ERRORS.get(failure["kind"], errors.LaunchError)(message, hint=hint)
    return answer.get("result")


@contextmanager
def open_listener(path: Path) -> Iterator[socket.socket]:
    """Listen at a socket that only this user may use; it is removed at the end."""
    path.unlink(missing_ok=True)
    mask = os.umask(0o177)
    try:
        with _address(path) as address, socket.socket(socket.AF_UNIX) as server:
            server.bind(address)
            os.umask(mask)
            server.listen()
            server.settimeout(_POLL_S)
            yield server
    finally:
        os.umask(mask)
        path.unlink(missing_ok=True)


def receive(connection: socket.socket) -> Question | None:
    """Return the question of a connection; None if it is not one."""
    connection.settimeout(_POLL_S * 4)
    line = b""
    with suppress(OSError, ValueError):
        while not line.endswith(b"\n") and len(line) < _MAX_BYTES:
            received = connection.recv(_MAX_BYTES)
            if not received:
                return None
            line += received
        question = json.loads(line)
        return question if isinstance(question, dict) else None
    return None


def reply(connection: socket.socket, result: object = None) -> None:
    """Send an answer; whoever asked may have gone."""
    _send(connection, {"result": result})


def refuse(connection: socket.socket, error: PipelineError) -> None:
    """Send an error, which is raised where the question was asked."""
    arm = error.arm if isinstance(error, SetupDeathError) else ""
    failure = {
        "kind": type(error).__name__,
        "message": f"{error}",
        "hint": error.hint,
        "arm": arm,
    }
    _send(connection, {"error": failure})


def _send(connection: socket.socket, answer: Mapping[str, object]) -> None:
    with suppress(OSError):
        connection.sendall(json.dumps(answer).encode() + b"\n")


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """Yield an address of a socket that is short, whatever the path is; a path has 107 bytes."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
