"""Whatever answers in the place of a load pod is understood, or refused in a sentence."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.environments.api import Api
from pipeline.environments.load_agent import AgentState, LoadAgent, PodFile
from pipeline.system.errors import LoadError

ENDED = {"running": False, "exit": 0, "began": 1.0, "ended": 2.0, "cpu_share": 0.1, "files": []}
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@dataclass(frozen=True, slots=True)
class Body:
    data: bytes

    def stream(self, _: int) -> list[bytes]:
        return [self.data]

    def read(self, most: int) -> bytes:
        return self.data[:most]

    def release_conn(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Pods:
    """An API that passes on one answer to everything."""

    answer: bytes

    def proxy(self, *_: object, **__: object) -> Body:
        return Body(self.answer)


def agent(answer: bytes) -> LoadAgent:
    return LoadAgent(cast("Api", Pods(answer)), "perf", "load-1", "load pod 2 of 4", "token", 0.0)


def understood(answer: bytes) -> tuple[AgentState, object] | None:
    """Return what an answer says, or None where it is refused in a sentence."""
    try:
        one = agent(answer)
        return one.state(), one.run_setup()
    except LoadError as error:
        refused = str(error)
    assert refused.startswith("load pod 2 of 4")
    assert len(refused) < 600
    assert refused.isprintable()
    return None


def test_an_answer_of_an_agent_is_understood() -> None:
    kept = {"name": "points.csv.gz", "size": 3, "sha256": "0123"}
    said = {**ENDED, "files": [kept], "data": {"attributes": {"data": {"names": ["a"]}}}}

    assert understood(json.dumps(said).encode()) == (
        AgentState(
            is_running=False,
            began_s=1.0,
            ended_s=2.0,
            cpu_share=0.1,
            files=(PodFile("points.csv.gz", 3, "0123"),),
        ),
        {"names": ["a"]},
    )


@given(st.binary())
@example(b"\xff\xfe{")
@example(b"[" * 100_000)
@example(b'{"running": false, "exit": 1e999}')
@example(b'{"running": false, "error": "\\u001b[31mred\\n"}')
def test_bytes_are_refused_in_a_sentence(answer: bytes) -> None:
    understood(answer)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*ENDED, "error", "data"], values)))
@example({**ENDED, "exit": float("inf")})
@example({**ENDED, "ended": 10**400})
@example({**ENDED, "data": [1]})
@example({**ENDED, "files": ["points"]})
def test_fields_of_any_kind_are_refused_in_a_sentence(said: dict[str, Any]) -> None:
    understood(json.dumps(said).encode())


@pytest.mark.parametrize("name", ["../points", "/etc/passwd", "a\0b", "", "..", "a/b", "x" * 300])
def test_a_name_that_is_no_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(LoadError):
        agent(b"").download((PodFile(name, 0, ""),), tmp_path)
