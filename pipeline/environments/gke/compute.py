"""Resources that clusters leave behind: disks, addresses, load balancers, firewall rules."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from pipeline.environments.gke import google
from pipeline.environments.gke.clusters import label_fields, project_of, unix_time
from pipeline.environments.gke.cost import Prices
from pipeline.environments.gke.resources import (
    CloudResource,
    ResourceKind,
    cluster_name,
    cluster_of_tags,
)
from pipeline.system.log import log

_CLUSTER = "goog-k8s-cluster-name"  # label that GKE puts on the resources of a cluster

_LISTS = {
    ResourceKind.DISK: ("DisksClient", "disks"),
    ResourceKind.ADDRESS: ("AddressesClient", "addresses"),
    ResourceKind.BALANCER: ("ForwardingRulesClient", "forwarding_rules"),
}
# By kind and scope: the client, and the name of its argument.
_DELETES = {
    (ResourceKind.DISK, "zones"): ("DisksClient", "disk"),
    (ResourceKind.DISK, "regions"): ("RegionDisksClient", "disk"),
    (ResourceKind.ADDRESS, "regions"): ("AddressesClient", "address"),
    (ResourceKind.ADDRESS, "global"): ("GlobalAddressesClient", "address"),
    (ResourceKind.BALANCER, "regions"): ("ForwardingRulesClient", "forwarding_rule"),
    (ResourceKind.BALANCER, "global"): ("GlobalForwardingRulesClient", "forwarding_rule"),
    (ResourceKind.FIREWALL, "global"): ("FirewallsClient", "firewall"),
}
PERMISSIONS = {
    ResourceKind.DISK: "compute.disks",
    ResourceKind.ADDRESS: "compute.addresses",
    ResourceKind.BALANCER: "compute.forwardingRules",
    ResourceKind.FIREWALL: "compute.firewalls",
}


@dataclass(frozen=True, slots=True)
class Leftovers:
    """The disks, addresses, load balancers and firewall rules of one project.

    Attributes:
        project: Id of the project.
        prices: Prices of the resources.
    """

    project: str
    prices: Prices

    def list_resources(self) -> list[CloudResource]:
        """Return all of them, including those of others.

        Raises:
            PipelineError: Google refuses.
        """
        resources = []
        for kind, (client, key) in _LISTS.items():
            with google.translate_errors(f"list every {kind}", f"{PERMISSIONS[kind]}.list"):
                pages = _client(client).aggregated_list(project=self.project, retry=google.retry())
                resources += [
                    self._labelled(kind, scope, one)
                    for scope, scoped in pages
                    for one in getattr(scoped, key)
                ]
        return resources + self._firewall_rules()

    def delete(self, resource: CloudResource) -> bool:
        """Begin to delete a resource; return False if it is busy. It is fine if it is gone.

        Raises:
            PipelineError: Google refuses.
        """
        scope, _, place = resource.where.partition("/")
        client, key = _DELETES[resource.kind, scope]
        at = {scope.removesuffix("s"): place} if place else {}
        try:
            with google.translate_errors(
                f"delete the {resource.kind} {resource.name}",
                f"{PERMISSIONS[resource.kind]}.delete",
            ):
                _client(client).delete_unary(
                    project=self.project, **at, **{key: resource.name}, retry=google.retry()
                )
        except google.NotFoundError:
            log.info("the %s %s was gone already", resource.kind, resource.name)
        except google.BusyError as error:
            log.info("the %s %s cannot be deleted yet: %s", resource.kind, resource.name, error)
            return False
        return True

    def _labelled(self, kind: ResourceKind, scope: str, one: Any) -> CloudResource:  # noqa: ANN401 (the library's)
        labels = label_fields(one.labels)
        cluster = one.labels.get(_CLUSTER, "")
        if not cluster and labels["run"] and one.name.startswith(cluster_name(labels["run"])):
            cluster = cluster_name(labels["run"])
        place = scope.rpartition("/")[2]
        if kind is ResourceKind.DISK:
            usd = self.prices.disk(one.type_.rpartition("/")[2], one.size_gb)
        else:
            usd = self.prices.other_per_hour.get(kind, 0.0)
        return CloudResource(
            kind=kind,
            name=one.name,
            where=scope,
            owner=project_of(one.self_link),
            created_s=unix_time(one.creation_timestamp),
            cluster=cluster,
            is_ending=kind is ResourceKind.DISK and one.status == "DELETING",
            is_used=kind is not ResourceKind.BALANCER and bool(one.users),
            usd_per_hour=usd * self.prices.factor(place),
            **labels,
        )

    def _firewall_rules(self) -> list[CloudResource]:
        with google.translate_errors("list every firewall rule", "compute.firewalls.list"):
            rules = list(
                _client("FirewallsClient").list(project=self.project, retry=google.retry())
            )
        return [
            CloudResource(
                kind=ResourceKind.FIREWALL,
                name=rule.name,
                where="global",
                owner=project_of(rule.self_link),
                created_s=unix_time(rule.creation_timestamp),
                cluster=cluster_of_tags(list(rule.target_tags)),
                usd_per_hour=0.0,
            )
            for rule in rules
        ]


@cache
def _module() -> Any:  # noqa: ANN401 (as above)
    with google.importing_extra():
        from google.cloud import compute_v1

    return compute_v1


def _client(name: str) -> Any:  # noqa: ANN401 (as above)
    return getattr(_module(), name)(transport="rest", **google.client_options())
