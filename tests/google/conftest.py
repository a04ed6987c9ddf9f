from collections.abc import Iterator

import pytest

from pipeline.commands import cluster
from pipeline.environments.gke import google as door
from tests.google.fake import Google, google


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """A Google Cloud that every command of the test speaks with, and that nobody waits for."""
    monkeypatch.setattr(cluster, "POLL_S", 0.0)
    monkeypatch.setattr(door, "FIRST_RETRY_S", 0.001)
    with google() as (state, url):
        monkeypatch.setenv(door.ENDPOINT, url)
        yield state
