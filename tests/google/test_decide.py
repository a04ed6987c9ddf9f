import pytest

from pipeline.environments.gke.resources import MAX_LIFETIME_S, CloudResource, ResourceKind
from pipeline.environments.gke.sweep import CLOCK_SKEW_S, SweepPolicy, decide

NOW_S, HOUR_S = 1_800_000_000.0, 3600.0
NODES = "nodes@perf-nights.iam.gserviceaccount.com"
RULES = SweepPolicy(owner="perf-nights", clusters=frozenset({"milo-perf-other"}), account=NODES)


def found(
    kind: ResourceKind = ResourceKind.CLUSTER,
    *,
    age_h: float = 4.0,
    life_h: float = 3.0,
    **parts: object,
) -> CloudResource:
    """Something of run 7-1 that has expired an hour ago, with what is otherwise changed."""
    created_s = NOW_S - age_h * HOUR_S
    names = {
        ResourceKind.CLUSTER: "milo-perf-7-1",
        ResourceKind.NAMESPACE: "milo-perf-7-1-001-candidate",
        ResourceKind.FIREWALL: "gke-milo-perf-7-1-0a1b2c3d-all",
    }
    usual: dict[str, object] = {
        "name": names.get(kind, "pvc-1"),
        "where": "us-central1-a",
        "owner": "perf-nights",
        "created_s": created_s,
        "is_labelled": kind is not ResourceKind.FIREWALL,
        "run": "" if kind is ResourceKind.FIREWALL else "7-1",
        "expires": "" if kind is ResourceKind.FIREWALL else f"{created_s + life_h * HOUR_S:.0f}",
        "cluster": "" if kind is ResourceKind.NAMESPACE else "milo-perf-7-1",
    }
    return CloudResource(kind=kind, **{**usual, **parts})  # type: ignore[arg-type]  # of a table


LABELLED = [kind for kind in ResourceKind if kind is not ResourceKind.FIREWALL]
LEFTOVERS = [ResourceKind.DISK, ResourceKind.ADDRESS, ResourceKind.BALANCER, ResourceKind.FIREWALL]


@pytest.mark.parametrize("kind", LABELLED)
def test_what_is_ours_and_has_expired_is_deleted(kind: ResourceKind) -> None:
    assert decide(found(kind), RULES, NOW_S).is_deleted


def test_a_firewall_rule_without_its_cluster_is_deleted_a_day_after_it_was_made() -> None:
    old_h = (MAX_LIFETIME_S + CLOCK_SKEW_S + 1) / HOUR_S
    assert decide(found(ResourceKind.FIREWALL, age_h=old_h), RULES, NOW_S).is_deleted
    assert not decide(found(ResourceKind.FIREWALL, age_h=23), RULES, NOW_S).is_deleted


@pytest.mark.parametrize("kind", LABELLED)
@pytest.mark.parametrize(
    ("parts", "why"),
    [
        pytest.param({"is_labelled": False}, "without our label", id="no label"),
        pytest.param({"owner": "payroll"}, "not swept", id="another project"),
        pytest.param({"owner": ""}, "not swept", id="no project"),
        pytest.param({"run": "8-1"}, "does not match its label", id="label of another run"),
        pytest.param({"run": ""}, "does not match its label", id="no run"),
        pytest.param({"age_h": 2.0}, "expires in 70 min", id="not expired"),
        pytest.param({"age_h": 3.1}, "expires in", id="expired, but clocks may differ"),
        pytest.param({"age_h": -1.0}, "expires in", id="made in the future"),
        pytest.param({"expires": ""}, "no expiry time", id="no end"),
        pytest.param({"expires": "tomorrow"}, "no expiry time", id="an end that is no time"),
        pytest.param(
            {"expires": "9" * 11}, "more than the maximum", id="an end in a thousand years"
        ),
        pytest.param({"expires": "9" * 12}, "no expiry time", id="an end in milliseconds"),
        pytest.param({"is_ending": True}, "already", id="being deleted"),
        pytest.param({"is_used": True}, "in use", id="in use"),
    ],
)
def test_what_lacks_one_condition_is_kept(
    kind: ResourceKind, parts: dict[str, object], why: str
) -> None:
    decision = decide(found(kind, **parts), RULES, NOW_S)  # type: ignore[arg-type]  # of a table
    assert not decision.is_deleted
    assert why in decision.reason


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        pytest.param(
            ResourceKind.CLUSTER, {"name": "perf", "cluster": "perf"}, id="standing cluster"
        ),
        pytest.param(ResourceKind.CLUSTER, {"account": "default"}, id="nodes of another account"),
        pytest.param(
            ResourceKind.NAMESPACE, {"name": "kube-system"}, id="namespace of the cluster"
        ),
        pytest.param(
            ResourceKind.NAMESPACE, {"name": "milo-perf-7-10"}, id="namespace of run 7-10"
        ),
        pytest.param(ResourceKind.DISK, {"cluster": ""}, id="disk of no cluster"),
        pytest.param(ResourceKind.FIREWALL, {"cluster": "", "age_h": 99}, id="rule of no cluster"),
        pytest.param(
            ResourceKind.FIREWALL, {"name": "allow-ssh", "age_h": 99}, id="rule named by hand"
        ),
    ],
)
def test_what_is_of_somebody_else_is_not_even_shown(
    kind: ResourceKind, parts: dict[str, object]
) -> None:
    decision = decide(found(kind, **parts), RULES, NOW_S)  # type: ignore[arg-type]  # of a table
    assert (decision.is_ours, decision.is_deleted) == (False, False)


@pytest.mark.parametrize("kind", LEFTOVERS)
def test_what_a_living_cluster_holds_is_left_to_it(kind: ResourceKind) -> None:
    rules = SweepPolicy(owner="perf-nights", clusters=frozenset({"milo-perf-7-1"}))
    assert decide(found(kind, age_h=99), rules, NOW_S).reason == "goes with its cluster"


def test_nodes_of_our_account_are_deleted() -> None:
    assert decide(found(account=NODES), RULES, NOW_S).is_deleted


@pytest.mark.parametrize("kind", LABELLED)
def test_a_run_is_deleted_before_its_end_and_no_other_is(kind: ResourceKind) -> None:
    one = found(kind, age_h=0.1)
    assert decide(one, SweepPolicy(owner="perf-nights", run="7-1"), NOW_S).is_deleted
    assert not decide(one, SweepPolicy(owner="perf-nights", run="7-2"), NOW_S).is_deleted
    assert not decide(found(kind), SweepPolicy(owner="perf-nights", run="7-2"), NOW_S).is_deleted


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param({"age_h": 4.0}, False, id="expired"),
        pytest.param({"age_h": 6.1}, False, id="twice its limit, but clocks may differ"),
        pytest.param({"age_h": 6.2}, True, id="twice its limit"),
        pytest.param({"age_h": 47.0, "expires": ""}, False, id="no end, younger than two days"),
        pytest.param({"age_h": 49.0, "expires": ""}, True, id="no end, two days old"),
        pytest.param({"age_h": 49.0, "expires": "9" * 11}, True, id="an end in a thousand years"),
        pytest.param({"age_h": 1.0, "life_h": 0.01}, False, id="an end a minute after it was made"),
        pytest.param({"age_h": 7.0, "is_ending": True}, True, id="deleted for hours"),
    ],
)
def test_what_is_older_than_twice_its_limit_is_late(
    parts: dict[str, object],
    expected: bool,  # noqa: FBT001 (of a table)
) -> None:
    assert decide(found(**parts), RULES, NOW_S).is_overdue is expected  # type: ignore[arg-type]  # of a table
