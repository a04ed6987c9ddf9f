"""Render a report as JUnit XML, for CI systems that show the results of tests.

Each workload is a suite and each metric a case: a regression that gates is a failure, an
inconclusive metric is skipped with the reason, everything else passes.  Numbers are properties of
the suite, because the schemas in use allow none in a case: Jenkins' `junit-10.xsd` and Windy Road's
`JUnit.xsd`.  The output is valid by both.
"""

from datetime import UTC
from itertools import groupby
from xml.etree import ElementTree as ET

from pipeline.model.report import Finding, Report, Verdict
from pipeline.render import rows, words
from pipeline.render.answer_line import answer, is_measured
from pipeline.render.numbers import share
from pipeline.system.sanitize import printable

_MAX_TEXT = 2000  # characters
_HOST = "localhost"  # the schema wants one; results do not name theirs


def junit(report: Report) -> str:
    """Render a report; the same report gives the same bytes.

    A run without enough valid pairs has a suite of its own with an error, because a list of skipped
    cases could be taken for a pass.
    """
    root = ET.Element("testsuites")
    groups = groupby(report.findings, key=lambda f: f.comparison.workload)
    for workload, findings in groups:
        _add_workload(root, workload, report, list(findings))
    if not is_measured(report):
        suite = _add_suite(root, "the run", report, tests=1, errors=1)
        ET.SubElement(suite, "properties")
        case = _add_case(suite, report.results.suite, "is measured")
        _add_result(case, "error", answer(report), "\n".join(report.warning_texts))
        _add_outputs(suite, "")
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _add_workload(root: ET.Element, workload: str, report: Report, findings: list[Finding]) -> None:
    results = {f.comparison.key: result for f in findings if (result := _case_result(f))}
    suite = _add_suite(
        *(root, workload, report),
        tests=len(findings),
        failures=list(results.values()).count("failure"),
        skipped=list(results.values()).count("skipped"),
    )
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", name="answer", value=_printable(answer(report)))
    for finding in findings:
        for name, value in _properties(finding):
            key = f"{finding.comparison.metric.name}.{name}"
            ET.SubElement(properties, "property", name=_printable(key), value=_printable(value))
    for finding in findings:
        case = _add_case(suite, workload, finding.comparison.metric.name)
        if result := _case_result(finding):
            explanation = "\n".join(words.explanations(finding))
            _add_result(case, result, _sentence(report, finding), explanation)
    lines = (f"{words.finding_name(f)}: {_sentence(report, f)}" for f in findings)
    _add_outputs(suite, "\n".join(map(_printable, lines)))


def _add_suite(
    root: ET.Element,
    name: str,
    report: Report,
    *,
    tests: int,
    failures: int = 0,
    errors: int = 0,
    skipped: int = 0,
) -> ET.Element:
    return ET.SubElement(
        root,
        "testsuite",
        name=_printable(name),
        package=_printable(report.results.suite),
        id=f"{len(root)}",
        timestamp=f"{report.results.taken_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}",
        hostname=_HOST,
        tests=f"{tests}",
        failures=f"{failures}",
        errors=f"{errors}",
        skipped=f"{skipped}",
        time="0",
    )


def _add_case(suite: ET.Element, workload: str, name: str) -> ET.Element:
    return ET.SubElement(
        suite, "testcase", name=_printable(name), classname=_printable(workload), time="0"
    )


def _add_outputs(suite: ET.Element, text: str) -> None:
    ET.SubElement(suite, "system-out").text = text
    ET.SubElement(suite, "system-err").text = ""


def _add_result(case: ET.Element, result: str, message: str, text: str) -> None:
    element = ET.SubElement(case, result, message=_printable(message))
    if result != "skipped":
        element.set("type", "regression" if result == "failure" else "invalid")
    element.text = "\n".join(map(_printable, text.splitlines()))


def _case_result(finding: Finding) -> str:
    """Return the element of a case that does not pass; empty for one that passes."""
    if finding.verdict is Verdict.REGRESSED and finding.comparison.metric.gate:
        return "failure"
    return "skipped" if finding.verdict is Verdict.INCONCLUSIVE else ""


def _sentence(report: Report, finding: Finding) -> str:
    cells = rows.cells(finding)
    return (
        f"{cells['verdict']}: {cells['change']} ({share(report.rule.confidence)} interval), at"
        f" worst {cells['at_worst']}, margin {cells['margin']}, from {cells['baseline']} to"
        f" {cells['candidate']}, detectable change {cells['detectable']}"
    )


def _properties(finding: Finding) -> list[tuple[str, str]]:
    """Return the numbers of a finding in base units; a missing number has no property."""
    comparison = finding.comparison
    metric, change = comparison.metric, comparison.change
    numbers = {
        "margin": metric.margin,
        "tolerance": metric.tolerated,
        "baseline": comparison.baseline,
        "candidate": comparison.candidate,
        "change": change and change.estimate,
        "low": change and change.low,
        "high": change and change.high,
        "at_worst": comparison.at_worst,
        "detectable_change": comparison.detectable_change,
        "p_worse": comparison.p_worse,
        "p_better": comparison.p_better,
        "stored": comparison.stored,
    }
    texts = [
        ("verdict", finding.verdict.value),
        ("gate", "yes" if metric.gate else "no"),
        ("unit", metric.unit),
        ("scale", metric.scale.value),
        ("better", metric.better.value),
        ("pairs", f"{comparison.pairs}"),
    ]
    return [*texts, *((name, repr(value)) for name, value in numbers.items() if value is not None)]


def _printable(text: str) -> str:
    """Return text that XML can contain: printable, on one line, truncated."""
    line = printable(text)
    return line if len(line) <= _MAX_TEXT else f"{line[:_MAX_TEXT]}…"
