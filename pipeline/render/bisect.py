"""Render a search for a commit: the answer, rows and words for all formats, Markdown and text."""

import shlex
from dataclasses import dataclass

from pipeline.judge import bisect as judge
from pipeline.judge.bisect import BisectDecision, BisectState, CauseSize
from pipeline.model.bisect import Bisection, Commit, CommitOutcome
from pipeline.model.report import Change
from pipeline.model.results import PROFILE
from pipeline.render.numbers import brief_interval, count, duration, moment, share
from pipeline.render.templates import render_markdown
from pipeline.render.words import profile_arguments
from pipeline.system.sanitize import printable, truncate

MARK = "▶"
"""Mark of a commit that was found."""

_OUTCOMES = {
    CommitOutcome.MEASURED: "measured",
    CommitOutcome.SAME_BUILD: "same build",
    CommitOutcome.NOT_BUILT: "does not build",
    CommitOutcome.FAILED: "no numbers",
}
_SHOWN_FILES = 12
_SUBJECT = 72  # characters of a subject in a line
_MOST_PROBABLE = 0.999  # of a range; nothing is certain
_ID = 12  # digits of a commit that are shown


@dataclass(frozen=True, slots=True)
class FoundCause:
    """A commit that was found, in words.

    Attributes:
        commit: Commit.
        size: Size of its change.
        change: Change with its interval.
        share: Share of the whole change, with its interval.
        rest: Sentence about what other commits change; empty if it explains all.
        files: Files that it changed, and the number of further ones.
        command: Command that measures it against the commit before it.
        link: Address of the commit; empty without a known origin.
        pull: Address of its pull request; empty without one.
    """

    commit: Commit
    size: CauseSize
    change: str
    share: str
    rest: str
    files: tuple[str, ...]
    command: str
    link: str
    pull: str


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One commit that was tried.

    Attributes:
        position: Position in the history.
        commit: Commit.
        state: Result in a few words, with the reason if it was skipped.
        change: Change against the good end, with its interval; empty without numbers.
        pairs: Number of pairs; empty without any of its own.
        is_cause: True if it was found.
    """

    position: int
    commit: Commit
    state: str
    change: str
    pairs: str
    is_cause: bool


def headline(bisection: Bisection) -> str:
    """Return the answer in one sentence."""
    decision = judge.decide(bisection)
    ends = f"{bisection.good} and {bisection.bad}"
    if bisection.found:
        parts = [
            f"{one.commit.id[:_ID]} changed {bisection.key} by {one.change}"
            for one in causes(bisection)
        ]
        more = _no_more(decision) if len(parts) < bisection.wanted else ""
        return "; ".join(parts) + more
    match decision.state:
        case BisectState.SAME_ENDS:
            level = judge.levels(bisection)[-1]
            change = brief_interval(bisection.metric, level.change)
            pairs = count(level.pairs, "pair")
            return f"{ends} do not differ in {bisection.key}: {change}, after {pairs}"
        case BisectState.COMPARING_ENDS:
            return f"not decided: {ends} were not compared in enough pairs"
        case BisectState.SKIPPED:
            skipped = count(decision.high - decision.low, "commit")
            return f"one of {skipped} changed {bisection.key}, and they cannot be told apart"
        case BisectState.SPREAD:
            return f"several commits changed {bisection.key}, and none stands out"
        case _:
            return f"not decided: one of {remaining(bisection, decision)} changed {bisection.key}"


def remaining(bisection: Bisection, decision: BisectDecision) -> str:
    """Return the range that has the cause, in words."""
    low, high = (bisection.commit_at(at).id[:_ID] for at in (decision.low, decision.high))
    number = count(decision.high - decision.low, "commit")
    probability = share(min(_MOST_PROBABLE, decision.probability))
    return f"{number} after {low} up to {high} ({probability} probable)"


def causes(bisection: Bisection) -> tuple[FoundCause, ...]:
    """Return the commits that were found, in words."""
    shown = []
    for one in bisection.found:
        commit = bisection.commits[one.commit]
        size = judge.size_of(bisection, bisection.position_of(one.commit))
        link = f"{bisection.url}/commit/{commit.id}" if bisection.url else ""
        pull = f"{bisection.url}/pull/{commit.pull}" if bisection.url and commit.pull else ""
        files = one.files[:_SHOWN_FILES]
        more = len(one.files) - len(files) + one.more_files
        shown.append(
            FoundCause(
                commit,
                size,
                brief_interval(bisection.metric, size.change),
                share_text(size.share),
                _rest_sentence(bisection, size),
                (*files, f"and {count(more, 'more file')}") if more else files,
                command_of(bisection, one.commit),
                link,
                pull,
            )
        )
    return tuple(shown)


def share_text(part: Change) -> str:
    """Return a share of the whole change with its interval: `98 % (94 to 102 %)`."""
    low, middle, high = (f"{100 * end:.0f}" for end in (part.low, part.estimate, part.high))
    return f"{middle} % ({low} to {high} %)" if (low, high) != (middle, middle) else f"{middle} %"


def command_of(bisection: Bisection, index: int) -> str:
    """Return the command that measures a commit against the one before it."""
    place, mark, settings = bisection.repository.partition("?")
    candidate, against = (
        f"source:{place}@{bisection.commits[at].id}{mark}{settings}" for at in (index, index - 1)
    )
    words = ["milo-perf", "run", "--candidate", candidate, "--against", against]
    words += ["--build", bisection.build, "--suite", bisection.suite_path or bisection.suite]
    if bisection.place:
        words += ["--environment", bisection.place]
    words += profile_arguments(bisection.machine)
    return shlex.join(map(printable, words))


def evidence_rows(bisection: Bisection) -> tuple[EvidenceRow, ...]:
    """Return a row for each commit that was tried, by position; the good end is the first."""
    by_position = {level.position: level for level in judge.levels(bisection)}
    found = {one.commit for one in bisection.found}
    rows = [EvidenceRow(0, bisection.commits[0], "the good end", "", "", is_cause=False)]
    for one in sorted(bisection.evidence, key=lambda evidence: evidence.commit):
        position = bisection.position_of(one.commit)
        level = by_position.get(position)
        state = _OUTCOMES[one.outcome]
        if one.same_as is not None:
            state = f"the build of {bisection.commits[one.same_as].id[:_ID]}"
        rows.append(
            EvidenceRow(
                position,
                bisection.commits[one.commit],
                f"{state}: {one.reason}" if one.reason else state,
                brief_interval(bisection.metric, level.change) if level else "",
                f"{level.pairs}" if level and level.pairs else "",
                is_cause=one.commit in found,
            )
        )
    return tuple(rows)


def notes(bisection: Bisection) -> list[str]:
    """Return a sentence for each thing that the reader should know."""
    sentences = []
    decision = judge.decide(bisection)
    if merged := len(bisection.commits) - 1 - bisection.last_position:
        verb = "changes" if merged == 1 else "change"
        sentences.append(
            f"{count(merged, 'commit')} {verb} only documentation, tests or workflows, and"
            f" {'counts' if merged == 1 else 'count'} as the one before"
        )
    for position in bisection.skipped:
        evidence = bisection.evidence_at(position)
        if evidence:
            commit, reason = bisection.commit_at(position), evidence.reason
            sentences.append(
                f"{commit.id[:_ID]} is skipped: {_OUTCOMES[evidence.outcome]}: {reason}"
            )
    if decision.state is BisectState.SKIPPED:
        names = [
            _commit_text(bisection.commit_at(at))
            for at in range(decision.low + 1, decision.high + 1)
        ]
        sentences.append(f"the cause is one of: {'; '.join(names[:10])}")
    if not bisection.is_finished:
        sentences.append("not finished; `milo-perf bisect --resume DIR` goes on")
    return sentences


def method(bisection: Bisection) -> list[tuple[str, str]]:
    """Return how the answer came about, each with its name."""
    alpha = judge.ENDS_ALPHA + judge.POSITION_ALPHA
    texts = {
        "change": f"against the good end, with a {share(judge.CONFIDENCE)} interval; the variance"
        " of a pair is pooled over all commits and earlier runs",
        "next": "the commit with most expected information per second, its build included, until"
        " the probability that the cause is on its other side is small",
        "error": f"at most {share(alpha)}: {share(judge.ENDS_ALPHA)} to search equal ends, and"
        f" {share(judge.POSITION_ALPHA)} to name another commit",
        "history": "commits by first parent; a merge counts as one change",
        "seed": f"{bisection.seed}",
    }
    return list(texts.items())


def identity(bisection: Bisection) -> str:
    """Return range, suite, environment, machine and time in one line."""
    machine = bisection.machine
    others = {PROFILE, "environment", *bisection.tools}
    facts = [f"{k} {fact}" for k, fact in sorted(machine.fingerprint.items()) if k not in others]
    commits = count(len(bisection.commits) - 1, "commit")
    return printable(
        f"{bisection.good}..{bisection.bad}, {commits} by first parent; suite {bisection.suite},"
        f" environment {bisection.environment}, profile {machine.profile};"
        f" {moment(bisection.taken_at)}, {duration(bisection.spent_s)} with builds,"
        f" {count(bisection.pairs, 'pair')} of {count(len(bisection.measured), 'commit')};"
        f" {', '.join(facts)}"
    )


def bisect_markdown(bisection: Bisection) -> str:
    """Return the answer and the evidence as Markdown."""
    return render_markdown(
        "bisect.md.j2",
        headline=headline(bisection),
        identity=identity(bisection),
        causes=[
            {
                "id": one.commit.id[:_ID],
                "date": f"{one.commit.authored_at:%Y-%m-%d}",
                "subject": one.commit.subject,
                "share": one.share,
                "rest": one.rest,
                "files": one.files,
                "command": one.command,
            }
            for one in causes(bisection)
        ],
        notes=notes(bisection),
        rows=evidence_rows(bisection),
        key=bisection.key,
    )


def bisect_text(bisection: Bisection) -> str:
    """Return the answer for a terminal: what was found, and a line for each commit tried."""
    lines = [headline(bisection), ""]
    for one in causes(bisection):
        commit = one.commit
        lines += [
            f"  {commit.id}",
            f"  {commit.authored_at:%Y-%m-%d}  {truncate(commit.subject, _SUBJECT)}",
            f"  {one.share} of the whole change",
            *([f"  {one.rest}"] if one.rest else []),
            f"  files: {', '.join(one.files)}",
            "",
            "To see it again:",
            f"  {one.command}",
            "",
        ]
    rows = evidence_rows(bisection)
    width = max(len(row.change) for row in rows)
    for row in rows:
        mark = MARK if row.is_cause else " "
        pairs = f"{row.pairs} pairs" if row.pairs else ""
        text = row.commit.subject if row.pairs else row.state
        lines.append(
            f"{mark} {row.position:>4}  {row.commit.id[:_ID]}  {row.change:{width}}  {pairs:8}"
            f"  {truncate(text, _SUBJECT)}"
        )
    sentences = notes(bisection)
    lines += ["", *sentences] if sentences else []
    return "\n".join(printable(line).rstrip() for line in lines) + "\n"


def _no_more(decision: BisectDecision) -> str:
    if decision.state is BisectState.NOTHING_MORE:
        return "; no further commit changed it"
    return "; the rest is not explained"


def _rest_sentence(bisection: Bisection, size: CauseSize) -> str:
    if not size.is_part or len(bisection.found) > 1:
        return ""
    rest = brief_interval(bisection.metric, size.rest)
    return f"only a part: other commits change it by {rest}; `--rest` finds them"


def _commit_text(commit: Commit) -> str:
    return f"{commit.id[:_ID]} {truncate(commit.subject, _SUBJECT)}"
