"""The configs of ClusterLoader2 that we ship, and the program that expands them."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.drivers.clusterloader2.check import check
from pipeline.model.ports import Program
from pipeline.system import paths
from tests.gotests import go_tests

pytestmark = pytest.mark.real

CONFIGS = sorted(paths.project_path("cl2_configs").glob("*.yaml"))
EVERYTHING: Mapping[str, bool | float | str] = {
    "CL2_RUN": "perf-1",
    "CL2_PROJECTS": 3,
    "CL2_NAMESPACES": 2,
    "CL2_OBJECTS": 4,
    "CL2_OBJECT_BYTES": 999,
    "CL2_RATE": 12.5,
    "CL2_ROUNDS": 2,
    "CL2_BURST": 2,
    "CL2_CYCLES": 2,
    "CL2_REST": 0.5,
    "CL2_TIMEOUT": 30,
    "CL2_ORGANIZATION": "milo-perf",
    "CL2_DELETE_NAMESPACES": False,
    "CL2_SEED": 7,
    "CL2_PROMETHEUS": True,
    "CL2_SCRAPE": 1,
}
ALWAYS = ["Timer", "APIAvailability"]
WITH_PROMETHEUS = [
    "APIResponsivenessPrometheus",
    "GenericPrometheusQuery API request duration",
    *ALWAYS,
]


@pytest.fixture(scope="module")
def expand() -> Program:
    return toolchain.program("expand")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_config_that_we_ship_can_be_run_as_it_is(config: Path, expand: Program) -> None:
    assert [one.name for one in check(config, {}, expand).expected] == ALWAYS


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_config_that_we_ship_can_be_run_with_every_parameter(
    config: Path, expand: Program
) -> None:
    assert [one.name for one in check(config, EVERYTHING, expand).expected] == WITH_PROMETHEUS


def test_every_parameter_is_read_somewhere_and_stands_in_the_readme(expand: Program) -> None:
    unused = [set(check(config, EVERYTHING, expand).unused) for config in CONFIGS]
    readme = paths.project_path("cl2_configs", "README.md").read_text(encoding="utf-8")

    assert not set.intersection(*unused)
    assert set(re.findall(r"^\| `(CL2_\w+)` \|", readme, re.MULTILINE)) == set(EVERYTHING)
    assert set(re.findall(r"^\| `([a-z-]+)` \|", readme, re.MULTILINE)) == {
        path.stem for path in CONFIGS
    }


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_real_clusterloader2_compiles_a_config_that_we_ship(config: Path, tmp_path: Path) -> None:
    if not (program := os.environ.get("CLUSTERLOADER2_BIN") or shutil.which("clusterloader2")):
        pytest.skip("ClusterLoader2 is not on the path, and CLUSTERLOADER2_BIN is not set")
    cluster = {"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "none", "context": {"cluster": "none", "user": "none"}}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [cluster],
                "users": [{"name": "none", "user": {}}],
                "contexts": [context],
                "current-context": "none",
            }
        )
    )
    overrides = tmp_path / "overrides.json"
    overrides.write_text(json.dumps(EVERYTHING))

    done = subprocess.run(
        [
            program,
            *("--dry-run", "--provider=local", f"--kubeconfig={kubeconfig}"),
            *(f"--testconfig={config}", f"--testoverrides={overrides}"),
            *(f"--report-dir={tmp_path}", "--nodes=1", "--skip-cluster-verification"),
            *("--enable-exec-service=false", "--master-endpoint=localhost", "--port=0", "--v=1"),
        ],
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )

    assert "Dry run mode enabled" in done.stderr, done.stderr[-2000:]
    assert (tmp_path / f"generatedConfig_{config.stem}.yaml").stat().st_size > 1000


def test_the_go_tests_of_the_expander_pass(tmp_path: Path) -> None:
    assert go_tests("clusterloader2", tmp_path, "./expand").startswith("ok  ")
