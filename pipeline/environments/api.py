"""Call the API server of a cluster, with retries, and turn its refusals into errors with a hint."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from pipeline.system import paths
from pipeline.system.errors import ConfigError, LaunchError
from pipeline.system.log import log
from pipeline.system.sanitize import truncate

FIELD_MANAGER = "milo-perf"
RETRY_S = 60.0
"""How long a request is retried while the API server does not answer or is overloaded."""

_PAUSE_S = 1.0
_MAX_PAUSE_S = 10.0
_RETRIED = (429, 500, 502, 503, 504)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MAX_MESSAGE = 400  # characters
_T = TypeVar("_T")

_PLURALS: Mapping[str, str] = MappingProxyType(
    {
        "Namespace": "namespaces",
        "ServiceAccount": "serviceaccounts",
        "Secret": "secrets",
        "ConfigMap": "configmaps",
        "Service": "services",
        "Pod": "pods",
        "PersistentVolumeClaim": "persistentvolumeclaims",
        "NetworkPolicy": "networkpolicies",
        "Job": "jobs",
        "TestRun": "testruns",
    }
)


class ClusterError(LaunchError):
    """The cluster refused a request, or does not answer.

    Attributes:
        status: HTTP status; 0 if there was no answer.
    """

    def __init__(self, message: str, *, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


def object_path(manifest: Mapping[str, Any]) -> str:
    """Return the API path of an object, given its manifest."""
    version, metadata = manifest["apiVersion"], manifest["metadata"]
    group = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    namespace = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{group}{namespace}/{_PLURALS[manifest['kind']]}/{metadata['name']}"


def namespace_path(namespace: str, plural: str = "") -> str:
    """Return the API path of a namespace, or of a list of core objects in it."""
    return f"/api/v1/namespaces/{namespace}{f'/{plural}' if plural else ''}"


class Api:
    """A client of one cluster, with the credentials of a kubeconfig.

    Each request raises ClusterError if it was refused, or if there was no answer within the retry
    time.
    """

    def __init__(
        self,
        kubeconfig: str = "",
        context: str = "",
        *,
        retry_s: float = RETRY_S,
        pause_s: float = _PAUSE_S,
    ) -> None:
        """Read the kubeconfig; send no request yet.

        Args:
            kubeconfig: Path of the kubeconfig; empty for KUBECONFIG or the default path.
            context: Name of a context; empty for the current one.
            retry_s: Seconds during which a request is retried.
            pause_s: Seconds between retries if the server sends no Retry-After.

        Raises:
            ConfigError: The kubeconfig is missing or broken, or has no such context.
        """
        self._kubeconfig = str(paths.expand(kubeconfig)) if kubeconfig else None
        self._context = context or None
        self.retry_s = retry_s
        self._pause_s = pause_s
        self.date = ""
        """Date header of the last JSON answer, by the cluster's clock."""
        self._client = self._connect()

    def apply(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create or update an object by server-side apply, and return it as the cluster has it."""
        return self.request(
            "PATCH",
            object_path(manifest),
            manifest,
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            content_type="application/apply-patch+yaml",
        )

    def delete(self, path: str, uid: str = "") -> None:
        """Begin to delete an object; do nothing if there is none.

        If a UID is given and the object has another one, the error has the status 409.
        """
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}
        self.request_or_none("DELETE", path, options if uid else None)

    def request_or_none(self, method: str, path: str, body: object = None) -> dict[str, Any] | None:
        """Return the JSON of an answer, or None if there is no such object."""
        try:
            return self.request(method, path, body)
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        timeout_s: float = 30.0,
    ) -> dict[str, Any]:
        """Return the JSON of an answer."""
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type

        def send() -> dict[str, Any]:
            answer, _, answer_headers = self._client.call_api(
                _url(path, query),
                method,
                header_params=headers,
                body=body,
                response_type="object",
                auth_settings=["BearerToken"],
                _request_timeout=timeout_s,
            )
            self.date = answer_headers.get("Date", "")
            return answer if isinstance(answer, dict) else {}

        return self._with_retries(f"{method} {path}", send, self.retry_s)

    def read_text(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """Return an answer that is text, such as a log."""

        def send() -> str:
            response = self._stream("GET", _url(path, query), {"Accept": "*/*"}, timeout=60.0)
            return bytes(response.data).decode(errors="replace")

        return self._with_retries(f"GET {path}", send, self.retry_s)

    def proxy(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: object = None,
        timeout_s: float = 60.0,
        is_retried: bool = True,
    ) -> Any:  # noqa: ANN401 (a response of urllib3, which has no stable type)
        """Send a request to a Pod through the API server, and return the open response.

        Args:
            method: HTTP method.
            path: API path with `/proxy/`.
            headers: Headers beside our credentials.
            body: JSON body, or None.
            timeout_s: Longest wait for the answer to begin, and between its parts.
            is_retried: True to retry while there is no answer.
        """
        all_headers = {"Accept": "*/*", "Content-Type": "application/json", **headers}
        return self._with_retries(
            f"{method} {path}",
            lambda: self._stream(method, path, all_headers, body=body, timeout=timeout_s),
            self.retry_s if is_retried else 0.0,
        )

    def watch(self, path: str, version: str, timeout_s: float) -> Iterator[dict[str, Any]]:
        """Yield the changes of a list since a `resourceVersion`, until the time is over.

        A watch that breaks ends without an error; the caller reads the list again.
        """
        import urllib3
        from kubernetes.client import ApiException

        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": f"{timeout_s:.0f}"}
        broken = (urllib3.exceptions.HTTPError, ApiException, OSError, ValueError, RecursionError)
        with suppress(*broken):
            headers = {"Accept": "application/json"}
            timeout = (5.0, timeout_s + 5.0)
            response = self._stream("GET", _url(path, query), headers, timeout=timeout)
            try:
                rest = b""
                for chunk in response.stream(amt=None, decode_content=False):
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in filter(None, lines):
                        yield json.loads(line)
            finally:
                response.release_conn()
                response.close()

    def _stream(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        body: object = None,
        timeout: float | tuple[float, float],
    ) -> Any:  # noqa: ANN401 (as above)
        """Send a request once, and return the response before its content is read."""
        return self._client.call_api(
            url,
            method,
            header_params=dict(headers),
            body=body,
            auth_settings=["BearerToken"],
            _preload_content=False,
            _return_http_data_only=True,
            _request_timeout=timeout,
        )

    def _with_retries(self, title: str, send: Callable[[], _T], retry_s: float) -> _T:
        """Send until there is a usable answer; renew the credentials once."""
        import urllib3
        from kubernetes.client import ApiException

        deadline = time.monotonic() + retry_s
        is_renewed = is_logged = False
        while True:
            try:
                return send()
            except ApiException as error:
                if error.status == 401 and not is_renewed:
                    is_renewed = self._renew_credentials()
                    if is_renewed:
                        continue
                status, why = int(error.status or 0), _message(error)
                pause_s = _retry_after_s(error, self._pause_s)
                if status not in _RETRIED or time.monotonic() + pause_s > deadline:
                    raise _refusal(title, status, why) from error
            except (ValueError, RecursionError) as error:  # not UTF-8, or not JSON
                raise ClusterError(
                    f"the API server of the cluster sent an answer that cannot be read:"
                    f" {title}: {type(error).__name__}",
                    hint="is it a Kubernetes API server? Try `kubectl get --raw /version`",
                ) from error
            except (urllib3.exceptions.HTTPError, OSError) as error:
                why, pause_s = type(error).__name__, self._pause_s
                if time.monotonic() + pause_s > deadline:
                    raise ClusterError(
                        f"the API server of the cluster did not answer for {retry_s:.0f} s:"
                        f" {title}: {why}",
                        hint="try `kubectl get --raw /readyz` with the same kubeconfig and context",
                    ) from error
            if not is_logged:
                log.warning("the cluster: %s: %s; retrying for %.0f s", title, why, retry_s)
            is_logged = True
            time.sleep(pause_s)

    def _renew_credentials(self) -> bool:
        """Read the kubeconfig again, or run its credential plugin; return False on failure."""
        log.info("the cluster no longer accepts our credentials: reading them again")
        try:
            self._client = self._connect()
        except ConfigError as error:
            log.warning("%s", error)
            return False
        return True

    def _connect(self) -> Any:  # noqa: ANN401 (the library has no types, and is imported late)
        import yaml
        from kubernetes import client, config

        settings = client.Configuration()
        settings.retries = False  # ours log the reason
        try:
            config.load_kube_config(
                config_file=self._kubeconfig,
                context=self._context,
                client_configuration=settings,
                persist_config=False,
            )
        except (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"this kubeconfig cannot be used: {error}",
                hint="set KUBECONFIG, or `kubeconfig` and `context` in the table [environment]",
            ) from error
        if urlsplit(settings.host).hostname in _LOOPBACK:
            settings.proxy = None
        return client.ApiClient(settings)


def _url(path: str, query: Mapping[str, str] | None) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _message(error: Any) -> str:  # noqa: ANN401 (the library has no types)
    """Return the message of an API error, without the rest of the answer."""
    body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else error.body
    try:
        message = json.loads(body)["message"]
    except (ValueError, RecursionError):  # text, from a proxy in front of the API server
        message = truncate(str(body).strip(), _MAX_MESSAGE) or error.reason
    except (KeyError, TypeError):
        message = error.reason
    return str(message)[:_MAX_MESSAGE]


def _retry_after_s(error: Any, default_s: float) -> float:  # noqa: ANN401 (the library has no types)
    asked = (error.headers or {}).get("Retry-After", "")
    return min(float(asked), _MAX_PAUSE_S) if asked.isdigit() else default_s


def _refusal(title: str, status: int, why: str) -> ClusterError:
    hint = "`milo-perf doctor --environment …` checks the rights and the free resources"
    if status == 401:
        hint = "log in again, or correct the user of the context in the kubeconfig"
    elif "exceeded quota" in why:
        hint = "raise the quota, or give less to server, manager and etcd in [environment]"
    elif status == 403:
        hint = f"the role in deploy/rights.yaml has all rights that a run needs\n{hint}"
    return ClusterError(f"the cluster refused {title}: {status}: {why}", hint=hint, status=status)
