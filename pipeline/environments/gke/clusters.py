"""Create, list and delete clusters of Google Kubernetes Engine."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pipeline.environments.gke import google
from pipeline.environments.gke.cost import BOOT_DISK, Prices
from pipeline.environments.gke.resources import (
    POOL_LABEL,
    CloudResource,
    ClusterSpec,
    NodePool,
    ResourceKind,
    label_fields,
    labels,
)
from pipeline.system.errors import ConfigError, LaunchError, PipelineError
from pipeline.system.log import log

CREATE_TIMEOUT_S = 30 * 60.0
BUSY_TIMEOUT_S = 10 * 60.0
"""How long to wait for a cluster that is still being created, so that it can be deleted."""


@dataclass(slots=True)
class Clusters:
    """The clusters of one project; each method raises PipelineError if Google refuses."""

    project: str
    prices: Prices
    pause_s: float = 10.0
    _client: Any = None
    _date: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._client = _new_client(self._date)

    @property
    def now_s(self) -> float:
        """Unix time by Google's clock, as of the last list; ours before the first."""
        return parsedate_to_datetime(self._date[-1]).timestamp() if self._date else time.time()

    def list_resources(self) -> list[CloudResource]:
        """Return every cluster of the project, including those of others; the list is complete."""
        answer = google.call(
            "list the clusters",
            "container.clusters.list",
            self._client.list_clusters,
            parent=f"projects/{self.project}/locations/-",
        )
        if answer.missing_zones:
            raise LaunchError(
                f"the list of clusters is incomplete: Google could not reach"
                f" {', '.join(answer.missing_zones)}",
                hint="try again later",
            )
        return [self._resource(cluster) for cluster in answer.clusters]

    def create(self, spec: ClusterSpec) -> float:
        """Create a cluster and wait until it is running; one of the same run is used again.

        A cluster that did not come up is being deleted when the error is raised.

        Returns:
            Unix time at which it expires, by Google's clock.
        """
        existing = self.list_resources()
        if any(one.name == spec.name and one.where == spec.location for one in existing):
            return self._adopt(spec)
        expires_s = self.now_s + spec.life_s
        try:
            self._create_once(spec, expires_s)
        except google.ExistsError:  # a request whose answer was lost, or somebody else's
            return self._adopt(spec)
        except ConfigError:  # refused, so nothing was created
            raise
        except BaseException as error:
            if not self._delete_incomplete(spec) and isinstance(error, KeyboardInterrupt):
                raise LaunchError(
                    f"interrupted while the cluster {spec.name} was created; it may still exist",
                    hint=f"milo-perf cluster delete --run {spec.run} --project {spec.project}",
                ) from error
            raise
        return expires_s

    def delete(self, resource: CloudResource) -> bool:
        """Begin to delete a cluster; return False if it is busy and has to be tried again."""
        return google.begin_deletion(
            f"cluster {resource.name}",
            "container.clusters.delete",
            self._client.delete_cluster,
            name=f"projects/{self.project}/locations/{resource.where}/clusters/{resource.name}",
        )

    def _create_once(self, spec: ClusterSpec, expires_s: float) -> None:
        """Create a cluster and wait until it is running."""
        parent = f"projects/{spec.project}/locations/{spec.location}"
        operation = google.call(
            f"create the cluster {spec.name}",
            "container.clusters.create",
            self._client.create_cluster,
            request={"parent": parent, "cluster": cluster_body(spec, expires_s)},
        )
        name = f"{parent}/operations/{operation.name}"
        deadline = time.monotonic() + CREATE_TIMEOUT_S
        while operation.status.name != "DONE":
            if time.monotonic() > deadline:
                raise LaunchError(
                    f"the cluster {spec.name} was not running after {CREATE_TIMEOUT_S / 60:.0f} min"
                )
            time.sleep(self.pause_s)
            operation = google.call(
                f"get the status of {spec.name}",
                "container.operations.get",
                self._client.get_operation,
                name=name,
            )
        if operation.error.code or operation.error.message:
            raise LaunchError(
                f"the cluster {spec.name} did not come up: {operation.error.message[:400]}",
                hint="quota: fewer or smaller nodes, or another zone"
                if "quota" in operation.error.message.lower()
                else "the console of Google Cloud shows the operation",
            )

    def _adopt(self, spec: ClusterSpec) -> float:
        """Wait for an existing cluster of this run; return when it expires."""
        deadline = time.monotonic() + CREATE_TIMEOUT_S
        while True:
            cluster = google.call(
                f"get the cluster {spec.name}",
                "container.clusters.get",
                self._client.get_cluster,
                name=f"projects/{spec.project}/locations/{spec.location}/clusters/{spec.name}",
            )
            labels, status = label_fields(dict(cluster.resource_labels)), cluster.status.name
            if not labels["is_labelled"] or labels["run"] != spec.run:
                raise LaunchError(f"the cluster {spec.name} exists, and belongs to another run")
            if status == "RUNNING":
                log.info("the cluster %s exists already", spec.name)
                return float(labels["expires"])
            if status not in ("PROVISIONING", "RECONCILING") or time.monotonic() > deadline:
                raise LaunchError(
                    f"the cluster {spec.name} exists, and is {status.lower()}",
                    hint="`milo-perf cluster delete`, and wait until it is gone",
                )
            time.sleep(self.pause_s)

    def _delete_incomplete(self, spec: ClusterSpec) -> bool:
        """Delete a cluster that did not come up; return whether it is being deleted.

        Google refuses while the creation is in progress, so this retries; Ctrl-C ends the retries.
        """
        resource = CloudResource(ResourceKind.CLUSTER, spec.name, spec.location, spec.project, 0.0)
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        try:
            while time.monotonic() < deadline:
                if self.delete(resource):
                    log.warning("the incomplete cluster %s is being deleted", spec.name)
                    return True
                time.sleep(self.pause_s)
        except PipelineError as error:
            log.warning("%s", error)
        except KeyboardInterrupt:
            log.warning("not waiting until the cluster %s can be deleted", spec.name)
        log.error(
            "the cluster %s may still exist: delete it with `milo-perf cluster delete`,"
            " or leave it to the sweeper after its expiry",
            spec.name,
        )
        return False

    def _resource(self, cluster: Any) -> CloudResource:  # noqa: ANN401 (the library's)
        pools = [
            NodePool(
                pool.name,
                pool.config.machine_type,
                pool.initial_node_count * max(len(pool.locations), 1),
                bool(pool.config.spot),
                pool.config.disk_size_gb,
            )
            for pool in cluster.node_pools
        ]
        accounts = {pool.config.service_account for pool in cluster.node_pools}
        return CloudResource(
            kind=ResourceKind.CLUSTER,
            name=cluster.name,
            where=cluster.location,
            owner=project_of(cluster.self_link),
            created_s=unix_time(cluster.create_time) or self.now_s,
            cluster=cluster.name,
            account=accounts.pop() if len(accounts) == 1 else "",
            is_ending=cluster.status.name == "STOPPING",
            usd_per_hour=self.prices.cluster(cluster.location, pools),
            **label_fields(dict(cluster.resource_labels)),
        )


def project_of(link: str) -> str:
    """Return the project in the address of a resource; empty if it has none."""
    parts = link.split("/")
    return parts[parts.index("projects") + 1] if "projects" in parts[:-1] else ""


def unix_time(text: str) -> float:
    """Return the Unix time of a timestamp; 0 if Google has not set it yet."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _new_client(dates: list[str]) -> Any:  # noqa: ANN401 (the library's)
    """Return a client that appends the Date header of each list to `dates`."""
    with google.importing_extra():
        from google.cloud import container_v1
        from google.cloud.container_v1.services.cluster_manager.transports import rest

    class DateInterceptor(rest.ClusterManagerRestInterceptor):  # type: ignore[misc]  # has no types here
        def post_list_clusters_with_metadata(
            self, response: object, metadata: Sequence[tuple[str, str]]
        ) -> tuple[object, Sequence[tuple[str, str]]]:
            dates.extend(value for key, value in metadata if key.lower() == "date")
            return response, metadata

    arguments = google.client_options()
    options = arguments.pop("client_options", None)
    host = {"host": options.api_endpoint} if options else {}
    transport = rest.ClusterManagerRestTransport(**arguments, **host, interceptor=DateInterceptor())
    return container_v1.ClusterManagerClient(transport=transport)


def cluster_body(spec: ClusterSpec, expires_s: float) -> dict[str, Any]:
    """Return the request that creates a cluster.

    Nodes have no external address, the API server is reached by a DNS name that requires IAM, and
    nothing is upgraded or collected that could disturb a measurement.
    """
    end = datetime.fromtimestamp(expires_s, UTC)
    return {
        "name": spec.name,
        "description": "Made by milo-perf for one run; anybody may delete it once it has expired.",
        "resource_labels": labels(spec.run, expires_s),
        "network": spec.network,
        "subnetwork": spec.subnetwork,
        "release_channel": {"channel": spec.channel},
        "ip_allocation_policy": {"use_ip_aliases": True},
        "network_config": {"default_enable_private_nodes": True},
        "control_plane_endpoints_config": {
            "dns_endpoint_config": {"allow_external_traffic": True},
            "ip_endpoints_config": {"enabled": False},
        },
        "workload_identity_config": {"workload_pool": f"{spec.project}.svc.id.goog"},
        "logging_config": {"component_config": {"enable_components": ["SYSTEM_COMPONENTS"]}},
        "monitoring_config": {
            "component_config": {"enable_components": ["SYSTEM_COMPONENTS"]},
            "managed_prometheus_config": {"enabled": False},
        },
        "maintenance_policy": {
            "window": {
                "maintenance_exclusions": {
                    "measuring": {
                        "start_time": datetime.fromtimestamp(expires_s - spec.life_s, UTC),
                        "end_time": end,
                        "maintenance_exclusion_options": {"scope": "NO_UPGRADES"},
                    }
                }
            }
        },
        "node_pools": [_pool(pool, spec.account) for pool in spec.pools],
    }


def _pool(pool: NodePool, account: str) -> dict[str, Any]:
    taints = [{"key": POOL_LABEL, "value": pool.name, "effect": "NO_SCHEDULE"}]
    return {
        "name": pool.name,
        "initial_node_count": pool.nodes,
        "config": {
            "machine_type": pool.machine_type,
            "disk_type": BOOT_DISK,
            "disk_size_gb": pool.disk_gib,
            "service_account": account,
            "oauth_scopes": [google.SCOPE],
            "spot": pool.is_spot,
            "labels": {POOL_LABEL: pool.name},
            "taints": taints if pool.name == "server" else [],
            "workload_metadata_config": {"mode": "GKE_METADATA"},
        },
        "management": {"auto_repair": True, "auto_upgrade": True},  # a release channel requires it
    }
