"""Clusters of Google Kubernetes Engine: made, listed and deleted."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pipeline.environments.gke import google
from pipeline.environments.gke.cost import Prices
from pipeline.environments.gke.request import body
from pipeline.environments.gke.values import EXPIRES, MANAGED, OURS, RUN, Found, Kind, Order, Pool
from pipeline.system.errors import ConfigError, LaunchError, PipelineError
from pipeline.system.log import log

CREATE_S = 30 * 60.0
BUSY_S = 10 * 60.0
"""How long a cluster that is still being made is waited for, so that it can be deleted."""


@dataclass(slots=True)
class Clusters:
    """The clusters of one project.

    Attributes:
        project: Its id.
        prices: By which the running ones are counted.
        pause_s: Between two looks.
    """

    project: str
    prices: Prices
    pause_s: float = 10.0
    _client: Any = None
    _date: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._client = _connected(self._date)

    @property
    def now_s(self) -> float:
        """Unix time by Google's clock, as of the last look; ours where it did not say."""
        return parsedate_to_datetime(self._date[-1]).timestamp() if self._date else time.time()

    def look(self) -> list[Found]:
        """Return every cluster of the project, whoever made it.

        Raises:
            PipelineError: Google refuses, or could not reach a zone: then nothing is certain.
        """
        with google.asking("list the clusters", "container.clusters.list"):
            answer = self._client.list_clusters(
                parent=f"projects/{self.project}/locations/-", retry=google.retry()
            )
        if answer.missing_zones:
            raise LaunchError(
                f"Google could not look into {', '.join(answer.missing_zones)}, so nobody knows"
                " which clusters there are",
                hint="try again later",
            )
        return [self._found(cluster) for cluster in answer.clusters]

    def create(self, order: Order) -> float:
        """Make a cluster and wait until it is there; one of the same run is found again.

        Returns:
            Unix time at which it expires, by Google's clock.

        Raises:
            PipelineError: Google refuses, or it did not come up; then it is being deleted.
        """
        there = [found.name for found in self.look() if found.where == order.location]
        if order.name in there:
            return self._again(order)
        expires_s = self.now_s + order.life_s
        try:
            self._wait(order, self._begin(order, expires_s))
        except google.ThereError:  # a request whose answer was lost, or somebody else's
            return self._again(order)
        except ConfigError:  # refused, so there is nothing
            raise
        except BaseException as error:
            if not self._is_undone(order) and isinstance(error, KeyboardInterrupt):
                raise LaunchError(
                    f"interrupted while the cluster {order.name} was made, and it may be left",
                    hint=f"milo-perf cluster delete --run {order.run} --project {order.project}",
                ) from error
            raise
        return expires_s

    def delete(self, found: Found) -> bool:
        """Begin to delete a cluster; return whether Google has begun.

        One that is gone, or goes already, is fine; one that is busy has to be tried again.

        Raises:
            PipelineError: Google refuses.
        """
        name = f"projects/{self.project}/locations/{found.where}/clusters/{found.name}"
        try:
            with google.asking(f"delete the cluster {found.name}", "container.clusters.delete"):
                self._client.delete_cluster(name=name, retry=google.retry())
        except google.GoneError:
            log.info("the cluster %s was gone already", found.name)
        except google.BusyError as error:
            log.info("the cluster %s is busy, so it cannot be deleted yet: %s", found.name, error)
            return False
        return True

    def _begin(self, order: Order, expires_s: float) -> str:
        with google.asking(f"create the cluster {order.name}", "container.clusters.create"):
            operation = self._client.create_cluster(
                request={
                    "parent": f"projects/{order.project}/locations/{order.location}",
                    "cluster": body(order, expires_s),
                },
                retry=google.retry(),
            )
        return str(operation.name)

    def _wait(self, order: Order, operation: str) -> None:
        """Return once an operation is done.

        Raises:
            LaunchError: It failed, or took too long.
        """
        name = f"projects/{order.project}/locations/{order.location}/operations/{operation}"
        deadline = time.monotonic() + CREATE_S
        while True:
            with google.asking(f"tell how {order.name} comes up", "container.operations.get"):
                found = self._client.get_operation(name=name, retry=google.retry())
            if found.status.name == "DONE":
                break
            if time.monotonic() > deadline:
                raise LaunchError(
                    f"the cluster {order.name} was not there after {CREATE_S / 60:.0f} min"
                )
            time.sleep(self.pause_s)
        if found.error.code or found.error.message:
            raise LaunchError(
                f"the cluster {order.name} did not come up: {found.error.message[:400]}",
                hint="quota: fewer or smaller nodes, or another zone"
                if "quota" in found.error.message.lower()
                else "the console of Google Cloud shows the operation",
            )

    def _again(self, order: Order) -> float:
        """Wait for a cluster of this run that is there; return when it expires.

        Raises:
            LaunchError: It is of somebody else, is going, or does not come up.
        """
        deadline = time.monotonic() + CREATE_S
        while True:
            with google.asking(f"look at the cluster {order.name}", "container.clusters.get"):
                found = self._client.get_cluster(name=_path(order), retry=google.retry())
            said, status = told(dict(found.resource_labels)), found.status.name
            if not said["is_labelled"] or said["run"] != order.run:
                raise LaunchError(f"there is a cluster {order.name}, and it is not of this run")
            if status == "RUNNING":
                log.info("the cluster %s was there already", order.name)
                return float(said["expires"])
            if status not in ("PROVISIONING", "RECONCILING") or time.monotonic() > deadline:
                raise LaunchError(
                    f"there is a cluster {order.name}, and it is {status.lower()}",
                    hint="`milo-perf cluster delete`, and wait until it is gone",
                )
            time.sleep(self.pause_s)

    def _is_undone(self, order: Order) -> bool:
        """Delete what has not become a cluster; say whether nobody will pay for it.

        One that is still being made can be deleted only after that, so it is tried for a while;
        Ctrl-C ends the waiting.
        """
        left = Found(Kind.CLUSTER, order.name, order.location, order.project, 0.0)
        deadline = time.monotonic() + BUSY_S
        try:
            while time.monotonic() < deadline:
                if self.delete(left):
                    log.warning("what there was of the cluster %s is being deleted", order.name)
                    return True
                time.sleep(self.pause_s)
        except PipelineError as error:
            log.warning("%s", error)
        except KeyboardInterrupt:
            log.warning("not waiting until the cluster %s can be deleted", order.name)
        log.error(
            "the cluster %s may be left: delete it with `milo-perf cluster delete`,"
            " or the sweeper does once it has expired",
            order.name,
        )
        return False

    def _found(self, cluster: Any) -> Found:  # noqa: ANN401 (the library's)
        pools = [
            Pool(
                pool.name,
                pool.config.machine_type,
                pool.initial_node_count * max(len(pool.locations), 1),
                bool(pool.config.spot),
                pool.config.disk_size_gb,
            )
            for pool in cluster.node_pools
        ]
        accounts = {pool.config.service_account for pool in cluster.node_pools}
        said = dict(cluster.resource_labels)
        return Found(
            kind=Kind.CLUSTER,
            name=cluster.name,
            where=cluster.location,
            owner=project_of(cluster.self_link),
            created_s=seconds(cluster.create_time) or self.now_s,
            cluster=cluster.name,
            account=accounts.pop() if len(accounts) == 1 else "",
            is_ending=cluster.status.name == "STOPPING",
            usd_per_hour=self.prices.cluster(cluster.location, pools),
            **told(said),
        )


def _path(order: Order) -> str:
    return f"projects/{order.project}/locations/{order.location}/clusters/{order.name}"


def told(said: Mapping[str, str]) -> dict[str, Any]:
    """Return what labels of Google Cloud say, as fields of `Found`."""
    return {
        "is_labelled": said.get(MANAGED) == OURS,
        "run": said.get(RUN, ""),
        "expires": said.get(EXPIRES, ""),
    }


def project_of(link: str) -> str:
    """Return the project that a thing's own address names; empty where it names none."""
    parts = link.split("/")
    return parts[parts.index("projects") + 1] if "projects" in parts[:-1] else ""


def seconds(text: str) -> float:
    """Return the Unix time of a time that Google writes; 0 for one that it does not write yet."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _connected(dates: list[str]) -> Any:  # noqa: ANN401 (the library's)
    """Return a client that puts the time of each list, by Google's clock, into `dates`."""
    with google.installed():
        from google.cloud import container_v1
        from google.cloud.container_v1.services.cluster_manager.transports import rest

    class Dated(rest.ClusterManagerRestInterceptor):  # type: ignore[misc]  # has no types here
        def post_list_clusters_with_metadata(
            self, response: object, metadata: Sequence[tuple[str, str]]
        ) -> tuple[object, Sequence[tuple[str, str]]]:
            dates.extend(value for key, value in metadata if key.lower() == "date")
            return response, metadata

    found = google.options()
    where = found.pop("client_options", None)
    host = {"host": where.api_endpoint} if where else {}
    transport = rest.ClusterManagerRestTransport(**found, **host, interceptor=Dated())
    return container_v1.ClusterManagerClient(transport=transport)
