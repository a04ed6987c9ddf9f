"""Of a log that is long, a report shows the lines that matter."""

from pathlib import Path

import pytest

from pipeline.system import processes
from pipeline.system.sanitize import reason_lines

NOISE = [
    f"I1129 12:30:{second:02}.352876   13547 cache.go:39] Caches are synced" for second in range(30)
]
STACK = [f"k8s.io/apiserver/pkg/server.handler({number:#x})" for number in range(60)]


@pytest.mark.parametrize(
    "said",
    [
        "panic: runtime error: invalid memory address or nil pointer dereference",
        "panic: fault crash-after: the server crashes, as it was told to",
        "fatal error: concurrent map writes",
        "F1129 12:30:31.112233   13547 hooks.go:203] PostStartHook failed",
        '{"level":"fatal","ts":"2026-11-29T11:52:54Z","msg":"discovery failed"}',
    ],
)
def test_the_lines_that_say_why_a_program_died_are_shown(said: str, tmp_path: Path) -> None:
    lines = [*NOISE, said, "", "goroutine 2497 [running]:", *STACK]
    log = tmp_path / "server.log"
    log.write_text("\n".join(lines))

    assert reason_lines(lines, 3) == [said, "goroutine 2497 [running]:", STACK[0]]
    assert said in processes.log_tail(log)
    assert said in "\n".join(reason_lines(processes.log_tail(log).splitlines(), 3))


def test_of_several_the_last_counts() -> None:
    assert reason_lines(["panic: first", *NOISE, "panic: second"], 3) == ["panic: second"]


@pytest.mark.parametrize(
    "lines",
    [
        [*NOISE, "killed"],
        [*NOISE, 'E1129 12:30:31.1   1 runtime.go:142] "Observed a panic" panic="recovered"'],
        ["", "a", " ", "b"],
        [],
    ],
)
def test_without_such_lines_the_last_are_shown(lines: list[str]) -> None:
    there = [line for line in lines if line.strip()]

    assert reason_lines(lines, 3) == there[-3:]
