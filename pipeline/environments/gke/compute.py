"""What clusters leave behind in a project: disks, addresses, load balancers, firewall rules."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from pipeline.environments.gke import google
from pipeline.environments.gke.cost import Prices
from pipeline.environments.gke.gke import project_of, seconds, told
from pipeline.environments.gke.values import Found, Kind, cluster_of_tags, name_of
from pipeline.system.log import log

_CLUSTER = "goog-k8s-cluster-name"  # a label that GKE puts on what it makes for a cluster

_LISTS = {
    Kind.DISK: ("DisksClient", "disks"),
    Kind.ADDRESS: ("AddressesClient", "addresses"),
    Kind.BALANCER: ("ForwardingRulesClient", "forwarding_rules"),
}
# By kind and scope: the client, and how it calls the name of one.
_DELETES = {
    (Kind.DISK, "zones"): ("DisksClient", "disk"),
    (Kind.DISK, "regions"): ("RegionDisksClient", "disk"),
    (Kind.ADDRESS, "regions"): ("AddressesClient", "address"),
    (Kind.ADDRESS, "global"): ("GlobalAddressesClient", "address"),
    (Kind.BALANCER, "regions"): ("ForwardingRulesClient", "forwarding_rule"),
    (Kind.BALANCER, "global"): ("GlobalForwardingRulesClient", "forwarding_rule"),
    (Kind.FIREWALL, "global"): ("FirewallsClient", "firewall"),
}
PERMISSIONS = {
    Kind.DISK: "compute.disks",
    Kind.ADDRESS: "compute.addresses",
    Kind.BALANCER: "compute.forwardingRules",
    Kind.FIREWALL: "compute.firewalls",
}


@dataclass(frozen=True, slots=True)
class Leftovers:
    """The disks, addresses, load balancers and firewall rules of one project.

    Attributes:
        project: Its id.
        prices: By which they are counted.
    """

    project: str
    prices: Prices

    def look(self) -> list[Found]:
        """Return all of them, whoever made them.

        Raises:
            PipelineError: Google refuses.
        """
        found = []
        for kind, (client, key) in _LISTS.items():
            with google.asking(f"list every {kind}", f"{PERMISSIONS[kind]}.list"):
                pages = _client(client).aggregated_list(project=self.project, retry=google.retry())
                found += [
                    self._labelled(kind, scope, one)
                    for scope, scoped in pages
                    for one in getattr(scoped, key)
                ]
        return found + list(self._rules())

    def delete(self, found: Found) -> bool:
        """Begin to delete one; return whether Google has begun. One that is gone is fine.

        Raises:
            PipelineError: Google refuses.
        """
        scope, _, place = found.where.partition("/")
        client, key = _DELETES[found.kind, scope]
        at = {scope.removesuffix("s"): place} if place else {}
        try:
            with google.asking(
                f"delete the {found.kind} {found.name}", f"{PERMISSIONS[found.kind]}.delete"
            ):
                _client(client).delete_unary(
                    project=self.project, **at, **{key: found.name}, retry=google.retry()
                )
        except google.GoneError:
            log.info("the %s %s was gone already", found.kind, found.name)
        except google.BusyError as error:
            log.info("the %s %s cannot be deleted yet: %s", found.kind, found.name, error)
            return False
        return True

    def _labelled(self, kind: Kind, scope: str, one: Any) -> Found:  # noqa: ANN401 (the library's)
        said = dict(one.labels)
        labels = told(said)
        cluster = said.get(_CLUSTER, "")
        if not cluster and labels["run"] and one.name.startswith(name_of(labels["run"])):
            cluster = name_of(labels["run"])
        place = scope.rpartition("/")[2]
        if kind is Kind.DISK:
            usd = self.prices.disk(one.type_.rpartition("/")[2], one.size_gb)
        else:
            usd = self.prices.other_per_hour.get(kind, 0.0)
        return Found(
            kind=kind,
            name=one.name,
            where=scope,
            owner=project_of(one.self_link),
            created_s=seconds(one.creation_timestamp),
            cluster=cluster,
            is_ending=kind is Kind.DISK and one.status == "DELETING",
            is_used=kind is not Kind.BALANCER and bool(one.users),
            usd_per_hour=usd * self.prices.factor(place),
            **labels,
        )

    def _rules(self) -> Iterator[Found]:
        with google.asking("list every firewall rule", "compute.firewalls.list"):
            rules = list(
                _client("FirewallsClient").list(project=self.project, retry=google.retry())
            )
        for rule in rules:
            yield Found(
                kind=Kind.FIREWALL,
                name=rule.name,
                where="global",
                owner=project_of(rule.self_link),
                created_s=seconds(rule.creation_timestamp),
                cluster=cluster_of_tags(list(rule.target_tags)),
                usd_per_hour=0.0,
            )


@cache
def _module() -> Any:  # noqa: ANN401 (as above)
    with google.installed():
        from google.cloud import compute_v1

    return compute_v1


def _client(name: str) -> Any:  # noqa: ANN401 (as above)
    return getattr(_module(), name)(transport="rest", **google.options())
