"""Every fault at every stage of a launch, and what it leaves: docs/cluster-faults.md."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.environments import api as api_module
from pipeline.environments.api import Api
from pipeline.environments.cluster import ClusterEnvironment
from pipeline.environments.images import Image
from pipeline.environments.in_cluster import InCluster
from pipeline.environments.kind import free_ports
from pipeline.environments.manifests import EXPIRES, MANAGED, OURS
from pipeline.environments.way import FIRST_NODE_PORT, HostPorts
from pipeline.errors import Exit, PipelineError
from pipeline.model.subject import Arm, Subject
from pipeline.ports import Artifact, Program
from tests.clusters import FakeCluster, Fault, products, running

DOC = Path(__file__).parents[2] / "docs" / "cluster-faults.md"
HEAD = """\
# Faults of a cluster, and what they leave

Written by `tests/unit/test_cluster_faults.py`, which makes each fault happen at each stage of a
launch, in a stand-in for a cluster. A cell says how the launch ended (`goes on`, or the exit code)
and how many namespaces it left. They have labels by which they are found, and were then deleted:
of each cell, nothing was left after that.

"""
STAGES = {
    "create namespace": ("PATCH", "/api/v1/namespaces/"),
    "apply Secret": ("PATCH", "/secrets/"),
    "apply Pod": ("PATCH", "/pods/"),
    "wait for Pod": ("GET", "/pods"),
    "collect logs": ("GET", "/log"),
    "delete": ("DELETE", "/api/v1/namespaces/"),
}
AWAY, RENEWED, INTERRUPTED, KILLED = "away", "401, renewed", "Ctrl-C", "kill -9"
REFUSALS: dict[str, tuple[int, str, int]] = {
    AWAY: (0, "", 3),
    RENEWED: (401, "Unauthorized", 1),
    "401": (401, "Unauthorized", 1000),
    "403": (403, "you may not", 1000),
    "quota": (403, "exceeded quota: team", 1000),
    "409": (409, "modified meanwhile", 1000),
    "429": (429, "slow down", 3),
}


@contextmanager
def lab(folder: Path) -> Iterator[tuple[FakeCluster, ClusterEnvironment]]:
    first = free_ports()
    with products(first, FIRST_NODE_PORT) as serve:
        cluster = FakeCluster(serves=serve)
        with running(cluster, folder) as config:
            yield (
                cluster,
                ClusterEnvironment(
                    settings=InCluster(ready_s=3, gone_s=1),
                    api=Api(str(config), away_s=2),
                    etcd=Program(Path("etcd"), "3.6", "sha256:00"),
                    way=HostPorts(first),
                    image=lambda name, *_: Image(f"milo-perf.invalid/{name}:0", Path("none")),
                ),
            )


def ended(environment: ClusterEnvironment, out: Path) -> str:
    """Launch once and say how that ended."""
    artifacts = {Arm.CANDIDATE: Artifact(Subject("reference", "sha256:00"), Path("x"))}
    try:
        with environment.launch(artifacts, out):
            pass
    except PipelineError as error:
        return str(int(error.exit_code))
    except KeyboardInterrupt:
        return str(int(Exit.INTERRUPTED))
    return "goes on"


def swept(cluster: FakeCluster, api: Api) -> int:
    """Return how many namespaces are left; delete those that their labels and time allow."""
    listed = api.ask("GET", "/api/v1/namespaces")["items"]
    for one in listed:
        assert one["metadata"]["labels"][MANAGED] == OURS
        assert int(one["metadata"]["annotations"][EXPIRES]) > 0
        api.delete(f"/api/v1/namespaces/{one['metadata']['name']}")
    assert not api.ask("GET", "/api/v1/namespaces")["items"]
    assert not [path for path in cluster.objects if "/pods/" in path or "/secrets/" in path]
    return len(listed)


@contextmanager
def interrupted(method: str, part: str, *, for_good: bool) -> Iterator[None]:
    """Raise KeyboardInterrupt at the first request of a kind, or from then on at every request."""
    ask, text = Api.ask, Api.text
    seen: list[str] = []

    def before(how: str, path: str) -> None:
        if (for_good and seen) or (not seen and how == method and part in path):
            seen.append(path)
            raise KeyboardInterrupt

    def asked(self: Api, how: str, path: str, *args: Any, **more: Any) -> Any:  # noqa: ANN401
        before(how, path)
        return ask(self, how, path, *args, **more)

    def texted(self: Api, path: str, *args: Any) -> str:  # noqa: ANN401
        before("GET", path)
        return text(self, path, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Api, "ask", asked)
        patch.setattr(Api, "text", texted)
        yield
    assert seen, "it never came to that"


def cell(stage: str, fault: str, folder: Path) -> str:
    """Return what one fault at one stage does."""
    folder.mkdir()
    out = folder / "out"
    out.mkdir()
    method, part = STAGES[stage]
    with lab(folder) as (cluster, environment):
        if fault in (INTERRUPTED, KILLED):
            with interrupted(method, part, for_good=fault == KILLED):
                how = ended(environment, out)
        else:
            status, message, times = REFUSALS[fault]
            cluster.faults.append(Fault(method, part, status, message, times))
            how = ended(environment, out)
            cluster.faults.clear()
        left = swept(cluster, environment.api)
    return f"{'killed' if fault == KILLED else how}, {left}"


def test_the_table_of_faults_is_what_happens(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_module, "_PAUSE_S", 0.01)
    faults = (*REFUSALS, INTERRUPTED, KILLED)
    rows = [f"| stage | {' | '.join(faults)} |", f"| :-- |{' :-- |' * len(faults)}"]
    for number, stage in enumerate(STAGES):
        cells = [cell(stage, fault, tmp_path / f"{number}-{at}") for at, fault in enumerate(faults)]
        rows.append(f"| {stage} | {' | '.join(cells)} |")
    text = HEAD + "\n".join(rows) + "\n"
    if request.config.getoption("--update-golden"):
        DOC.write_text(text, encoding="utf-8")
    assert text == DOC.read_text(encoding="utf-8")
