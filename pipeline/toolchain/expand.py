"""Build the program that expands a config of ClusterLoader2, so that it can be checked."""

from pipeline.model.ports import Program
from pipeline.system import paths
from pipeline.toolchain.build import Recipe
from pipeline.toolchain.programs import built

MODULE = "clusterloader2"


def expander() -> Program:
    """Return the program `expand`, built if it is not yet.

    Raises:
        LaunchError: It cannot be built.
    """
    return built(recipe())


def recipe() -> Recipe:
    """Return what is built for it."""
    module = paths.project_path("go", MODULE)
    return Recipe("expand", "the checker of configs", module, "./expand", "about 20 seconds, 50 MB")
