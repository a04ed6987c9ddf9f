"""The list of drivers: a new driver is its settings, its code, and one line here for each."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import BaseModel, Field

from pipeline.drivers.clusterloader2.settings import ClusterLoader2
from pipeline.drivers.k6.settings import K6
from pipeline.drivers.watch_herd.settings import WatchHerd
from pipeline.model.ports import Driver, DriverSettings, Program

DRIVER_SETTINGS: Mapping[str, type[BaseModel]] = {
    "k6": K6,
    "clusterloader2": ClusterLoader2,
    "watch-herd": WatchHerd,
}
"""Settings of each driver, by the `kind` that a suite names."""

if TYPE_CHECKING:  # so the pipeline uses only members that the protocol names
    AnyDriverSettings = DriverSettings
else:
    AnyDriverSettings = Annotated[
        Union[tuple(DRIVER_SETTINGS.values())],  # noqa: UP007 (the members are in a mapping)
        Field(discriminator="kind"),
    ]
"""Type of a driver's settings in a suite."""


def driver_of(settings: DriverSettings, programs: Mapping[str, Program]) -> Driver:
    """Return the driver that applies a load with the programs that its settings need."""
    match settings:
        case K6():
            from pipeline.drivers.k6.driver import K6Driver

            return K6Driver(settings, programs["k6"])
        case ClusterLoader2():
            from pipeline.drivers.clusterloader2.driver import ClusterLoader2Driver

            return ClusterLoader2Driver(settings, programs)
        case WatchHerd():
            from pipeline.drivers.watch_herd.driver import WatchHerdDriver

            return WatchHerdDriver(settings, programs["watch-herd"])
        case _:
            raise AssertionError(f"no driver is registered for {settings.kind}")


def require_loadable(settings: DriverSettings, find: Callable[[str], Program]) -> None:
    """Return if k6 can load the script of a load, or if the script is ours.

    It takes about a second, and needs no server.

    Args:
        settings: Settings of a load of any driver.
        find: Function that returns a program by its name.

    Raises:
        ConfigError: k6 cannot load the script, which is beside the suite.
    """
    if isinstance(settings, K6) and settings.own_files():
        from pipeline.drivers.k6 import inspection

        inspection.require_loadable(settings, find("k6"))
