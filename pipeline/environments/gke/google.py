"""Requests to Google Cloud: credentials, retries, and what a refusal means.

The libraries are an extra (`gke`) and are imported late.  They use REST and not gRPC, so that the
code that is tested against a fake is the code that runs.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.system.errors import ConfigError, LaunchError, NetworkError, PipelineError
from pipeline.system.log import log

ENDPOINT = "MILO_PERF_GOOGLE_API"
"""Variable with the address of a fake Google, which must be on loopback."""

RETRY_TIMEOUT_S = 60.0
"""How long a request is retried while Google is busy."""

FIRST_RETRY_S = 1.0
"""Delay of the first retry; it doubles."""

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LOOPBACK = r"http://127\.0\.0\.1:[0-9]{1,5}"
_INSTALL = "in a clone and a virtual environment: `python3 -m pip install '.[gke]'`"


class NotFoundError(LaunchError):
    """The resource does not exist, or no longer."""


class ExistsError(LaunchError):
    """The resource to create exists already."""


class BusyError(LaunchError):
    """Another operation on the resource is in progress."""


def client_options() -> dict[str, Any]:
    """Return the arguments of every client, credentials and endpoint, or raise ConfigError."""
    with importing_extra():
        import google.auth
        import google.auth.exceptions
        from google.api_core.client_options import ClientOptions
        from google.auth.credentials import AnonymousCredentials

    endpoint = os.environ.get(ENDPOINT, "")
    if endpoint:
        if not re.fullmatch(_LOOPBACK, endpoint):
            raise ConfigError(
                f"{ENDPOINT} is `{endpoint}`; only http://127.0.0.1:PORT can stand in for Google"
            )
        return {
            "credentials": AnonymousCredentials(),
            "client_options": ClientOptions(api_endpoint=endpoint),
        }
    try:
        credentials, _ = google.auth.default(scopes=[SCOPE])
    except google.auth.exceptions.GoogleAuthError as error:
        raise _credentials_error(error) from error
    return {"credentials": credentials}


@contextmanager
def importing_extra() -> Iterator[None]:
    """Raise ConfigError, which tells how to install the extra, if an import in the block fails."""
    try:
        yield
    except ImportError as error:
        missing = error.name or str(error)
        raise ConfigError(
            f"the library of Google Cloud is not installed: no `{missing}`", hint=_INSTALL
        ) from error


def retry() -> Any:  # noqa: ANN401 (the library has no types that we follow)
    """Return the retry policy: while Google is busy or fails, up to `RETRY_TIMEOUT_S`."""
    from google.api_core import exceptions
    from google.api_core.retry import Retry, if_exception_type

    is_transient = if_exception_type(
        exceptions.TooManyRequests,
        exceptions.InternalServerError,
        exceptions.BadGateway,
        exceptions.ServiceUnavailable,
        exceptions.GatewayTimeout,
        OSError,  # of the connection
    )
    return Retry(
        predicate=is_transient, initial=FIRST_RETRY_S, maximum=15.0, timeout=RETRY_TIMEOUT_S
    )


def call(what: str, permission: str, method: Callable[..., Any], **arguments: object) -> Any:  # noqa: ANN401 (as above)
    """Return the answer of one request, with retries; see `translate_errors` for the errors."""
    with translate_errors(what, permission):
        return method(**arguments, retry=retry())


def begin_deletion(
    title: str, permission: str, method: Callable[..., Any], **arguments: object
) -> bool:
    """Begin to delete a resource, which may be gone; return False if it is busy."""
    try:
        call(f"delete the {title}", permission, method, **arguments)
    except NotFoundError:
        log.info("the %s was gone already", title)
    except BusyError as error:
        log.info("the %s is busy and cannot be deleted yet: %s", title, error)
        return False
    return True


@contextmanager
def translate_errors(what: str, permission: str) -> Iterator[None]:
    """Translate errors of Google's libraries in the block to ours.

    Args:
        what: Action in words, such as `list the clusters`.
        permission: IAM permission that the action needs.

    Raises:
        NotFoundError: The resource does not exist.
        ExistsError: The resource exists already.
        BusyError: Another operation on it is in progress.
        ConfigError: The permission is missing, or the request is not valid.
        LaunchError: The quota is exceeded.
        NetworkError: Google does not answer.
    """
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except exceptions.RetryError as error:
        cause = error.cause or error
        raise NetworkError(
            f"Google could not {what} for {RETRY_TIMEOUT_S:.0f} s: {_message(cause)}",
            hint="try again later; the sweeper deletes what is left behind",
        ) from error
    except exceptions.GoogleAPICallError as error:
        raise _error_for(what, permission, error.code, _message(error)) from error
    except GoogleAuthError as error:
        raise _credentials_error(error) from error
    except OSError as error:
        raise NetworkError(f"Google does not answer: {what}: {type(error).__name__}") from error


def _message(error: Any) -> str:  # noqa: ANN401 (as above)
    return str(getattr(error, "message", "") or error)[:400]


def _error_for(what: str, permission: str, code: object, reason: str) -> PipelineError:
    message = f"Google refused to {what}: {int(code) if isinstance(code, int) else code}: {reason}"
    error: PipelineError
    match code:
        case 404:
            error = NotFoundError(message)
        case 409:
            error = ExistsError(message)
        case 400 if re.search(r"incompatible operation|in use|not ready", reason, re.IGNORECASE):
            error = BusyError(message)
        case 403 | 429 if re.search(r"quota", reason, re.IGNORECASE):
            hint = "fewer or smaller nodes, another zone, or a higher quota of the project"
            error = LaunchError(message, hint=hint)
        case 401 | 403:
            hint = f"the account needs {permission}; docs/examples/gke/setup.sh grants them all"
            error = ConfigError(message, hint=hint)
        case 400:
            error = ConfigError(message)
        case _:
            error = LaunchError(message)
    return error


def _credentials_error(error: Exception) -> ConfigError:
    return ConfigError(
        f"no credentials for Google Cloud: {str(error).splitlines()[0][:300]}",
        hint="`gcloud auth application-default login`, or in a workflow google-github-actions/auth",
    )
