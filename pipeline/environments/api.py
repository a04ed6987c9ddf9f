"""Speak with the API server of a cluster: patiently, and with a reason where it refuses."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from pipeline.environments.paths import path_of
from pipeline.environments.refusals import PAUSE_S, ClusterError, message, pause_s_of, refusal
from pipeline.system.errors import ConfigError
from pipeline.system.log import log

FIELD_MANAGER = "milo-perf"
AWAY_S = 60.0
"""How long an API server that does not answer, or asks for patience, is waited for."""

_PATIENCE = (429, 500, 502, 503, 504)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_T = TypeVar("_T")


class Api:
    """A client of one cluster, with the credentials of a kubeconfig."""

    def __init__(
        self,
        kubeconfig: str = "",
        context: str = "",
        *,
        away_s: float = AWAY_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        """Read the kubeconfig; ask nothing yet.

        Args:
            kubeconfig: Its path; empty for the one that KUBECONFIG names, or the usual one.
            context: Name of a context in it; empty for the current one.
            away_s: Seconds that an API server that does not answer is waited for.
            pause_s: Seconds before something is asked again, where the server does not say.

        Raises:
            ConfigError: It is missing, broken, or has no such context.
        """
        self._kubeconfig = str(Path(kubeconfig).expanduser()) if kubeconfig else None
        self._context = context or None
        self.away_s = away_s
        self._pause_s = pause_s
        self._client = self._connected()

    def apply(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object or change it to this, by server-side apply under our field manager.

        Returns:
            The object as the cluster has it.

        Raises:
            ClusterError: It was refused.
        """
        return self.ask(
            "PATCH",
            path_of(manifest),
            manifest,
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            content_type="application/apply-patch+yaml",
        )

    def delete(self, path: str, uid: str = "") -> None:
        """Begin to delete an object; one that is not there is fine.

        Args:
            path: Of the object.
            uid: Its `metadata.uid`, so that another of the same name is left alone; empty for any.

        Raises:
            ClusterError: It was refused; with the status 409 where the object has another UID.
        """
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}
        self.found("DELETE", path, options if uid else None)

    def found(self, method: str, path: str, body: object = None) -> dict[str, Any] | None:
        """Return the answer, or None where there is no such object.

        Raises:
            ClusterError: It was refused.
        """
        try:
            return self.ask(method, path, body)
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        timeout_s: float = 30.0,
    ) -> dict[str, Any]:
        """Return the JSON of an answer.

        Raises:
            ClusterError: It was refused, or there was no answer for a minute.
        """

        def send() -> dict[str, Any]:
            answer = self._send(method, _with(path, query), body, content_type, timeout_s)
            return answer if isinstance(answer, dict) else {}

        return self._patiently(f"{method} {path}", send, self.away_s)

    def text(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """Return an answer that is text, such as a log.

        Raises:
            ClusterError: It was refused, or there was no answer for a minute.
        """

        def send() -> str:
            response = self._client.call_api(
                _with(path, query),
                "GET",
                header_params={"Accept": "*/*"},
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=60.0,
            )
            return bytes(response.data).decode(errors="replace")

        return self._patiently(f"GET {path}", send, self.away_s)

    def passed(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: object = None,
        timeout_s: float = 60.0,
        is_patient: bool = True,
    ) -> Any:  # noqa: ANN401 (an answer of urllib3, which the library hands on)
        """Return the answer of something in the cluster to which its API server passes requests.

        Args:
            method: Of HTTP.
            path: With `/proxy/`.
            headers: Beside our credentials.
            body: Sent as JSON, or None.
            timeout_s: Until the answer begins, and between its parts.
            is_patient: Whether it is asked again while there is no answer.

        Raises:
            ClusterError: It was refused, or there was no answer.
        """

        def send() -> Any:  # noqa: ANN401 (as above)
            return self._client.call_api(
                path,
                method,
                header_params={"Accept": "*/*", "Content-Type": "application/json", **headers},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=timeout_s,
            )

        return self._patiently(f"{method} {path}", send, self.away_s if is_patient else 0.0)

    def watch(self, path: str, version: str, timeout_s: float) -> Iterator[dict[str, Any]]:
        """Yield the changes of a list, until the time is over or the server ends it.

        A watch that breaks ends too: whoever watches asks for the list again.

        Args:
            path: Of the list.
            version: `resourceVersion` of the list that is known.
            timeout_s: Longest watch, in whole seconds.
        """
        import json

        import urllib3
        from kubernetes.client import ApiException

        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": f"{timeout_s:.0f}"}
        broken = (urllib3.exceptions.HTTPError, ApiException, OSError, ValueError, RecursionError)
        with suppress(*broken):
            response = self._client.call_api(
                _with(path, query),
                "GET",
                header_params={"Accept": "application/json"},
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=(5.0, timeout_s + 5.0),
            )
            try:
                rest = b""
                for chunk in response.stream(amt=None, decode_content=False):
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in filter(None, lines):
                        yield json.loads(line)
            finally:
                response.release_conn()
                response.close()

    def _send(
        self, method: str, path: str, body: object, content_type: str, timeout_s: float
    ) -> object:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
        answer: object = self._client.call_api(
            path,
            method,
            header_params=headers,
            body=body,
            response_type="object",
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _request_timeout=timeout_s,
        )
        return answer

    def _patiently(self, what: str, send: Callable[[], _T], away_s: float) -> _T:
        """Send until there is an answer that means something, renewing credentials once."""
        import urllib3
        from kubernetes.client import ApiException

        deadline = time.monotonic() + away_s
        renewed = said = False
        while True:
            try:
                return send()
            except ApiException as error:
                if error.status == 401 and not renewed:
                    renewed = self._is_renewed()
                    if renewed:
                        continue
                status, why = int(error.status or 0), message(error)
                pause_s = pause_s_of(error, self._pause_s)
                if status not in _PATIENCE or time.monotonic() + pause_s > deadline:
                    raise refusal(what, status, why) from error
            except (ValueError, RecursionError) as error:  # not UTF-8, or not JSON
                raise ClusterError(
                    f"the API server of the cluster answered with something that cannot be read:"
                    f" {what}: {type(error).__name__}",
                    hint="is it a Kubernetes API server? `kubectl get --raw /version` asks it",
                ) from error
            except (urllib3.exceptions.HTTPError, OSError) as error:
                why, pause_s = type(error).__name__, self._pause_s
                if time.monotonic() + pause_s > deadline:
                    raise ClusterError(
                        f"the API server of the cluster did not answer for {away_s:.0f} s:"
                        f" {what}: {why}",
                        hint="try `kubectl get --raw /readyz` with the same kubeconfig and context",
                    ) from error
            if not said:
                log.warning("the cluster: %s: %s; trying for %.0f s", what, why, away_s)
            said = True
            time.sleep(pause_s)

    def _is_renewed(self) -> bool:
        """Read the credentials anew, or run the plugin that gives them; say whether that went."""
        log.info("the cluster no longer takes our credentials: reading them anew")
        try:
            self._client = self._connected()
        except ConfigError as error:
            log.warning("%s", error)
            return False
        return True

    def _connected(self) -> Any:  # noqa: ANN401 (the library has no types, and is imported late)
        import yaml
        from kubernetes import client, config

        settings = client.Configuration()
        settings.retries = False  # ours say why
        try:
            config.load_kube_config(
                config_file=self._kubeconfig,
                context=self._context,
                client_configuration=settings,
                persist_config=False,
            )
        except (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"no cluster can be reached with this kubeconfig: {error}",
                hint="set KUBECONFIG, or `kubeconfig` and `context` in the table [environment]",
            ) from error
        if urlsplit(settings.host).hostname in _LOOPBACK:
            settings.proxy = None
        return client.ApiClient(settings)


def _with(path: str, query: Mapping[str, str] | None) -> str:
    return f"{path}?{urlencode(query)}" if query else path
