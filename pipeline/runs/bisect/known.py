"""Earlier searches: a change whose commit is known is not searched again."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.judge import bisect as judge
from pipeline.model.bisect import Bisection
from pipeline.model.report import Change
from pipeline.storage import artifact, codec
from pipeline.system.errors import ConfigError
from pipeline.system.log import log
from pipeline.toolchain import commits as git_commits

_MAX_FILES = 500


@dataclass(frozen=True, slots=True)
class SearchRange:
    """The commits that a search is asked for.

    Attributes:
        clone: Folder of the clone.
        good: Commit of the good end.
        bad: Commit of the bad end.
        suite: Name of the suite.
    """

    clone: Path
    good: str
    bad: str
    suite: str

    def has(self, commit: str) -> bool:
        """Return whether a commit is after the good end, and not after the bad one."""
        is_before_bad = git_commits.is_ancestor(self.clone, commit, self.bad)
        return is_before_bad and not git_commits.is_ancestor(self.clone, commit, self.good)


def read_searches(folder: Path) -> tuple[Bisection, ...]:
    """Return the searches in a folder that found a commit, the newest first.

    A file that cannot be read is left out with a warning: its change is searched again.

    Raises:
        ConfigError: There is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"{folder} is not a folder",
            hint="--known takes a folder with the bisect.json of searches",
        )
    found = []
    for path in sorted(folder.glob("*.json"))[:_MAX_FILES]:
        try:
            search = codec.BISECT.parse(artifact.file_in(folder, path.name) or b"")
        except ValueError as error:
            log.warning("%s is no search, and is left out: %s", path, error)
            continue
        if search.found:
            found.append(search)
    return tuple(sorted(found, key=lambda one: one.taken_at, reverse=True))


def earlier_search(
    searches: Iterable[Bisection], asked: SearchRange, key: str, now: Change | None = None
) -> Bisection | None:
    """Return the newest search that answers for the change of a metric; None if it is unknown.

    Args:
        searches: Earlier searches, the newest first.
        asked: Commits among which the change is.
        key: `workload/metric`, or the metric alone.
        now: Change of the metric from the good to the bad end; None if its size is unknown.
    """
    for one in searches:
        is_of_metric = one.suite == asked.suite and key in (one.key, one.metric.name)
        if is_of_metric and judge.covers(one, now) and _are_in(one, asked):
            return one
    return None


def _are_in(search: Bisection, asked: SearchRange) -> bool:
    """Return whether every commit that a search found is in a range."""
    return all(asked.has(search.commits[cause.commit].id) for cause in search.found)
