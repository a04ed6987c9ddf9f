"""Speak with Google Cloud: who we are, what is repeated, what a refusal means.

The libraries are an extra (`gke`) and are imported late.  They speak REST here and not gRPC, so
that what is tested against a fake is what runs.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.system.errors import ConfigError, LaunchError, NetworkError, PipelineError

ENDPOINT = "MILO_PERF_GOOGLE_API"
"""Variable with the address of a stand-in for Google, which must be on loopback."""

PATIENCE_S = 60.0
"""How long a request is repeated that Google is too busy for."""

FIRST_PAUSE_S = 1.0
"""Before a request is repeated for the first time; it doubles."""

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LOOPBACK = r"http://127\.0\.0\.1:[0-9]{1,5}"
_INSTALL = "in a clone and a virtual environment: `python3 -m pip install '.[gke]'`"


class GoneError(LaunchError):
    """What is asked for is not there, or is not there any more."""


class ThereError(LaunchError):
    """What is to be made is there already."""


class BusyError(LaunchError):
    """Something else is being done to it, so it cannot be changed now."""


def options() -> dict[str, Any]:
    """Return the arguments of every client: credentials, and where Google is.

    Raises:
        ConfigError: There are no credentials, or the extra is not installed.
    """
    with installed():
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
        credentials, _ = google.auth.default(scopes=[_SCOPE])
    except google.auth.exceptions.GoogleAuthError as error:
        raise _unknown_to_google(error) from error
    return {"credentials": credentials}


@contextmanager
def installed() -> Iterator[None]:
    """Say how the extra is installed, where something in the block cannot be imported.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        yield
    except ImportError as error:
        missing = error.name or str(error)
        raise ConfigError(
            f"the library of Google Cloud is not installed: no `{missing}`", hint=_INSTALL
        ) from error


def retry() -> Any:  # noqa: ANN401 (the library has no types that we follow)
    """Return how a request is repeated: while Google is too busy or breaks, a minute in all."""
    from google.api_core import exceptions
    from google.api_core.retry import Retry, if_exception_type

    busy = if_exception_type(
        exceptions.TooManyRequests,
        exceptions.InternalServerError,
        exceptions.BadGateway,
        exceptions.ServiceUnavailable,
        exceptions.GatewayTimeout,
        OSError,  # of the connection
    )
    return Retry(predicate=busy, initial=FIRST_PAUSE_S, maximum=15.0, timeout=PATIENCE_S)


@contextmanager
def asking(what: str, permission: str) -> Iterator[None]:
    """Say what a refusal in the block means.

    Args:
        what: Is asked for, in words.
        permission: Of IAM, that it takes.

    Raises:
        GoneError: It is not there.
        ThereError: It is there already.
        BusyError: Something else is being done to it.
        ConfigError: We may not, or it is asked for wrongly.
        LaunchError: There is no quota.
        NetworkError: Google does not answer.
    """
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except exceptions.RetryError as error:
        cause = error.cause or error
        raise NetworkError(
            f"Google could not {what} for {PATIENCE_S:.0f} s: {_said(cause)}",
            hint="try again later; what is left behind is swept",
        ) from error
    except exceptions.GoogleAPICallError as error:
        raise _refusal(what, permission, error.code, _said(error)) from error
    except GoogleAuthError as error:
        raise _unknown_to_google(error) from error
    except OSError as error:
        raise NetworkError(f"Google does not answer: {what}: {type(error).__name__}") from error


def _said(error: Any) -> str:  # noqa: ANN401 (as above)
    return str(getattr(error, "message", "") or error)[:400]


def _refusal(what: str, permission: str, code: object, said: str) -> PipelineError:
    """Return what it means that Google refuses something."""
    message = f"Google refused to {what}: {int(code) if isinstance(code, int) else code}: {said}"
    found: PipelineError
    match code:
        case 404:
            found = GoneError(message)
        case 409:
            found = ThereError(message)
        case 400 if re.search(r"incompatible operation|in use|not ready", said, re.IGNORECASE):
            found = BusyError(message)
        case 403 | 429 if re.search(r"quota", said, re.IGNORECASE):
            hint = "fewer or smaller nodes, another zone, or a higher quota of the project"
            found = LaunchError(message, hint=hint)
        case 401 | 403:
            hint = f"the account needs {permission}; docs/howto/gke.md has every permission"
            found = ConfigError(message, hint=hint)
        case 400:
            found = ConfigError(message)
        case _:
            found = LaunchError(message)
    return found


def _unknown_to_google(error: Exception) -> ConfigError:
    return ConfigError(
        f"Google does not know who we are: {str(error).splitlines()[0][:300]}",
        hint="`gcloud auth application-default login`, or in a workflow google-github-actions/auth",
    )
