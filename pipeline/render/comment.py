"""Render a publication as GitHub Markdown: a comment, a check, an issue, the summary of a job.

The same publication gives the same bytes.  Everything that an artifact may contain is foreign:
names stand in code spans and sentences are escaped.  Nothing can start markup, end a table's cell,
mention a person, or forge the marker by which a comment is found again.
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from enum import Enum
from typing import Any

from pipeline.judge.policy import LAUNCH
from pipeline.model.publication import (
    Acceptance,
    Origin,
    Outcome,
    Publication,
    SearchedCommit,
)
from pipeline.model.report import Comparison, Finding, Report, Verdict
from pipeline.model.results import Interleave
from pipeline.model.subject import Arm, Subject
from pipeline.render import explanation as explanations
from pipeline.render import rows, words
from pipeline.render.answer_line import and_more, answer, change_in_margins, more_pairs
from pipeline.render.escape import (
    code_block,
    code_span,
    escape_markdown,
    fence_for,
    hide_marker,
    safe_name,
)
from pipeline.render.names import label
from pipeline.render.numbers import (
    MINUS,
    brief_interval,
    count,
    interval,
    margin_text,
    moment,
    share,
)
from pipeline.render.templates import raw, render_markdown

FORK_WARNING = (
    "Measured by code that this pull request controls: its numbers are as trustworthy as its"
    " authors."
)
"""Part of every text about a pull request from a fork."""

MAX_BYTES = 60_000
"""Size of a text: GitHub refuses comments and texts of checks above 65,536 characters."""

MAX_BYTES_OF_A_PASS = 2_500
"""Size of a comment that needs no action."""


class TextKind(Enum):
    """What a text is for; its value is the word in its marker."""

    COMMENT = "comment"
    ISSUE = "issue"
    PLAIN = ""
    """A check or a summary, which has no marker."""


_MAX_SEARCHED = 3  # commits of a search
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,99}/[A-Za-z0-9_.][\w.-]{0,99}", re.ASCII)

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
_STATUS_ICONS = {
    "regressed": "❌",
    "accepted": "🟡",
    "missing": "❓",
    "improved": "🟢",
    "new": "🆕",
    "unchanged": "▫️",
    "inconclusive": "❓",
}
"""Icons by the status of a row, in the order of rows."""

_INTERLEAVE_TEXT = {
    Interleave.REQUEST: "both builds at once on one machine, each iteration to one of them",
    Interleave.TRIAL: "one build after the other on one machine, in random order",
}
_NOT_MEASURED = {
    Outcome.SKIPPED: "SKIPPED: only files were changed that cannot affect performance",
    Outcome.WAITING: "WAITING: not measured yet, a maintainer must approve it first",
    Outcome.STOPPED: "STOPPED: not measured, because the workflow run was stopped",
}
_NEXT_STEPS = {
    Outcome.REGRESSED: (
        "fix the regression; or, if it is intended, accept it in the file of acknowledged"
        " regressions, with a reason and a last day; or, in doubt, run the workflow again."
    ),
    Outcome.INCOMPLETE: (
        "find out why a build does not report these metrics; a metric that it cannot report should"
        " not gate."
    ),
    Outcome.BROKEN: (
        "fix the problem shown here or in the log of the workflow run, and run it again."
    ),
    Outcome.STOPPED: "run the workflow again.",
}
_WORSE_BLOCK, _BETTER_BLOCK = "█", "░"
_MAX_BLOCKS = 6
_MINUS_SIGN = re.compile(r"(?<![\w.])-(?=\d)")
_NO_BREAK_SPACE = "\u00a0"


def marker(kind: TextKind, key: str) -> str:
    """Return the hidden first line by which one of our texts is found again."""
    return f"<!-- milo-perf:{kind.value} v=1 key={key} -->"


def comment(publication: Publication, kind: TextKind = TextKind.COMMENT) -> str:
    """Render a publication; a text that would be too long loses its folded parts first."""
    return next(comment_bodies(publication, kind))


def comment_bodies(publication: Publication, kind: TextKind = TextKind.COMMENT) -> Iterator[str]:
    """Yield the text that fits, then shorter ones in case GitHub refuses it."""
    is_brief = kind is TextKind.COMMENT and _is_plain_pass(publication)
    limit = MAX_BYTES_OF_A_PASS if is_brief else MAX_BYTES
    shortest = None
    for detail in rows.DETAIL_LEVELS:
        body = render_markdown("comment.md.j2", **_content(publication, kind, detail))
        is_last = detail is rows.DETAIL_LEVELS[-1] and shortest is None
        if is_last or (len(body.encode()) <= limit and (not shortest or len(body) < shortest)):
            shortest = len(body)
            yield body


def publication_answer(publication: Publication) -> str:
    """Return the answer in one line: the verdict, which metric, and how much.

    It is that of the report, except for accepted regressions.  It contains no sentence of an
    artifact.
    """
    report = publication.report
    if publication.outcome in _NOT_MEASURED:
        return _NOT_MEASURED[publication.outcome]
    if report is None:
        return "ERROR: the benchmark did not finish, so there is no result"
    if publication.outcome is Outcome.BROKEN:
        return answer(_without_reasons(report))
    if publication.alarms and publication.outcome is not Outcome.REGRESSED:
        first, more = publication.alarms[0], and_more(len(publication.alarms) - 1)
        return f"REGRESSION in the history: {safe_name(first.series)} {first.sentence}{more}"
    return _judged_answer(publication, report)


def status(finding: Finding, publication: Publication) -> str:
    """Return the status of a row in one word."""
    comparison = finding.comparison
    if comparison.key in publication.accepted:
        return "accepted"
    if comparison.baseline is None and comparison.candidate is not None:
        return "new"
    if comparison.candidate is None:
        return "missing"
    if comparison.key in publication.lacking and finding.verdict is not Verdict.REGRESSED:
        return "missing"
    return finding.verdict.value


def changed_findings(publication: Publication) -> list[Finding]:
    """Return the findings to look at: regressed, then not measured, then improved.

    Within each status, gating metrics come first, then the largest changes in margins.
    """
    changed = [f for f in _findings(publication) if _is_changed(f, publication)]
    return _by_status(rows.worst_first(changed), publication)


def inconclusive_findings(publication: Publication) -> list[Finding]:
    """Return the gating metrics that could not be judged, the least certain first."""
    inconclusive = [
        f
        for f in _findings(publication)
        if f.comparison.metric.gate and f.verdict is Verdict.INCONCLUSIVE
    ]
    return [f for f in rows.worst_first(inconclusive) if not _is_changed(f, publication)]


def finding_sentence(finding: Finding) -> str:
    """Return a finding in one line of plain text, for an annotation."""
    kept = finding if finding.kept is None else replace(finding, comparison=finding.kept)
    comparison = kept.comparison
    metric = comparison.metric
    when = f", found at {count(comparison.pairs, 'pair')}" if finding.kept else ""
    return (
        f"{safe_name(words.finding_name(finding))}:"
        f" {words.arm_mean(kept, Arm.BASELINE)} to {words.arm_mean(kept, Arm.CANDIDATE)},"
        f" {interval(metric, comparison.change)}, margin {margin_text(metric)}{when}"
    )


def _judged_answer(publication: Publication, report: Report) -> str:
    accepted = tuple(f for f in report.gating if status(f, publication) == "accepted")
    findings = tuple(f for f in report.findings if f not in accepted)
    others = answer(replace(report, findings=findings))
    match publication.outcome:
        case Outcome.ACCEPTED:
            known = answer(replace(report, findings=accepted)).partition(": ")[2]
            return f"ACCEPTED: {known}; no other regression"
        case Outcome.INCOMPLETE:
            lacking = sorted(publication.lacking)
            metrics = count(len(lacking), "gating metric")
            names = f"{safe_name(lacking[0])}{and_more(len(lacking) - 1)}" if lacking else "none"
            return f"INCOMPLETE: {metrics} not measured: {names}"
        case _:
            more = count(len(accepted), "regression")
            return f"{others}; {more} accepted" if accepted else others


def _without_reasons(report: Report) -> Report:
    """Return a report in which no trial says why it is invalid."""
    trials = tuple(
        replace(trial, invalid=("",)) if trial.invalid else trial for trial in report.results.trials
    )
    return replace(report, results=replace(report.results, trials=trials))


def _content(publication: Publication, kind: TextKind, detail: rows.ReportDetail) -> dict[str, Any]:
    report, origin = publication.report, publication.origin
    is_judged = report is not None and publication.outcome is not Outcome.BROKEN
    changed = changed_findings(publication) if is_judged else []
    inconclusive = inconclusive_findings(publication) if is_judged else []
    shown = inconclusive[: detail.changed] if detail.metrics or kind is not TextKind.COMMENT else []
    findings = _by_status(_findings(publication), publication)
    warnings = [str(group) for group in words.warning_groups(report)] if report else []
    command = hide_marker(publication.command) if detail.command else ""
    is_plain_pass = _is_plain_pass(publication)
    is_alarm = publication.alarms and publication.outcome is not Outcome.BROKEN
    return {
        "marker": raw(marker(kind, publication.key)) if kind is not TextKind.PLAIN else "",
        "icon": _ICONS[Outcome.REGRESSED if is_alarm else publication.outcome],
        "answer": publication_answer(publication),
        "is_broken": publication.outcome is Outcome.BROKEN,
        "next": _next_step(publication),
        "counts": _status_counts(publication) if is_judged else "",
        "identity": raw(_identity(publication)),
        "sensitivity": words.sensitivity(report) if report and is_judged else "",
        "fork_warning": FORK_WARNING if origin.is_fork else "",
        "confidence": share(report.rule.confidence) if report else "",
        "changed": [_short_row(f, publication) for f in changed[: detail.changed]],
        "more": max(0, len(changed) - detail.changed),
        "inside": _inside(publication, detail) if is_judged else [],
        "inconclusive": [_row(f, publication) for f in shown],
        "inconclusive_title": count(len(inconclusive), "inconclusive metric"),
        "more_inconclusive": len(inconclusive) - len(shown),
        "accepted": [
            {**_acceptance(one), "name": raw(code_span(name))}
            for name, one in list(publication.accepted.items())[: detail.changed]
        ],
        "expired": [_acceptance(one) for one in publication.expired[: detail.changed]],
        "notes": publication.notes,
        "alarms": [
            {"name": raw(code_span(alarm.series)), "sentence": alarm.sentence}
            for alarm in publication.alarms[: detail.changed]
        ],
        "searched": [_searched(one, origin) for one in publication.searched[:_MAX_SEARCHED]],
        "more_alarms": max(0, len(publication.alarms) - detail.changed),
        "reason": raw(code_block(publication.reason)) if publication.reason else "",
        "command": raw(command),
        "command_title": (
            "Measure again with enough pairs to settle it, in a clone of the repository:"
            if report and more_pairs(report)
            else "Reproduce it in a clone of the repository:"
        ),
        "fence": raw(fence_for(command)),
        "is_folded": is_plain_pass,
        "links": raw(" · ".join(_links(origin))),
        "metrics": [_row(f, publication) for f in findings] if is_judged and detail.metrics else [],
        "method": words.method(report) if report and detail.method else [],
        "warnings_title": count(len(warnings), "warning"),
        "warnings": warnings[: detail.warnings],
        "more_warnings": max(0, len(warnings) - detail.warnings),
        "is_short": detail is not rows.DETAIL_LEVELS[0] and not is_plain_pass,
        "when": moment(report.results.taken_at) if report else "",
    }


def _inside(publication: Publication, detail: rows.ReportDetail) -> list[dict[str, Any]]:
    """Return what changed inside the builds: a sentence and the first causes of each workload."""
    explained = publication.explanation.workloads if publication.explanation else ()
    return [
        {
            "sentence": explanations.sentence(one),
            "per": one.per,
            "causes": [
                {**asdict(row), "name": raw(code_span(row.name))}
                for row in explanations.cause_rows(one.causes)
            ]
            if detail.metrics
            else [],
        }
        for one in explained[: detail.changed]
    ]


def _searched(one: SearchedCommit, origin: Origin) -> dict[str, Any]:
    """Return the result of a search; it has links only to repositories of the run's own server."""
    server = "/".join(origin.run_url.split("/")[:3])
    is_ours = _REPOSITORY.fullmatch(one.url.removeprefix(f"{server}/")) and one.url != server
    is_linked = bool(server and one.url.startswith(f"{server}/") and is_ours)
    shown = code_span(one.commit[:12]) if one.commit else ""
    pull = f"#{one.pull}" if one.pull else ""
    if is_linked and one.commit:
        shown = f"[{shown}]({one.url}/commit/{one.commit})"
        pull = f"[{pull}]({one.url}/pull/{one.pull})" if pull else ""
    return {
        "commit": raw(shown),
        "subject": one.subject,
        "pull": raw(pull) if is_linked else "",
        "sentence": one.sentence,
    }


def _is_plain_pass(publication: Publication) -> bool:
    """Return whether nothing changed, so that one line says everything."""
    return publication.outcome is Outcome.PASSED and not changed_findings(publication)


def _links(origin: Origin) -> Iterator[str]:
    """Yield links in Markdown: the report, or else the archive that contains it, first."""
    if origin.report_url:
        yield f"**[Open the report]({origin.report_url})**"
    if origin.artifact_url:
        name = "Data" if origin.report_url else "Report and data"
        yield f"[{name} (zip)]({origin.artifact_url})"
    if origin.run_url:
        number = f" {origin.run_number}" if origin.run_number else ""
        attempt = f", attempt {origin.attempt}" if origin.attempt > 1 else ""
        yield f"[Workflow run{number}]({origin.run_url}){attempt}"


def _next_step(publication: Publication) -> str:
    """Return what somebody should do now; empty if nothing is to be done."""
    report = publication.report
    if publication.outcome is not Outcome.INCONCLUSIVE:
        return _NEXT_STEPS.get(publication.outcome, "")
    if report and all(f.comparison.baseline is None for f in report.gating):
        return "nothing; these metrics are compared once the baseline reports them too."
    if report and _is_one_sided(report):
        return "find out why only one build reports them; more pairs will not help."
    if report and more_pairs(report):
        return ""
    return "put more load into each pair; more pairs alone will hardly help."


def _is_one_sided(report: Report) -> bool:
    """Return whether every inconclusive gating metric lacks the values of a build."""
    inconclusive = [f.comparison for f in report.gating if f.verdict is Verdict.INCONCLUSIVE]
    return bool(inconclusive) and all(None in (one.baseline, one.candidate) for one in inconclusive)


def _identity(publication: Publication) -> str:
    """Return which commits or builds were compared, and how, in Markdown.

    If the event names the commit, nothing is taken from what the results say of their builds.
    """
    report, origin = publication.report, publication.origin
    suite = f"suite {code_span(report.results.suite if report else publication.key)}"
    pull = f" of pull request {origin.pull}" if origin.pull else ""
    base = f" against its base {code_span(origin.base)}" if origin.base else ""
    commits = f"`{origin.head_sha[:12]}`{pull}{base}" if origin.head_sha else ""
    if report is None:
        return f"{suite} · {commits}" if commits else suite
    results = report.results
    candidate, baseline = (_spec(results.subjects[arm]) for arm in (Arm.CANDIDATE, Arm.BASELINE))
    compared = commits or f"{candidate} against {baseline}"
    pairs = count(len(results.valid_pairs), "pair")
    how = _INTERLEAVE_TEXT[results.interleave]
    return f"{suite} · {compared}{_stored_baseline(report)} · {pairs}, {how}"


def _spec(subject: Subject) -> str:
    """Return a spec as code spans; its revision is separate, because `@` could be a mention."""
    return " at ".join(code_span(part) for part in subject.spec.split("@", maxsplit=1))


def _stored_baseline(report: Report) -> str:
    stored = report.results.stored
    if stored is None:
        return ""
    machine = "a machine like this one" if stored.same_machine else "another machine"
    return f", stored as {code_span(stored.name)} on {machine} and measured again on this one"


def _acceptance(one: Acceptance) -> dict[str, Any]:
    return {
        "name": raw(code_span(one.metric)),
        "by": raw(code_span(one.by)),
        "reason": one.reason,
        "until": f"{one.until:%Y-%m-%d}",
    }


def _findings(publication: Publication) -> tuple[Finding, ...]:
    return publication.report.findings if publication.report else ()


def _by_status(findings: list[Finding] | tuple[Finding, ...], of: Publication) -> list[Finding]:
    order = list(_STATUS_ICONS)
    return sorted(findings, key=lambda f: order.index(status(f, of)))


def _is_changed(finding: Finding, publication: Publication) -> bool:
    if finding.comparison.key in publication.lacking:
        return True
    return status(finding, publication) in ("regressed", "accepted", "improved")


def _status_counts(publication: Publication) -> str:
    """Return how many rows have each status, gating ones and others separately."""
    parts = []
    for title, gates in (("gating", True), ("others", False)):
        found = [
            status(f, publication)
            for f in _findings(publication)
            if f.comparison.metric.gate is gates
        ]
        tally = ", ".join(f"{found.count(name)} {name}" for name in _STATUS_ICONS if name in found)
        parts += [f"{title}: {tally}"] if tally else []
    return " · ".join(parts) or "no metrics"


def _short_row(finding: Finding, publication: Publication) -> dict[str, Any]:
    """Return the cells of a row that is narrow enough for a phone."""
    comparison = finding.kept or finding.comparison
    among = (f.comparison for f in _findings(publication))
    return {
        "name": raw(code_span(label(comparison, among))),
        "change": _number(_change(comparison)),
        "bar": change_blocks(comparison),
        "icon": _STATUS_ICONS[status(finding, publication)],
        "status": _status_text(finding, publication),
    }


def _row(finding: Finding, publication: Publication) -> dict[str, Any]:
    """Return all cells of a row, in Markdown."""
    metric = finding.comparison.metric
    cells = rows.cells(finding)
    numbers = ("baseline", "candidate", "change", "at_worst", "detectable")
    return {
        **cells,
        **{name: _number(cells[name]) for name in numbers},
        "icon": _STATUS_ICONS[status(finding, publication)],
        "status": _status_text(finding, publication),
        "name": raw(code_span(cells["name"])),
        "margin": _number(margin_text(metric)),
        "tolerance": _number(words.tolerance_text(metric)),
    }


def change_blocks(comparison: Comparison) -> str:
    """Return a block for each margin of a change, at least one and at most six."""
    margins = change_in_margins(comparison)
    blocks = min(_MAX_BLOCKS, max(1, round(abs(margins))))
    return (_WORSE_BLOCK if margins > 0 else _BETTER_BLOCK) * blocks if margins else ""


def _status_text(finding: Finding, publication: Publication) -> str:
    parts = [status(finding, publication)]
    if finding.kept:
        parts.append(f"found at {count(finding.kept.pairs, 'pair')}")
    if not finding.comparison.metric.gate:
        parts.append("does not gate")
    return ", ".join(parts)


def _change(comparison: Comparison) -> str:
    if comparison.workload == LAUNCH:
        return f"failed in {comparison.candidate or 0:g} of {count(comparison.pairs, 'pair')}"
    return brief_interval(comparison.metric, comparison.change) if comparison.change else "-"


def _number(text: str) -> Any:  # noqa: ANN401 (markupsafe loads late)
    """Return a number that stays on one line with its unit; its interval may be on the next."""
    joined = _MINUS_SIGN.sub(MINUS, escape_markdown(text)).replace(" ", _NO_BREAK_SPACE)
    return raw(re.sub(f"{_NO_BREAK_SPACE}(?=&#91;|\\()", " ", joined))
