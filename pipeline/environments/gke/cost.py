"""The cost of a cluster: an estimate before it is created, and its price while it exists."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.environments.gke.resources import DEFAULT_POOLS, ClusterSpec, NodePool
from pipeline.storage import toml_file
from pipeline.system.errors import ConfigError

SWEEP_DELAY_S = 2 * 3600.0
"""How long after its expiry a cluster may be billed: the sweeper runs every hour."""

CLUSTER_SETUP_S = 15 * 60.0
"""Time to create and delete a cluster, before and after a run; not measured."""

BOOT_DISK = "pd-balanced"

_DEFAULT_PRICES = Path(__file__).with_name("prices.toml")
_HOURS_PER_MONTH = 730.0
_Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Prices(BaseModel):
    """Prices in US dollars.

    Attributes:
        as_of: Month of the prices.
        source: Source of the prices.
        region: Region of the prices.
        elsewhere: Factor for every other region.
        spot: Factor for spot VMs.
        cluster_per_hour: Management fee of a cluster.
        machine_per_hour: On-demand price by machine type.
        disk_per_gib_month: Price by disk type.
        other_per_hour: Price by kind of resource.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    as_of: str
    source: str
    region: str
    elsewhere: _Price
    spot: _Price
    cluster_per_hour: _Price
    machine_per_hour: Mapping[str, _Price]
    disk_per_gib_month: Mapping[str, _Price]
    other_per_hour: Mapping[str, _Price]

    def factor(self, location: str) -> float:
        """Return the price factor of a zone or region."""
        is_here = location == self.region or location.startswith(f"{self.region}-")
        return 1.0 if is_here else self.elsewhere

    def machine(self, pool: NodePool) -> float | None:
        """Return the hourly price of one machine of a pool with its disk; None if unknown."""
        price = self.machine_per_hour.get(pool.machine_type)
        if price is None:
            return None
        share = self.spot if pool.is_spot else 1.0
        return price * share + self.disk(BOOT_DISK, pool.disk_gib)

    def disk(self, kind: str, gib: float) -> float:
        """Return the hourly price of a disk; an unknown kind has the highest price."""
        prices = self.disk_per_gib_month
        return prices.get(kind, max(prices.values(), default=0.0)) * gib / _HOURS_PER_MONTH

    def cluster(self, location: str, pools: Sequence[NodePool]) -> float | None:
        """Return the hourly price of a cluster; None if a machine has no known price."""
        each = [(pool.nodes, self.machine(pool)) for pool in pools]
        known = [nodes * price for nodes, price in each if price is not None]
        if len(known) < len(each):
            return None
        return (self.cluster_per_hour + sum(known)) * self.factor(location)


@dataclass(frozen=True, slots=True)
class CostLine:
    """A row of an estimate: a description, the number of items, and the price of all of them."""

    what: str
    count: int
    usd_per_hour: float


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """The cost of a cluster that is to be created.

    Attributes:
        lines: Cost of each part.
        life_h: Hours until it expires.
        billed_h: Maximum hours that it is billed, if only the sweeper deletes it.
        budget_usd: Maximum cost.
        prices: Prices used.
    """

    lines: tuple[CostLine, ...]
    life_h: float
    billed_h: float
    budget_usd: float
    prices: Prices

    @property
    def usd_per_hour(self) -> float:
        """Hourly price of the cluster."""
        return sum(line.usd_per_hour for line in self.lines)

    @property
    def usd(self) -> float:
        """Cost until it expires."""
        return self.usd_per_hour * self.life_h

    @property
    def usd_at_most(self) -> float:
        """Cost until the sweeper has deleted it."""
        return self.usd_per_hour * self.billed_h

    def require_within(self) -> None:
        """Raise ConfigError if the maximum cost exceeds the budget."""
        if not self.usd_at_most <= self.budget_usd:
            raise ConfigError(
                f"the cluster may cost up to {self.usd_at_most:.2f} USD, more than the budget of"
                f" {self.budget_usd:.2f} USD",
                hint="fewer or smaller nodes, a shorter --expires-in, or a larger --budget-usd",
            )


@dataclass(frozen=True, slots=True)
class RunCost:
    """The cost of a run on a cluster that is created for it, with the month of the prices."""

    usd: float
    machines: str
    as_of: str

    def __str__(self) -> str:
        """Return the cost in words."""
        return f"about {self.usd:.2f} USD on {self.machines}, prices of {self.as_of}"


def estimate(spec: ClusterSpec, prices: Prices, budget_usd: float) -> CostEstimate:
    """Return the cost of a cluster; in a region, each pool has its nodes in several zones.

    Raises:
        ConfigError: A machine type has no price, or the budget is not a finite number above 0.
    """
    if not (math.isfinite(budget_usd) and budget_usd > 0):
        raise ConfigError(f"a budget of {budget_usd:g} USD is not a finite number above zero")
    factor = prices.factor(spec.location)
    lines = [CostLine("management fee", 1, prices.cluster_per_hour * factor)]
    for pool in spec.pools:
        each = prices.machine(pool)
        if each is None:
            raise ConfigError(
                f"the cost cannot be estimated: no price for {pool.machine_type}",
                hint=f'--prices FILE with [machine_per_hour] "{pool.machine_type}" = USD, or one of'
                f" {', '.join(sorted(prices.machine_per_hour))}",
            )
        kind = "spot" if pool.is_spot else "on demand"
        what = f"{pool.name}: {pool.machine_type}, {kind}, {pool.disk_gib} GiB"
        if spec.zones > 1:
            what += f", {spec.zones} zones"
        nodes = pool.nodes * spec.zones
        lines.append(CostLine(what, nodes, nodes * each * factor))
    life_h = spec.life_s / 3600
    return CostEstimate(tuple(lines), life_h, life_h + SWEEP_DELAY_S / 3600, budget_usd, prices)


def run_cost(duration_s: float, load_pods: int, known: Prices) -> RunCost:
    """Return the cost of a run on a cluster that `cluster create` makes for it.

    Each load pod gets its own machine.
    """
    pools = [replace(one, nodes=load_pods) if one.name == "load" else one for one in DEFAULT_POOLS]
    pools = [one for one in pools if one.nodes]
    life_h = (duration_s + CLUSTER_SETUP_S) / 3600
    usd_per_h = known.cluster(known.region, pools) or 0.0  # all of these have a price
    machines = " and ".join(
        f"{one.nodes} {one.machine_type}{' (spot)' if one.is_spot else ''}" for one in pools
    )
    return RunCost(usd_per_h * life_h, machines, known.as_of)


def prices(over: Path | None = None) -> Prices:
    """Return the default prices, overridden by those of a TOML file with some of the keys.

    Raises:
        ConfigError: The file cannot be read, has an unknown key, or a value that is not a price.
    """
    table = _read(_DEFAULT_PRICES)
    if over is not None:
        for key, value in _read(over).items():
            is_both = isinstance(value, dict) and isinstance(table.get(key), dict)
            table[key] = {**table[key], **value} if is_both else value
    try:
        return Prices.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{over}: {where}: {first['msg']}", hint=f"its keys are those of {_DEFAULT_PRICES.name}"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    return toml_file.parse(toml_file.read(path, "the file of prices"), f"{path}")
