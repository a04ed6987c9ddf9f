"""Our namespaces in any cluster of a kubeconfig."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pipeline.environments.api import Api, ClusterError, namespace_path
from pipeline.environments.gke.resources import OURS, CloudResource, ResourceKind
from pipeline.environments.manifests import EXPIRES, MANAGED, RUN
from pipeline.system.errors import ConfigError, NetworkError
from pipeline.system.log import log


@dataclass(slots=True)
class Namespaces:
    """The namespaces of the cluster that a context of the kubeconfig names."""

    context: str
    _api: Api = field(init=False)

    def __post_init__(self) -> None:
        try:
            self._api = Api(os.environ.get("KUBECONFIG", ""), self.context, retry_s=0.0)
        except ConfigError as error:
            raise ConfigError(
                f"no cluster can be reached through the context `{self.context}`: {error}",
                hint="`kubectl config get-contexts` lists the contexts",
            ) from error

    @property
    def now_s(self) -> float:
        """Unix time by the cluster's clock, as of the last list."""
        return parsedate_to_datetime(self._api.date).timestamp()

    def list_resources(self) -> list[CloudResource]:
        """Return every namespace with our label.

        Raises:
            ConfigError: The account may not list them.
            NetworkError: The cluster does not answer.
        """
        query = {"labelSelector": f"{MANAGED}={OURS}"}
        try:
            answer = self._api.request("GET", "/api/v1/namespaces", query=query)
        except ClusterError as error:
            raise self._error("list namespaces", error) from error
        return [self._resource(one) for one in answer.get("items", ())]

    def delete(self, resource: CloudResource) -> bool:
        """Begin to delete a namespace; it is fine if it is gone, or is being deleted.

        The UID is a precondition, so a new namespace of the same name is not deleted.

        Raises:
            PipelineError: The same errors as of `list_resources`.
        """
        try:
            self._api.delete(namespace_path(resource.name), resource.uid)
        except ClusterError as error:
            if error.status != 409:
                raise self._error(f"delete the namespace {resource.name}", error) from error
            log.info("the namespace %s is being deleted, or is a new one", resource.name)
        return True

    def _error(self, what: str, error: ClusterError) -> ConfigError | NetworkError:
        message = f"the cluster of `{self.context}` refused to {what}: {error.status}"
        if error.status in (401, 403):
            hint = "log in again, or let the account list and delete namespaces"
            return ConfigError(message, hint=hint)
        if error.status:
            return NetworkError(message, hint="try again later")
        why = type(error.__cause__).__name__
        message = f"the cluster of `{self.context}` does not answer: {what}: {why}"
        return NetworkError(message, hint="try `kubectl get --raw /readyz` with the same context")

    def _resource(self, namespace: Mapping[str, Any]) -> CloudResource:
        metadata = namespace["metadata"]
        labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
        return CloudResource(
            kind=ResourceKind.NAMESPACE,
            name=metadata["name"],
            where=self.context,
            owner=self.context,
            created_s=datetime.fromisoformat(metadata["creationTimestamp"]).timestamp(),
            is_labelled=labels.get(MANAGED) == OURS,
            run=labels.get(RUN, ""),
            expires=annotations.get(EXPIRES, ""),
            is_ending=namespace["status"]["phase"] == "Terminating",
            uid=metadata.get("uid", ""),
        )
