"""The embedded reference server: check its faults, and build it from any of its versions."""

import difflib
import math
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from pipeline.model.ports import Artifact
from pipeline.model.subject import PRODUCT, Spec, Subject, parse_spec
from pipeline.system import paths
from pipeline.system.errors import BaselineError, ConfigError
from pipeline.toolchain import git, go
from pipeline.toolchain.build import Recipe, build

FAULTS = {
    "slow-create": "duration",
    "slow-list": "duration",
    "slow-tail": "share:duration",
    "cpu": "duration",
    "leak-memory": "bytes",
    "leak-goroutines": "rate",
    "leak-project-goroutines": "rate",
    "leak-files": "rate",
    "orphans": "count",
    "errors": "share",
    "hang": "share",
    "slow-ready": "duration",
    "never-ready": "share",
    "project-lock": "duration",
    "deletion-lock": "duration",
    "slow-gc": "duration",
    "stuck-gc": "share",
    "skip-finalizers": "share",
    "slow-resume": "duration",
    "crash-after": "duration",
    "shared-lock": "duration",
    "blocking-list": "duration",
    "lose-event": "share",
    "foreign-event": "share",
    "delay-events": "duration",
    "leak-watchers": "rate",
}
"""Type of each fault's size; the server's own table is in go/reference/internal/faults."""

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_DURATION = re.compile(rf"0|(?:{_NUMBER}(?:ns|us|µs|ms|s|m|h))+")
_BYTES = re.compile(rf"({_NUMBER})(GiB|MiB|KiB|B|)")
_SHARE = re.compile(rf"({_NUMBER})(%?)")
_FACTOR = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1, "": 1}
_MAX_BYTES = 2**30
_MAX_RATE = 1_000_000


def check_settings(spec: Spec) -> None:
    """Raise ConfigError if the server does not accept a fault, so that an error costs no build."""
    for name, size in faults_of(spec):
        if name not in FAULTS:
            near = difflib.get_close_matches(name, FAULTS, n=1, cutoff=0.0)[0]
            raise ConfigError(
                f"`{spec}`: the reference has no fault `{name}`; did you mean `{near}`?",
                hint=f"known faults: {', '.join(FAULTS)}",
            )
        if not _is_size(FAULTS[name], size):
            raise ConfigError(
                f"`{spec}`: `{size}` is not a {FAULTS[name]}, which `{name}` needs",
                hint=f"write it like {_EXAMPLES[FAULTS[name]]}",
            )


def faults_of(spec: Spec) -> tuple[tuple[str, str], ...]:
    """Return the settings of a spec that are faults: all but the product of a source."""
    return tuple(setting for setting in spec.settings if setting[0] != PRODUCT)


def arguments_of(spec: Spec) -> tuple[str, ...]:
    """Return the arguments of the server for the faults of a spec."""
    return tuple(f"--fault={name}={size}" for name, size in faults_of(spec))


def build_reference(spec: Spec, source: Path | None = None) -> Artifact:
    """Return the reference server of a spec, built if it is not in the cache; see `artifact`.

    Args:
        spec: Spec; its revision is the git tree of a past source, or empty for the present one.
        source: Folder of the present source; by default the project's own.
    """
    check_settings(spec)
    source = source or paths.project_path("go", "reference")
    in_clone = git.tree(source)
    present = in_clone or git.content_tree(source)  # of an installed package, or without git
    if spec.revision in ("", present):
        is_committed = present in (spec.revision, git.committed_tree(source))
        modified = "no" if is_committed else "unknown" if in_clone is None else "yes"
        return _build(spec, source, present, modified)
    with tempfile.TemporaryDirectory(prefix="reference-") as past:
        git.extract(spec.revision, source, Path(past))
        return _build(spec, Path(past), spec.revision, "no", past_tree=spec.revision)


def recipe(source: Path, past_tree: str = "") -> Recipe:
    """Return the recipe for the reference server; of a past source, with its git tree."""
    cost, packages = "about 4 minutes, 1.5 GB", 1368
    return Recipe("reference", "the reference server", source, ".", cost, packages, tree=past_tree)


def pin(subject: Subject) -> Subject:
    """Return a subject whose spec names its source by tree id, so that it can be built again.

    Raises:
        BaselineError: Its source is unknown, or was never committed.
    """
    tree = subject.facts.get("tree", "")
    if not tree or subject.facts.get("modified") == "unknown":
        raise BaselineError(
            f"`{subject.spec}` was built outside a git clone, so it could not be built again",
            hint="measure it in a clone of the repository, with git installed",
        )
    if subject.facts.get("modified") != "no":
        raise BaselineError(
            f"`{subject.spec}` was built from source that is not committed (tree {tree}),"
            " so it could not be built again",
            hint="commit the folder go/reference/, then measure again",
        )
    return replace(subject, spec=str(replace(parse_spec(subject.spec), revision=tree)))


def _build(
    spec: Spec, source: Path, tree: str | None, modified: str, past_tree: str = ""
) -> Artifact:
    chosen = go.find(go.minimum_version(source, paths.project_path("go", "etcd")))
    binary = build(recipe(source, past_tree), chosen)
    facts = {"tree": tree or "", "modified": modified, "go": chosen.version}
    subject = Subject(str(spec), binary.digest, facts)
    return Artifact(subject, binary.path, arguments=arguments_of(spec))


def _is_size(kind: str, text: str) -> bool:
    """Return whether a text is a size of a kind of `_EXAMPLES`, within its limit."""
    match kind:
        case "duration":
            return _DURATION.fullmatch(text) is not None
        case "bytes":
            match = _BYTES.fullmatch(text)
            size = float(match[1]) * _FACTOR[match[2]] if match else math.inf
            return size <= _MAX_BYTES and size == math.trunc(size)
        case "share":
            match = _SHARE.fullmatch(text)
            return match is not None and float(match[1]) <= (100 if match[2] else 1)
        case "share:duration":
            share, _, duration = text.partition(":")
            return _is_size("share", share) and _is_size("duration", duration)
        case _:
            is_rate = re.fullmatch(_NUMBER, text) is not None and float(text) <= _MAX_RATE
            return is_rate and (kind != "count" or float(text).is_integer())


_EXAMPLES = {
    "duration": "20ms, 200us or 1.5s",
    "bytes": "512B, 4KiB or 1MiB, up to 1GiB",
    "rate": "1 or 0.1",
    "count": "1 or 20",
    "share": "0.5% or 0.005",
    "share:duration": "5%:20ms",
}
