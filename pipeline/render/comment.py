"""What GitHub shows of a run, in Markdown: a comment, a check, an issue, the summary of a job.

Pure: the same publication gives the same bytes.  Everything that an artifact may have brought is
foreign: names stand in code spans, sentences are escaped, and nothing can start markup, end a
table's cell, call a person, or forge the marker by which a comment is found again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pipeline.model.publication import Acceptance, Outcome, Publication
from pipeline.model.report import Report, Verdict
from pipeline.model.results import Interleave
from pipeline.model.subject import Arm, Subject
from pipeline.render import rows, words
from pipeline.render.foreign import block, code
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
    sentences: int = 50
    method: bool = True
    command: bool = True


_LADDER = (
    _Rung(),
    _Rung(metrics=False),
    _Rung(metrics=False, sentences=10),
    _Rung(metrics=False, sentences=3, method=False),
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
    is_brief = kind is Kind.COMMENT and publication.outcome is Outcome.PASSED
    most = MOST_BYTES_OF_A_PASS if is_brief else MOST_BYTES
    shortest = None
    for rung in _LADDER:
        body = template("comment.md.j2").render(_content(publication, kind, rung))
        is_last = rung is _LADDER[-1] and shortest is None
        if is_last or (len(body.encode()) <= most and (not shortest or len(body) < shortest)):
            shortest = len(body)
            yield body


_UNMEASURED = {
    Outcome.SKIPPED: words.Headline("not measured", "no action needed"),
    Outcome.WAITING: words.Headline("not measured yet", "a maintainer has to look first"),
    Outcome.STOPPED: words.Headline("not measured, the run was stopped", "run the workflow again"),
}


def headline(publication: Publication) -> words.Headline:
    """Return the answer, derived from the rows that are shown."""
    report = publication.report
    if publication.outcome in _UNMEASURED:
        return _UNMEASURED[publication.outcome]
    if report is None:
        return words.Headline("the benchmark did not finish", "there is no result, see why below")
    if publication.outcome is Outcome.BROKEN:
        return words.headline(report)
    if publication.alarms and publication.outcome is not Outcome.REGRESSED:
        steps = words.count(len(publication.alarms), "step")
        return words.Headline(f"{steps} for the worse in the history", "look at what changed there")
    return _answer(publication, report)


def _answer(publication: Publication, report: Report) -> words.Headline:
    """Return the answer of a run, in which a regression that is accepted is none."""
    found = [rows.status(finding, publication) for finding in report.gating]
    of = words.count(len(found), "gating metric")
    known = found.count("accepted")
    match publication.outcome:
        case Outcome.REGRESSED:
            more = f", {known} more accepted" if known else ""
            reds = words.count(found.count("regressed"), "regression")
            return words.Headline(f"{reds} among {of}{more}", "look before merging")
        case Outcome.INCOMPLETE:
            said = f"{len(publication.lacking)} of {of} not measured"
            return words.Headline(said, "not a pass: see which below")
        case Outcome.ACCEPTED:
            said = words.count(known, "known regression")
            return words.Headline(f"no new regression, {said} accepted", "no action needed")
        case Outcome.INCONCLUSIVE:
            return _doubt(report, found)
        case _:
            return words.headline(report)


def _doubt(report: Report, found: Sequence[str]) -> words.Headline:
    """Return the answer of a run that could not be judged, given what its gating rows say."""
    of = words.count(len(found), "gating metric")
    if found and set(found) == {"new"}:
        return words.Headline("first numbers, nothing to compare them with", "no verdict yet")
    if _is_one_sided(report):
        doubts = found.count("new") + found.count("missing")
        return words.Headline(f"could not judge {doubts} of {of}", "only one build has them")
    if "accepted" in found:
        doubts = sum(finding.verdict is Verdict.INCONCLUSIVE for finding in report.gating)
        return words.Headline(f"could not judge {doubts} of {of}", "not a pass: read why below")
    return words.headline(report)


def _content(publication: Publication, kind: Kind, rung: _Rung) -> dict[str, Any]:
    report, origin = publication.report, publication.origin
    is_measured = report is not None and publication.outcome is not Outcome.BROKEN
    shown = rows.changed(publication) if is_measured else []
    warnings = list(_warnings(report)) if report else []
    command = unmarked(publication.command) if rung.command else ""
    full = publication.outcome is not Outcome.PASSED
    return {
        "marker": verbatim(marker(kind, publication.key)) if kind is not Kind.PLAIN else "",
        "icon": _icon(publication),
        "headline": headline(publication),
        "is_broken": publication.outcome is Outcome.BROKEN,
        "next": _next(publication),
        "counts": rows.counts(publication) if is_measured else "",
        "identity": verbatim(_identity(publication)),
        "detectable": words.detectable(report) if report and is_measured else "",
        "of_a_fork": OF_A_FORK if origin.is_fork else "",
        "confidence": share(report.rule.confidence) if report else "",
        "changed": [rows.row(f, publication) for f in shown[: rung.changed]],
        "more": max(0, len(shown) - rung.changed),
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
        "fence": verbatim(fence(command)),
        "is_folded": not full,
        "metrics": rows.every(publication) if is_measured and rung.metrics else [],
        "method": words.method(report) if report and rung.method else [],
        "warned": words.count(len(warnings), "warning"),
        "warnings": warnings[: rung.sentences],
        "unsaid": max(0, len(warnings) - rung.sentences),
        "is_short": rung is not _LADDER[0] and full,
        "origin": origin,
        "run_url": verbatim(origin.run_url),
        "report_url": verbatim(origin.report_url),
        "artifact_url": verbatim(origin.artifact_url),
        "when": f"{report.results.taken_at:%Y-%m-%d %H:%M} UTC" if report else "",
    }


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
    return "run it again, with as many pairs as the warnings below ask for."


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


def _warnings(report: Report) -> Iterator[str]:
    yield from report.warnings
    for sentence, where in words.notes(report.findings):
        yield f"{where}: {sentence}"


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
