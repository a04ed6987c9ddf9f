"""Apply a load with pods: an Indexed Job, or a TestRun of the k6-operator."""

import itertools
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDoneError
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from pipeline.environments import manifests
from pipeline.environments.api import Api, ClusterError
from pipeline.environments.images import GENERATOR, Image, load_image, sidecar_path
from pipeline.environments.load_agent import PORT, AgentState, LoadAgent
from pipeline.environments.manifests import LOAD, LoadSpec, NamespaceSpec
from pipeline.environments.namespaces import LaunchNamespace
from pipeline.environments.pods import Pod, Pods, pod_state
from pipeline.model.ports import RESULTS_IN_POD, SECRETS_IN_POD, PodResult, PodWork, Program
from pipeline.system.errors import LoadError
from pipeline.system.log import log

POLL_S = 0.5
"""Seconds between two requests to the agents of a load."""

OPERATOR = "/apis/k6.io/v1alpha1"
_OPERATOR_RESOURCE = "testruns.k6.io"

_INDEX = "batch.kubernetes.io/job-completion-index"
_JOB_NAMES = ("batch.kubernetes.io/job-name", "job-name")
_TOKEN = "agent.token"  # noqa: S105 (the name of a file)
_POLLS_PER_LIST = 6  # requests to agents for each one for the list of Pods


@dataclass(frozen=True, slots=True)
class ClusterPods:
    """Implements `LoadPods` in a namespace of its own.

    Attributes:
        api: Client of the cluster.
        spec: Spec of the namespace, with the settings of the environment.
        agent: Program that runs the load generator in a pod.
        image: Function that makes an image, as in `ClusterEnvironment`.
        poll_s: Seconds between two requests to the agents.
    """

    api: Api
    spec: NamespaceSpec
    agent: Program
    image: Callable[[str, Mapping[str, Path], str], Image]
    poll_s: float = POLL_S
    _runs: Iterator[int] = field(default_factory=itertools.count)

    @property
    def count(self) -> int:
        """See `LoadPods.count`."""
        return self.spec.settings.load_pods

    def create_namespace(self, namespace: LaunchNamespace | None = None) -> None:
        """Create the namespace; with a handle, the caller can delete it later."""
        namespace = namespace or LaunchNamespace(self.api, self.spec.namespace, self.spec.run)
        namespace.create(manifests.namespace(self.spec, [PORT], is_open_to_run=True))

    def run(self, work: PodWork, out: Path, check: Callable[[], None]) -> tuple[PodResult, ...]:
        """See `LoadPods.run`."""
        load, token = self._load_spec(work)
        pods = Pods(self.api, self.spec.namespace, "load", name_of=_pod_names(load.name))
        names = [f"pod {number}" for number in range(1, load.pods + 1)]
        try:
            for manifest in manifests.load(self.spec, load):
                self.api.apply(manifest)
            pods.wait_ready(names, self.spec.settings.ready_s)
            ready = pods.by_name(pods.read())
            agents = [
                LoadAgent(
                    self.api,
                    self.spec.namespace,
                    str(ready[name]["metadata"]["name"]),
                    f"load {name} of {load.pods}",
                    token,
                    self.poll_s,
                )
                for name in names
                if name in ready
            ]
            if len(agents) < load.pods:
                raise LoadError(f"only {len(agents)} of {load.pods} load pods are there")
            watch = _LoadWatch(agents, names, pods, check, self.poll_s)
            try:
                _start(agents, check, self.poll_s, has_setup=bool(work.control_address))
            except LoadError:
                if not (ends := watch.early_ends()):
                    raise
            else:
                ends = watch.wait(work.timeout_s)
            return tuple(_result(one, ends[one.title], out) for one in agents)
        except ClusterError as error:
            raise LoadError(f"the load pods: {error}", hint=error.hint) from error
        finally:
            pods.save_logs(names, out)

    def _load_spec(self, work: PodWork) -> tuple[LoadSpec, str]:
        settings = self.spec.settings
        token = secrets.token_hex(24)
        sidecars = [one.program for one in work.sidecars]
        name, programs, digest = load_image(self.agent, work.program, *sidecars)
        pods = settings.load_pods if work.control_address else len(work.args)
        by_operator = False
        if work.operator_resource == _OPERATOR_RESOURCE and settings.load.k6_operator == "auto":
            group = self.api.request_or_none("GET", OPERATOR) or {}
            by_operator = any(one.get("name") == "testruns" for one in group.get("resources", ()))
        load = LoadSpec(
            name=f"load-{next(self._runs)}",
            image=self.image(name, programs, digest).reference,
            pods=pods,
            by_operator=by_operator,
            script=work.name,
            files=work.files,
            secrets={**work.secrets, _TOKEN: token.encode()},
            variables={
                **work.variables,
                **_agent_variables(work, pods),
                "AGENT_KEEP": f"{settings.load.keep_m}m",
            },
            port=PORT,
        )
        how = "a TestRun of the k6-operator" if by_operator else "an Indexed Job"
        log.info("%s: %s load pods, by %s", work.name, pods, how)
        return load, token


def _agent_variables(work: PodWork, pods: int) -> dict[str, str]:
    """Return the environment variables of the load agent in each pod; see go/load-agent/."""
    variables = {
        "AGENT_PROGRAM": f"/{GENERATOR}",
        "AGENT_ARGS": json.dumps(work.args),
        "AGENT_LOG": work.log,
        "AGENT_FOLDER": str(RESULTS_IN_POD),
        "AGENT_TOKEN_FILE": str(SECRETS_IN_POD / _TOKEN),
        "AGENT_PODS": str(pods),
        "AGENT_LISTEN": f":{PORT}",
    }
    if work.control_address:
        variables["AGENT_REST"] = work.control_address
    if work.has_barriers:
        variables["AGENT_BARRIERS"] = "yes"
    if work.sidecars:
        variables["AGENT_SIDECARS"] = json.dumps(
            [
                {
                    "commands": [[f"/{sidecar_path(number)}", *args] for args in one.args],
                    "at": one.address,
                }
                for number, one in enumerate(work.sidecars)
            ]
        )
    return variables


def _pod_names(load: str) -> Callable[[Pod], str]:
    """Return a function that maps a Pod of a load to `pod 1`, `pod 2`, …, any other to ""."""

    def name_of(pod: Pod) -> str:
        labels = pod["metadata"].get("labels", {})
        if labels.get(LOAD) != load:
            return ""
        job = next((str(labels[one]) for one in _JOB_NAMES if one in labels), "")
        if re.fullmatch(rf"{re.escape(load)}-[0-9]+", job):  # of the k6-operator, from 1
            return f"pod {job.removeprefix(f'{load}-')}"
        return f"pod {int(labels[_INDEX]) + 1}" if labels.get(_INDEX, "").isdigit() else ""

    return name_of


def _start(
    agents: Sequence[LoadAgent], check: Callable[[], None], poll_s: float, *, has_setup: bool
) -> None:
    """Run the setup in the first pod, give its result to the others, and start all of them."""
    with ThreadPoolExecutor(max(1, len(agents)), "load pods") as pool:
        if has_setup:
            data = _setup_data(agents[0], check, poll_s)
            list(pool.map(lambda one: one.set_setup_data(data), agents[1:]))
        list(pool.map(LoadAgent.start, agents))


def _setup_data(agent: LoadAgent, check: Callable[[], None], poll_s: float) -> object:
    """Return the result of the setup; an error of `check` ends the wait at once."""
    answer: Future[object] = Future()

    def ask() -> None:
        try:
            answer.set_result(agent.run_setup())
        except BaseException as error:  # noqa: BLE001 (raised where it is waited for)
            answer.set_exception(error)

    # Nobody waits for this thread: a setup may take minutes, and its target may be dead.
    Thread(target=ask, name="setup of the load", daemon=True).start()
    while True:
        try:
            return answer.result(timeout=poll_s)
        except NotDoneError:
            check()


_End = AgentState | str
"""How a pod ended: the final state of its program, or the reason why its results are lost."""


@dataclass(frozen=True, slots=True)
class _LoadWatch:
    """Polls the agents of a load until all programs have ended, and releases their barriers."""

    agents: Sequence[LoadAgent]
    names: Sequence[str]
    pods: Pods
    check: Callable[[], None]
    poll_s: float

    def wait(self, timeout_s: float) -> dict[str, _End]:
        """Return how each pod ended, by its title.

        A pod that is lost holds up no other at a barrier.
        """
        ends: dict[str, _End] = {}
        reached = dict.fromkeys((one.title for one in self.agents), 0)
        barrier = 1
        deadline, listed_s = time.monotonic() + timeout_s, 0.0
        turns = itertools.cycle(self.agents)
        while len(ends) < len(self.agents):
            self.check()
            if time.monotonic() - listed_s > _POLLS_PER_LIST * self.poll_s:
                listed_s = time.monotonic()
                ends |= {title: why for title, why in self._losses().items() if title not in ends}
            agent = next(turns)
            if agent.title not in ends and reached[agent.title] < barrier:
                reached[agent.title] = self._poll(agent, ends)
                if agent.title not in ends and reached[agent.title] < barrier:
                    time.sleep(self.poll_s)
            running = [one for one in self.agents if one.title not in ends]
            if running and all(reached[one.title] >= barrier for one in running):
                self._release(running, barrier, ends)
                barrier += 1
            if time.monotonic() > deadline:
                late = f"it had not ended after {timeout_s:.0f} s"
                return {one.title: ends.get(one.title, late) for one in self.agents}
        return ends

    def early_ends(self) -> dict[str, _End]:
        """Return how each pod ended if one could not begin; empty if all programs run."""
        states = {one.title: one.state() for one in self.agents}
        if all(state.is_running for state in states.values()):
            return {}
        return {
            title: "others did not begin" if state.is_running else state
            for title, state in states.items()
        }

    def _release(self, agents: Sequence[LoadAgent], barrier: int, ends: dict[str, _End]) -> None:
        """Release a barrier in all pods at once."""
        with ThreadPoolExecutor(len(agents), "load pods") as pool:
            answers = [(agent, pool.submit(agent.release, barrier)) for agent in agents]
        for agent, answer in answers:
            try:
                answer.result()
            except LoadError as error:
                self._note_loss(agent, error, ends)

    def _poll(self, agent: LoadAgent, ends: dict[str, _End]) -> int:
        """Note the end of a pod; return the number of barriers that its program has reached."""
        try:
            state = agent.state()
        except LoadError as error:
            self._note_loss(agent, error, ends)
            return 0
        if not state.is_running:
            ends[agent.title] = state
        return state.barriers

    def _note_loss(self, agent: LoadAgent, error: LoadError, ends: dict[str, _End]) -> None:
        """Note why a pod does not answer; raise the error if the cluster says that it runs."""
        if agent.title not in (losses := self._losses()):
            raise error
        ends[agent.title] = losses[agent.title]
        log.debug("%s", error)

    def _losses(self) -> dict[str, str]:
        """Return the reason why the results of a pod are lost, by title, for pods that ended."""
        pods = self.pods.by_name(self.pods.read())
        losses = {}
        for name, agent in zip(self.names, self.agents, strict=True):
            pod = pods.get(name)
            if pod is not None and pod["metadata"]["name"] != agent.pod:
                pod = None  # a new Pod in its place
            if (state := pod_state(pod)).is_final:
                losses[agent.title] = f"it {state.why}"
        return losses


def _result(agent: LoadAgent, end: _End, out: Path) -> PodResult:
    folder = out / agent.title.replace(" ", "-")
    if isinstance(end, str):
        return PodResult(agent.title, folder, lost=end)
    folder.mkdir()
    try:
        agent.download(end.files, folder)
    except LoadError as error:
        return PodResult(agent.title, folder, lost=str(error))
    return PodResult(agent.title, folder, end.exit, end.began_s, end.ended_s, end.cpu_share)
