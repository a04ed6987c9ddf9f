"""Build the program that expands a config of ClusterLoader2, so that it can be checked."""

from pipeline import files
from pipeline.ports import Program
from pipeline.toolchain import go
from pipeline.toolchain.build import Recipe, build

MODULE = "clusterloader2"


def expander() -> Program:
    """Return the program `expand`, built if it is not yet.

    Raises:
        LaunchError: It cannot be built.
    """
    found = recipe()
    chosen = go.find(go.needed(found.module, files.ours("reference"), files.ours("toolchain")))
    binary = build(found, chosen)
    return Program(binary.path, "ours", binary.digest)


def recipe() -> Recipe:
    """Return what is built for it."""
    module = files.ours(MODULE)
    return Recipe("expand", "the checker of configs", module, "./expand", "about 20 seconds, 50 MB")
