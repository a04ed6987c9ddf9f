"""Namespaces of ours in any cluster that a kubeconfig leads to."""

import os
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pipeline.environments.gke.values import OURS, Found, Kind
from pipeline.environments.manifests import EXPIRES, MANAGED, RUN
from pipeline.system.errors import ConfigError, NetworkError
from pipeline.system.log import log

_TIMEOUT_S = 30.0


@dataclass(slots=True)
class Namespaces:
    """The namespaces of the cluster that a context leads to.

    Attributes:
        context: Its name in the kubeconfig.
        now_s: Unix time by the cluster's clock, as of the last look.
    """

    context: str
    now_s: float = 0.0
    _core: Any = field(default=None)

    def __post_init__(self) -> None:
        self._core = _connected(self.context)

    def look(self) -> list[Found]:
        """Return every namespace that carries our label.

        Raises:
            ConfigError: We may not list them.
            LaunchError: The cluster does not answer.
        """
        answer, _, headers = self._asked(
            "list namespaces",
            self._core.list_namespace_with_http_info,
            label_selector=f"{MANAGED}={OURS}",
        )
        self.now_s = parsedate_to_datetime(headers["Date"]).timestamp()
        return [self._found(one.metadata, one.status.phase) for one in answer.items]

    def delete(self, found: Found) -> bool:
        """Begin to delete a namespace with all that is in it; one that is gone is fine.

        Only the one that was found is deleted: of another of the same name, the UID is another.

        Raises:
            PipelineError: As `look`.
        """
        answer = self._asked(
            f"delete the namespace {found.name}",
            self._core.delete_namespace_with_http_info,
            name=found.name,
            body={"preconditions": {"uid": found.uid}},
        )
        if answer is None:
            log.info("the namespace %s was gone already", found.name)
        return True

    def _asked(self, what: str, ask: Any, **query: object) -> Any:  # noqa: ANN401 (no types)
        """Return the answer with its status and headers, or None where there is nothing."""
        import urllib3
        from kubernetes.client import ApiException

        try:
            return ask(**query, _request_timeout=_TIMEOUT_S)
        except ApiException as error:
            if error.status == 404:
                return None
            if error.status == 409:  # somebody else deletes it, too, or has made it anew
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

    def _found(self, said: Any, phase: str) -> Found:  # noqa: ANN401 (as above)
        labels, annotations = said.labels or {}, said.annotations or {}
        created: datetime = said.creation_timestamp
        return Found(
            kind=Kind.NAMESPACE,
            name=said.name,
            where=self.context,
            owner=self.context,
            created_s=created.timestamp(),
            is_labelled=labels.get(MANAGED) == OURS,
            run=labels.get(RUN, ""),
            expires=annotations.get(EXPIRES, ""),
            is_ending=phase == "Terminating",
            uid=said.uid or "",
        )


def _connected(context: str) -> Any:  # noqa: ANN401 (as above)
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
            hint="`kubectl config get-contexts` shows which there are",
        ) from error
    if settings.host.startswith(("https://127.0.0.1", "http://127.0.0.1", "https://localhost")):
        settings.proxy = None
    return client.CoreV1Api(client.ApiClient(settings))
