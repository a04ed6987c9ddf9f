"""What the commands share that measure one build from this machine: `capacity` and `soak`."""

import hashlib
import math
from dataclasses import replace
from pathlib import Path

from pipeline import toolchain
from pipeline.drivers.k6.settings import SCRIPTS
from pipeline.environments import registry
from pipeline.model.headroom import Headroom
from pipeline.model.ports import EnvironmentSettings, Target
from pipeline.model.request import CapacityRequest, SoakRequest
from pipeline.system import paths
from pipeline.system.errors import ConfigError


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
