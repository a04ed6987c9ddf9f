from pathlib import Path

import pytest

from pipeline.commands import main
from pipeline.environments.gke.cost import estimate, prices, run_cost
from pipeline.environments.gke.resources import ClusterSpec, NodePool
from pipeline.system.errors import ConfigError, Exit

SERVER, LOAD = (
    NodePool("server", "n2-standard-8", 2, is_spot=False),
    NodePool("load", "n2-standard-4", 3, is_spot=True),
)


def order(
    *pools: NodePool, location: str = "us-central1-a", hours: float = 3.0, **parts: str
) -> ClusterSpec:
    usual = {"project": "perf-nights", "run": "7-1", "account": "n@x"}
    return ClusterSpec(location=location, life_s=hours * 3600, pools=pools, **{**usual, **parts})


def test_an_estimate_is_the_fee_and_the_machines_with_their_disks() -> None:
    table = prices()
    found = estimate(order(SERVER, LOAD), table, 10.0)
    each = table.machine_per_hour
    disk = 50 * table.disk_per_gib_month["pd-balanced"] / 730
    machines = 2 * each["n2-standard-8"] + 3 * each["n2-standard-4"] * table.spot
    assert found.usd_per_hour == pytest.approx(table.cluster_per_hour + machines + 5 * disk)
    assert found.usd == pytest.approx(3 * found.usd_per_hour)


def test_a_run_costs_as_long_as_it_takes_with_what_is_around_it() -> None:
    table = prices()
    one, four = (run_cost(2700.0, pods, table) for pods in (1, 4))
    load = table.machine(LOAD)
    assert load is not None
    assert four.usd - one.usd == pytest.approx(3 * load)  # 45 minutes and 15 around them
    assert four.machines == "2 n2-standard-8 and 4 n2-standard-4 (spot)"
    assert run_cost(2700.0, 0, table).machines == "2 n2-standard-8"


def test_a_night_that_nobody_deletes_is_counted_until_the_sweeper_has_been() -> None:
    found = estimate(order(SERVER), prices(), 10.0)
    assert found.usd_at_most == pytest.approx(5 * found.usd_per_hour)


def test_a_budget_is_held_against_the_most_that_it_may_cost() -> None:
    dear = estimate(order(SERVER), prices(), 4.0)
    assert dear.usd < 4.0 < dear.usd_at_most
    with pytest.raises(ConfigError, match=r"up to 4\.\d\d USD, more than the budget of 4.00 USD"):
        dear.require_within()


def test_another_region_is_counted_dearer() -> None:
    here, there = (
        estimate(order(SERVER, location=x), prices(), 9.0)
        for x in ("us-central1-b", "us-central2-a")
    )
    assert there.usd == pytest.approx(prices().elsewhere * here.usd)


def test_a_region_has_every_node_in_each_of_its_zones() -> None:
    zone, region = (
        estimate(order(SERVER, LOAD, location=x), prices(), 99.0)
        for x in ("us-central1-a", "us-central1")
    )
    fee, *machines = zone.lines
    assert [line.count for line in region.lines] == [1, *(3 * line.count for line in machines)]
    expected = fee.usd_per_hour + 3 * sum(line.usd_per_hour for line in machines)
    assert region.usd_per_hour == pytest.approx(expected)
    assert "3 zones" in region.lines[1].what


@pytest.mark.parametrize("budget", [float("nan"), float("inf"), -1.0, 0.0])
def test_no_budget_that_allows_everything_or_nothing_is_taken(budget: float) -> None:
    with pytest.raises(ConfigError, match="not a finite number above zero"):
        estimate(order(SERVER), prices(), budget)


def test_a_machine_without_a_price_is_refused_and_says_which_have_one() -> None:
    with pytest.raises(ConfigError, match="no price for z9-mega-1") as raised:
        estimate(order(NodePool("server", "z9-mega-1", 1, is_spot=False)), prices(), 9.0)
    assert "n2-standard-8" in raised.value.hint


def test_prices_of_ones_own_are_put_over_ours_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('as_of = "2026-11"\n[machine_per_hour]\nz9-mega-1 = 5.0\n')
    found = prices(tmp_path / "p.toml")
    assert (found.as_of, found.machine_per_hour["z9-mega-1"]) == ("2026-11", 5.0)
    assert found.machine_per_hour["n2-standard-8"] == prices().machine_per_hour["n2-standard-8"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("spot = -1.0", "spot", id="negative"),
        pytest.param("spot = nan", "spot", id="no number"),
        pytest.param("elsewhere = inf", "elsewhere", id="infinite"),
        pytest.param("cluster_per_hour = 1e400", "cluster_per_hour", id="overflow"),
        pytest.param("spots = 1.0", "spots", id="unknown key"),
        pytest.param("machine_per_hour = 3.0", "machine_per_hour", id="no table"),
        pytest.param("spot = ", "not TOML", id="broken"),
    ],
)
def test_a_file_of_prices_that_cannot_be_used_is_named(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(ConfigError, match=f"p.toml: .*{said}"):
        prices(tmp_path / "p.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        prices(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        pytest.param({"run": "A night"}, "cannot be the name of a run", id="run"),
        pytest.param(
            {"run": "x" * 31}, "cannot be the name of a run", id="run too long for a cluster's name"
        ),
        pytest.param(
            {"project": "123456"}, "not the id of a Google Cloud project", id="number of a project"
        ),
        pytest.param({"location": "../zones"}, "not a zone", id="zone"),
    ],
)
def test_an_order_that_google_would_misread_cannot_be_made(
    parts: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        order(SERVER, **parts)  # type: ignore[arg-type]  # of a table


def test_no_cluster_may_be_asked_for_longer_than_a_day() -> None:
    for hours in (25, float("inf"), float("nan"), 0, -1):
        with pytest.raises(ConfigError, match=f"24 h at most, not {hours:g} h"):
            order(SERVER, hours=hours)


@pytest.mark.parametrize(
    ("environment", "is_priced"),
    [
        pytest.param(
            'context = "gke_perf-nights_us-central1-a_perf"', True, id="context of gcloud"
        ),
        pytest.param('node_selector = { "milo-perf/pool" = "server" }', True, id="our node pool"),
        pytest.param('context = "perf"', False, id="any cluster"),
        pytest.param("", False, id="the current context"),
    ],
)
def test_a_plan_has_a_price_only_on_gke(
    environment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, is_priced: bool
) -> None:
    path = tmp_path / "remote.toml"
    path.write_text(f'[environment]\nkind = "remote"\n{environment}\n')
    command = ["plan", "--suite", "pr", "--candidate", "reference", "--environment", str(path)]
    assert main.main([*command, "--load-pods", "2"]) == Exit.NO_REGRESSION
    assert ("on GKE" in capsys.readouterr().out) is is_priced
