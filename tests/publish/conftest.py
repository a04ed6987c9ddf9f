"""A fake GitHub, and the verb `publish` run against it."""

import json
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands import main
from pipeline.model.results import ResultSet
from pipeline.publish import targets
from pipeline.publish.github import GitHub
from tests.github.fake import REPOSITORY
from tests.github.fake import GitHub as Fake
from tests.publications import HEAD
from tests.publishing import Publish, filled, finished


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "GitHub", partial(GitHub, sleep=lambda _: None))
    for name in [name for name in os.environ if name.startswith("GITHUB_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def fake() -> Iterator[Fake]:
    made = Fake()
    made.add_pull(5, HEAD, labels=[])
    yield made
    assert made.complaints == []


@pytest.fixture
def publish(
    fake: Fake,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Publish:
    """Return a function that publishes results, and gives exit code, stdout and stderr."""
    monkeypatch.setenv("GITHUB_TOKEN", "secret-token")
    monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)

    def call(
        results: ResultSet | str | Path | None,
        *arguments: str,
        event: Mapping[str, Any] | str | None = None,
        suite: str = "mine",
        also: Mapping[str, str] | None = None,
    ) -> tuple[int, str, str]:
        folder = results if isinstance(results, Path) else tmp_path / "artifact"
        if not isinstance(results, Path):
            filled(folder, results, suite, also or {})
        path = tmp_path / "event.json"
        said = finished() if event is None else event
        path.write_text(said if isinstance(said, str) else json.dumps(said), encoding="utf-8")
        with fake.serving() as url:
            monkeypatch.setenv("GITHUB_API_URL", url)
            code = main.main(["publish", str(folder), "--event", str(path), *arguments])
        printed = capsys.readouterr()
        assert "secret-token" not in printed.out + printed.err
        return code, printed.out, printed.err

    return call
