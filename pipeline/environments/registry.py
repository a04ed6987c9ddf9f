"""The list of environments: a new one is its settings, with its code, and one line here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from pipeline.environments.kind import KindSettings
from pipeline.environments.local import LocalSettings
from pipeline.environments.remote import RemoteSettings
from pipeline.model.ports import EnvironmentSettings
from pipeline.storage import toml_file
from pipeline.storage.settings import from_table
from pipeline.system import paths
from pipeline.system.errors import ConfigError
from pipeline.system.sanitize import truncate

ENVIRONMENT_SETTINGS: Mapping[str, type[BaseModel]] = {
    "local": LocalSettings,
    "kind": KindSettings,
    "remote": RemoteSettings,
}
"""Settings of each environment, by its name."""

if TYPE_CHECKING:  # so the pipeline uses only members that the protocol names
    AnyEnvironmentSettings = EnvironmentSettings
else:
    AnyEnvironmentSettings = Annotated[
        Union[tuple(ENVIRONMENT_SETTINGS.values())],  # noqa: UP007 (the members are in a mapping)
        Field(discriminator="kind"),
    ]
"""Type of an environment's settings in a suite."""

_MAX_COMPLAINTS = 20
_MAX_TEXT = 300  # characters of a key, or of a message about it

_ADAPTER: TypeAdapter[EnvironmentSettings] = TypeAdapter(AnyEnvironmentSettings)


def read_environment(name: str) -> EnvironmentSettings:
    """Return the settings of an environment.

    Args:
        name: Name of an environment, or path of a .toml file with the table [environment].

    Raises:
        ConfigError: There is no such environment, or the file cannot be used.
    """
    if name in ENVIRONMENT_SETTINGS:
        return from_values({"kind": name}, name)
    if not name.endswith(".toml"):
        raise ConfigError(
            f"there is no environment `{name}`",
            hint=f"write {', '.join(ENVIRONMENT_SETTINGS)}, or the path of a .toml file with"
            " [environment]",
        )
    tables = toml_file.parse(toml_file.read(paths.expand(name), "the environment"), name)
    table = tables.get("environment")
    if not isinstance(table, Mapping) or len(tables) > 1:
        raise ConfigError(f"{name}: must have one table, [environment], and nothing else")
    return from_values(table, name)


def with_setting(
    settings: EnvironmentSettings, key: str, value: object, option: str
) -> EnvironmentSettings:
    """Return the settings with another value of one key, from an option like `--load-pods 3`.

    Raises:
        ConfigError: The environment has no such key, or the value is not allowed.
    """
    able = [name for name, model in ENVIRONMENT_SETTINGS.items() if key in model.model_fields]
    if settings.kind not in able:
        raise ConfigError(
            f"{option}: the environment {settings.kind} has no setting `{key}`",
            hint=f"say --environment {able[0]}, or the path of a file with one of these kinds:"
            f" {', '.join(able)}",
        )
    return from_values({**to_values(settings), key: value}, option)


def with_profile(settings: EnvironmentSettings, profile: str) -> EnvironmentSettings:
    """Return the settings with the start profile of `--profile`; unchanged if that is empty."""
    if not profile:
        return settings
    return with_setting(settings, "profile", profile, f"--profile {profile}")


def with_life(settings: EnvironmentSettings, life_s: float) -> EnvironmentSettings:
    """Return the settings with namespaces that a sweep leaves alone while a launch lives."""
    expires_h = getattr(settings, "expires_h", None)
    if expires_h is None:
        return settings
    return with_setting(settings, "expires_h", max(expires_h, life_s / 3600 + 1), "expires_h")


def to_values(settings: EnvironmentSettings) -> dict[str, Any]:
    """Return the kind, and all values that are not the default, for JSON."""
    values = _ADAPTER.dump_python(settings, mode="json", exclude_defaults=True)
    return {"kind": settings.kind, **values}


def from_values(table: Mapping[str, object], source: str) -> EnvironmentSettings:
    """Return the settings that a table of a file or option describes, or raise ConfigError."""
    try:
        return from_table(_ADAPTER, table)
    except ValidationError as error:
        complaints = []
        for one in error.errors()[:_MAX_COMPLAINTS]:
            key = ".".join(["environment", *map(str, one["loc"][1:])])  # the first is the kind
            is_unknown = one["type"] == "extra_forbidden"
            text = "unknown key" if is_unknown else one["msg"].removeprefix("Value error, ")
            complaints.append(f"{source}: {truncate(key, _MAX_TEXT)}: {truncate(text, _MAX_TEXT)}")
        raise ConfigError(complaints[0], hint="\n".join(complaints[1:])) from error
