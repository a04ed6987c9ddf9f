"""JUnit XML: valid by the schemas in use, and a failure exactly where a gate is red."""

import xml.etree.ElementTree as ET

import pytest
import xmlschema

from pipeline.judge import policy
from pipeline.model.report import Report, Verdict
from pipeline.render import answer_line
from pipeline.render.junit import junit
from tests import pages
from tests.builders import LATENCY, results
from tests.conftest import GOLDEN

SCHEMA = xmlschema.XMLSchema(GOLDEN / "junit.xsd")
EMPTY = policy.report(results((LATENCY, [1.0, 1.1], [1.0, 1.1]), invalid={0: "dropped <3>"}))


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(pages.report(), id="all verdicts"),
        pytest.param(pages.hostile()[0], id="hostile"),
        pytest.param(EMPTY, id="not measured"),
        pytest.param(policy.report(results()), id="nothing"),
    ],
)
def test_it_is_valid(report: Report) -> None:
    SCHEMA.validate(junit(report))


def test_the_schema_refuses_what_one_of_the_two_would() -> None:
    body = junit(pages.report())
    for old, new in (
        ('hostname="localhost"', ""),
        ("</testcase>", "<system-out/></testcase>"),
        ("<testsuites>", '<testsuites name="x">'),
        ('type="regression"', ""),
    ):
        assert old in body
        with pytest.raises(xmlschema.XMLSchemaException):
            SCHEMA.validate(body.replace(old, new))


def test_each_metric_is_a_case_and_its_verdict_decides() -> None:
    report = pages.report()
    root = ET.fromstring(junit(report))
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert set(cases) == {f.comparison.metric.name for f in report.findings}
    seen = set()
    for finding in report.findings:
        children = [child.tag for child in cases[finding.comparison.metric.name]]
        expected = {Verdict.REGRESSED: ["failure"], Verdict.INCONCLUSIVE: ["skipped"]}
        assert children == expected.get(finding.verdict, [])
        seen.add(finding.verdict)
    assert seen == set(Verdict)
    suite = root.find("testsuite")
    assert suite is not None
    told = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "skipped")}
    assert told == {"tests": 8, "failures": 2, "skipped": 1}


def test_a_regression_that_does_not_gate_is_no_failure() -> None:
    run = results((pages.metric("p99", "s", 0.05, gate=False), [1.0] * 5, [1.5] * 5))
    report = policy.report(run)
    assert report.findings[0].verdict is Verdict.REGRESSED
    body = junit(report)
    assert "<failure" not in body
    assert '<property name="p99.verdict" value="regressed" />' in body


def test_a_skipped_case_says_why() -> None:
    skipped = next(ET.fromstring(junit(pages.report())).iter("skipped"))
    assert "inconclusive: +1.0 %" in (skipped.get("message") or "")
    assert "pairs would settle it" in (skipped.text or "")


def test_numbers_are_properties_in_base_units() -> None:
    report = pages.report()
    root = ET.fromstring(junit(report))
    found = {p.get("name"): p.get("value") for p in root.iter("property")}
    change = report.findings[0].comparison.change
    assert change is not None
    assert float(found["create_p50.change"] or "") == change.estimate
    assert float(found["create_p50.low"] or "") == change.low
    assert found["create_p50.unit"] == "s"
    assert found["create_p50.margin"] == "0.05"


def test_a_run_that_was_not_measured_is_an_error_and_no_list_of_skipped_cases() -> None:
    root = ET.fromstring(junit(EMPTY))
    errors = list(root.iter("error"))
    assert [e.get("message") for e in errors] == [answer_line.answer(EMPTY)]
    assert "dropped <3>" in (errors[0].text or "")
