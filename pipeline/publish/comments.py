"""Keep one comment of ours on a pull request up to date."""

import re

from pipeline.model.publication import Outcome, Publication
from pipeline.model.report import Verdict
from pipeline.publish import upsert
from pipeline.publish.github import GitHub
from pipeline.publish.pull import NoPullRequest, PullRequest
from pipeline.publish.upsert import KeepReason
from pipeline.render.comment import TextKind, comment_bodies, marker

LABEL = "milo-perf-comment"
"""Label of a pull request whose author wants a comment for every result."""

_FOREIGN_BLOCK = re.compile(r"^```text\n.*?^```$", re.DOTALL | re.MULTILINE)
_OWN_LINK = re.compile(
    r"^(?:.* · )?\[Workflow run(?: \d+)?\]\((\S*/actions/runs/\d+)\)(?:, attempt (\d{1,9}))?",
    re.MULTILINE,
)


def send_comment(
    publication: Publication,
    pull: PullRequest | NoPullRequest,
    github: GitHub,
    *,
    author: str,
    when: str,
) -> str:
    """Create or update the comment, and return what was done in a sentence.

    `when` names the results that create a comment: `always`, `changes` or `never`.
    """
    if when == "never":
        return "comment: none, as asked"
    if publication.outcome in (Outcome.WAITING, Outcome.STOPPED):
        return "comment: not changed, because nothing was measured"
    if isinstance(pull, NoPullRequest):
        return f"comment: none: {pull.reason}"
    origin, is_result = publication.origin, publication.outcome.is_result
    own_run = _run_of(origin.run_url, origin.attempt)
    is_wanted = is_result and (when == "always" or LABEL in pull.labels)

    def reason_to_keep(body: str) -> KeepReason | None:
        if not is_result and origin.head_sha and f"`{origin.head_sha[:12]}`" in body:
            return KeepReason.HAS_RESULT
        return KeepReason.LATER_RUN if (0, 0) < own_run < _run_of_comment(body) else None

    return upsert.upsert(
        comment_thread(github, pull.number),
        marker(TextKind.COMMENT, publication.key),
        author,
        comment_bodies(publication),
        may_create=is_wanted or needs_attention(publication),
        reason_to_keep=reason_to_keep,
    )


def needs_attention(publication: Publication) -> bool:
    """Return whether a result creates a comment where there is none.

    It does if a gating metric regressed and nobody has accepted it, if the run as a whole improved,
    or if the run broke or lacks numbers.  A pass, an inconclusive run and an accepted regression
    only update an existing comment; the check shows them too.
    """
    if publication.outcome in (Outcome.REGRESSED, Outcome.INCOMPLETE, Outcome.BROKEN):
        return True
    report = publication.report
    is_improved = report is not None and report.verdict is Verdict.IMPROVED
    return publication.outcome is Outcome.PASSED and is_improved


def comment_thread(github: GitHub, number: int) -> upsert.CommentThread:
    """Return the comments of a pull request."""
    comments = f"/issues/{number}/comments"
    return upsert.CommentThread(
        name=f"comment on #{number}",
        list_texts=lambda: github.pages(comments),
        create=lambda body: github.create(comments, {"body": body}),
        replace=lambda which, body: github.replace(f"/issues/comments/{which}", {"body": body}),
        delete=lambda which: github.delete(f"/issues/comments/{which}"),
    )


def _run_of_comment(body: str) -> tuple[int, int]:
    """Return the workflow run that a comment of ours links to, and its attempt.

    Blocks of foreign text are ignored: they could name a future run.
    """
    links = _OWN_LINK.findall(_FOREIGN_BLOCK.sub("", body))
    return _run_of(links[-1][0], int(links[-1][1] or 1)) if links else (0, 0)


def _run_of(url: str, attempt: int) -> tuple[int, int]:
    match = re.search(r"/actions/runs/(\d{1,20})$", url)
    return (int(match[1]), attempt) if match else (0, 0)
