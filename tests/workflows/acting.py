"""GitHub Actions on this machine: `act` runs our workflows, stubs stand for pinned actions."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STUBS = Path(__file__).parent / "stubs"
PIPELINE = "OWNER/milo-perf"
CALLER = "milo-os/milo"
COMMIT = "0" * 40
"""What the examples have in place of a commit of ours."""

ACTION = re.compile(r"uses: (actions/([a-z-]+))@([0-9a-f]{40}) # v[0-9.]+$", re.MULTILINE)
# What act 0.2.89 does not know, and what stands in its place: the only differences.
UNKNOWN = (
    (re.compile(r"^cache-mode: \w+\n", re.MULTILINE), ""),
    (re.compile(r"uses: \$/"), "uses: ./"),
)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run of workflows ended.

    Attributes:
        number: Its id.
        code: Exit code of act: 0 when every job was well.
        jobs: Name of each job that ran, without its callers, and how it ended.
        log: What it said, with the job that said it before each line.
    """

    number: int
    code: int
    jobs: dict[str, str]
    log: str


@dataclass(slots=True)
class Stage:
    """Two repositories and the events of one of them.

    Attributes:
        folder: Of everything, made by `staged`.
        variables: That every step sees.
        runs: How many there were; the number of a run is its id.
    """

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    runs: int = 0

    @property
    def caller(self) -> Path:
        """Working tree of the repository that calls us."""
        return self.folder / "repositories" / CALLER

    def artifact(self, run: int, name: str) -> Path:
        """Return the folder of an artifact."""
        return self.folder / "artifacts" / str(run) / name

    def commit(self, files: Mapping[str, str]) -> str:
        """Write files of the caller, commit, and return the commit."""
        for name, text in files.items():
            path = self.caller / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(self.caller, "add", "--all")
        git(self.caller, "commit", "--quiet", "--allow-empty", "-m", "a change")
        return git(self.caller, "rev-parse", "HEAD")

    @property
    def ours(self) -> Path:
        """Working tree of the copy of this repository."""
        return self.folder / "repositories" / PIPELINE

    def act(
        self, name: str, event: Mapping[str, Any], workflow: str, *, here: Path | None = None
    ) -> Ran:
        """Let an event happen in a repository: the caller's, unless another one is named."""
        tree = here or self.caller
        self.runs += 1
        kept = self.folder / "runs" / str(self.runs)
        kept.mkdir(parents=True)
        (kept / "event.json").write_text(json.dumps(event))
        variables = {
            "GITHUB_RUN_ID": str(self.runs),
            "ARTIFACTS": str(self.folder / "artifacts"),
            "REPOSITORIES": str(self.folder / "repositories"),
            "PYTHON_OF_THE_TESTS": sys.executable,
            "HOME": os.environ.get("HOME", "/root"),
            # act itself has another, below; what the steps build is built once for all tests.
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
            **self.variables,
        }
        done = subprocess.run(
            [
                *("act", name, "--workflows", str(tree / workflow)),
                *("--eventpath", str(kept / "event.json"), "--directory", str(tree)),
                *("--platform", "ubuntu-24.04=-self-hosted", "--pull=false", "--no-cache-server"),
                *("--action-cache-path", str(self.folder / "act"), "--json"),
                *(f"--local-repository={there}" for there in self._repositories()),
                *(f"--env={key}={value}" for key, value in variables.items() if value),
                *("--secret", "GITHUB_TOKEN=secret-token"),
            ],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            cwd=kept,
            env={**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache")},
        )
        return _ran(self.runs, done.returncode, done.stdout + done.stderr)

    def _repositories(self) -> list[str]:
        texts = "".join(path.read_text() for path in (ROOT / ".github").rglob("*.yml"))
        pins = sorted({(action, name, sha) for action, name, sha in ACTION.findall(texts)})
        return [
            f"https://github.com/{PIPELINE}@{COMMIT}={self.folder / 'repositories' / PIPELINE}",
            *(
                f"https://github.com/{action}@{sha}={STUBS / name}"
                for action, name, sha in pins
                if (STUBS / name).is_dir()
            ),
        ]


def staged(folder: Path) -> Stage:
    """Return a stage with a copy of this repository, and with a repository that has nothing yet."""
    stage = Stage(folder)
    ours = folder / "repositories" / PIPELINE
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (ours / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, ours / name)
    for path in (ours / ".github" / "workflows").glob("*.yml"):
        path.write_text(for_act(path.read_text()))
    _initialised(ours)
    stage.caller.mkdir(parents=True)
    _initialised(stage.caller)
    return stage


def for_act(text: str) -> str:
    """Return a workflow without what act does not know."""
    for pattern, instead in UNKNOWN:
        text = pattern.sub(instead, text)
    return text


def script(name: str, *arguments: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run a script of the workflows with these variables alone."""
    return subprocess.run(
        [str(ROOT / ".github" / "scripts" / name), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/root")}
        | {key: str(value) for key, value in variables.items()},
        capture_output=True,
        text=True,
        check=False,
    )


def git(folder: Path, *arguments: str) -> str:
    """Return what git says."""
    author = (
        "-c",
        "user.name=A",
        "-c",
        "user.email=a@example.org",
        "-c",
        "init.defaultBranch=main",
    )
    return subprocess.run(
        ["git", *author, *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def _initialised(folder: Path) -> None:
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(folder, "remote", "add", "origin", f"https://github.com/{folder.parent.name}/{folder.name}")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "the first commit")


def _ran(number: int, code: int, text: str) -> Ran:
    jobs: dict[str, str] = {}
    lines = []
    for line in text.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            lines.append(line)
            continue
        if "jobResult" in said:
            jobs[said["job"].rpartition("/")[2]] = said["jobResult"]
        job = said.get("job", "").rpartition("/")[2]
        lines += [f"{job}: {part}" for part in said["msg"].splitlines()]
    return Ran(number, code, jobs, "\n".join(lines))
