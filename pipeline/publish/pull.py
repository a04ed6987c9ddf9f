"""Find the pull request that a run belongs to, and make sure that it is the one.

Never by a number from an artifact, nor by names alone: a branch of a fork may be called `main`.
What proves it are the commit and the id of its repository, which the event and the API agree on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipeline.publish.event import Event
from pipeline.publish.github import GitHub, GoneError

MOST_FILES: Final = 3_000
"""That GitHub lists of a pull request; of one that changes as many, some may be left out."""


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request whose head is what was measured.

    Attributes:
        number: Of it.
        labels: That are on it now.
        base: Name of the branch that it is for.
        base_sha: Commit at the tip of that branch.
    """

    number: int
    labels: frozenset[str]
    base: str = ""
    base_sha: str = ""


def find(github: GitHub, event: Event) -> Pull | str:
    """Return the pull request, or a sentence on why there is none to comment on.

    Raises:
        PipelineError: GitHub does not answer, or the token may not see pull requests.
    """
    if not event.is_of_pull:
        return "the run was not of a pull request"
    if not event.head_repository:
        return "the repository of the commit is gone, so its pull request cannot be told"
    sha = event.origin.head_sha
    ours = [p for p in _open(github, event) if _repository(p) == event.head_repository]
    same = [pull for pull in ours if pull["head"]["sha"] == sha]
    named = [pull for pull in same if pull["number"] in event.numbers]
    if len(named) == 1:
        same = named
    if len(same) == 1:
        labels = frozenset(str(label["name"]) for label in same[0].get("labels", ()))
        base = same[0]["base"]
        return Pull(int(same[0]["number"]), labels, str(base["ref"]), str(base["sha"]))
    if same:
        which = ", ".join(f"#{pull['number']}" for pull in same)
        return f"several open pull requests have the commit {sha[:12]}: {which}"
    if ours:
        now = ", ".join(f"#{pull['number']} to {pull['head']['sha'][:12]}" for pull in ours)
        return (
            f"these are results for an older commit, {sha[:12]}: the pull request has moved on"
            f" ({now}), so its comment is left as it is"
        )
    return f"no open pull request has the commit {sha[:12]}"


def base_of(github: GitHub, number: int, sha: str) -> str | None:
    """Return the branch that an open pull request with this commit is for; None if it is not so.

    Raises:
        PipelineError: GitHub does not answer, or the token may not see pull requests.
    """
    try:
        pull = github.get(f"/pulls/{number}")
    except GoneError:
        return None
    is_it = pull["state"] == "open" and pull["head"]["sha"] == sha
    return str(pull["base"]["ref"]) if is_it else None


def changed_files(github: GitHub, number: int) -> tuple[str, ...] | None:
    """Return every path that a pull request touches, of a move both; None if there are too many.

    Raises:
        PipelineError: As `base_of`.
    """
    files = list(github.pages(f"/pulls/{number}/files"))
    if len(files) >= MOST_FILES:
        return None
    names = (
        str(file[key])
        for file in files
        for key in ("filename", "previous_filename")
        if file.get(key)
    )
    return tuple(dict.fromkeys(names))


def _open(github: GitHub, event: Event) -> list[Mapping[str, Any]]:
    """Return the open pull requests that may be meant."""
    if event.number:
        try:
            pull = github.get(f"/pulls/{event.number}")
        except GoneError:
            return []
        return [pull] if pull["state"] == "open" else []
    head = f"{event.head_owner}:{event.head_branch}"
    return list(github.pages("/pulls", state="open", head=head))


def _repository(pull: Mapping[str, Any]) -> int:
    """Return the id of the repository of a pull request's commits; 0 when it is gone."""
    repo = pull["head"]["repo"]
    return int(repo["id"]) if repo else 0
