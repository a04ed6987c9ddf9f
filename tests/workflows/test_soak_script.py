"""The script that soaks a build in a workflow, with a pipeline of our own."""

from pathlib import Path

import pytest

from tests.workflows.acting import script

PYTHON = """#!/usr/bin/env bash
printf '%s\\n' "$@" > "$CALLS"
mkdir -p "$OUT"
[ -z "$ANSWER" ] || printf '%s\\n\\nMeasured 3 cycles\\n' "$ANSWER" > "$OUT/soak.txt"
exit "$CODE"
"""


@pytest.mark.parametrize(
    ("code", "answer", "warns"),
    [
        pytest.param(0, "NO LEAK: 12 resources settled", False, id="no leak"),
        pytest.param(0, "LEAK: goroutines(server) +903 per deleted Project", True, id="leak"),
        pytest.param(3, "BROKE: p95(ready)<10s", False, id="limit"),
        pytest.param(5, "", False, id="no start"),
    ],
)
def test_the_answer_is_in_the_summary_and_the_exit_code_is_that_of_the_soak(
    tmp_path: Path, code: int, answer: str, *, warns: bool
) -> None:
    python, summary = tmp_path / "python", tmp_path / "summary.md"
    python.write_text(PYTHON)
    python.chmod(0o755)
    variables = {
        "CANDIDATE": "source:.@main",
        "BUILD": "go build -o {out} .",
        "TIME": "1h",
        "LIMITS": "p95(ready)<10s memory(server)<4GB",
        "SUBJECT": tmp_path,
        "OUT": tmp_path / "out",
        "PYTHON": python,
        "CALLS": tmp_path / "calls",
        "GITHUB_STEP_SUMMARY": summary,
        "ANSWER": answer,
        "CODE": code,
    }
    done = script("soak.sh", **variables)

    assert done.returncode == code
    assert ("::warning::" in done.stdout) is warns
    assert (f"    {answer}" in summary.read_text()) if answer else not summary.exists()
    words = (tmp_path / "calls").read_text().splitlines()
    assert words[words.index("--candidate") :] == [
        *("--candidate", "source:.@main", "--for", "1h", "--out", f"{tmp_path / 'out'}"),
        *("--build", "go build -o {out} .", "--limit", "p95(ready)<10s"),
        *("--limit", "memory(server)<4GB"),
    ]
