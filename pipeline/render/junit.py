"""A report as JUnit XML, for whatever shows the tests of a CI run.

One suite for each workload, one case for each metric: a regression that gates is a failure, what
could not be decided is skipped with the reason, everything else passes.  Numbers are properties of
the suite, because the schemas in use allow none in a case: Jenkins' `junit-10.xsd` and Windy Road's
`JUnit.xsd`, of which this is valid by both.
"""

from itertools import groupby
from xml.etree import ElementTree as ET

from pipeline.model.report import Finding, Report, Verdict
from pipeline.model.subject import Arm
from pipeline.render import words
from pipeline.render.numbers import amount, interval, share
from pipeline.system.sanitize import printable

_TEXT = 2000  # characters of one text
_HOST = "localhost"  # what the schema wants where it is not known: results do not say


def junit(report: Report) -> str:
    """Render a report; the same report gives the same bytes.

    A run without enough valid pairs has a suite of its own, with an error: nothing in it was
    tested, and a list of skipped cases could be taken for a pass.
    """
    root = ET.Element("testsuites")
    groups = groupby(report.findings, key=lambda f: f.comparison.workload)
    for number, (workload, findings) in enumerate(groups):
        _suite(root, number, workload, report, list(findings))
    if not words.is_measured(report):
        suite = _empty_suite(root, len(root), "the run", report, tests=1, errors=1)
        ET.SubElement(suite, "properties")
        case = _case(suite, report.results.suite, "is measured")
        _said(
            case,
            "error",
            words.answer(report),
            "\n".join(report.warning_texts),
        )
        _ends(suite, "")
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(
    root: ET.Element, number: int, workload: str, report: Report, findings: list[Finding]
) -> None:
    failed = [f for f in findings if _fails(f)]
    skipped = [f for f in findings if f.verdict is Verdict.INCONCLUSIVE]
    suite = _empty_suite(
        *(root, number, workload, report),
        tests=len(findings),
        failures=len(failed),
        skipped=len(skipped),
    )
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", name="answer", value=_plain(words.answer(report)))
    for finding in findings:
        for name, value in _numbers(finding):
            key = f"{finding.comparison.metric.name}.{name}"
            ET.SubElement(properties, "property", name=_plain(key), value=_plain(value))
    for finding in findings:
        case = _case(suite, workload, finding.comparison.metric.name)
        if _fails(finding):
            _said(case, "failure", _sentence(report, finding), _why(finding))
        elif finding.verdict is Verdict.INCONCLUSIVE:
            _said(case, "skipped", _sentence(report, finding), _why(finding))
    lines = (f"{words.key(f)}: {_sentence(report, f)}" for f in findings)
    _ends(suite, "\n".join(_plain(line) for line in lines))


def _empty_suite(
    root: ET.Element,
    number: int,
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
        name=_plain(name),
        package=_plain(report.results.suite),
        id=f"{number}",
        timestamp=f"{report.results.taken_at:%Y-%m-%dT%H:%M:%S}",
        hostname=_HOST,
        tests=f"{tests}",
        failures=f"{failures}",
        errors=f"{errors}",
        skipped=f"{skipped}",
        time="0",
    )


def _case(suite: ET.Element, workload: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", name=_plain(name), classname=_plain(workload), time="0")


def _ends(suite: ET.Element, said: str) -> None:
    ET.SubElement(suite, "system-out").text = said
    ET.SubElement(suite, "system-err").text = ""


def _said(case: ET.Element, kind: str, message: str, text: str) -> None:
    element = ET.SubElement(case, kind, message=_plain(message))
    if kind != "skipped":
        element.set("type", "regression" if kind == "failure" else "invalid")
    element.text = "\n".join(_plain(line) for line in text.splitlines())


def _fails(finding: Finding) -> bool:
    return finding.verdict is Verdict.REGRESSED and finding.comparison.metric.gate


def _sentence(report: Report, finding: Finding) -> str:
    comparison = finding.comparison
    metric = comparison.metric
    return (
        f"{finding.verdict.value}: {interval(metric, comparison.change)}"
        f" ({share(report.rule.confidence)} interval), at worst {words.at_worst(finding)},"
        f" margin {words.margins(metric)},"
        f" from {words.measured(finding, Arm.BASELINE)}"
        f" to {words.measured(finding, Arm.CANDIDATE)},"
        f" detectable change {amount(metric, comparison.detectable_change)}"
    )


def _why(finding: Finding) -> str:
    said = (words.kept(finding), *words.advised(finding), *words.all_warnings(finding))
    return "\n".join(filter(None, said))


def _numbers(finding: Finding) -> list[tuple[str, str]]:
    """Return what is known of a finding, in base units; what is missing has no property."""
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
    said = [
        ("verdict", finding.verdict.value),
        ("gate", "yes" if metric.gate else "no"),
        ("unit", metric.unit),
        ("scale", metric.scale.value),
        ("better", metric.better.value),
        ("pairs", f"{comparison.pairs}"),
    ]
    return [*said, *((name, repr(value)) for name, value in numbers.items() if value is not None)]


def _plain(text: str) -> str:
    """Return text that XML may hold: printable, in one line, not endless."""
    said = printable(text)
    return said if len(said) <= _TEXT else f"{said[:_TEXT]}…"
