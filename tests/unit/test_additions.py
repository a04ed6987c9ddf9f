"""An addition touches no more files than CONTRIBUTING.md says: each is made in a copy, and run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_COPIED = ("k6_scripts", "pipeline", "suites")
_LINKED = ("baselines", "cl2_configs", "deploy", "docs", "go", "locks")

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
    can_restart: ClassVar[bool] = False
    replicas: ClassVar[int] = 1
    load_path: ClassVar[str] = "by radio"
    asks: ClassVar[str] = ""
    asks_for_load: ClassVar[str] = ""
    load_memory: ClassVar[float] = 0.0

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


DRIVER = """
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal
import time

from pydantic import PositiveFloat

from pipeline.model.ports import Load, Program, Span, Target
from pipeline.model.reading_names import ReadingNames
from pipeline.model.results import Reading
from pipeline.model.subject import Arm
from pipeline.storage.settings import Settings
from pipeline.system import processes


class Idle(Settings):
    kind: Literal["idle"]
    duration_s: PositiveFloat
    title: ClassVar[str] = "nothing at all"
    needs: ClassVar[tuple[str, ...]] = ("sleep",)
    restarts: ClassVar[bool] = False
    rate: ClassVar[float | None] = None
    counted: ClassVar[str] = "sleeps"
    iterations: ClassVar[int | None] = 1
    projects: ClassVar[int] = 0
    objects: ClassVar[int] = 0
    object_bytes: ClassVar[int] = 0
    watches: ClassVar[int] = 0
    max_pods: ClassVar[int | None] = 0
    raw_bytes_per_request: ClassVar[float] = 0.0
    main: ClassVar[str] = ""

    @property
    def load_s(self) -> float:
        return self.duration_s

    @property
    def most_s(self) -> float:
        return 2 * self.duration_s

    def requests_expected(self, arms: int) -> int:
        return 0

    def reading_names(self) -> ReadingNames:
        return ReadingNames({"idle.s": "s"})

    def tree(self) -> dict[str, Path]:
        return {}

    def own_files(self) -> dict[str, Path]:
        return {}


@dataclass(frozen=True)
class IdleDriver:
    settings: Idle
    program: Program

    def measure(self, targets: Mapping[Arm, Target], out: Path, seed: int) -> Load:
        began = time.time()
        argv = [str(self.program.path), str(self.settings.duration_s)]
        processes.run(argv, output=out / "sleep.log", timeout_s=60.0)
        span = Span(began, time.time())
        readings = (Reading("idle.s", span.end_s - span.start_s, "s"),)
        return Load(dict.fromkeys(targets, readings), dict.fromkeys(targets, span))
"""

PROBE = """
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.model.ports import Span, Target
from pipeline.model.results import Reading


@dataclass(frozen=True)
class DiskProbe:
    @contextmanager
    def watch(self, target: Target, out: Path) -> Iterator["DiskWatch"]:
        yield DiskWatch(out, shutil.disk_usage(out).free)


@dataclass(frozen=True)
class DiskWatch:
    out: Path
    before: int

    def readings(self, span: Span) -> tuple[Reading, ...]:
        used = self.before - shutil.disk_usage(self.out).free
        return (Reading("disk.used", max(0, used), "B"),)
"""

OWN_SUITE = """
name = "own"
description = "a suite of one workload"
pairs = 3
[environment]
kind = "local"
[[workload]]
name = "rest"
probes = [{probes}]
metric = [{{ name = "value", select = "{select}", unit = "{unit}", margin = 1.0 }}]
[workload.driver]
{driver}
"""

APPLY = """
import pathlib
from pipeline import toolchain
from pipeline.drivers.registry import driver_of
from pipeline.model.ports import Span, Target
from pipeline.model.subject import Arm
from pipeline.probes.registry import opt_in_probes
from pipeline.runs import suite_file

here = pathlib.Path()
target = Target("https://x", here, here, here, {}, {}, "", check=lambda: None)
(workload,) = suite_file.load(pathlib.Path("own.toml")).suite.workloads
for name in workload.probes:
    with opt_in_probes()[name].watch(target, here) as watch:
        print(*[reading.name for reading in watch.readings(Span(0.0, 1.0))])
if workload.driver.kind == "idle":
    driver = driver_of(workload.driver, toolchain.programs_of(workload.driver.needs))
    load = driver.measure({Arm.CANDIDATE: target}, here, seed=1)
    print(*[reading.name for reading in load.readings[Arm.CANDIDATE]])
"""

DIGEST = """
from pipeline.runs import suite_file

print(suite_file.load(suite_file.path_of("smoke")).digest)
"""

SCRIPT = """
import { get } from './lib/api.js'
import { connect, handleSummary, openLoad, takeTurn } from './lib/turn.js'

export const options = openLoad()
export { connect, handleSummary }

export default function () {
  const { arm } = takeTurn()
  get(arm, '/version', { op: 'version' })
}
"""

WORKLOAD = """
[[workload]]
name = "version"
metric = [{ name = "requests", select = "requests", unit = "1", margin = 1.0 }]
[workload.driver]
kind = "k6"
script = "version.js"
rate = 1.0
duration_s = 5
"""


class Project:
    """A copy of the project, whose code, scripts and suites may be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.touched: set[str] = set()
        ignored = shutil.ignore_patterns("__pycache__")
        for name in _COPIED:
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

    def append(self, path: str, text: str) -> None:
        with (self.folder / path).open("a") as file:
            file.write(text)
        self.touched.add(path)

    def write_suite(self, driver: str, select: str, unit: str, probes: str = "") -> None:
        """Write a suite of the user's own, which is no file of the project."""
        text = OWN_SUITE.format(driver=driver, select=select, unit=unit, probes=probes)
        (self.folder / "own.toml").write_text(text)

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


def test_a_driver_touches_three_files_of_the_pipeline_and_a_test(project: Project) -> None:
    registry, programs = "pipeline/drivers/registry.py", "pipeline/toolchain/programs.py"
    project.add("pipeline/drivers/idle.py", DRIVER)
    project.insert(
        registry,
        "from pipeline.drivers.k6.settings import K6",
        "from pipeline.drivers.idle import Idle, IdleDriver",
    )
    project.insert(registry, '    "k6": K6,', '    "idle": Idle,')
    project.insert(
        registry,
        "        case K6():",
        '        case Idle():\n            return IdleDriver(settings, programs["sleep"])',
    )
    project.insert(
        programs,
        '        "k6": k6,',
        '        "sleep": lambda: Program(Path("/bin/sleep"), "1", "sha256:00"),',
    )
    assert len(project.touched) == 3

    project.write_suite('kind = "idle"\nduration_s = 0.1', "idle.s", "s")
    text = project.python("-m", "pipeline", "plan", "--suite", "own.toml")
    assert "nothing at all" in text
    assert project.python("-c", APPLY) == "idle.s\n"


def test_a_probe_touches_three_files_of_the_pipeline_and_a_test(project: Project) -> None:
    registry = "pipeline/probes/registry.py"
    project.add("pipeline/probes/disk.py", PROBE)
    project.insert(
        registry,
        "    from pipeline.probes.heap import HeapProbe",
        "    from pipeline.probes.disk import DiskProbe",
    )
    project.insert(registry, '    "heap",', '    "disk",')
    project.insert(registry, '        "heap": HeapProbe(),', '        "disk": DiskProbe(),')
    project.insert("pipeline/probes/names.py", '    "heap": {', '    "disk": {"disk.used": "B"},')
    assert len(project.touched) == 3

    driver = 'kind = "k6"\nscript = "object_crud.js"\nrate = 1.0\nduration_s = 1'
    project.write_suite(driver, "disk.used", "B", probes='"disk"')
    assert "1 metrics" in project.python("-m", "pipeline", "plan", "--suite", "own.toml")
    assert project.python("-c", APPLY) == "disk.used\n"


def test_a_metric_that_a_probe_reports_touches_the_suite_and_no_stored_baseline(
    project: Project,
) -> None:
    plan = ("-m", "pipeline", "plan", "--suite", "smoke", "--candidate", "reference")
    before, metrics = project.python("-c", DIGEST), _metrics(project.python(*plan))
    project.insert(
        "suites/smoke.toml",
        '  { name = "etcd_files", select = "etcd.files", unit = "1", margin = 0.05 },',
        '  { name = "etcd_threads", select = "etcd.threads", unit = "1", margin = 0.05 },',
    )
    assert len(project.touched) == 1
    assert project.python("-c", DIGEST) == before
    assert _metrics(project.python(*plan)) == metrics + 1


def _metrics(plan: str) -> int:
    return sum(int(count) for count in re.findall(r"(\d+) metrics", plan))


def test_a_workload_touches_a_script_a_suite_and_a_page(project: Project) -> None:
    project.add("k6_scripts/version.js", SCRIPT)
    project.append("suites/smoke.toml", WORKLOAD)
    assert len(project.touched) == 2  # the page, docs/workloads.md, is the third

    text = project.python("-m", "pipeline", "plan", "--suite", "smoke", "--candidate", "reference")
    assert "k6 version.js" in text
