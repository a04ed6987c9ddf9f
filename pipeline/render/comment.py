"""What GitHub shows of a run, in Markdown: a comment, a check, an issue, the summary of a job.

Pure: the same publication gives the same bytes.  Everything that an artifact may have brought is
foreign: names stand in code spans, sentences are escaped, and nothing can start markup, end a
table's cell, call a person, or forge the marker by which a comment is found again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from pipeline.model.publication import Acceptance, Origin, Outcome, Publication
from pipeline.model.report import Report, Verdict
from pipeline.model.results import Interleave
from pipeline.model.subject import Arm, Subject
from pipeline.render import rows, words
from pipeline.render.care import MOST, cautions
from pipeline.render.foreign import block, code, harmless
from pipeline.render.markdown import fence, template, unmarked, verbatim
from pipeline.render.numbers import share

OF_A_FORK = (
    "Measured by code that this pull request controls: its numbers are as trustworthy as its"
    " authors."
)
"""Said of every pull request from a fork."""

MOST_BYTES = 60_000
"""Of everything: GitHub refuses comments of 65,536 characters and a check's text of as many."""

MOST_BYTES_OF_A_PASS = 2_500
"""Of a comment that nobody has to act on."""


class Kind(Enum):
    """What a text is for; its value is the word in its marker."""

    COMMENT = "comment"
    ISSUE = "issue"
    PLAIN = ""
    """A check or a summary, which are found by other means."""


@dataclass(frozen=True, slots=True)
class _Rung:
    """How much to show; the next rung shows less."""

    metrics: bool = True
    changed: int = 10
    sentences: int = MOST
    method: bool = True
    command: bool = True


_LADDER = (
    _Rung(),
    _Rung(metrics=False),
    _Rung(metrics=False, sentences=2, method=False),
    _Rung(metrics=False, changed=3, sentences=0, method=False, command=False),
)
_ICONS = {
    Outcome.PASSED: "✅",
    Outcome.REGRESSED: "❌",
    Outcome.ACCEPTED: "🟡",
    Outcome.INCONCLUSIVE: "❓",
    Outcome.INCOMPLETE: "⚠️",
    Outcome.BROKEN: "⚠️",
    Outcome.SKIPPED: "▫️",
    Outcome.WAITING: "✋",
    Outcome.STOPPED: "▫️",
}
_HOW = {
    Interleave.REQUEST: "both builds at once on one machine, each iteration to one of them",
    Interleave.TRIAL: "one build after the other on one machine, in random order",
}


def marker(kind: Kind, key: str) -> str:
    """Return the hidden first line, by which a text of ours is found again."""
    return f"<!-- milo-perf:{kind.value} v=1 key={key} -->"


def comment(publication: Publication, kind: Kind = Kind.COMMENT) -> str:
    """Render a publication; one that would be too long loses its folded parts first.

    Args:
        publication: What there is to say.
        kind: What the text is for.
    """
    return next(shorter(publication, kind))


def shorter(publication: Publication, kind: Kind = Kind.COMMENT) -> Iterator[str]:
    """Yield the text that fits, then what is left of it step by step if GitHub wants less."""
    is_brief = kind is Kind.COMMENT and _is_plain_pass(publication)
    most = MOST_BYTES_OF_A_PASS if is_brief else MOST_BYTES
    shortest = None
    for rung in _LADDER:
        body = template("comment.md.j2").render(_content(publication, kind, rung))
        is_last = rung is _LADDER[-1] and shortest is None
        if is_last or (len(body.encode()) <= most and (not shortest or len(body) < shortest)):
            shortest = len(body)
            yield body


_UNMEASURED = {
    Outcome.SKIPPED: "SKIPPED: no file was changed that could make a difference",
    Outcome.WAITING: "WAITING: not measured yet, a maintainer has to look first",
    Outcome.STOPPED: "STOPPED: not measured, because the workflow run was stopped",
}


def answer_of(publication: Publication) -> str:
    """Return the answer in one line: the verdict, which metric, and how much.

    Of a report it is `words.answer`, in which an accepted regression is none.  It says nothing
    that an artifact says in sentences.
    """
    report = publication.report
    if publication.outcome in _UNMEASURED:
        return _UNMEASURED[publication.outcome]
    if report is None:
        return "ERROR: the benchmark did not finish, so there is no result"
    if publication.outcome is Outcome.BROKEN:
        return words.answer(_without_reasons(report))
    if publication.alarms and publication.outcome is not Outcome.REGRESSED:
        first, more = publication.alarms[0], _and_more(len(publication.alarms) - 1)
        return f"REGRESSION in the history: {harmless(first.series)} {first.sentence}{more}"
    return _answer(publication, report)


def _answer(publication: Publication, report: Report) -> str:
    """Return the answer of a run that was judged."""
    accepted = tuple(f for f in report.gating if rows.status(f, publication) == "accepted")
    others = words.answer(
        replace(report, findings=tuple(f for f in report.findings if f not in accepted))
    )
    match publication.outcome:
        case Outcome.ACCEPTED:
            known = words.answer(replace(report, findings=accepted)).partition(": ")[2]
            return f"ACCEPTED: {known}; no other regression"
        case Outcome.INCOMPLETE:
            lacking = sorted(publication.lacking)
            of = words.count(len(lacking), "gating metric")
            named = f"{harmless(lacking[0])}{_and_more(len(lacking) - 1)}" if lacking else "none"
            return f"INCOMPLETE: {of} not measured: {named}"
        case _:
            more = words.count(len(accepted), "regression")
            return f"{others}; {more} accepted" if accepted else others


def _without_reasons(report: Report) -> Report:
    """Return a report in which no trial says why it is invalid."""
    trials = tuple(
        replace(trial, invalid=("",)) if trial.invalid else trial for trial in report.results.trials
    )
    return replace(report, results=replace(report.results, trials=trials))


def _and_more(count: int) -> str:
    return f", and {count} more" if count > 0 else ""


def _content(publication: Publication, kind: Kind, rung: _Rung) -> dict[str, Any]:
    report, origin = publication.report, publication.origin
    is_measured = report is not None and publication.outcome is not Outcome.BROKEN
    moved = rows.moved(publication) if is_measured else []
    doubtful = rows.inconclusive(publication) if is_measured else []
    shown = doubtful[: rung.changed] if rung.metrics or kind is not Kind.COMMENT else []
    warnings = [str(caution) for caution in cautions(report)] if report else []
    command = unmarked(publication.command) if rung.command else ""
    return {
        "marker": verbatim(marker(kind, publication.key)) if kind is not Kind.PLAIN else "",
        "icon": _icon(publication),
        "answer": answer_of(publication),
        "is_broken": publication.outcome is Outcome.BROKEN,
        "next": _next(publication),
        "counts": rows.counts(publication) if is_measured else "",
        "identity": verbatim(_identity(publication)),
        "detectable": words.detectable(report) if report and is_measured else "",
        "of_a_fork": OF_A_FORK if origin.is_fork else "",
        "confidence": share(report.rule.confidence) if report else "",
        "moved": [rows.short_row(f, publication) for f in moved[: rung.changed]],
        "more": max(0, len(moved) - rung.changed),
        "inconclusive": [rows.row(f, publication) for f in shown],
        "unsettled": words.count(len(doubtful), "inconclusive metric"),
        "unlisted": len(doubtful) - len(shown),
        "accepted": list(_accepted(publication))[: rung.changed],
        "expired": [_entry(one) for one in publication.expired[: rung.changed]],
        "notes": publication.notes,
        "alarms": [
            {"name": verbatim(code(alarm.series)), "sentence": alarm.sentence}
            for alarm in publication.alarms[: rung.changed]
        ],
        "silent": max(0, len(publication.alarms) - rung.changed),
        "reason": verbatim(block(publication.reason)) if publication.reason else "",
        "command": verbatim(command),
        "command_is": _command_is(publication),
        "fence": verbatim(fence(command)),
        "is_folded": _is_plain_pass(publication),
        "links": verbatim(" · ".join(_links(origin))),
        "metrics": _metrics(publication) if is_measured and rung.metrics else [],
        "method": words.method(report) if report and rung.method else [],
        "warned": words.count(len(warnings), "warning"),
        "warnings": warnings[: rung.sentences],
        "unsaid": max(0, len(warnings) - rung.sentences),
        "is_short": rung is not _LADDER[0] and not _is_plain_pass(publication),
        "when": f"{report.results.taken_at:%Y-%m-%d %H:%M} UTC" if report else "",
    }


def _is_plain_pass(publication: Publication) -> bool:
    """Whether nothing moved, so that nobody has to read more than a line."""
    return publication.outcome is Outcome.PASSED and not rows.moved(publication)


def _metrics(publication: Publication) -> list[dict[str, Any]]:
    return [rows.row(finding, publication) for finding in rows.every(publication)]


def _links(origin: Origin) -> Iterator[str]:
    """Yield links in Markdown, the report first: a page, or else the archive that it is in."""
    if origin.report_url:
        yield f"**[Open the report]({origin.report_url})**"
    if origin.artifact_url:
        said = "Data" if origin.report_url else "Report and data"
        yield f"[{said} (zip)]({origin.artifact_url})"
    if origin.run_url:
        number = f" {origin.run_number}" if origin.run_number else ""
        attempt = f", attempt {origin.attempt}" if origin.attempt > 1 else ""
        yield f"[Workflow run{number}]({origin.run_url}){attempt}"


_NEXT = {
    Outcome.REGRESSED: (
        "repair it; or, if it is meant, accept it in the file of acknowledged regressions,"
        " with a reason and a last day; or, in doubt, run the workflow again."
    ),
    Outcome.INCOMPLETE: (
        "find out why a build does not report these metrics; one that it cannot report should"
        " not gate."
    ),
    Outcome.BROKEN: (
        "repair what is named here or in the log of the workflow run, and run it again."
    ),
    Outcome.STOPPED: "run the workflow again.",
}


def _next(publication: Publication) -> str:
    """Return what somebody should do now; empty where nothing is to be done."""
    report = publication.report
    if publication.outcome is not Outcome.INCONCLUSIVE:
        return _NEXT.get(publication.outcome, "")
    if report and all(f.comparison.baseline is None for f in report.gating):
        return "nothing; once the baseline reports these metrics too, they are compared."
    if report and _is_one_sided(report):
        return "find out why only one build reports them; more pairs will not help."
    if report and words.more_pairs(report):
        return ""
    return "more load in each pair would help; more pairs alone hardly would."


def _command_is(publication: Publication) -> str:
    """Return what the command does, as a sentence before it."""
    report = publication.report
    if report and words.more_pairs(report):
        return "Measure again with as many pairs as should settle it, in a clone of the repository:"
    return "Reproduce it in a clone of the repository:"


def _is_one_sided(report: Report) -> bool:
    """Whether what could not be judged are metrics that only one build reported, or none."""
    doubts = [f.comparison for f in report.gating if f.verdict is Verdict.INCONCLUSIVE]
    return bool(doubts) and all(None in (one.baseline, one.candidate) for one in doubts)


def _icon(publication: Publication) -> str:
    is_red = publication.alarms and publication.outcome is not Outcome.BROKEN
    return _ICONS[Outcome.REGRESSED if is_red else publication.outcome]


def _identity(publication: Publication) -> str:
    """Return what was compared with what, and how; in Markdown.

    Where the event names the commit, nothing of it is what the results say of their builds.
    """
    report, origin = publication.report, publication.origin
    suite = f"suite {code(report.results.suite if report else publication.key)}"
    head = f"`{origin.head_sha[:12]}`" if origin.head_sha else ""
    pull = f" of pull request {origin.pull}" if origin.pull else ""
    base = f" against its base {code(origin.base)}" if origin.base else ""
    if report is None:
        return f"{suite} · {head}{pull}{base}" if head else suite
    results = report.results
    built, against = results.subjects[Arm.CANDIDATE], results.subjects[Arm.BASELINE]
    compared = f"{head}{pull}{base}" if head else f"{_spec(built)} against {_spec(against)}"
    pairs = words.count(len(results.valid_pairs), "pair")
    return f"{suite} · {compared}{_stored(report)} · {pairs}, {_HOW[results.interleave]}"


def _spec(subject: Subject) -> str:
    """Return a spec as code spans, its revision apart: an `@` could call a person."""
    return " at ".join(code(part) for part in subject.spec.split("@", maxsplit=1))


def _stored(report: Report) -> str:
    stored = report.results.stored
    if stored is None:
        return ""
    same = "of a machine like this one" if stored.same_machine else "of another machine"
    return f", stored as {code(stored.name)} {same} and measured again on this one"


def _accepted(publication: Publication) -> Iterator[dict[str, Any]]:
    for name, one in publication.accepted.items():
        yield {**_entry(one), "name": verbatim(code(name))}


def _entry(one: Acceptance) -> dict[str, Any]:
    return {
        "name": verbatim(code(one.metric)),
        "by": verbatim(code(one.by)),
        "reason": one.reason,
        "until": f"{one.until:%Y-%m-%d}",
    }
