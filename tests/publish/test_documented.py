"""The tables of attacks in tests/hostile/attacks.md name tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ATTACKS = TESTS / "hostile" / "attacks.md"


def test_every_attack_in_the_tables_has_its_test() -> None:
    tables = re.split(r"(?m)^## .*$", ATTACKS.read_text())[1:]
    rows = [[line for line in table.splitlines() if line.startswith("| ")][2:] for table in tables]
    names = [
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)
    ]
    assert len(rows) == 3
    assert len(rows[0]) > 20
    for row in (row for table in rows for row in table):
        tests = re.findall(r"`(\w+|[\w/]+\.py)`", row.rsplit(" | ", 1)[-1])
        assert tests, row
        for test in tests:
            if test.endswith(".py"):
                assert (TESTS.parent / test).is_file(), test
            elif test.startswith("test_"):
                assert test in names, row
            else:  # a part of a name
                assert any(test in name for name in names), row
