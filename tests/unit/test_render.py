"""What a person reads: the exact text, and that nothing in a name can change what it means."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.judge import policy
from pipeline.model.metric import Better, Metric
from pipeline.model.report import Report
from pipeline.model.results import PROFILE, BaselineRef, Machine, ResultSet
from pipeline.render import answer_line, words
from pipeline.render.console import fold_name
from pipeline.render.escape import escape_markdown
from pipeline.render.markdown import MARKER, MAX_CHARACTERS, markdown
from pipeline.render.text import text
from tests.builders import COUNT, LATENCY, NOW, THROUGHPUT, results

BASE = [1.00, 1.02, 0.98, 1.01, 0.99]
NOISE = [1.002, 0.997, 1.001, 0.996, 1.004]
READY = Metric("ready_p50", "s", Better.LOWER, margin=0.25)
CREATE = Metric("create_p50", "s", Better.LOWER, margin=0.03, gate=True, floor=0.05)
MEMORY = Metric("server_memory", "B", Better.LOWER, margin=0.05, gate=True)
CPU = Metric("server_cpu_per_request", "s", Better.LOWER, margin=0.05, gate=True)
WHERE = {"ready_p50": "project-lifecycle"}


def row(
    metric: Metric, size: float, factor: float = 1.0, spread: float = 1.0
) -> tuple[Metric, list[float], list[float]]:
    """Return values near a size, worse by a factor and with so many times the usual spread."""
    before = [size * value for value in BASE]
    after = [
        b * factor * (1 + spread * (noise - 1)) for b, noise in zip(before, NOISE, strict=True)
    ]
    return metric, before, after


def counted(more: float) -> tuple[Metric, list[float], list[float]]:
    return COUNT, [112.0, 113.0, 112.0, 112.0, 112.0], [v + more for v in (112, 113, 112, 112, 112)]


def case(name: str) -> ResultSet:
    quiet = [
        row(READY, 0.21),
        row(CREATE, 0.057, 1.0, 0.7),
        row(CPU, 7e-4),
        row(MEMORY, 3e8),
        counted(0),
    ]
    faulty = ("reference", "reference?slow-create=20ms")
    reference = ("reference", "reference")
    match name:
        case "regressed":
            slow = [row(READY, 0.21, 1.4), row(CREATE, 0.057, 1.35), row(CPU, 7e-4, 1.04, 8)]
            return results(
                *slow, row(MEMORY, 3e8), counted(5), workloads=WHERE, specs=faulty, warnings=("x",)
            )
        case "unchanged":
            return results(*quiet, workloads=WHERE, specs=reference)
        case "inconclusive":
            return results(
                row(READY, 0.21, 1.0, 90),
                row(CREATE, 0.057, 1.0, 8),
                (CPU, *row(CPU, 7e-4)[1:2], None),
                row(MEMORY, 3e8, 1.06, 30),
                workloads=WHERE,
                specs=reference,
            )
        case "improved":
            fast = row(THROUGHPUT, 118.0, 1.2)
            return results(*quiet, fast, workloads=WHERE, specs=reference)
        case "invalid":
            return results(
                *quiet,
                workloads=WHERE,
                specs=reference,
                invalid=dict.fromkeys(range(1, 5), "object-crud: k6 dropped 12 iterations"),
            )
        case _:
            values = {"object-crud/server_memory": 2.9e8, "object-crud/create_p50": 0.055}
            ref = BaselineRef(
                name="reference-pr",
                taken_at=NOW,
                same_machine=False,
                differences=("cpu: x there, y here",),
                digest="sha256:bb",
                values=values,
            )
            return results(*quiet, workloads=WHERE, specs=reference, stored=ref)


CASES = ("regressed", "unchanged", "inconclusive", "improved", "invalid", "stored")


@pytest.mark.parametrize("name", CASES)
def test_a_report(name: str, golden: Callable[[str, str], None]) -> None:
    report = policy.report(case(name))
    golden(f"report/{name}.txt", text(report))
    golden(f"report/{name}.md", markdown(report))


@pytest.mark.parametrize("width", [72, 80, 100, 140])
@pytest.mark.parametrize("name", CASES)
def test_no_line_is_wider_than_asked_but_the_command(name: str, width: int) -> None:
    lines = text(policy.report(case(name)), width=width).splitlines()
    assert max(map(len, lines[:-1])) <= width
    assert lines[-1].startswith("  milo-perf run --suite pr --candidate ")


@pytest.mark.parametrize("name", CASES)
def test_colour_adds_nothing_but_colour(name: str) -> None:
    report = policy.report(case(name))
    colourful = text(report, color=True)
    assert "\x1b[" in colourful
    lines = re.sub(r"\x1b\[[0-9;]*m", "", colourful).splitlines()
    assert [line.rstrip() for line in lines] == text(report).splitlines()


@pytest.mark.parametrize("name", CASES)
def test_every_table_of_the_markdown_is_whole(name: str) -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(markdown(policy.report(case(name))))
    cells = [t.type for t in tokens if t.type in ("tr_open", "td_open", "th_open")]
    rows = " ".join(cells).split("tr_open")[1:]
    tables: list[set[int]] = []
    for row in rows:
        if "th_open" in row:
            tables.append(set())
        tables[-1].add(row.count("d_open") + row.count("th_open"))
    more = name == "stored"
    assert all(widths in ({9 + more}, {10 + more}) for widths in tables)
    assert len(rows) == len(policy.report(case(name)).findings) + len(tables)


@pytest.mark.parametrize("name", CASES)
@given(width=st.integers(30, 160))
def test_every_verdict_stands_beside_its_name_however_narrow_a_terminal_is(
    name: str, width: int
) -> None:
    report = policy.report(case(name))
    lines = text(report, width=width).splitlines()
    for finding in report.findings:
        end = finding.comparison.metric.name[-6:]  # a long name may be on two lines
        beside = [line for line in lines if end in line and finding.verdict.value in line]
        assert beside, (finding.comparison.metric.name, finding.verdict)


@pytest.mark.parametrize("name", CASES)
def test_eighty_columns_have_both_builds_the_change_and_the_verdict(name: str) -> None:
    lines = text(policy.report(case(name)), width=80).splitlines()
    head = next(line for line in lines if line.startswith("metric "))
    assert {"metric", "baseline", "candidate", "change", "verdict"} <= set(head.split())


@given(width=st.integers(20, 120))
def test_no_word_of_a_sentence_is_split(width: int) -> None:
    report = policy.report(case("regressed"))
    usual = [line.split() for line in text(report, width=500).splitlines()]
    known = {word for line in usual for word in line}
    narrow = text(report, width=width).split("\nWarnings")
    said = [narrow[0].split("\n\n")[0], narrow[1]]
    assert {word for part in said for word in part.split()} <= known


@given(name=st.text("ab_/.- x", min_size=1), width=st.integers(8, 40))
def test_a_folded_name_has_every_character_in_lines_that_fit(name: str, width: int) -> None:
    lines = fold_name(name, width).split("\n")
    assert all(len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == name.replace(" ", "")


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_line_says_what_the_rows_say(name: str) -> None:
    report = policy.report(case(name))
    line = answer_line.answer(report)
    assert " ".join(text(report).split()).startswith(line)
    assert markdown(report).splitlines()[0] == MARKER
    assert markdown(report).splitlines()[1].endswith(escape_markdown(line))


def test_the_constants_shown_are_those_of_the_rule() -> None:
    report = policy.report(case("unchanged"))
    other = replace(report, rule=replace(report.rule, alpha=0.0123, confidence=0.87, power=0.66))
    for shown in (text(other, width=500), markdown(other)):
        assert "alpha 0.0123" in shown
        assert "87 %" in shown
        assert "66 %" in shown
        assert not re.search(r"\b(0\.05|90 %|80 %) (over|of the time|,)", shown)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        pytest.param(
            case("regressed"),
            "--candidate 'reference?slow-create=20ms' --against reference --pairs 5"
            " --interleave request --seed 7",
            id="quoted",
        ),
        pytest.param(
            replace(case("regressed"), environment="kind"),
            "--interleave request --environment environment.toml --seed 7",
            id="elsewhere",
        ),
        pytest.param(
            replace(case("regressed"), driver="k6", machine=Machine({PROFILE: "production"}, {})),
            "--interleave request --profile production --driver k6 --seed 7",
            id="in production",
        ),
        pytest.param(case("stored"), "--baseline reference-pr --pairs 5", id="stored"),
        pytest.param(
            results(specs=("milo", "a; rm -rf $HOME\n")),
            "--candidate 'a; rm -rf $HOME ' --against milo",
            id="hostile",
        ),
    ],
)
def test_the_command_measures_the_same_again(run: ResultSet, expected: str) -> None:
    report = policy.report(run)
    assert expected in words.reproduce_command(report)
    assert text(report).splitlines()[-1].strip() == words.reproduce_command(report)


def test_the_command_names_the_source_that_was_measured() -> None:
    run = results(specs=("reference", "reference?cpu=1ms"))
    facts = {"tree": "a" * 40, "modified": "no"}
    subjects = {arm: replace(s, facts=facts) for arm, s in run.subjects.items()}
    command = words.reproduce_command(policy.report(replace(run, subjects=subjects)))
    assert f"'reference@{'a' * 40}?cpu=1ms' --against reference@{'a' * 40}" in command


def test_the_command_says_how_a_source_was_built() -> None:
    run = results(specs=("source:.@main", "source:.@change"))
    subjects = {arm: replace(s, facts={"build": "make {out}"}) for arm, s in run.subjects.items()}
    command = words.reproduce_command(policy.report(replace(run, subjects=subjects)))
    assert command.endswith("--build 'make {out}'")


HOSTILE = "a|b`c`@team <img src=x> **x** [l](http://e.x) #12\n| - www.e.x \x1b[31m \u202e ```"


def hostile() -> Report:
    metric = replace(LATENCY, name=HOSTILE)
    run = results(
        (metric, BASE, [1.5 * v for v in BASE]),
        (replace(metric, name=f"{HOSTILE}2"), BASE, None),
        workloads={HOSTILE: HOSTILE, f"{HOSTILE}2": HOSTILE},
        specs=("milo", HOSTILE),
        warnings=(HOSTILE,),
    )
    return policy.report(replace(run, suite=HOSTILE))


def test_a_hostile_name_is_only_a_name_in_markdown() -> None:
    body = markdown(hostile())
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(body)
    rows: list[int] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append(0)
        rows[-1:] = [rows[-1] + (token.type in ("td_open", "th_open"))] if rows else []
        for child in token.children or ():
            assert child.type in ("text", "softbreak", "strong_open", "strong_close", "html_inline")
            assert child.type != "html_inline" or child.content in ("<summary>", "</summary>")
            if child.type == "text":
                assert not re.search(r"@\w|://|www\.|#\d", child.content)
    blocks = [t.content.split("<summary>")[0].strip() for t in tokens if t.type == "html_block"]
    assert {*blocks} <= {MARKER, "<details>", "</details>"}
    assert rows == [9, 9, 10, 10]
    assert sum(token.type == "fence" for token in tokens) == 1


def test_a_hostile_name_is_only_a_name_on_a_terminal() -> None:
    shown = text(hostile(), color=False)
    assert "\x1b" not in shown
    assert "\u202e" not in shown


@given(st.text(max_size=60))
def test_escaped_text_stays_in_its_cell(name: str) -> None:
    body = f"| a | b |\n| - | - |\n| x{escape_markdown(name)} | y |\n"
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(body)
    assert [t.type for t in tokens].count("td_open") == 2
    kinds = {child.type for token in tokens for child in token.children or ()}
    assert kinds <= {"text", "text_special"}


@pytest.mark.parametrize("many", [300, 3000])
def test_a_report_is_never_too_long_for_github(many: int) -> None:
    rows = [
        (replace(LATENCY, name=f"{i}{'é|' * 200}"), BASE, [1.5, 1.0, 1.2, 1.1, 1.3])
        for i in range(many)
    ]
    report = policy.report(results(*rows))
    body = markdown(report)
    assert len(body) < MAX_CHARACTERS
    assert body.startswith(f"{MARKER}\n## ❔ INCONCLUSIVE: ")
    assert "see report.txt" in body or "report.txt has the whole report" in body


def test_a_command_of_any_length_fits() -> None:
    report = policy.report(results((LATENCY, BASE, BASE), specs=("milo", "x" * 100_000)))
    assert len(markdown(report)) < MAX_CHARACTERS
