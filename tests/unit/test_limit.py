"""A limit is read as written, and a wrong one shows where it is wrong."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.bounds import MAX_SECONDS
from pipeline.model.limit import QUANTITIES, Limit, parse_limit, parse_limits

UNITS = {
    "s": {"ms": 1e-3, "s": 1.0, "m": 60.0},
    "B": {
        "B": 1.0,
        "kB": 1e3,
        "MB": 1e6,
        "GB": 1e9,
        "KiB": 2.0**10,
        "MiB": 2.0**20,
        "GiB": 2.0**30,
    },
}
SPACES = st.text(" \t", max_size=2)


def units(quantity: str) -> dict[str, float]:
    return {"%": 0.01} if quantity == "errors" else UNITS.get(QUANTITIES[quantity], {"": 1.0})


@given(st.data())
def test_everything_the_grammar_allows_is_read_with_any_spaces(data: st.DataObject) -> None:
    quantity = data.draw(st.sampled_from(sorted(QUANTITIES)))
    unit = data.draw(st.sampled_from(sorted(units(quantity))))
    most = 100.0 if unit == "%" else 1e6
    if QUANTITIES[quantity] == "s":
        most = min(most, 0.99 * MAX_SECONDS / 2 / units(quantity)[unit])
    number = data.draw(st.decimals("0.001", f"{most:.3f}", places=3))
    parts = [p for p in re.split(r"([()])", quantity) if p] + ["<", f"{number:f}", unit]
    text = "".join(data.draw(SPACES) + part for part in parts) + data.draw(SPACES)

    limit = parse_limit(text)

    assert limit.quantity == quantity
    assert limit.below == pytest.approx(float(number) * units(quantity)[unit])
    assert limit.unit == QUANTITIES[quantity]
    assert limit.text == "".join(parts)
    assert parse_limit(limit.text) == limit


@given(st.text(max_size=30))
def test_any_other_text_is_refused_with_a_caret_within_it_or_at_its_end(text: str) -> None:
    try:
        parse_limit(text)
    except ValueError as error:
        said, shown, caret = str(error).split("\n")
        column = len(caret) - 2
        assert caret.endswith("^")
        assert f"at column {column}: expected " in said
        assert 1 <= column <= len(text) + 1
        assert len(shown) == len(text) + 2


@given(st.sampled_from(sorted(QUANTITIES)), st.data())
def test_a_wrong_character_is_pointed_at_or_what_comes_before_it(
    quantity: str, data: st.DataObject
) -> None:
    good = f"{quantity}<1{min(units(quantity))}"
    at = data.draw(st.integers(0, len(good)))
    with pytest.raises(ValueError, match="column") as caught:
        parse_limit(f"{good[:at]}?{good[at:]}")
    found = re.search(r"at column (\d+)", str(caught.value))
    assert found is not None
    column = int(found[1])
    word = re.search(r"\w*$", good[:at])
    assert word is not None
    assert at + 1 - len(word[0]) <= column <= at + 1


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        pytest.param("", 1, "one of p50, p90", id="nothing"),
        pytest.param("latency<1s", 1, "one of p50, p90", id="unknown quantity"),
        pytest.param("P99(get)<1s", 1, "one of p50, p90", id="upper case"),
        pytest.param("p99<1s", 4, "`(`, as in `p99(get)`", id="no operation"),
        pytest.param("p99(gte)<1s", 5, "one of get, list", id="unknown operation"),
        pytest.param("p99( gte )<1s", 6, "one of get, list", id="unknown after a space"),
        pytest.param("p99(get<1s", 8, "`)`", id="not closed"),
        pytest.param("files<3", 6, "`(`, as in `files(server)`", id="no component"),
        pytest.param("memory(k6)<1GB", 8, "one of server, manager, etcd", id="unknown component"),
        pytest.param("memory]<1GB", 7, "`<` or `(`", id="neither limit nor component"),
        pytest.param("memory(etcd))<1GB", 13, "`<`", id="closed twice"),
        pytest.param("ready(get)<1s", 6, "`<`", id="argument of what has none"),
        pytest.param("ready>1s", 6, "`<`", id="above"),
        pytest.param("p99(get)<=1s", 10, "a number, such as", id="or equal"),
        pytest.param("ready<s", 7, "a number, such as", id="no number"),
        pytest.param("ready<-1s", 7, "a number, such as", id="negative"),
        pytest.param("ready<0.0s", 7, "a number above zero", id="zero"),
        pytest.param(f"ready<1{'0' * 400}s", 7, "a smaller number", id="infinite"),
        pytest.param("ready<60", 9, "a unit: ms, s, m", id="no unit"),
        pytest.param("ready < 60 sec", 12, "a unit: ms, s, m", id="unknown unit"),
        pytest.param("ready<60GB", 9, "a unit: ms, s, m", id="unit of another quantity"),
        pytest.param("memory<4gb", 9, "a unit: B, kB", id="unit in lower case"),
        pytest.param("errors<0.01", 12, "a unit: %", id="share without percent"),
        pytest.param("errors<5000%", 8, "at most 100 %", id="more than everything"),
        pytest.param("files(server)<10k", 17, "no unit", id="unit of a count"),
        pytest.param("ready<1s 2", 10, "the end of the limit", id="more"),
        pytest.param("ready<1.s", 8, "a unit: ms, s, m", id="a point and no digit"),
        pytest.param("ready<\u0661s", 7, "a number, such as", id="digit of another script"),
    ],
)
def test_a_wrong_limit_says_where_and_what_was_expected(
    text: str, column: int, expected: str
) -> None:
    with pytest.raises(ValueError, match="a limit cannot be read") as caught:
        parse_limit(text)
    said, shown, caret = str(caught.value).split("\n")
    assert f"at column {column}: expected {expected}" in said
    assert shown == f"  {text}"
    assert caret == "  " + " " * (column - 1) + "^"


def test_the_limits_of_the_manual_mean_what_it_says() -> None:
    limits = parse_limits(["p99(get)<1s", "ready < 60s", "memory<4GB", "errors<1%", "db<1GiB"])
    assert [limit.below for limit in limits] == [1, 60, 4e9, 0.01, 2**30]
    assert [limit.component for limit in limits] == ["", "", "", "", ""]
    assert parse_limit("memory(server)<1GB").component == "server"


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        pytest.param([], "at least one limit", id="none"),
        pytest.param(["ready<1s", "ready<2s"], "`ready` has two limits", id="two of one"),
    ],
)
def test_limits_that_say_nothing_together_are_refused(texts: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_limits(texts)


@pytest.mark.parametrize(
    ("quantity", "below"),
    [("p99(get)", 0.0), ("p99(get)", float("inf")), ("latency", 1.0)],
)
def test_a_limit_that_means_nothing_cannot_be_made(quantity: str, below: float) -> None:
    with pytest.raises(ValueError, match="limit"):
        Limit(quantity, below, "as written")
