"""Faults of this machine and of its user: a disk that is full, Ctrl-C."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipeline.environments.api import Api


@contextmanager
def full(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, in bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def interrupted(method: str, part: str, *, for_good: bool) -> Iterator[None]:
    """Raise KeyboardInterrupt at the first request of a kind, or from then on at every request."""
    real = {name: getattr(Api, name) for name in ("request", "read_text", "proxy")}
    seen: list[str] = []

    def before(how: str, path: str) -> None:
        if (for_good and seen) or (not seen and how == method and part in path):
            seen.append(path)
            raise KeyboardInterrupt

    def asked(self: Api, how: str, path: str, *args: Any, **more: Any) -> Any:  # noqa: ANN401 (any)
        before(how, path)
        return real["request"](self, how, path, *args, **more)

    def texted(self: Api, path: str, *args: Any) -> str:  # noqa: ANN401 (any)
        before("GET", path)
        return str(real["read_text"](self, path, *args))

    def passed(self: Api, how: str, path: str, **more: Any) -> Any:  # noqa: ANN401 (any)
        before(how, path)
        return real["proxy"](self, how, path, **more)

    with pytest.MonkeyPatch.context() as patch:
        for name, function in (("request", asked), ("read_text", texted), ("proxy", passed)):
            patch.setattr(Api, name, function)
        yield
    assert seen, "it never came to that"
