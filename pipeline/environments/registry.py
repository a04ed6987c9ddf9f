"""Which environment a person chose: by name, or by a file with the table [environment]."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from pipeline.environments.in_cluster import InCluster
from pipeline.environments.kind import Kind
from pipeline.environments.local import Local
from pipeline.environments.remote import Remote
from pipeline.storage import toml_file
from pipeline.system.errors import ConfigError
from pipeline.system.sanitize import clipped

# The registry: a new environment is one name here and one file.
AnyEnvironment = Annotated[Local | Kind | Remote, Field(discriminator="kind")]
NAMES = ("local", "kind", "remote")
_MOST_COMPLAINTS = 20
_SENTENCE = 300  # characters of a key, or of what is wrong with it

_TABLE = re.compile(r"(?m)^\[environment\][ \t]*(#.*)?$")

_READ: TypeAdapter[Local | Kind | Remote] = TypeAdapter(AnyEnvironment)


def chosen(written: str) -> tuple[Local | Kind | Remote, str]:
    """Return an environment, and the text of a file that means the same.

    Args:
        written: `local`, `kind`, `remote`, the path of a .toml file, or the text of one.

    Raises:
        ConfigError: It is none of these, or the file cannot be used.
    """
    if written in NAMES:
        text = f'[environment]\nkind = "{written}"\n'
        return read(text, written), text
    if _TABLE.search(written):
        return read(written, "the environment"), written
    if not written.endswith(".toml"):
        raise ConfigError(
            f"there is no environment `{written}`",
            hint=f"write {', '.join(NAMES)}, or the path of a .toml file with [environment]",
        )
    text = toml_file.read(Path(written).expanduser(), "the environment")
    return read(text, written), text


def with_load_pods(written: str, count: int) -> str:
    """Return the text of a file that means the same, but with this many load pods.

    Args:
        written: See `chosen`.
        count: Of pods.

    Raises:
        ConfigError: There is no such environment, or it has no pods.
    """
    settings, text = chosen(written)
    if not isinstance(settings, InCluster):
        raise ConfigError(
            f"--load-pods {count}: pods are of a cluster, and the environment is {settings.kind}",
            hint='say --environment kind, or the path of a file with kind = "remote"',
        )
    without = re.sub(r"(?m)^load_pods *=.*\n?", "", text)
    changed = _TABLE.sub(f"[environment]\nload_pods = {count}", without, count=1)
    if read(changed, written) == settings.model_copy(update={"load_pods": count}):
        return changed
    raise ConfigError(f"{written}: --load-pods cannot be put into it; write `load_pods` there")


def read(text: str, name: str) -> Local | Kind | Remote:
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
    try:
        return _READ.validate_python(table)
    except ValidationError as error:
        first, *others = [
            _sentence(name, e["loc"], e["msg"]) for e in error.errors()[:_MOST_COMPLAINTS]
        ]
        raise ConfigError(first, hint="\n".join(others)) from error


def _sentence(name: str, loc: tuple[int | str, ...], message: str) -> str:
    where = ".".join(["environment", *(str(part) for part in loc[1:])])  # the first is the kind
    said = "unknown key" if message.startswith("Extra inputs") else message
    return f"{name}: {clipped(where, _SENTENCE)}: {clipped(said, _SENTENCE)}"
