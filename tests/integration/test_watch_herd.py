"""The herd of watches accounts for every event, of a server in memory."""

from pathlib import Path

from tests.gotests import go_tests


def test_the_go_tests_of_the_herd_of_watches_pass(tmp_path: Path) -> None:
    assert "ok  " in go_tests("watch-herd", tmp_path, "-count=1", ".")
