"""Editors check suites by a schema that agrees with our own reader."""

import copy
import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.drivers.load_files import FOLDER
from pipeline.runs import suite_file
from pipeline.runs.suite_file import Suite
from pipeline.runs.suite_schema import suite_schema

ROOT = Path(__file__).parents[2]
SUITES = [*sorted((ROOT / "suites").glob("*.toml")), *(ROOT / "docs/examples").glob("*/*.toml")]
SCHEMA = suite_schema()
CHECKER = jsonschema.Draft202012Validator(SCHEMA)
Place = tuple[str | int, ...]


def test_the_committed_schema_is_that_of_the_types(golden: Callable[[str, str], None]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    golden(
        "../../docs/schemas/suite-1.schema.json",
        json.dumps(SCHEMA, indent=1, sort_keys=True) + "\n",
    )


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_every_suite_names_the_schema_and_matches_it(suite: Path) -> None:
    text = suite.read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert first.startswith("#:schema ")
    named = (suite.parent / first.removeprefix("#:schema ")).resolve()
    assert named == ROOT / "docs" / "schemas" / "suite-1.schema.json"
    assert list(CHECKER.iter_errors(tomllib.loads(text))) == []


def test_the_line_for_editors_is_no_part_of_the_digest(tmp_path: Path) -> None:
    text = (ROOT / "suites" / "smoke.toml").read_text(encoding="utf-8")
    (tmp_path / "smoke.toml").write_text(text.partition("\n")[2], encoding="utf-8")
    with_line = suite_file.load(ROOT / "suites" / "smoke.toml")
    assert suite_file.load(tmp_path / "smoke.toml").digest == with_line.digest


GOOD = tomllib.loads((ROOT / "suites" / "pr.toml").read_text(encoding="utf-8"))
METRIC: Place = ("workload", 0, "metric", 0)
DRIVER: Place = ("workload", 0, "driver")


def changed(place: Place, value: object) -> dict[str, Any]:
    """Return the suite `pr` with another value in one place; None removes the key."""
    tables: Any = copy.deepcopy(GOOD)
    part = tables
    for key in place[:-1]:
        part = part[key]
    if value is None:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return tables  # type: ignore[no-any-return]


def is_read(tables: dict[str, Any]) -> bool:
    """Return True if our reader takes a suite."""
    try:
        Suite.model_validate(tables, context={FOLDER: ROOT / "suites"})
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("place", "value"),
    [
        pytest.param(("color",), "red", id="unknown key"),
        pytest.param(("name",), None, id="no name"),
        pytest.param(("name",), "With Space", id="name"),
        pytest.param(("pairs",), 1, id="one pair"),
        pytest.param(("pairs",), 2.5, id="half a pair"),
        pytest.param(("settled",), "sometimes", id="choice"),
        pytest.param(("workload",), [], id="no workload"),
        pytest.param(("environment", "kind"), "moon", id="environment"),
        pytest.param((*DRIVER, "kind"), "jmeter", id="driver"),
        pytest.param((*DRIVER, "script"), "../x.js", id="script elsewhere"),
        pytest.param((*DRIVER, "iterations"), 5, id="rate and iterations"),
        pytest.param((*DRIVER, "rate"), None, id="neither"),
        pytest.param((*DRIVER, "rate"), -1, id="rate"),
        pytest.param((*METRIC, "unit"), "ms", id="unit"),
        pytest.param((*METRIC, "margin"), 0, id="margin"),
        pytest.param((*METRIC, "margin"), "5 percent", id="margin in words"),
        pytest.param((*METRIC, "better"), "faster", id="direction"),
        pytest.param((*METRIC, "marign"), 0.1, id="typing error"),
    ],
)
def test_a_broken_suite_is_refused_by_the_schema_and_by_us(place: Place, value: object) -> None:
    tables = changed(place, value)
    assert not is_read(tables)
    assert not CHECKER.is_valid(tables)


@pytest.mark.parametrize("value", ["1%", "7.5%", 0.05])
def test_a_ratio_may_be_percent(value: object) -> None:
    tables = changed((*METRIC, "margin"), value)
    assert is_read(tables)
    assert CHECKER.is_valid(tables)


def places(part: object, here: Place = ()) -> Iterator[Place]:
    """Yield every place in a suite."""
    items: Any = ()
    if isinstance(part, dict):
        items = part.items()
    elif isinstance(part, list):
        items = enumerate(part)
    for key, value in items:
        yield (*here, key)
        yield from places(value, (*here, key))


@given(place=st.sampled_from(list(places(GOOD))), value=st.sampled_from([-1, "x", [], {}, None]))
def test_what_the_schema_refuses_we_refuse(place: Place, value: object) -> None:
    tables = changed(place, value)
    if is_read(tables):
        assert list(CHECKER.iter_errors(tables)) == []


def test_an_editor_shows_what_every_key_means() -> None:
    nameless = [
        f"{table}.{key}"
        for table, part in {"Suite": SCHEMA, **SCHEMA["$defs"]}.items()
        for key, value in part.get("properties", {}).items()
        if "description" not in value and key != "kind" and table != "Toleration"
    ]
    assert nameless == []
