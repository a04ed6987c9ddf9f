"""Our namespaces in any cluster of a kubeconfig."""

import os
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from pipeline.environments.gke.resources import OURS, CloudResource, ResourceKind
from pipeline.environments.manifests import EXPIRES, MANAGED, RUN
from pipeline.system.errors import ConfigError, NetworkError
from pipeline.system.log import log

_TIMEOUT_S = 30.0


@dataclass(slots=True)
class Namespaces:
    """The namespaces of one cluster.

    Attributes:
        context: Context of the kubeconfig.
        now_s: Unix time by the cluster's clock, as of the last list.
    """

    context: str
    now_s: float = 0.0
    _core: Any = field(default=None)

    def __post_init__(self) -> None:
        self._core = _client(self.context)

    def list_resources(self) -> list[CloudResource]:
        """Return every namespace with our label.

        Raises:
            ConfigError: The account may not list them.
            NetworkError: The cluster does not answer.
        """
        answer, _, headers = self._request(
            "list namespaces",
            self._core.list_namespace_with_http_info,
            label_selector=f"{MANAGED}={OURS}",
        )
        self.now_s = parsedate_to_datetime(headers["Date"]).timestamp()
        return [self._resource(one.metadata, one.status.phase) for one in answer.items]

    def delete(self, resource: CloudResource) -> bool:
        """Begin to delete a namespace; it is fine if it is gone.

        The UID is a precondition, so a new namespace of the same name is not deleted.

        Raises:
            PipelineError: The same errors as of `list_resources`.
        """
        answer = self._request(
            f"delete the namespace {resource.name}",
            self._core.delete_namespace_with_http_info,
            name=resource.name,
            body={"preconditions": {"uid": resource.uid}},
        )
        if answer is None:
            log.info("the namespace %s was gone already", resource.name)
        return True

    def _request(self, what: str, method: Any, **query: object) -> Any:  # noqa: ANN401 (no types)
        """Return the answer with its status and headers; None if the object does not exist."""
        import urllib3
        from kubernetes.client import ApiException

        try:
            return method(**query, _request_timeout=_TIMEOUT_S)
        except ApiException as error:
            if error.status == 404:
                return None
            if error.status == 409:  # it is being deleted, or was created anew
                return ()
            message = f"the cluster of `{self.context}` refused to {what}: {error.status}"
            if error.status in (401, 403):
                hint = "log in again, or let the account list and delete namespaces"
                raise ConfigError(message, hint=hint) from error
            raise NetworkError(message, hint="try again later") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise NetworkError(
                f"the cluster of `{self.context}` does not answer: {what}: {type(error).__name__}",
                hint="try `kubectl get --raw /readyz` with the same context",
            ) from error

    def _resource(self, metadata: Any, phase: str) -> CloudResource:  # noqa: ANN401 (as above)
        labels, annotations = metadata.labels or {}, metadata.annotations or {}
        return CloudResource(
            kind=ResourceKind.NAMESPACE,
            name=metadata.name,
            where=self.context,
            owner=self.context,
            created_s=metadata.creation_timestamp.timestamp(),
            is_labelled=labels.get(MANAGED) == OURS,
            run=labels.get(RUN, ""),
            expires=annotations.get(EXPIRES, ""),
            is_ending=phase == "Terminating",
            uid=metadata.uid or "",
        )


def _client(context: str) -> Any:  # noqa: ANN401 (as above)
    from kubernetes import client, config

    settings = client.Configuration()
    try:
        config.load_kube_config(
            config_file=os.environ.get("KUBECONFIG") or None,
            context=context,
            client_configuration=settings,
        )
    except (config.ConfigException, OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"no cluster can be reached through the context `{context}`: {error}",
            hint="`kubectl config get-contexts` lists the contexts",
        ) from error
    if settings.host.startswith(("https://127.0.0.1", "http://127.0.0.1", "https://localhost")):
        settings.proxy = None
    return client.CoreV1Api(client.ApiClient(settings))
