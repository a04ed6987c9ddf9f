"""The options of `publish`, from the owners of the repository and never from an artifact."""

import argparse
import re
import shlex
from dataclasses import dataclass
from enum import StrEnum

from pipeline.model.publication import Origin
from pipeline.model.request import MAX_PAIRS
from pipeline.model.subject import Product
from pipeline.system import paths
from pipeline.system.errors import ConfigError

_KEY = re.compile(r"[a-z0-9][a-z0-9/_.-]{0,79}")


class FailOn(StrEnum):
    """What turns a check red."""

    REGRESSION = "regression"
    INCONCLUSIVE = "inconclusive"
    """An inconclusive run as well as a regression."""

    NEVER = "never"


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """What was to be measured, and how it is judged.

    Attributes:
        key: Name by which a comment is found again; None for the name of the suite.
        suite: Name or path of the suite; None if the artifact may name it.
        pairs: Fixed number of pairs; None for as many as the answer needs.
        ignore: Git patterns of files that cannot affect performance.
        fork_label: Label that a pull request from a fork needs; empty for none.
        build: Command that builds a checkout, for the reproduce command; empty for none.
        driver: Kind of the only driver whose workloads were to be run; empty for all.
        is_own: True for results that this process measured, which are judged as they are.
    """

    key: str | None = None
    suite: str | None = None
    product: Product = Product.MILO
    pairs: int | None = None
    fail_on: FailOn = FailOn.REGRESSION
    ignore: tuple[str, ...] = ()
    fork_label: str = ""
    build: str = ""
    driver: str = ""
    is_own: bool = False


def options_from(args: argparse.Namespace) -> PublishOptions:
    """Return the options of the command line.

    Raises:
        ConfigError: The number of pairs is invalid.
    """
    return PublishOptions(
        key=args.key,
        suite=args.suite,
        product=Product(args.product),
        pairs=_pairs(args.pairs),
        fail_on=FailOn(args.fail_on),
        ignore=tuple(line for line in args.ignore.splitlines() if line),
        fork_label=args.fork_label,
        build=args.build,
        driver=args.driver,
        is_own=args.is_own,
    )


def require_key(key: str) -> str:
    """Return a key that can stand in a marker.

    Raises:
        ConfigError: The key has other characters.
    """
    if not _KEY.fullmatch(key):
        raise ConfigError(
            f"`{key[:80]}` cannot be a key",
            hint="use lower-case letters, digits, `/`, `.`, `_`, `-`",
        )
    return key


def reproduce_command(options: PublishOptions, origin: Origin) -> str:
    """Return the command that measures the same commits again; empty if there is none.

    A fork gets none, because the command would build and run a stranger's code.
    """
    if origin.is_fork or not (options.suite and origin.head_sha and origin.base_sha):
        return ""
    head, base = origin.head_sha, f"$(git merge-base {origin.base_sha} {origin.head_sha})"
    if options.product is Product.REFERENCE:
        candidate, baseline = (
            f"reference@$(git rev-parse {commit}:go/reference)" for commit in (head, base)
        )
    else:
        candidate, baseline = f"source:.@{head}", f"source:.@{base}"
    words = [
        *("milo-perf run --suite", shlex.quote(paths.portable_name(options.suite))),
        *("--candidate", candidate, "--against", baseline),
        *("--pairs", "auto" if options.pairs is None else f"{options.pairs}"),
    ]
    if options.driver:
        words += ["--driver", options.driver]
    if options.build and options.product is Product.MILO:
        words += ["--build", shlex.quote(options.build)]
    return " ".join(words)


def _pairs(text: str) -> int | None:
    if text == "auto":
        return None
    if not (re.fullmatch(r"[0-9]{1,9}", text) and 2 <= int(text) <= MAX_PAIRS):
        raise ConfigError(f"--pairs {text}: write a number from 2 to {MAX_PAIRS}, or `auto`")
    return int(text)
