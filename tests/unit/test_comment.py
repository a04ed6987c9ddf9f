"""What GitHub shows of a run: the exact text, and that no name in it can do anything."""

from collections.abc import Callable

import pytest

from pipeline.render.comment import comment
from tests import publications


@pytest.mark.parametrize("name", publications.STATES)
def test_a_comment(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"comment/{name}.md", comment(publications.STATES[name]()))
