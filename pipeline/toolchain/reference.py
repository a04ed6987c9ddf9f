"""Build the reference server: from the source as it stands, or as git once stored it."""

import tempfile
from dataclasses import replace
from pathlib import Path

from pipeline.model.ports import Artifact
from pipeline.model.subject import Spec, Subject, parse_spec
from pipeline.system import paths
from pipeline.system.errors import BaselineError
from pipeline.toolchain import git, go
from pipeline.toolchain.build import Recipe, build
from pipeline.toolchain.faults import check


def reference(spec: Spec, source: Path | None = None) -> Artifact:
    """Return the reference server that a spec names, built if it is not yet.

    Args:
        spec: With a tree id for a source of the past, and the faults to start it with.
        source: Folder of the present source; the project's own unless a test brings another.

    Raises:
        ConfigError: The server does not know a fault.
        LaunchError: It cannot be built.
        BaselineError: The spec's tree is not in this clone.
    """
    check(spec)
    source = source or paths.project_path("go", "reference")
    present = git.tree(source)
    if spec.revision in ("", present):
        return _built(spec, source, present, _modified(spec, source, present))
    with tempfile.TemporaryDirectory(prefix="reference-") as past:
        git.extract(spec.revision, source, Path(past))
        return _built(spec, Path(past), spec.revision, "no")


def recipe(source: Path) -> Recipe:
    """Return what is built for the reference server."""
    return Recipe("reference", "the reference server", source, ".", "about 5 minutes, 2.5 GB")


def pinned(subject: Subject) -> Subject:
    """Return a subject whose spec names its source by tree id, so that it can be made again.

    Raises:
        BaselineError: Its source is not known, or was never committed.
    """
    tree = subject.facts.get("tree", "")
    if not tree:
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


def _modified(spec: Spec, source: Path, present: str) -> str:
    """Return whether the source differs from the last commit: `yes`, `no` or `unknown`."""
    if not present:
        return "unknown"
    return "no" if present in (spec.revision, git.committed_tree(source)) else "yes"


def _built(spec: Spec, source: Path, tree: str, modified: str) -> Artifact:
    chosen = go.find(go.needed(source, paths.project_path("go", "etcd")))
    binary = build(recipe(source), chosen)
    facts = {"tree": tree, "modified": modified, "go": chosen.version}
    arguments = tuple(f"--fault={name}={size}" for name, size in spec.settings)
    return Artifact(Subject(str(spec), binary.digest, facts), binary.path, arguments=arguments)
