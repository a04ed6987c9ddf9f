"""Which environment a person chose: by name, or by a file with the table [environment]."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from pipeline.environments.cluster_settings import ClusterSettings
from pipeline.environments.kind import KindSettings
from pipeline.environments.local import LocalSettings
from pipeline.environments.remote import RemoteSettings
from pipeline.storage import toml_file
from pipeline.system.errors import ConfigError
from pipeline.system.sanitize import truncate

# The registry: a new environment is one name here and one file.
AnyEnvironment = Annotated[
    LocalSettings | KindSettings | RemoteSettings, Field(discriminator="kind")
]
NAMES = ("local", "kind", "remote")
_MOST_COMPLAINTS = 20
_SENTENCE = 300  # characters of a key, or of what is wrong with it

_READ: TypeAdapter[LocalSettings | KindSettings | RemoteSettings] = TypeAdapter(AnyEnvironment)


def read_environment(name: str) -> AnyEnvironment:
    """Return the settings of an environment.

    Args:
        name: `local`, `kind`, `remote`, or the path of a .toml file with the table [environment].

    Raises:
        ConfigError: There is no such environment, or the file cannot be used.
    """
    if name in NAMES:
        return from_values({"kind": name}, name)
    if not name.endswith(".toml"):
        raise ConfigError(
            f"there is no environment `{name}`",
            hint=f"write {', '.join(NAMES)}, or the path of a .toml file with [environment]",
        )
    return read(toml_file.read(Path(name).expanduser(), "the environment"), name)


def with_load_pods(settings: AnyEnvironment, count: int) -> AnyEnvironment:
    """Return settings with another number of load pods.

    Raises:
        ConfigError: The environment has no pods, or the number is out of range.
    """
    if not isinstance(settings, ClusterSettings):
        raise ConfigError(
            f"--load-pods {count}: the environment {settings.kind} has no pods",
            hint='say --environment kind, or the path of a file with kind = "remote"',
        )
    return from_values(settings.model_dump() | {"load_pods": count}, f"--load-pods {count}")


def with_cluster_kept(settings: AnyEnvironment) -> AnyEnvironment:
    """Return settings of kind that leave a cluster which is created for the run.

    Raises:
        ConfigError: The environment creates no cluster.
    """
    if not isinstance(settings, KindSettings):
        raise ConfigError(
            f"--keep: the environment {settings.kind} creates no cluster",
            hint="only a kind cluster is created for a run, and deleted at its end",
        )
    return settings.model_copy(update={"keep": True})


def from_values(table: Mapping[str, object], source: str) -> AnyEnvironment:
    """Return the environment that a table describes.

    Args:
        table: Settings by key, with `kind`.
        source: Name of the file or argument, for messages.

    Raises:
        ConfigError: Naming the key and what was expected there.
    """
    try:
        return _READ.validate_python(table)
    except ValidationError as error:
        first, *others = [
            _sentence(source, e["loc"], e["msg"]) for e in error.errors()[:_MOST_COMPLAINTS]
        ]
        raise ConfigError(first, hint="\n".join(others)) from error


def read(text: str, name: str) -> AnyEnvironment:
    """Return the environment that a text of TOML describes.

    Args:
        text: With one table, [environment].
        name: Of its file, for messages.

    Raises:
        ConfigError: Naming the key and what was expected there.
    """
    tables = toml_file.parsed(text, name)
    table = tables.get("environment")
    if not isinstance(table, Mapping) or len(tables) > 1:
        raise ConfigError(f"{name}: must have one table, [environment], and nothing else")
    return from_values(table, name)


def _sentence(name: str, loc: tuple[int | str, ...], message: str) -> str:
    where = ".".join(["environment", *(str(part) for part in loc[1:])])  # the first is the kind
    said = "unknown key" if message.startswith("Extra inputs") else message
    return f"{name}: {truncate(where, _SENTENCE)}: {truncate(said, _SENTENCE)}"
