"""A real Chromium, and axe, for every test of a page."""

from collections.abc import Iterator

import pytest

from tests import browsers
from tests.browser import Page, page


@pytest.fixture(scope="session")
def found() -> browsers.Browser:
    try:
        return browsers.browser()
    except browsers.MissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def axe() -> str:
    try:
        return browsers.axe()
    except browsers.MissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def chromium(found: browsers.Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with page(found.binary, tmp_path_factory.mktemp("chromium"), found.variables) as opened:
        yield opened
