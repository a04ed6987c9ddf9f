"""Get kind, which is the user's own or built, and kubectl, which is the user's own."""

import json
import re
import shutil
from pathlib import Path

from pipeline.model.ports import Program
from pipeline.system import paths, processes
from pipeline.system.errors import LaunchError
from pipeline.toolchain.build import Recipe, digest
from pipeline.toolchain.programs import built, chosen, required

KIND, KUBECTL = "KIND_BIN", "KUBECTL_BIN"
_MODULE = "sigs.k8s.io/kind"
_HOW_KUBECTL = f"install it (https://kubernetes.io/docs/tasks/tools/), or set {KUBECTL} to it"


def kind() -> Program:
    """Return kind: that of KIND_BIN, or the first on the path, or one that is built.

    Raises:
        LaunchError: It does not run, or it cannot be built.
    """
    if (path := own_kind()) is None:
        recipe = kind_recipe()
        return built(recipe, recipe.title.removeprefix("kind "))
    said = processes.capture([str(path), "version"]) or ""
    if (found := re.search(r"\bkind v(\d\S*)", said)) is None:
        raise LaunchError(
            f"`{path} version` does not answer like kind",
            hint=f"install kind again, set {KIND} to one that works, or unset it: one is built",
        )
    return Program(path, found[1], digest(path))


def own_kind() -> Path | None:
    """Return the path of the user's own kind, or None where one is to be built.

    Raises:
        LaunchError: KIND_BIN names no program.
    """
    return _own(KIND, "kind")


def kind_recipe() -> Recipe:
    """Return what is built for kind.

    Raises:
        LaunchError: go/kind/go.mod cannot be read or does not name kind.
    """
    return required("kind", paths.project_path("go", "kind"), _MODULE, "about 1 minute, 150 MB")


def kubectl() -> Program:
    """Return kubectl: that of KUBECTL_BIN, or the first on the path.

    Raises:
        LaunchError: There is none, or it does not run.
    """
    if (path := _own(KUBECTL, "kubectl")) is None:
        raise LaunchError(
            f"kubectl is not on the path, and {KUBECTL} is not set", hint=_HOW_KUBECTL
        )
    said = processes.capture([str(path), "version", "--client", "--output=json"])
    try:
        version = json.loads(said or "")["clientVersion"]["gitVersion"]
    except (KeyError, TypeError, ValueError) as error:
        raise LaunchError(f"{path} does not answer like kubectl", hint=_HOW_KUBECTL) from error
    return Program(path, str(version).removeprefix("v"), digest(path))


def _own(variable: str, name: str) -> Path | None:
    hint = f"set {variable} to the path of {name}, or unset it"
    if (named := chosen(variable, LaunchError, hint)) is not None:
        return named
    on_path = shutil.which(name)
    return Path(on_path).absolute() if on_path else None
