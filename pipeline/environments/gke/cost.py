"""What a cluster costs, before it is made and while it is there."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.environments.gke.values import USUAL, Order, Pool
from pipeline.storage import toml_file
from pipeline.system.errors import ConfigError

SWEPT_AFTER_S = 2 * 3600.0
"""How long after its end a cluster may be billed: the sweeper comes hourly, and takes a while."""

AROUND_S = 15 * 60.0
"""Before and after a run, while the cluster is made and deleted; not measured."""

BOOT_DISK = "pd-balanced"

_OURS = Path(__file__).with_name("prices.toml")
_HOURS_OF_MONTH = 730.0
_Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Prices(BaseModel):
    """Prices in US dollars.

    Attributes:
        as_of: Month of the table.
        source: Where the numbers are from.
        region: Whose prices they are.
        elsewhere: Factor for every other region.
        spot: Factor for a machine that Google may take back.
        cluster_per_hour: Fee of a cluster.
        machine_per_hour: By type, on demand.
        disk_per_gib_month: By type.
        other_per_hour: By kind.
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
        """Return how much dearer a zone or region is counted."""
        is_here = location == self.region or location.startswith(f"{self.region}-")
        return 1.0 if is_here else self.elsewhere

    def machine(self, pool: Pool) -> float | None:
        """Return what one machine of a pool costs in an hour, its disk included; None unknown."""
        found = self.machine_per_hour.get(pool.machine_type)
        if found is None:
            return None
        share = self.spot if pool.is_spot else 1.0
        return found * share + self.disk(BOOT_DISK, pool.disk_gib)

    def disk(self, kind: str, gib: float) -> float:
        """Return what a disk costs in an hour; of an unknown kind, what the dearest does."""
        known = self.disk_per_gib_month
        return known.get(kind, max(known.values(), default=0.0)) * gib / _HOURS_OF_MONTH

    def cluster(self, location: str, pools: Sequence[Pool]) -> float | None:
        """Return what a cluster costs in an hour; None where a machine has no price."""
        each = [(pool.nodes, self.machine(pool)) for pool in pools]
        known = [nodes * price for nodes, price in each if price is not None]
        if len(known) < len(each):
            return None
        return (self.cluster_per_hour + sum(known)) * self.factor(location)


@dataclass(frozen=True, slots=True)
class Line:
    """A row of an estimate.

    Attributes:
        what: In words.
        count: How many.
        usd_per_hour: All of them together.
    """

    what: str
    count: int
    usd_per_hour: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an order would cost.

    Attributes:
        lines: By part.
        life_h: Hours until it expires.
        billed_h: Hours that it may be billed at most, if only the sweeper deletes it.
        budget_usd: What may be spent.
        prices: As of when and where from.
    """

    lines: tuple[Line, ...]
    life_h: float
    billed_h: float
    budget_usd: float
    prices: Prices

    @property
    def usd_per_hour(self) -> float:
        """All lines together."""
        return sum(line.usd_per_hour for line in self.lines)

    @property
    def usd(self) -> float:
        """Until it expires."""
        return self.usd_per_hour * self.life_h

    @property
    def usd_at_most(self) -> float:
        """Until the sweeper has deleted it."""
        return self.usd_per_hour * self.billed_h

    def require_within(self) -> None:
        """Return if the most that it may cost is within the budget.

        Raises:
            ConfigError: It is not.
        """
        if not self.usd_at_most <= self.budget_usd:
            raise ConfigError(
                f"the cluster may cost up to {self.usd_at_most:.2f} USD, more than the budget of"
                f" {self.budget_usd:.2f} USD",
                hint="fewer or smaller nodes, a shorter --expires-in, or a larger --budget-usd",
            )


@dataclass(frozen=True, slots=True)
class Night:
    """What a run would cost on a cluster of its own.

    Attributes:
        usd: In all.
        machines: That it would have.
        as_of: Month of the prices.
    """

    usd: float
    machines: str
    as_of: str


def estimate(order: Order, prices: Prices, budget_usd: float) -> Estimate:
    """Return what an order would cost.

    In a region, each pool has its nodes in every zone that GKE takes by itself.

    Raises:
        ConfigError: A type of machine has no price, or the budget is not a finite number above 0.
    """
    if not (math.isfinite(budget_usd) and budget_usd > 0):
        raise ConfigError(f"a budget of {budget_usd:g} USD is not a finite number above zero")
    factor = prices.factor(order.location)
    lines = [Line("fee of the cluster", 1, prices.cluster_per_hour * factor)]
    for pool in order.pools:
        each = prices.machine(pool)
        if each is None:
            raise ConfigError(
                f"no price is known for {pool.machine_type}, so its cost cannot be estimated",
                hint=f'--prices FILE with [machine_per_hour] "{pool.machine_type}" = USD, or one of'
                f" {', '.join(sorted(prices.machine_per_hour))}",
            )
        kind = "spot" if pool.is_spot else "on demand"
        what = f"{pool.name}: {pool.machine_type}, {kind}, {pool.disk_gib} GiB"
        if order.zones > 1:
            what += f", {order.zones} zones"
        nodes = pool.nodes * order.zones
        lines.append(Line(what, nodes, nodes * each * factor))
    life_h = order.life_s / 3600
    return Estimate(tuple(lines), life_h, life_h + SWEPT_AFTER_S / 3600, budget_usd, prices)


def night(duration_s: float, load_pods: int, known: Prices) -> Night:
    """Return what a run would cost on a cluster that is made for it, as `cluster create` does.

    Args:
        duration_s: Of the run.
        load_pods: Each gets a machine of its own; with none, there are no machines for the load.
        known: Prices.
    """
    pools = [replace(one, nodes=load_pods) if one.name == "load" else one for one in USUAL]
    pools = [one for one in pools if one.nodes]
    life_h = (duration_s + AROUND_S) / 3600
    each_h = known.cluster(known.region, pools) or 0.0  # all of these have a price
    written = " and ".join(
        f"{one.nodes} {one.machine_type}{' (spot)' if one.is_spot else ''}" for one in pools
    )
    return Night(each_h * life_h, written, known.as_of)


def prices(over: Path | None = None) -> Prices:
    """Return our prices, with those of a file put over them.

    Args:
        over: TOML with some of the keys of our table; None for none.

    Raises:
        ConfigError: The file cannot be read, or has another key, or a value that is no price.
    """
    table = _read(_OURS)
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
            f"{over}: {where}: {first['msg']}", hint=f"its keys are those of {_OURS.name}"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    return toml_file.parsed(toml_file.read(path, "the file of prices"), f"{path}")
