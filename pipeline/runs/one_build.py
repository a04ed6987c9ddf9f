"""Prepare one build for a load from this machine; shared by `capacity` and `soak`."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from pipeline import toolchain
from pipeline.drivers.k6.settings import SCRIPTS
from pipeline.environments import registry
from pipeline.model.capacity import Capacity
from pipeline.model.headroom import Headroom
from pipeline.model.limit import Limit
from pipeline.model.ports import Artifact, EnvironmentSettings, Program, Target
from pipeline.model.replicas import by_component
from pipeline.model.request import CapacityRequest, SoakRequest
from pipeline.model.results import Machine, Tool
from pipeline.model.sizing import ObjectCounts
from pipeline.model.soak import Soak
from pipeline.runs import preflight
from pipeline.runs.folder import RunFolder
from pipeline.runs.request import spec_of
from pipeline.storage.settings import first_problem
from pipeline.system import paths
from pipeline.system.errors import ConfigError


@dataclass(frozen=True, slots=True)
class OneBuild:
    """A build, and all that is needed to measure it alone."""

    artifact: Artifact
    programs: Mapping[str, Program]
    settings: EnvironmentSettings

    @property
    def machine(self) -> Machine:
        """This machine, with the versions of the programs and what the environment adds."""
        return toolchain.machine_with(self.programs, self.settings.facts)

    @property
    def tools(self) -> dict[str, Tool]:
        """Version and digest of each program, and of this package."""
        return {**toolchain.tools_of(self.programs), "milo-perf": toolchain.own_version()}


@contextmanager
def refused_by_config_error() -> Iterator[None]:
    """Raise ConfigError for a question, or settings of its load, that are not valid."""
    try:
        yield
    except ValidationError as error:
        raise ConfigError(f"k6 cannot apply this load: {first_problem(error)}") from error
    except ValueError as error:
        raise ConfigError(str(error)) from error


def prepare(
    request: CapacityRequest | SoakRequest, command: str, counts: ObjectCounts, out: Path
) -> OneBuild:
    """Return the build of a new request, built, and its programs; nothing has been started.

    Args:
        request: Request.
        command: Name of the command.
        counts: What exists at the same time, at least.
        out: Folder of the results.

    Raises:
        ConfigError: The environment cannot be used, or what must exist does not fit this machine.
        LaunchError: The build cannot be made, or cannot be packed into an image.
    """
    settings = environment_of(request, command)
    spec = spec_of(request.candidate)
    if settings.is_here:
        preflight.require_fit(counts, spec, settings, out)
    preflight.require_packable(settings, [spec])
    artifact = toolchain.artifact(spec, request.build)
    return OneBuild(artifact, toolchain.programs_of((*settings.needs, "k6")), settings)


def prepare_again(
    folder: RunFolder,
    request: CapacityRequest | SoakRequest,
    measured: Capacity | Soak,
    script: str,
) -> OneBuild:
    """Return the build that was measured, to go on with it.

    Raises:
        ConfigError: The build, the load's script, the machine or its tools have changed.
        LaunchError: The build is gone, or cannot be built.
    """
    artifact = folder.rebuild("candidate", measured.subject)
    with folder.naming(f"the {folder.command}"):
        settings = environment_of(request, folder.command)
    build = OneBuild(artifact, toolchain.programs_of((*settings.needs, "k6")), settings)
    folder.require_same("the load's script", measured.load_digest, load_digest(script))
    folder.require_same_machine(measured.machine, build.machine)
    return build


def environment_of(request: CapacityRequest | SoakRequest, command: str) -> EnvironmentSettings:
    """Return the environment of a request; a stored request has its settings.

    Raises:
        ConfigError: The environment cannot be used, or its load comes from pods.
    """
    if request.settings:
        return registry.from_values(request.settings, "settings")
    settings = registry.read_environment(request.environment)
    settings = registry.with_profile(settings, request.profile)
    if settings.load_pods:
        raise ConfigError(
            f"{command} sends its load from this machine, and the environment says from"
            f" {settings.load_pods} pods",
            hint="set load_pods = 0",
        )
    return settings


def require_measurable(limits: Sequence[Limit], target: Target) -> None:
    """Raise ConfigError if a limit is of something that the target does not have, or not show."""
    components = by_component(target.processes or target.metrics)
    for limit in limits:
        if limit.component and limit.component not in components:
            raise ConfigError(
                f"`{limit.text}`: the subject has no {limit.component}",
                hint=f"it has: {', '.join(components)}",
            )
        if limit.quantity.startswith("files(") and not target.processes:
            raise ConfigError(
                f"`{limit.text}`: open files of a process in another machine are not seen",
                hint="limit memory or goroutines instead",
            )


def headroom_of(out: Path, target: Target, *, is_here: bool) -> Headroom:
    """Return what this machine has left; the memory of another machine has no bound here."""
    here = toolchain.headroom(out, target.processes)
    return here if is_here else replace(here, memory=math.inf, memory_total=0.0)


def load_digest(script: str) -> str:
    """Return `sha256:…` of one of our k6 scripts and of all that it can import."""
    content = hashlib.sha256()
    scripts = paths.project_path(SCRIPTS)
    for path in (scripts / script, *sorted((scripts / "lib").glob("*.js"))):
        content.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"sha256:{content.hexdigest()}"
