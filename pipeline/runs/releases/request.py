"""The releases of a command line: a range of git tags, or named builds.

Releases that cannot be measured, or not in their order, are a ConfigError.
"""

import difflib
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline import toolchain
from pipeline.model.releases import Release
from pipeline.model.request import ReleasesRequest, RunRequest
from pipeline.model.subject import Product
from pipeline.model.version import Version, parse_version
from pipeline.runs import preflight
from pipeline.runs.plan import Plan
from pipeline.runs.request import resolve, spec_of
from pipeline.runs.suite_file import LoadedSuite
from pipeline.system import paths
from pipeline.system.errors import ConfigError
from pipeline.system.sanitize import truncate

MAX_RELEASES = 40
"""Largest number of releases: their numbers must fit a file that can be read again."""

_NAMED = re.compile(r"(?P<name>[0-9A-Za-z][0-9A-Za-z._+-]{0,79})=(?P<spec>.+)", re.DOTALL)
_FORMS = (
    "write `releases --build COMMAND REPO v1.2.0..v1.5.0`, or"
    " `releases v1.2.0=binary:PATH v1.3.0=binary:PATH`"
)
_SHOWN = 80  # characters of a wrong argument in a message
_NAMES = 5  # tags in one message


def releases_of(words: Sequence[str]) -> tuple[Release, ...]:
    """Return the releases that the words of a command line name, in their order.

    The words are a repository and a range of its tags, or `NAME=SPEC` for each build.
    """
    named = [_NAMED.fullmatch(word) for word in words]
    if words and all(named):
        found = [Release(match["name"], match["spec"]) for match in named if match]
        _require_unique(release.name for release in found)
        _require_order([release.name for release in found])
    elif len(words) == 2 and not named[1]:
        found = _tagged(*words)
    else:
        raise ConfigError(
            f"releases of what? `{truncate(' '.join(words), _SHOWN)}` is neither a repository with"
            " a range of tags, nor builds with their names"
            if words
            else "releases of what?",
            hint=_FORMS,
        )
    if len(found) < 2:
        raise ConfigError(
            f"one release, `{found[0].name}`, has nothing to be compared with", hint=_FORMS
        )
    if len(found) > MAX_RELEASES:
        raise ConfigError(
            f"{len(found)} releases: one page has at most {MAX_RELEASES}",
            hint="measure a shorter range; two ranges may share one release",
        )
    return tuple(found)


def check(request: ReleasesRequest, out: Path) -> tuple[LoadedSuite, Plan]:
    """Return the suite and the plan of the steps, if each of them can be carried out.

    Nothing is built.
    """
    releases, run = request.releases, request.run
    specs = [spec_of(release.spec) for release in releases]
    for release, spec in zip(releases, specs, strict=True):
        if spec.product is not specs[0].product:
            raise ConfigError(
                f"`{releases[0].name}` and `{release.name}` are builds of different products",
                hint=f"all releases of one command are of {' or of '.join(Product)}",
            )
    for spec in specs:
        toolchain.require_buildable(spec, run.build)
    resolved = [
        resolve(step_request(run, before, after)) for before, after in itertools.pairwise(releases)
    ]
    preflight.require(resolved[0].plan, specs, out)
    return resolved[0].suite, resolved[0].plan


def step_request(run: RunRequest, before: Release, after: Release) -> RunRequest:
    """Return the request of the run that compares two releases."""
    return replace(run, candidate=after.spec, against=before.spec)


def require_same_commits(request: ReleasesRequest) -> None:
    """Raise ConfigError if a tag was moved or removed since the measurement started."""
    known: dict[str, Mapping[str, str]] = {}
    for release in request.releases:
        if not release.commit:
            continue
        place = spec_of(release.spec).place
        if place not in known:
            known[place] = _tags_of(place)
        now = known[place].get(release.name, "gone")
        if now != release.commit:
            raise ConfigError(
                f"the tag {release.name} was moved since the measurement started: it was"
                f" {release.commit[:12]}, now it is {now[:12]}",
                hint="start a new one",
            )


def _tagged(repository: str, text: str) -> list[Release]:
    """Return the releases of a range of tags, by version."""
    first, dots, last = text.partition("..")
    if not dots or not first or not last or last.startswith("."):
        raise ConfigError(
            f"`{truncate(text, _SHOWN)}` is not a range of tags",
            hint="write both ends, such as v1.2.0..v1.5.0; both are measured",
        )
    tags = _tags_of(repository)
    if not tags:
        raise ConfigError(
            f"the repository at {repository} has no tags", hint="git fetch --tags, there"
        )
    ends = [_version_of(name, tags, repository) for name in (first, last)]
    _require_unique((first, last))
    if ends[0].prefix != ends[1].prefix:
        raise ConfigError(
            f"`{first}` and `{last}` are tags of two series of versions",
            hint="both ends begin with the same text, such as `v`",
        )
    if ends[0].order > ends[1].order:
        raise ConfigError(
            f"`{first}` is a later version than `{last}`", hint=f"write {last}..{first}"
        )
    chosen = [
        (version.order, name)
        for name in tags
        if (version := parse_version(name))
        and version.prefix == ends[0].prefix
        and ends[0].order <= version.order <= ends[1].order
        and (name in (first, last) or not version.pre_release)
    ]
    return [Release(name, f"source:{repository}@{name}", tags[name]) for _, name in sorted(chosen)]


def _tags_of(repository: str) -> Mapping[str, str]:
    tags = toolchain.git_tags(paths.expand(repository))
    if tags is None:
        raise ConfigError(
            f"{repository} is not a git repository, or git is missing",
            hint="give the folder of a clone; `NAME=binary:PATH` takes what is built already",
        )
    return tags


def _version_of(name: str, tags: Mapping[str, str], repository: str) -> Version:
    """Return the version of an end of the range."""
    if name not in tags:
        near = difflib.get_close_matches(name, tags, n=_NAMES)
        raise ConfigError(
            f"the repository at {repository} has no tag `{truncate(name, _SHOWN)}`",
            hint=f"did you mean {' or '.join(near)}?" if near else "git fetch --tags, there",
        )
    version = parse_version(name)
    if version is None:
        raise ConfigError(
            f"the tag `{truncate(name, _SHOWN)}` is not a semantic version, so it has no place in a"
            " range",
            hint="name the builds one by one: NAME=source:DIR@REVISION",
        )
    return version


def _require_unique(names: Iterable[str]) -> None:
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        raise ConfigError(
            f"`{truncate(twice[0], _SHOWN)}` is there twice",
            hint="name each release once; `run --against SPEC` compares a build with itself",
        )


def _require_order(names: Sequence[str]) -> None:
    """Refuse names that are all versions of one series, and are not in their order."""
    versions = [version for name in names if (version := parse_version(name))]
    if len(versions) < len(names) or len({version.prefix for version in versions}) > 1:
        return
    for index, (before, after) in enumerate(itertools.pairwise(versions)):
        if before.order > after.order:
            ordered = sorted(zip(names, versions, strict=True), key=lambda pair: pair[1].order)
            raise ConfigError(
                f"`{names[index + 1]}` is an earlier version than `{names[index]}` before it",
                hint=f"the order of the versions is {', '.join(name for name, _ in ordered)}",
            )
