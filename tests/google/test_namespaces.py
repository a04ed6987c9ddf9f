import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands import cluster, main
from pipeline.system.errors import Exit
from tests.loopback import Request, answering

NOW_S, HOUR_S = 1_800_000_000.0, 3600.0


@dataclass
class Kubernetes:
    """The namespaces of a cluster.

    Attributes:
        namespaces: By name: labels, annotations, and how often they are still seen once deleted.
        refuses: Status with which a deletion is refused, by name.
        deleted: Every deletion that was asked for.
        remade: Namespaces that somebody makes anew before a deletion comes: run by name.
    """

    namespaces: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuses: dict[str, int] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    remade: dict[str, str] = field(default_factory=dict)
    uids: Iterator[int] = field(default_factory=itertools.count)

    def put(self, name: str, run: str, *, ends_h: float, age_h: float = 4.0, **parts: Any) -> None:  # noqa: ANN401 (any)
        made = formatted(NOW_S - age_h * HOUR_S)
        self.namespaces[name] = {
            "metadata": {
                "name": name,
                "creationTimestamp": made,
                "uid": f"uid-{next(self.uids)}",
                "labels": {"app.kubernetes.io/managed-by": "milo-perf", "milo-perf/run": run},
                "annotations": {"milo-perf/expires": f"{NOW_S + ends_h * HOUR_S:.0f}"},
                **parts,
            },
            "status": {"phase": "Active"},
        }

    def answer(self, request: Request, body: bytes) -> None:
        name = request.path.partition("?")[0].rpartition("/")[2]
        if request.command == "GET":
            items = list(self.namespaces.values())
            self.namespaces = {n: one for n, one in self.namespaces.items() if not self._ends(one)}
            self._say(request, 200, {"kind": "NamespaceList", "apiVersion": "v1", "items": items})
            return
        self.deleted.append(name)
        if run := self.remade.pop(name, ""):
            self.put(name, run, ends_h=2, age_h=0)
        asked = json.loads(body)["preconditions"]["uid"]
        if name in self.namespaces and self.namespaces[name]["metadata"]["uid"] != asked:
            self._say(request, 409, {"kind": "Status", "apiVersion": "v1", "code": 409})
            return
        status = self.refuses.get(name, 200 if name in self.namespaces else 404)
        if status in (404, 409):  # the other one was faster
            self.namespaces.pop(name, None)
        if status == 200:
            self.namespaces[name]["status"]["phase"] = "Terminating"
        self._say(request, status, {"kind": "Status", "apiVersion": "v1", "code": status})

    def _ends(self, one: dict[str, Any]) -> bool:
        return bool(one["status"]["phase"] == "Terminating")

    def _say(self, request: Request, status: int, said: object) -> None:
        data = json.dumps(said).encode()
        request.send_response_only(status)
        request.send_header("Date", formatdate(NOW_S, usegmt=True))
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)


def formatted(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubernetes]:
    monkeypatch.setattr(cluster, "POLL_S", 0.0)
    state = Kubernetes()
    with answering(state.answer) as url:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "contexts": [{"name": "perf", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "secret"}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        yield state


def sweep(*more: str, context: str = "perf") -> int:
    return main.main(["cluster", "sweep", "--context", context, *more])


def put_all(kubernetes: Kubernetes) -> None:
    kubernetes.put("milo-perf-7a-001-candidate", "7a", ends_h=-1)
    kubernetes.put("milo-perf-7a-001-baseline", "7a", ends_h=-1)
    kubernetes.put("milo-perf-8b-001-candidate", "8b", ends_h=2)
    kubernetes.put("payroll", "7a", ends_h=-1)
    kubernetes.put("milo-perf-9c", "9c", ends_h=-1, annotations={})
    kubernetes.put("milo-perf-9d", "9d", ends_h=-1, labels={"app.kubernetes.io/managed-by": "x"})


def test_namespaces_that_have_expired_are_deleted_and_no_other_is(kubernetes: Kubernetes) -> None:
    put_all(kubernetes)
    assert sweep("--delete") == Exit.NO_REGRESSION
    assert kubernetes.deleted == ["milo-perf-7a-001-candidate", "milo-perf-7a-001-baseline"]
    assert sorted(kubernetes.namespaces) == [
        "milo-perf-8b-001-candidate",
        "milo-perf-9c",
        "milo-perf-9d",
        "payroll",
    ]


def test_a_namespace_that_was_made_anew_under_the_same_name_survives(
    kubernetes: Kubernetes,
) -> None:
    kubernetes.put("milo-perf-7a", "7a", ends_h=-1)
    kubernetes.remade = {"milo-perf-7a": "7a"}
    assert sweep("--delete") == Exit.NO_REGRESSION
    assert kubernetes.deleted == ["milo-perf-7a"]
    assert list(kubernetes.namespaces) == ["milo-perf-7a"]


def test_no_namespace_is_deleted_unless_it_is_asked_for(
    kubernetes: Kubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    put_all(kubernetes)
    assert sweep() == Exit.NO_REGRESSION
    assert kubernetes.deleted == []
    said = capsys.readouterr().out
    assert "milo-perf-7a-001-candidate" in said
    assert "payroll" not in said


@pytest.mark.parametrize("status", [404, 409])
def test_a_namespace_that_somebody_else_deletes_is_no_matter(
    kubernetes: Kubernetes, status: int
) -> None:
    kubernetes.put("milo-perf-7a", "7a", ends_h=-1)
    kubernetes.refuses = {"milo-perf-7a": status}
    assert sweep("--delete") == Exit.NO_REGRESSION


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, Exit.BAD_ARGUMENTS), (401, Exit.BAD_ARGUMENTS), (500, Exit.NETWORK)],
)
def test_a_refusal_names_the_namespace(
    kubernetes: Kubernetes, capsys: pytest.CaptureFixture[str], status: int, code: Exit
) -> None:
    put_all(kubernetes)
    kubernetes.refuses = {"milo-perf-7a-001-candidate": status}
    assert sweep("--delete") == code
    assert f"delete the namespace milo-perf-7a-001-candidate: {status}" in capsys.readouterr().err
    assert "milo-perf-7a-001-baseline" not in kubernetes.namespaces


def test_a_context_that_is_not_there_is_one_clear_error(
    kubernetes: Kubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(context="prod") == Exit.BAD_ARGUMENTS
    assert "through the context `prod`" in capsys.readouterr().err
    assert kubernetes.deleted == []


@pytest.mark.usefixtures("kubernetes")
def test_a_cluster_that_does_not_answer_is_one_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kubeconfig"
    config = json.loads(path.read_text())
    config["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    path.write_text(json.dumps(config))
    assert sweep() == Exit.NETWORK
    assert "the cluster of `perf` does not answer: list namespaces" in capsys.readouterr().err
