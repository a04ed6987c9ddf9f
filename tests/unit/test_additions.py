"""An addition touches no more files than CONTRIBUTING.md says: each is made in a copy, and run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_LINKED = ("baselines", "cl2_configs", "deploy", "docs", "go", "k6_scripts", "locks")

ENVIRONMENT = """
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal

from pipeline.model.health import Check, Status
from pipeline.model.ports import Artifact, Program, Target
from pipeline.model.subject import Arm, Product
from pipeline.storage.settings import Settings


class MoonSettings(Settings):
    kind: Literal["moon"] = "moon"
    crater: str = "Tycho"
    load_pods: int = 0

    needs: ClassVar[tuple[str, ...]] = ("etcd",)
    is_here: ClassVar[bool] = False
    starts_images: ClassVar[bool] = True
    shows_processes: ClassVar[bool] = False
    load_path: ClassVar[str] = "by radio"
    asks: ClassVar[str] = ""
    asks_for_load: ClassVar[str] = ""

    @property
    def facts(self) -> dict[str, str]:
        return {"environment": self.kind, "crater": self.crater}

    def start_s(self, product: Product) -> float:
        return 1.3

    def price(self, duration_s: float) -> str:
        return ""

    def checks(self) -> list[Check]:
        return [Check("antenna", Status.OK, self.crater)]

    @contextmanager
    def open(self, programs: Mapping[str, Program]) -> Iterator["Moon"]:
        yield Moon()


class Moon:
    @contextmanager
    def launch(
        self, artifacts: Mapping[Arm, Artifact], out: Path
    ) -> Iterator[Mapping[Arm, Target]]:
        target = Target("https://moon", out, out, out, {}, {}, "", check=lambda: None)
        yield dict.fromkeys(artifacts, target)
"""

LAUNCH = """
import pathlib
from pipeline.environments.registry import read_environment
from pipeline.model.ports import Artifact
from pipeline.model.subject import Arm, Subject

artifact = Artifact(Subject("reference", "sha256:00"), pathlib.Path("reference"))
with (
    read_environment("moon").open({}) as environment,
    environment.launch({Arm.CANDIDATE: artifact}, pathlib.Path()) as targets,
):
    print(targets[Arm.CANDIDATE].url)
"""


class Project:
    """A copy of the project, whose code and suites may be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.touched: set[str] = set()
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("pipeline", "suites"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        for name in _LINKED:
            (folder / name).symlink_to(ROOT / name)

    def add(self, path: str, text: str) -> None:
        assert not (self.folder / path).exists()
        (self.folder / path).write_text(text)
        self.touched.add(path)

    def insert(self, path: str, before: str, line: str) -> None:
        text = (self.folder / path).read_text()
        assert text.count(before) == 1
        (self.folder / path).write_text(text.replace(before, f"{line}\n{before}"))
        self.touched.add(path)

    def python(self, *args: str) -> str:
        done = subprocess.run(
            [sys.executable, *args],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_an_environment_touches_two_files_of_the_pipeline_and_a_test(project: Project) -> None:
    registry = "pipeline/environments/registry.py"
    project.add("pipeline/environments/moon.py", ENVIRONMENT)
    project.insert(
        registry,
        "from pipeline.environments.remote import RemoteSettings",
        "from pipeline.environments.moon import MoonSettings",
    )
    project.insert(registry, '    "remote": RemoteSettings,', '    "moon": MoonSettings,')
    assert len(project.touched) == 2

    plan = ("-m", "pipeline", "plan", "--suite", "smoke", "--candidate", "reference")
    text = project.python(*plan, "--environment", "moon", "--load-pods", "3")
    assert "environment  moon" in text
    assert "requests, by radio" in text
    assert project.python("-c", LAUNCH) == "https://moon\n"
    assert "✔ antenna" in project.python("-m", "pipeline", "doctor", "--environment", "moon")

    (project.folder / "own.toml").write_text('[environment]\nkind = "moon"\ncrator = "Plato"\n')
    text = project.python(*plan, "--environment", "own.toml")
    assert "own.toml: environment.crator: unknown key" in text
