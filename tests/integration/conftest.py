"""A real Chromium, and axe, for every test of a page."""

from collections.abc import Iterator
from pathlib import Path

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
def fonts() -> Path:
    try:
        return browsers.fonts()
    except browsers.MissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def chromium(
    found: browsers.Browser, fonts: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("chromium")
    with page(found.binary, folder, found.variables, fonts) as opened:
        yield opened
