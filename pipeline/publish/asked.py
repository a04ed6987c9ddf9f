"""What the people who own the repository asked for: nothing of it comes from an artifact."""

import argparse
import shlex
from dataclasses import dataclass
from enum import StrEnum

from pipeline.model.publication import Origin
from pipeline.model.subject import Product
from pipeline.system import paths
from pipeline.system.errors import ConfigError

MOST_PAIRS = 1_000
"""Of a run."""


class FailOn(StrEnum):
    """What turns a check red."""

    REGRESSION = "regression"
    INCONCLUSIVE = "inconclusive"
    """That too."""

    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments that decide.

    Attributes:
        key: By which a comment is found again; None for the name of the suite.
        suite: Name or path of the suite that was to be measured; None where the artifact may say.
        product: What was to be measured.
        pairs: A fixed number of pairs; None for as many as the answer needs.
        fail_on: What turns the check red.
        ignore: Git's patterns of files that cannot change how fast anything is.
        fork_label: That a pull request from a fork must have; empty for none.
        build: Command that builds a checkout, to be recommended; empty for none.
    """

    key: str | None = None
    suite: str | None = None
    product: Product = Product.MILO
    pairs: int | None = None
    fail_on: FailOn = FailOn.REGRESSION
    ignore: tuple[str, ...] = ()
    fork_label: str = ""
    build: str = ""


def asked(args: argparse.Namespace) -> Asked:
    """Return what the command line asks for.

    Raises:
        ConfigError: A number of pairs is none.
    """
    return Asked(
        key=args.key,
        suite=args.suite,
        product=Product(args.product),
        pairs=_pairs(args.pairs),
        fail_on=FailOn(args.fail_on),
        ignore=tuple(line for line in args.ignore.splitlines() if line),
        fork_label=args.fork_label,
        build=args.build,
    )


def reproduce(wanted: Asked, origin: Origin) -> str:
    """Return the command that measures the same commits again; empty where there is none.

    A fork gets none, because it would build and run what a stranger wrote.
    """
    if origin.is_fork or not (wanted.suite and origin.head_sha and origin.base_sha):
        return ""
    head, left = origin.head_sha, f"$(git merge-base {origin.base_sha} {origin.head_sha})"
    if wanted.product is Product.REFERENCE:
        arms = (
            f"reference@$(git rev-parse {head}:reference)",
            f"reference@$(git rev-parse {left}:reference)",
        )
    else:
        arms = f"source:.@{head}", f"source:.@{left}"
    suite = paths.portable_name(wanted.suite)
    pairs = "auto" if wanted.pairs is None else f"{wanted.pairs}"
    words = [
        *("milo-perf run --suite", shlex.quote(suite)),
        *("--candidate", arms[0], "--against", arms[1], "--pairs", pairs),
    ]
    if wanted.build and wanted.product is Product.MILO:
        words += ["--build", shlex.quote(wanted.build)]
    return " ".join(words)


def _pairs(text: str) -> int | None:
    if text == "auto":
        return None
    if not (text.isascii() and text.isdecimal() and 2 <= int(text) <= MOST_PAIRS):
        raise ConfigError(f"--pairs {text}: write a number from 2 to 1000, or `auto`")
    return int(text)
