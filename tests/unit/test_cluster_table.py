"""Every fault at every stage of a launch, and what it leaves: tests/golden/cluster-faults.md."""

import errno
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.environments.api import Api
from pipeline.environments.cluster import ClusterEnvironment
from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.environments.connect import FIRST_NODE_PORT, NodePortConnector
from pipeline.environments.images import Image, pack
from pipeline.environments.kind import free_ports
from pipeline.environments.manifests import EXPIRES, MANAGED, OURS
from pipeline.model.ports import Artifact, Program
from pipeline.model.subject import Arm, Subject
from pipeline.system.errors import Exit, PipelineError
from tests.clusters import FakeCluster, Fault, Object, running
from tests.faulty import full, interrupted
from tests.pretended import WORK, Pretended, serving
from tests.products import products

TABLE = Path(__file__).parents[1] / "golden" / "cluster-faults.md"
HEAD = """\
# Faults of a cluster, and what they leave

Written by `tests/unit/test_cluster_table.py`, which makes each fault happen at each stage of a
launch with load pods, in a stand-in for a cluster. A cell says how the launch ended (`goes on`, an
`invalid` trial, or the exit code) and how many namespaces it left. They have labels by which they
are found, and were then deleted: of each cell, nothing was left after that.

"""
BETWEEN = """
What becomes of a Pod of a build, and of one that the load comes from:

"""
LAST = """
A disk of this machine that is full, and a second run in the same cluster:

"""
STAGES = {
    "create namespace": ("PATCH", "/api/v1/namespaces/"),
    "apply Secret": ("PATCH", "/secrets/"),
    "apply Pod": ("PATCH", "/pods/"),
    "wait for Pod": ("GET", "/pods"),
    "apply Job": ("PATCH", "/jobs/"),
    "set up": ("POST", "/agent/setup"),
    "start load": ("POST", "/agent/start"),
    "under load": ("GET", "/agent/state"),
    "take points": ("GET", "/agent/files/"),
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
FATES: dict[str, Object | None] = {
    "image missing": {
        "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]
    },
    "no room": {
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]
    },
    "OOM-killed": {"containerStatuses": [{"state": {"terminated": {"reason": "OOMKilled"}}}]},
    "evicted": {"phase": "Failed", "reason": "Evicted"},
    "node gone": None,
}
ARTIFACTS = {Arm.CANDIDATE: Artifact(Subject("reference", "sha256:00"), Path("x"))}
AT_START = ("image missing", "no room")
PATIENT_S = 60.0
"""Limit of every wait that ends by itself: a cell must not tell how fast this machine is."""


@contextmanager
def lab(
    folder: Path,
    told: Callable[[FakeCluster], None] = lambda _: None,
    *,
    runs: int = 2,
    ready_s: float = PATIENT_S,
    gone_s: float = PATIENT_S,
) -> Iterator[tuple[FakeCluster, ClusterEnvironment]]:
    """Pretend a cluster; `told` is called once the load is asked how far it is."""
    first = free_ports()
    agent = Pretended(runs=runs)
    with ExitStack() as stack:
        serve = stack.enter_context(products(first, FIRST_NODE_PORT))
        keep = serving(stack, {"load-0-0-abcde": agent})
        cluster = FakeCluster(
            serves=lambda pod, of: (keep if pod["metadata"]["name"] in AGENTS else serve)(pod, of)
        )
        agent.before_state = lambda: told(cluster)
        config = stack.enter_context(running(cluster, folder))
        programs = {name: Program(Path(name), "1", "sha256:00") for name in ("etcd", "load-agent")}
        yield (
            cluster,
            ClusterEnvironment(
                settings=ClusterSettings(ready_s=ready_s, gone_s=gone_s, load_pods=1),
                api=Api(str(config), retry_s=PATIENT_S, pause_s=0.01),
                programs=programs,
                connector=NodePortConnector(first),
                image=lambda name, *_: Image(f"milo-perf.invalid/{name}:0", Path("none")),
                poll_s=0.01,
            ),
        )


AGENTS = ("load-0-0-abcde",)


def ended(environment: ClusterEnvironment, out: Path) -> str:
    """Launch once, load it, and say how that ended."""
    try:
        with environment.launch(ARTIFACTS, out) as targets:
            target = targets[Arm.CANDIDATE]
            assert target.pods is not None
            done = target.pods.run(WORK, out, target.check)
            target.check()
    except PipelineError as error:
        return str(int(error.exit_code))
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        # As `main` ends, for a disk that is full.
        return str(int(Exit.STORAGE))
    except KeyboardInterrupt:
        return str(int(Exit.INTERRUPTED))
    return "invalid" if any(one.lost for one in done) else "goes on"


def swept(cluster: FakeCluster, api: Api) -> int:
    """Return how many namespaces are left; delete those that their labels and time allow."""
    listed = api.request("GET", "/api/v1/namespaces")["items"]
    for one in listed:
        assert one["metadata"]["labels"][MANAGED] == OURS
        assert int(one["metadata"]["annotations"][EXPIRES]) > 0
        api.delete(f"/api/v1/namespaces/{one['metadata']['name']}")
    assert not api.request("GET", "/api/v1/namespaces")["items"]
    left = ("/pods/", "/secrets/", "/jobs/", "/configmaps/")
    assert not [path for path in cluster.objects if any(kind in path for kind in left)]
    return len(listed)


def cell(stage: str, fault: str, folder: Path) -> str:
    """Return what one fault at one stage does."""
    out = _made(folder)
    method, part = STAGES[stage]
    # A namespace in conflict for good is waited for until the limit.
    gone_s = 1.0 if (stage, fault) == ("delete", "409") else PATIENT_S
    with lab(folder, gone_s=gone_s) as (cluster, environment):
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


def fate(component: str, what: str, folder: Path) -> str:
    """Return what becomes of a launch when a Pod of it has this fate."""
    out = _made(folder)

    def told(cluster: FakeCluster) -> None:
        (path,) = [
            where
            for where in cluster.objects
            if where.endswith((f"/pods/{component}", f"/pods/{component}-abcde"))
        ] or [""]
        if what in AT_START or not path:
            return
        if (status := FATES[what]) is None:
            del cluster.objects[path]
        else:
            cluster.change(path, cluster.objects[path] | {"status": status})

    ready_s = 1.5 if what in AT_START else PATIENT_S  # the Pod is never ready
    with lab(folder, told, runs=10_000, ready_s=ready_s) as (cluster, environment):
        if what in AT_START:
            cluster.pods[component] = FATES[what]
        how = ended(environment, out)
        left = swept(cluster, environment.api)
    return f"{how}, {left}"


def packed(folder: Path) -> str:
    """Return what a disk does that is full when images are packed."""
    out, program = _made(folder), folder / "program"
    program.write_bytes(b"\x7fELF\x02\x01" + bytes(48) + b"\x38" + bytes(9))  # no header at all
    with lab(folder) as (cluster, environment), full(4096), pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        whole = replace(environment, image=lambda name, *_: pack(name, {name: program}, "sha256:0"))
        how = ended(whole, out)
        return f"{how}, {swept(cluster, environment.api)}"


def keys(folder: Path) -> str:
    """Return what it does when keys and tokens are written."""
    out = _made(folder)
    with lab(folder) as (cluster, environment), full(16):
        return f"{ended(environment, out)}, {swept(cluster, environment.api)}"


def points(folder: Path) -> str:
    """Return what it does when points and logs come."""
    out = _made(folder)
    with ExitStack() as stack:
        filled: list[FakeCluster] = []

        def told(cluster: FakeCluster) -> None:
            if not filled:
                filled.append(cluster)
                stack.enter_context(full(4))

        with lab(folder, told) as (cluster, environment):
            how = ended(environment, out)
            stack.close()
            return f"{how}, {swept(cluster, environment.api)}"


def twice(folder: Path) -> str:
    """Return what becomes of a run beside which another comes and goes."""
    out, other = _made(folder), _made(folder / "other")
    second: list[str] = []

    def told(_: FakeCluster) -> None:
        if not second:
            second.append("")
            with replace(alone, run="second").launch(ARTIFACTS, other):
                second.append("was up")

    with lab(folder, told) as (cluster, environment):
        alone = replace(environment, settings=ClusterSettings(ready_s=PATIENT_S, gone_s=PATIENT_S))
        how = ended(environment, out)
        assert second == ["", "was up"]
        return f"{how}, {swept(cluster, environment.api)}"


def _made(folder: Path) -> Path:
    out = folder / "out"
    out.mkdir(parents=True)
    return out


def test_the_table_of_faults_is_what_happens(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    faults = (*REFUSALS, INTERRUPTED, KILLED)
    rows = [f"| stage | {' | '.join(faults)} |", f"| :-- |{' :-- |' * len(faults)}"]
    for number, stage in enumerate(STAGES):
        cells = [cell(stage, fault, tmp_path / f"{number}-{at}") for at, fault in enumerate(faults)]
        rows.append(f"| {stage} | {' | '.join(cells)} |")
    fates = [f"| Pod | {' | '.join(FATES)} |", f"| :-- |{' :-- |' * len(FATES)}"]
    for name, component in (("of the build", "server"), ("of the load", "load-0-0")):
        cells = [fate(component, one, tmp_path / f"{component}-{one}") for one in FATES]
        fates.append(f"| {name} | {' | '.join(cells)} |")
    others = {
        "disk full, images are packed": packed,
        "disk full, keys are written": keys,
        "disk full, points and logs are taken": points,
        "a second run comes and goes under load": twice,
    }
    last = ["| what | |", "| :-- | :-- |"]
    last += [f"| {name} | {happens(tmp_path / name)} |" for name, happens in others.items()]
    parts = (HEAD, rows, BETWEEN, fates, LAST, last)
    text = "".join(part if isinstance(part, str) else "\n".join(part) + "\n" for part in parts)
    if request.config.getoption("--update-golden"):
        TABLE.write_text(text, encoding="utf-8")
    assert text == TABLE.read_text(encoding="utf-8")
