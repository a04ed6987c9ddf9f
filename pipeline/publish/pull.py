"""Find the pull request that a run belongs to, and the files that it changes.

A pull request is never found by a number from an artifact, nor by names alone: a branch of a fork
may be called `main`.  The proof is the commit and the id of its repository, which the event and the
API agree on.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from pipeline.publish.event import Event
from pipeline.publish.github import GitHub, GoneError

MAX_FILES: Final = 3_000
"""Number of files that GitHub lists of a pull request; a longer list is cut off."""

_PATTERN_PART: Final = re.compile(rb"(?:(?<=/)|^)\*\*+(?P<deep>/|$)|\*+|\?|[^*?]+")


@dataclass(frozen=True, slots=True)
class PullRequest:
    """An open pull request whose head is the measured commit, and the tip of its base branch."""

    number: int
    labels: frozenset[str]
    base: str = ""
    base_sha: str = ""


@dataclass(frozen=True, slots=True)
class NoPullRequest:
    """The reason why a run has no pull request to comment on."""

    reason: str


GITHUB_NOT_ASKED: Final = NoPullRequest("GitHub was not asked")


def find_pull(github: GitHub, event: Event) -> PullRequest | NoPullRequest:
    """Return the pull request of a run, or the reason why there is none."""
    if not event.is_of_pull:
        return NoPullRequest("the run was not of a pull request")
    if not event.head_repository:
        return NoPullRequest(
            "the repository of the commit is deleted, so its pull request is unknown"
        )
    sha = event.origin.head_sha
    ours = [p for p in _open_pulls(github, event) if _repository_id(p) == event.head_repository]
    same = [pull for pull in ours if pull["head"]["sha"] == sha]
    named = [pull for pull in same if pull["number"] in event.numbers]
    if len(named) == 1:
        same = named
    if len(same) == 1:
        labels = frozenset(str(label["name"]) for label in same[0].get("labels", ()))
        base = same[0]["base"]
        return PullRequest(int(same[0]["number"]), labels, str(base["ref"]), str(base["sha"]))
    if same:
        numbers = ", ".join(f"#{pull['number']}" for pull in same)
        return NoPullRequest(f"several open pull requests have the commit {sha[:12]}: {numbers}")
    if ours:
        heads = ", ".join(f"#{pull['number']} to {pull['head']['sha'][:12]}" for pull in ours)
        return NoPullRequest(
            f"these are results for an older commit, {sha[:12]}: the pull request has moved on"
            f" ({heads}), so its comment is not changed"
        )
    return NoPullRequest(f"no open pull request has the commit {sha[:12]}")


def base_of(github: GitHub, number: int, sha: str) -> str | None:
    """Return the base branch of an open pull request with this commit; None if there is none."""
    try:
        pull = github.get(f"/pulls/{number}")
    except GoneError:
        return None
    is_match = pull["state"] == "open" and pull["head"]["sha"] == sha
    return str(pull["base"]["ref"]) if is_match else None


def changed_files(github: GitHub, number: int) -> tuple[str, ...] | None:
    """Return every path that a pull request changes, both of a move; None if there are too many."""
    files = list(github.pages(f"/pulls/{number}/files"))
    if len(files) >= MAX_FILES:
        return None
    names = (
        str(file[key])
        for file in files
        for key in ("filename", "previous_filename")
        if file.get(key)
    )
    return tuple(dict.fromkeys(names))


def relevant_files(files: Iterable[str], ignored: Sequence[str]) -> list[str]:
    """Return the files that no pattern covers, so that they may affect performance.

    `decide.sh` gives the same patterns to git in the measuring job.  That job runs the workflow
    file of the pull request, so its decision is repeated here.  Patterns are git's `:(top,glob)`
    pathspecs; one with `[` or a backslash covers nothing.
    """
    patterns = [_pattern(pattern.encode()) for pattern in ignored if pattern]
    return [name for name in files if not any(one.fullmatch(name.encode()) for one in patterns)]


def _open_pulls(github: GitHub, event: Event) -> list[Mapping[str, Any]]:
    """Return the open pull requests that the event may be about."""
    if event.number:
        try:
            pull = github.get(f"/pulls/{event.number}")
        except GoneError:
            return []
        return [pull] if pull["state"] == "open" else []
    head = f"{event.head_owner}:{event.head_branch}"
    return list(github.pages("/pulls", state="open", head=head))


def _repository_id(pull: Mapping[str, Any]) -> int:
    """Return the id of the repository of a pull request's commits; 0 if that is deleted."""
    repo = pull["head"]["repo"]
    return int(repo["id"]) if repo else 0


@cache
def _pattern(pathspec: bytes) -> re.Pattern[bytes]:
    """Return a pathspec as a regular expression of bytes, as git matches them."""
    if re.search(rb"[\[\\]", pathspec):
        return re.compile(rb"(?!)")
    if not re.search(rb"[*?]", pathspec):  # a name covers the file and what is in the folder
        return re.compile(rb"%b(?:/.*)?" % re.escape(pathspec.rstrip(b"/")), re.DOTALL)
    expression = b""
    for part in _PATTERN_PART.finditer(pathspec):
        text = part[0]
        if part["deep"] is not None:
            expression += b"(?:.*/)?" if part["deep"] else b".*"
        elif text.startswith(b"*"):
            expression += b"[^/]*"
        elif text == b"?":
            expression += b"[^/]"
        else:
            expression += re.escape(text)
    return re.compile(expression, re.DOTALL)
