"""Ways in.  What a session does is in `pipeline`, in the tests and in the benchmarks, not here."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests"]


def _install(session: nox.Session, lock: str) -> None:
    """Install exactly what a lock file names, then this project as it stands."""
    session.install("--no-compile", "--require-hashes", "-r", f"locks/{lock}.txt")
    session.install("--no-compile", "--no-deps", "-e", ".")


@contextmanager
def _building(session: nox.Session) -> Iterator[None]:
    """Say what a run will do, and build what it needs while the block installs packages."""
    guard = ("-I", "-S", "pipeline/system/die_with_parent.py", str(os.getpid()))
    build = (sys.executable, "-m", "pipeline.toolchain", *session.posargs)
    with subprocess.Popen([sys.executable, *guard, *build]) as building:
        try:
            yield
            building.wait()
        finally:
            building.terminate()


@nox.session
def perf(session: nox.Session) -> None:
    """Measure and judge: `nox -s perf -- --suite full --environment kind --publish comment`."""
    with _building(session):
        _install(session, "run")
    session.run("python", "-m", "pipeline", "run", *session.posargs)


@nox.session
def kind_up(session: nox.Session) -> None:
    """Create the kind cluster that `--environment kind` then uses."""
    _pipeline(session, "kind", "up")


@nox.session
def deploy(session: nox.Session) -> None:
    """Start two builds that stay up: `nox -s deploy -- --against SPEC --suite full --out DIR`."""
    _pipeline(session, "deploy")


@nox.session
def load(session: nox.Session) -> None:
    """Measure a deployment, by k6, ClusterLoader2 or both: `nox -s load -- DIR --pairs 3`."""
    _pipeline(session, "load")


@nox.session
def compare(session: nox.Session) -> None:
    """Judge the results in a folder again: `nox -s compare -- DIR`."""
    _pipeline(session, "compare")


@nox.session
def report(session: nox.Session) -> None:
    """Print a report of the results in a folder: `nox -s report -- DIR --format markdown`."""
    _pipeline(session, "render")


@nox.session
def publish(session: nox.Session) -> None:
    """Report a run to GitHub: `nox -s publish -- DIR --to comment --pull-request N`."""
    _pipeline(session, "publish")


@nox.session
def kind_down(session: nox.Session) -> None:
    """Delete the kind cluster with all that is in it."""
    _pipeline(session, "kind", "down")


@nox.session
def capacity(session: nox.Session) -> None:
    """Search the largest number of Projects or objects: `nox -s capacity -- projects`."""
    _pipeline(session, "capacity")


@nox.session
def cluster(session: nox.Session) -> None:
    """Create, list, delete and sweep clusters on Google Cloud: `nox -s cluster -- list …`."""
    _pipeline(session, "cluster", lock="gke")


def _pipeline(session: nox.Session, *command: str, lock: str = "run") -> None:
    """Run a command of the pipeline, with the arguments of the session."""
    session.log("Installing the locked Python packages; the first time takes about a minute")
    _install(session, lock)
    session.run("python", "-m", "pipeline", *command, *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run every test, on real etcd, real servers and real k6; they are built first."""
    session.log("Installing the locked Python packages; the first time takes some minutes")
    _install(session, "dev")
    session.log("Testing; the first time etcd and servers are built from source (about 5 minutes)")
    if session.posargs:
        session.run("python", "-m", "pytest", *session.posargs)
        return
    # One process more than there are cores: some tests wait for servers most of the time.
    cores = os.cpu_count() or 1
    by_file = ("--dist=loadfile", "--no-loadscope-reorder")  # slow files are not the last
    shared = ("-m", "not measuring", f"--numprocesses={cores + 1}", *by_file)
    measuring = ("-m", "measuring", f"--numprocesses={cores}", "--dist=worksteal")
    for part in (shared, measuring):
        session.run("python", "-m", "pytest", "--durations=15", *part)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, spelling, layers, configs of ClusterLoader2, and workflows of GitHub."""
    _install(session, "dev")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("codespell")
    session.run("lint-imports")
    session.run("python", "-m", "pytest", "-q", "tests/integration/test_cl2_configs.py")
    _lint_workflows(session)


def _lint_workflows(session: nox.Session) -> None:
    examples = _files("docs/examples/milo/performance*.yml")
    workflows = [*_files(".github/workflows/*.yml"), *examples]
    session.run("actionlint", *workflows)  # runs shellcheck on every `run:`
    session.run("zizmor", "--offline", "--persona=pedantic", ".github", *examples)
    for schema, files in (
        ("vendor.github-workflows", workflows),
        ("vendor.github-actions", _files(".github/actions/*/action.yml")),
        ("vendor.dependabot", [".github/dependabot.yml"]),
    ):
        session.run("check-jsonschema", "--builtin-schema", schema, *files)
    scripts = (".github/scripts/*.sh", "docs/examples/*/*.sh", "dev/*.sh")
    session.run("shellcheck", *(file for pattern in scripts for file in _files(pattern)))


def _files(pattern: str) -> list[str]:
    return sorted(map(str, Path().glob(pattern)))


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly, of Python and of the k6 scripts."""
    _install(session, "dev")
    session.run("mypy")
    session.run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    session.run("npm", "run", "types")


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Print the figures of docs/figures.md: `nox -s benchmarks -- points cli`."""
    _install(session, "dev")
    session.run("python", "-m", "dev.benchmarks", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Write docs/faults.md, in hours: `nox -s faults -- --out DIR` goes on."""
    _install(session, "run")
    session.run("python", "-m", "dev.benchmarks", "faults", *session.posargs)


@nox.session
def verdicts(session: nox.Session) -> None:
    """Write docs/results/verdicts.csv: the judge on data with known answers, beside its peers."""
    _install(session, "dev")
    session.run("python", "-m", "dev.benchmarks", "verdicts", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Write the lock files again, from pyproject.toml."""
    session.install("uv==0.13.9")
    locks = {"run": (), "gke": ("--extra=gke",), "dev": ("--extra=gke", "--group=dev")}
    for name, groups in locks.items():
        session.run(
            *("uv", "pip", "compile", "--universal", "--generate-hashes", "--upgrade", "--quiet"),
            *("--no-header", "--no-annotate", "--no-emit-index-url", "--python-version=3.11"),
            *("pyproject.toml", *groups, "-o", f"locks/{name}.txt"),
        )


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz readers of foreign bytes: `nox -s fuzz -- --seconds 600 results points`."""
    _install(session, "dev")
    session.install("atheris==3.0.0")
    session.run("python", "-m", "dev.fuzz", *session.posargs)


@nox.session
def release(session: nox.Session) -> None:
    """Build the wheel and the source archive into dist/, and list what they need (CycloneDX)."""
    _install(session, "dev")
    session.run("python", "-m", "build", "--no-isolation", "--outdir", "dist")
    session.run("twine", "check", "--strict", *_files("dist/milo_perf-*"))
    session.run(
        *("cyclonedx-py", "requirements", "locks/run.txt", "--pyproject", "pyproject.toml"),
        *("--mc-type", "application", "--output-reproducible", "-o", "dist/milo-perf.cdx.json"),
    )


@nox.session
def image(session: nox.Session) -> None:
    """Write the image of a release into dist/, for amd64 and arm64, and list what is in it."""
    _install(session, "run")
    session.run(
        *("python", "-m", "pipeline", "pack", "--oci", "dist/milo-perf-image.tar"),
        *session.posargs,
    )


@nox.session(venv_backend="none")
def clean_root(session: nox.Session) -> None:
    """Run the first line of the README in a clean Debian root; needs root and mmdebstrap."""
    session.run("dev/clean_root.sh", *session.posargs, external=True)
