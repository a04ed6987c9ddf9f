"""The page as text: its policy, its links, its bytes; how it looks is tested in a browser."""

import base64
import hashlib
import re
from dataclasses import replace

import pytest

from pipeline.judge import policy
from pipeline.model.report import Report
from pipeline.model.traces import Traces
from pipeline.render import answer_line
from pipeline.render.html import html
from tests import pages
from tests.builders import LATENCY, results

PAGE = html(pages.report(), pages.traces(), '{"a": 1}')
EMPTY = policy.report(results((LATENCY, [1.0, 1.1], [1.0, 1.1]), invalid={0: "a", 1: "b"}))


def test_the_same_report_gives_the_same_bytes() -> None:
    assert html(pages.report(), pages.traces(), '{"a": 1}') == PAGE


def test_the_policy_names_the_digests_of_what_is_there() -> None:
    policy_of = re.search(r'Content-Security-Policy" content="([^"]*)"', PAGE)
    assert policy_of is not None
    allowed = policy_of[1]
    assert allowed.startswith("default-src 'none';")
    for tag in ("style", "script"):
        text = re.search(rf"<{tag}>(.*?)</{tag}>", PAGE, re.DOTALL)
        assert text is not None
        digest = base64.b64encode(hashlib.sha256(text[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in allowed
    assert "unsafe" not in allowed


def test_nothing_is_loaded_and_nothing_is_styled_in_place() -> None:
    assert re.findall(r'(?:src|href)="([^"#]*)"', PAGE)
    for address in re.findall(r'(?:src|href)="([^"]*)"', PAGE):
        assert not re.match(r"(?!data:)[a-z]+:|//", address)
    assert not re.search(r"<[^>]* (style|on[a-z]+)=", PAGE)
    assert "@import" not in PAGE
    assert "url(" not in PAGE


def test_the_results_are_carried_along() -> None:
    data = re.search(r'href="data:application/json;base64,([^"]*)"', PAGE)
    assert data is not None
    assert base64.b64decode(data[1]) == b'{"a": 1}'


def test_every_link_within_the_page_leads_somewhere() -> None:
    targets = set(re.findall(r'id="([^"]*)"', PAGE))
    assert set(re.findall(r'href="#([^"]*)"', PAGE)) <= targets
    assert len(re.findall(r'id="([^"]*)"', PAGE)) == len(targets)


def test_files_are_linked_as_they_are_called() -> None:
    kept = Traces(files=("pairs/000/a b?#%.gz",))
    assert 'href="pairs/000/a%20b%3F%23%25.gz"' in html(pages.report(), kept, "{}")


@pytest.mark.parametrize(
    ("report", "shown"),
    [
        pytest.param(EMPTY, "INVALID", id="not measured"),
        pytest.param(policy.report(results()), "no pair was measured", id="nothing"),
        pytest.param(pages.report(), "REGRESSION", id="red"),
    ],
)
def test_the_verdict_is_the_one_of_every_format(report: Report, shown: str) -> None:
    body = html(report, Traces(), "{}")
    assert shown in body
    word, _, said = answer_line.answer(report).partition(": ")
    assert f"</span> {word}:</span> <bdi>{said}</bdi></h1>" in body


def test_what_was_invalid_is_listed_with_its_reason() -> None:
    assert "<li>pair 2, baseline: <bdi>object-crud: k6 dropped 12 iterations</bdi></li>" in PAGE


def test_without_evidence_there_are_still_pairs() -> None:
    body = html(pages.report(), Traces(unread=("points are gone",)), "{}")
    assert body.count("pair by pair") == len(pages.METRICS)
    assert " raw times, all valid pairs together" not in body
    assert "points are gone" in body


def test_the_constants_shown_are_those_of_the_rule() -> None:
    report = pages.report()
    rule = replace(report.rule, alpha=0.0123, confidence=0.87, power=0.66)
    body = html(replace(report, rule=rule), pages.traces(), "{}")
    assert "alpha 0.0123" in body
    assert "change [87 %]" in body
    assert "66 % power" in body


def test_30_metrics_of_20_pairs_fit_in_2_mb() -> None:
    run = pages.measured(20, invalid=None)
    samples = {
        arm: tuple(
            replace(s, metric=replace(s.metric, name=f"{s.metric.name}_{copy}"))
            for copy in range(4)
            for s in kept
        )
        for arm, kept in run.samples.items()
    }
    kept = pages.traces()
    names = [s.metric.name for s in samples[next(iter(samples))]]
    reads = {f"object-crud/{name}": "http_req_duration{op=get}/p50" for name in names}
    report = policy.report(replace(run, samples=samples))
    body = html(report, replace(kept, reads=reads), "x" * 200_000)
    assert len(report.findings) >= 30
    assert body.count(" raw times, all valid pairs together") >= 30
    assert len(body.encode()) < 2_000_000
