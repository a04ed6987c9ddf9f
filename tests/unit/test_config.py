"""A suite that cannot be used is refused with its file, line and key."""

import functools
import operator
import re
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runs import suite_file
from pipeline.storage import toml_file
from pipeline.system import paths
from pipeline.system.errors import ConfigError, Exit

GOOD = """name = "tiny"
description = "one workload"
pairs = 3

[environment]
kind = "local"

[[workload]]
name = "crud"

[workload.driver]
kind = "k6"
script = "object_crud.js"
rate = 10.0
duration_s = 5
warmup_s = 1
requests_per_iteration = 4.0

[[workload.metric]]
name = "create_p50"
select = "http_req_duration{op=create}/p50"
unit = "s"
better = "lower"
margin = 0.05

[[workload.metric]]
name = "get_p50"
select = "http_req_duration{op=get}/p50"
unit = "s"
better = "lower"
margin = 0.05
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(text)
    return path


SUITES = sorted(paths.project_path("suites").glob("*.toml"))


def places(value: object, keys: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the location of each value that is no table or array."""
    match value:
        case dict():
            for key, item in value.items():
                yield from places(item, (*keys, key))
        case list():
            for at, item in enumerate(value):
                yield from places(item, (*keys, at))
        case _:
            yield keys


def of_other_types(value: object) -> list[object]:
    """Return values of other types that a lax reader would convert to that of `value`."""
    match value:
        case bool():
            return [str(value).lower(), int(value)]
        case int() | float():
            return [str(value), True]
        case _:
            return [7, True]


@given(data=st.data())
def test_no_value_of_a_suite_is_converted_to_another_type(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(SUITES))
    tables: Any = tomllib.loads(path.read_text())
    typed = [keys for keys in places(tables) if "parameters" not in keys]  # those of a script
    keys = data.draw(st.sampled_from(typed))
    *way, last = keys
    table: Any = functools.reduce(operator.getitem, way, tables)
    other = data.draw(st.sampled_from(of_other_types(table[last])))
    with tempfile.TemporaryDirectory() as folder:
        suite_file.load(written(Path(folder), toml_file.dumps(tables)))
        table[last] = other
        with pytest.raises(ConfigError):
            suite_file.load(written(Path(folder), toml_file.dumps(tables)))


def test_a_good_suite_is_read(tmp_path: Path) -> None:
    loaded = suite_file.load(written(tmp_path, GOOD))

    assert [m.name for m in loaded.suite.workloads[0].metrics] == ["create_p50", "get_p50"]
    assert loaded.digest.startswith("sha256:")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        pytest.param("pairs = 3", "pears = 3", 3, "did you mean `pairs`", id="unknown key"),
        pytest.param("pairs = 3", "pairs = 1", 3, "greater than or equal to 2", id="one pair"),
        pytest.param("pairs = 3", 'pairs = "x"', 3, "valid integer", id="wrong type"),
        pytest.param('kind = "local"', 'kind = "moon"', 6, "local", id="environment"),
        pytest.param('"tiny"', f'"{"x" * 300}"', 1, "should match pattern", id="long name"),
        pytest.param("rate = 10.0", "rate = -1", 14, "greater than or equal to 0.001", id="rate"),
        pytest.param("duration_s", "duratoin_s", 15, "did you mean `duration_s`", id="in a table"),
        pytest.param(
            'get}/p50"\nunit = "s"', 'get}/p50"\nunit = "ms"', 29, "`ms` is not one of", id="unit"
        ),
        pytest.param('"get_p50"', '"create_p50"', 8, "two metrics are called", id="twice"),
        pytest.param(
            'get}/p50"\nunit = "s"\nbetter = "lower"\nmargin',
            'get}/p50"\nunit = "s"\nbetter = "lower"\nmarign',
            31,
            "did you mean `margin`",
            id="in the second metric",
        ),
        pytest.param("margin = 0.05", "margin = 5", 24, "`5` is 500 %; did you mean 5 %?", id="5"),
        pytest.param("margin = 0.05", "margin = 2", 24, "Write `2%` or `200%`", id="2"),
        pytest.param("margin = 0.05", 'margin = "x%"', 24, "a percentage", id="no number"),
        pytest.param("margin = 0.05", 'margin = "0.05"', 24, "write a number: 0.05", id="text"),
        pytest.param("margin = 0.05", "margin = true", 24, "a valid number", id="true"),
        pytest.param("margin = 0.05", 'margin = "nan%"', 24, "finite number", id="NaN"),
        pytest.param("margin = 0.05", 'margin = "0%"', 24, "greater than 0", id="0 %"),
    ],
)
def test_what_is_wrong_is_named_with_file_line_and_key(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))

    with pytest.raises(ConfigError) as caught:
        suite_file.load(path)

    everything = f"{caught.value}\n{caught.value.hint}"
    assert any(said in part and f"{path}:{line}: " in part for part in everything.splitlines()), (
        everything
    )
    assert caught.value.exit_code == Exit.BAD_ARGUMENTS


@pytest.mark.parametrize(
    ("written_as", "margin"),
    [
        ("1", 1.0),
        ('"5%"', 0.05),
        ('"500%"', 5.0),
        ('5\nscale = "difference"', 5.0),
        ('"5 %"', 0.05),
    ],
)
def test_a_margin_above_1_has_a_percent_sign_or_is_an_amount(
    written_as: str, margin: float, tmp_path: Path
) -> None:
    path = written(tmp_path, GOOD.replace("margin = 0.05", f"margin = {written_as}", 1))
    first, _ = suite_file.load(path).suite.workloads[0].metrics
    assert first.margin == pytest.approx(margin)


@pytest.mark.parametrize("written_as", ["5", '"100%"', "0.05\ntolerance = 1.0"])
def test_a_share_has_no_margin_that_none_exceeds(written_as: str, tmp_path: Path) -> None:
    share = f'select = "errors_share"\nscale = "difference"\nmargin = {written_as}'
    text = re.sub(
        r"select = .*\nunit = .*\nbetter = .*\nmargin = .*", f'{share}\nunit = "1"', GOOD, count=1
    )
    with pytest.raises(ConfigError, match="no share changes by more than"):
        suite_file.load(written(tmp_path, text))


def test_text_that_is_not_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2"):
        suite_file.load(written(tmp_path, 'name = "x"\n= 3\n'))


def test_a_missing_suite_says_which_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        suite_file.path_of("prr")

    assert "gc, isolation, nightly, pr, quota, restart, scale, smoke" in caught.value.hint


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigError, match="is UTF-16"):
        suite_file.load(path)


GATING = GOOD.replace("margin = 0.05", "margin = 0.05\ngate = true", 1)


def test_a_comment_does_not_change_what_a_suite_means_but_a_margin_does(tmp_path: Path) -> None:
    before = suite_file.load(written(tmp_path, GATING)).digest

    assert suite_file.load(written(tmp_path, f"# hello\n{GATING}")).digest == before
    more = re.sub(r"pairs = \d+", "pairs = 19\nbudget_s = 60", GATING)
    assert suite_file.load(written(tmp_path, more)).digest == before  # how many, not what
    assert suite_file.load(written(tmp_path, GATING.replace("0.05", "0.06", 1))).digest != before


def test_a_metric_that_does_not_gate_invalidates_no_baseline(tmp_path: Path) -> None:
    before = suite_file.load(written(tmp_path, GATING)).digest
    added = (
        GATING
        + """
[[workload.metric]]
name = "list_p50"
select = "http_req_duration{op=list}/p50"
unit = "s"
better = "lower"
margin = 0.05
"""
    )
    assert suite_file.load(written(tmp_path, added)).digest == before
    head, _, _ = GATING.rpartition("[[workload.metric]]")
    assert suite_file.load(written(tmp_path, head)).digest == before
    assert suite_file.load(written(tmp_path, f"{added}gate = true\n")).digest != before


DESCRIBED = """
[workload.descriptions]
create_p50 = "median latency of a create"
"""


def test_a_metric_has_its_own_description_or_the_one_of_its_workload(tmp_path: Path) -> None:
    own = 'margin = 0.05\ndescription = "a get"\n'
    text = own.join(GOOD.rpartition("margin = 0.05\n")[::2]) + DESCRIBED
    create, get = suite_file.load(written(tmp_path, text)).suite.workloads[0].metrics
    assert create.metric().description == "median latency of a create"
    assert get.metric().description == "a get"


def test_a_description_of_no_metric_is_named_with_its_line(tmp_path: Path) -> None:
    text = GOOD + DESCRIBED.replace("create_p50", "create_p5")
    line = text.splitlines().index('create_p5 = "median latency of a create"') + 1
    with pytest.raises(ConfigError, match=rf"tiny.toml:{line}: .*did you mean `create_p50`"):
        suite_file.load(written(tmp_path, text))


def test_a_description_does_not_change_what_a_suite_means_but_a_tolerance_does(
    tmp_path: Path,
) -> None:
    plain = suite_file.load(written(tmp_path, GATING)).digest
    described = GATING.replace("unit", 'description = "said"\nunit') + DESCRIBED
    assert suite_file.load(written(tmp_path, described)).digest == plain
    tolerant = GATING.replace("margin = 0.05", "margin = 0.05\ntolerance = 0.1")
    assert suite_file.load(written(tmp_path, tolerant)).digest != plain


def test_every_metric_that_we_ship_is_described_and_a_gating_one_has_a_tolerance() -> None:
    for path in paths.project_path("suites").glob("*.toml"):
        for workload in suite_file.load(path).suite.workloads:
            for metric in workload.metrics:
                assert metric.description, f"{path}: {workload.name}/{metric.name}"
                assert not metric.gate or metric.tolerance, f"{path}: {workload.name}/{metric.name}"


@pytest.mark.parametrize("name", ["smoke", "pr", "nightly", "gc", "scale"])
def test_the_suites_we_ship_are_good_and_gate_on_something(name: str) -> None:
    suite = suite_file.load(suite_file.path_of(name)).suite

    assert suite.name == name
    assert any(metric.gate for workload in suite.workloads for metric in workload.metrics)
    for workload in suite.workloads:
        assert all(path.is_file() for path in workload.driver.tree().values())


@pytest.mark.parametrize("budget", ["inf", "nan", "-1", "0", "1e400"])
def test_a_budget_that_is_not_finite_and_above_zero_is_refused(tmp_path: Path, budget: str) -> None:
    text = GOOD.replace("pairs = 3", f"pairs = 3\nbudget_s = {budget}")
    with pytest.raises(ConfigError, match=r"tiny\.toml:4: budget_s: Input should be"):
        suite_file.load(written(tmp_path, text))


def test_no_number_of_a_suite_may_be_infinite(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rate: Input should be a finite number"):
        suite_file.load(written(tmp_path, GOOD.replace("rate = 10.0", "rate = inf")))


@pytest.mark.parametrize("key", ["k6", "kind", "local", "clusterloader2"])
def test_an_unknown_key_is_named_whatever_it_is_called(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"tiny\.toml:1: {key}: unknown key"):
        suite_file.load(written(tmp_path, f"{key} = 0\n{GOOD}"))


@pytest.mark.parametrize("key", ["margin", "tolerance"])
def test_a_ratio_between_one_and_two_is_questioned_and_taken(
    key: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = {"margin": "margin = {}", "tolerance": "margin = 0.05\ntolerance = {}"}[key]
    digests = {
        suite_file.load(
            written(tmp_path, GOOD.replace("margin = 0.05", asked.format(value)))
        ).digest
        for value in ('"150%"', "1.5")
    }
    assert len(digests) == 1
    assert f"get_p50: {key} `1.5` is 150 %; did you mean 1.5 %?" in caplog.text


def test_a_tolerance_from_two_on_is_refused_with_its_line(tmp_path: Path) -> None:
    text = f"{GOOD}tolerance = 30\n"
    line = len(text.splitlines())
    with pytest.raises(ConfigError, match=rf"tiny.toml:{line}: .*did you mean 30 %\?"):
        suite_file.load(written(tmp_path, text))
