"""Say before a run what has to be built first, how long that takes and why."""

from collections.abc import Iterable, Iterator

from pipeline.model.subject import Product
from pipeline.system import paths
from pipeline.toolchain import go, programs
from pipeline.toolchain.build import Recipe, cached
from pipeline.toolchain.reference import recipe


def first_builds(names: Iterable[str], product: Product) -> list[str]:
    """Return sentences on what is not in the cache yet and will be built; none if all is there.

    Args:
        names: Of the programs that a run needs.
        product: That is measured.

    Raises:
        LaunchError: What is to be built cannot be told: our own files are not whole.
    """
    found = go.present(programs.needed())
    missing = [
        one for one in _recipes(set(names), product) if found is None or cached(one, found) is None
    ]
    if not missing:
        return []
    listed = " and ".join(f"{one.title} ({one.usual})" for one in missing)
    what = f"first run on this machine: it builds {listed} from pinned source"
    why = "so that what is measured is the same on every machine"
    once = f"this happens once: they are kept in {paths.cache()}, and later runs start at once"
    said = [f"{what}, {why}", once]
    if found is None and go.pinned():
        said.append(f"for that it fetches Go {go.pinned()} (70 MB), as there is none that will do")
    return said


def _recipes(names: set[str], product: Product) -> Iterator[Recipe]:
    if "etcd" in names:
        yield programs.etcd_recipe()
    if product is Product.REFERENCE:
        yield recipe(paths.project_path("go", "reference"))
