"""Build the program that runs k6 in a load pod."""

from pipeline.model.ports import Program
from pipeline.system import paths
from pipeline.toolchain.build import Recipe
from pipeline.toolchain.programs import built

MODULE = "load-agent"


def keeper() -> Program:
    """Return the program `keeper`, built if it is not yet.

    Raises:
        LaunchError: It cannot be built.
    """
    module = paths.ours("go", MODULE)
    return built(Recipe("keeper", "the keeper of load pods", module, ".", "about 20 seconds"))
