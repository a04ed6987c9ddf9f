"""Say what a first run builds, and build it while Python packages are installed.

`python -m pipeline.toolchain ARGUMENT…` takes the arguments of `run`.  The noxfile starts it with
Nox's own interpreter: it needs no package that Nox does not have.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipeline.model.subject import Product
from pipeline.system import log, output, paths
from pipeline.system.errors import PipelineError
from pipeline.toolchain import go, programs, reference
from pipeline.toolchain.build import Recipe, build, cached_path
from pipeline.toolchain.milo import BINARY

_MEASURING = {"pr": "3 to 9 minutes", "smoke": "2 minutes"}
"""How long a run with a shipped suite measures."""


def first_builds(names: Iterable[str], product: Product) -> list[str]:
    """Return sentences about the programs that this run builds first, unless all are cached."""
    missing = _missing(_recipes(names, product))
    return [*_first_sentences(missing), *_go_sentence(missing)] if missing else []


def first_screen(argv: Sequence[str]) -> tuple[list[str], list[Recipe]]:
    """Return what a first run says before anything is installed, and what it builds meanwhile.

    Both are empty if nothing has to be built, or if only the run itself can tell.

    Args:
        argv: Arguments of `run`.
    """
    run = _arguments(argv)
    if run.help or run.resume or run.environment:
        return [], []
    product = Product.REFERENCE if run.is_reference else Product.MILO
    missing = _missing(_recipes(["etcd"], product))
    if not missing:
        return [], []
    measured = "the reference server with itself" if run.is_reference else "two builds of Milo"
    lasts = f", which takes {_MEASURING[run.suite]}" if run.suite in _MEASURING else ""
    whole = f"this run prepares what it needs, then it compares {measured}{lasts}, and answers"
    sentences = [
        whole,
        *_first_sentences(missing),
        *_go_sentence(missing),
        "Python packages are installed meanwhile",
    ]
    return sentences, missing


def main(argv: Sequence[str]) -> None:
    """Log what will happen, and build what is missing; the run reports what goes wrong."""
    output.prepare()
    log.configure(verbose=False)
    try:
        sentences, missing = first_screen(argv)
        for sentence in sentences:
            log.log.info("%s", sentence)
        for recipe in missing:
            build(recipe, go.find(programs.minimum_go()))
    except PipelineError as error:
        log.log.debug("%s", error)
    except KeyboardInterrupt:
        sys.exit(130)


def _recipes(names: Iterable[str], product: Product) -> list[Recipe]:
    """Return the recipes of what is built from source, in the order in which it is built.

    The reference server and etcd share most packages, which are compiled once; a test holds that
    both modules require the same versions.
    """
    etcd = [programs.recipe("etcd")] if "etcd" in names else []
    if product is not Product.REFERENCE:
        return etcd
    server = reference.recipe(paths.project_path("go", "reference"))
    return [server, *(replace(one, cost="about 20 seconds", packages=115) for one in etcd)]


def _missing(recipes: Iterable[Recipe]) -> list[Recipe]:
    local_go = go.find_local(programs.minimum_go())
    return [one for one in recipes if local_go is None or cached_path(one, local_go) is None]


def _first_sentences(missing: Sequence[Recipe]) -> list[str]:
    listed = " and ".join(f"{one.title} ({one.cost})" for one in missing)
    what = (
        f"first run on this machine: it builds {listed} from pinned source, so that what is"
        " measured is the same on every machine"
    )
    return [
        what,
        f"this happens once: they are kept in {paths.cache()}, and later runs start at once",
    ]


def _go_sentence(missing: Sequence[Recipe]) -> list[str]:
    version = go.pinned_version()
    if not missing or not version or go.find_local(programs.minimum_go()) is not None:
        return []
    return [f"it fetches Go {version} (70 MB), as there is no Go that will do"]


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of `run` that say what is built; the run checks all of them."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-h", "--help", action="store_true")
    for name in ("--candidate", "--resume", "--environment"):
        parser.add_argument(name)
    parser.add_argument("--suite", default="pr")
    try:
        run, _ = parser.parse_known_args(argv)
    except argparse.ArgumentError:
        run = argparse.Namespace(help=True, resume=None, environment=None, candidate=None, suite="")
    default = f"binary:{os.environ[BINARY]}" if os.environ.get(BINARY) else "reference"
    candidate = run.candidate or default
    run.is_reference = candidate.startswith("reference")
    return run
