"""Build the program that runs the load generator in a load pod."""

from pipeline.model.ports import Program
from pipeline.system import paths
from pipeline.toolchain.build import Recipe
from pipeline.toolchain.programs import built


def load_agent() -> Program:
    """Return the load agent, built if it is not yet.

    Raises:
        LaunchError: It cannot be built.
    """
    module = paths.project_path("go", "load-agent")
    return built(Recipe("load-agent", "the load agent", module, ".", "about 20 seconds"))
