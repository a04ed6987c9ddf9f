"""Pods that a load comes from: an Indexed Job, or a TestRun of the k6-operator that makes them."""

import itertools
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Unfinished
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.environments import manifests
from pipeline.environments.api import Api, ClusterError
from pipeline.environments.images import GENERATOR, Image, helper_path, load_image
from pipeline.environments.load_agent import PORT, AgentState, LoadAgent
from pipeline.environments.manifests import LOAD, LoadSpec, NamespaceSpec
from pipeline.environments.namespaces import LaunchNamespace
from pipeline.environments.pods import Pod, Pods, pod_state
from pipeline.model.ports import RESULTS_IN_POD, SECRETS_IN_POD, PodResult, PodWork, Program
from pipeline.system.errors import LoadError
from pipeline.system.log import log

TICK_S = 0.5
"""Between two questions about a load."""

OPERATOR = "/apis/k6.io/v1alpha1"
_OPERATOR_RESOURCE = "testruns.k6.io"

_INDEX = "batch.kubernetes.io/job-completion-index"
_JOB_NAMES = ("batch.kubernetes.io/job-name", "job-name")
_TOKEN = "keeper.token"  # noqa: S105 (the name of a file)
_LOOK = 6  # ticks between two looks at the list of Pods


@dataclass(frozen=True, slots=True)
class ClusterPods:
    """Implements `LoadPods` in a namespace of its own.

    Attributes:
        api: Of the cluster.
        place: The namespace, and the settings of the environment.
        keeper: The program that runs k6 in a pod.
        image: See `ClusterEnvironment`.
        tick_s: Seconds between two questions, so that the API of the cluster gets few of them.
    """

    api: Api
    place: NamespaceSpec
    keeper: Program
    image: Callable[[str, Mapping[str, Path], str], Image]
    tick_s: float = TICK_S
    _runs: Iterator[int] = field(default_factory=itertools.count)

    def begin(self, home: LaunchNamespace | None = None) -> None:
        """Make the namespace.

        Args:
            home: The namespace, which learns its UID; None where nobody deletes it.

        Raises:
            ClusterError: It was refused.
        """
        home = home or LaunchNamespace(self.api, self.place.namespace, self.place.run)
        home.make(manifests.namespace(self.place, [PORT], is_one_of_run=True))

    def run(self, work: PodWork, out: Path, check: Callable[[], None]) -> tuple[PodResult, ...]:
        """See `LoadPods.run`."""
        spec, token = self._spec(work)
        pods = Pods(self.api, self.place.namespace, "load", name_of=_keys(spec.name))
        names = [f"pod {number}" for number in range(1, spec.pods + 1)]
        try:
            for manifest in manifests.load(self.place, spec):
                self.api.apply(manifest)
            pods.wait_ready(names, self.place.settings.ready_s)
            found = pods.by_name(pods.read())
            keepers = [
                LoadAgent(
                    self.api,
                    self.place.namespace,
                    str(found[name]["metadata"]["name"]),
                    f"load {name} of {spec.pods}",
                    token,
                    self.tick_s,
                )
                for name in names
                if name in found
            ]
            if len(keepers) < spec.pods:
                raise LoadError(f"only {len(keepers)} of {spec.pods} load pods are there")
            watch = _Watch(keepers, names, pods, check, self.tick_s)
            try:
                _start(keepers, check, self.tick_s, has_setup=bool(work.control_address))
            except LoadError:
                if not (ended := watch.ended_early()):
                    raise
            else:
                ended = watch.ended(work.timeout_s)
            return tuple(_taken(one, ended[one.title], out) for one in keepers)
        except ClusterError as error:
            raise LoadError(f"the load pods: {error}", hint=error.hint) from error
        finally:
            pods.save_logs(names, out)

    def _spec(self, work: PodWork) -> tuple[LoadSpec, str]:
        import json

        settings = self.place.settings
        token = secrets.token_hex(24)
        helpers = [one.program for one in work.sidecars]
        name, programs, digest = load_image(self.keeper, work.program, *helpers)
        is_divided = bool(work.control_address)
        pods = settings.load_pods if is_divided else len(work.args)
        variables = {
            "KEEPER_PROGRAM": f"/{GENERATOR}",
            "KEEPER_ARGS": json.dumps(work.args),
            "KEEPER_LOG": work.log,
            "KEEPER_FOLDER": str(RESULTS_IN_POD),
            "KEEPER_TOKEN_FILE": str(SECRETS_IN_POD / _TOKEN),
            "KEEPER_PODS": str(pods),
            "KEEPER_LISTEN": f":{PORT}",
            "KEEPER_KEEP": f"{settings.load.keep_m}m",
            **({"KEEPER_REST": work.control_address} if is_divided else {}),
        }
        if work.sidecars:
            variables["KEEPER_HELPERS"] = json.dumps(
                [
                    {
                        "commands": [[f"/{helper_path(number)}", *args] for args in one.args],
                        "at": one.address,
                    }
                    for number, one in enumerate(work.sidecars)
                ]
            )
        by_operator = (
            work.operator_resource == _OPERATOR_RESOURCE
            and settings.load.k6_operator == "auto"
            and self._has_operator()
        )
        spec = LoadSpec(
            name=f"load-{next(self._runs)}",
            image=self.image(name, programs, digest).reference,
            pods=pods,
            by_operator=by_operator,
            script=work.name,
            files=work.files,
            secrets={**work.secrets, _TOKEN: token.encode()},
            variables={**work.variables, **variables},
            port=PORT,
        )
        how = "a TestRun of the k6-operator" if by_operator else "an Indexed Job"
        log.info("%s: %s load pods, by %s", work.name, pods, how)
        return spec, token

    def _has_operator(self) -> bool:
        found = self.api.request_or_none("GET", OPERATOR)
        return found is not None and any(
            one.get("name") == "testruns" for one in found.get("resources", ())
        )


def _keys(name: str) -> Callable[[Pod], str]:
    """Return what calls the pods of one load `pod 1` and so on, and no others anything."""

    def key(pod: Pod) -> str:
        labels = pod["metadata"].get("labels", {})
        if labels.get(LOAD) != name:
            return ""
        if number := _number_of(labels, name):
            return f"pod {number}"
        return f"pod {int(labels[_INDEX]) + 1}" if labels.get(_INDEX, "").isdigit() else ""

    return key


def _number_of(labels: Mapping[str, Any], name: str) -> str:
    """Return the number that the k6-operator gave a runner, from 1; empty for a pod of a Job."""
    job = next((str(labels[one]) for one in _JOB_NAMES if one in labels), "")
    number = job.removeprefix(f"{name}-")
    return number if number.isdigit() and number != job else ""


def _start(
    keepers: Sequence[LoadAgent], check: Callable[[], None], tick_s: float, *, has_setup: bool
) -> None:
    """Run the setup in the first pod, tell the others what it returned, and let all begin."""
    with ThreadPoolExecutor(max(1, len(keepers)), "load pods") as pool:
        if not has_setup:
            list(pool.map(LoadAgent.start, keepers))
            return
        try:
            setup = pool.submit(keepers[0].setup)
            while True:
                try:
                    data = setup.result(timeout=tick_s)
                    break
                except Unfinished:
                    check()
            list(pool.map(lambda one: one.be_given(data), keepers[1:]))
            list(pool.map(LoadAgent.start, keepers))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@dataclass(frozen=True, slots=True)
class _Watch:
    """Looks after pods until all have ended."""

    keepers: Sequence[LoadAgent]
    names: Sequence[str]
    pods: Pods
    check: Callable[[], None]
    tick_s: float

    def ended(self, longest_s: float) -> dict[str, AgentState | str]:
        """Return how each ended, by its title, or why there is nothing of it.

        Raises:
            LoadError: A target died, or the cluster does not answer.
        """
        done: dict[str, AgentState | str] = {}
        deadline, looked = time.monotonic() + longest_s, 0.0
        turns = itertools.cycle(self.keepers)
        while len(done) < len(self.keepers):
            self.check()
            if time.monotonic() - looked > _LOOK * self.tick_s:
                looked = time.monotonic()
                done |= {title: why for title, why in self._lost().items() if title not in done}
            one = next(turns)
            if one.title not in done:
                self._ask(one, done)
                time.sleep(self.tick_s)
            if time.monotonic() > deadline:
                late = f"it had not ended after {longest_s:.0f} s"
                return {one.title: done.get(one.title, late) for one in self.keepers}
        return done

    def ended_early(self) -> dict[str, AgentState | str]:
        """Return the same of pods that could not begin; empty where k6 runs in all of them.

        Raises:
            LoadError: One does not answer.
        """
        early = {one.title: now for one in self.keepers if not (now := one.state()).is_running}
        if not early:
            return {}
        return {one.title: early.get(one.title, "others did not begin") for one in self.keepers}

    def _ask(self, one: LoadAgent, done: dict[str, AgentState | str]) -> None:
        try:
            now = one.state()
        except LoadError as error:
            if one.title not in (lost := self._lost()):
                raise
            done[one.title] = lost[one.title]
            log.debug("%s", error)
            return
        if not now.is_running:
            done[one.title] = now

    def _lost(self) -> dict[str, str]:
        """Return why there is nothing more of some pods; asks the cluster once."""
        seen = self.pods.by_name(self.pods.read())
        found = {}
        for name, one in zip(self.names, self.keepers, strict=True):
            pod = seen.get(name)
            if pod is None or pod["metadata"]["name"] != one.pod:
                found[one.title] = "it was deleted"
            elif (now := pod_state(pod)).is_final:
                found[one.title] = f"it {now.why}"
        return found


def _taken(one: LoadAgent, ended: AgentState | str, out: Path) -> PodResult:
    folder = out / one.title.replace(" ", "-")
    if isinstance(ended, str):
        return PodResult(one.title, folder, lost=ended)
    folder.mkdir()
    try:
        one.take(ended.files, folder)
    except LoadError as error:
        return PodResult(one.title, folder, lost=str(error))
    return PodResult(one.title, folder, ended.exit, ended.began_s, ended.ended_s, ended.cpu_share)
