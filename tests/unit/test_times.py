"""The times of a history: what order they mean, and when they mean two."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.runs.history import points_csv, time_column
from pipeline.runs.history.source import Meaning
from pipeline.system.errors import ConfigError

FOLDER = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FIRST, LAST = datetime(1700, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001 (as hypothesis wants)
VERSIONS = (
    *("v0.9", "v0.10.0-rc.1", "v0.10.0-rc.2", "v0.10.0-rc10", "v0.10.0", "v0.10.0-1-g4f1c2ab"),
    *("v0.10.0-14-g77d0e3a", "v0.10.1", "0.32.2", "v0.32.10", "v1.0.0", "1.0.0+build.2", "v1.1rc1"),
    *("1.1", "1.1.post1", "v2", "10.0.0", "20250301.9", "20250301.10"),
)
"""In order."""


def order(tmp_path: Path, texts: Sequence[str], size: int = 1_000_000) -> list[str]:
    """Return times in the order in which a history puts them."""
    path = tmp_path / "x.csv"
    lines = "".join(f'"{text}",{n + 1}\n' for n, text in enumerate(texts))
    path.write_text(f"time,value\n{lines}", encoding="utf-8")
    (series,) = points_csv.read(path, Meaning(), size).series
    return [texts[int(row)] for row in series.rows]


def refusal(tmp_path: Path, texts: Sequence[str], size: int = 1_000_000) -> str:
    with pytest.raises(ConfigError) as caught:
        order(tmp_path, texts, size)
    return str(caught.value).replace(f"{tmp_path}/", "")


def shuffled(texts: Sequence[str], seed: int) -> list[str]:
    return random.Random(seed).sample(list(texts), len(texts))


ORDERED = [
    pytest.param([f"{d:02}/02/2025" for d in range(5, 21)], id="day first, as the 13th shows"),
    pytest.param([f"02/{d:02}/2025" for d in range(5, 21)], id="month first, as the 13th shows"),
    pytest.param([f"{d}.2.2025 {d}:30" for d in range(5, 21)], id="German"),
    pytest.param([f"2/{d}/2025 3:04 PM" for d in range(5, 21)], id="American"),
    pytest.param([f"{d:02}-02-2025" for d in range(1, 13)], id="both ways in one order"),
    pytest.param(["1/3/2025 12:30 AM", "1/3/2025 1:30 AM", "1/13/2025 12:30 PM"], id="noon"),
    pytest.param([f"{1740787200 + n}" for n in range(9)], id="seconds"),
    pytest.param([f"{1740787200 + n}.{n:09}" for n in range(9)], id="date +%s.%N"),
    pytest.param([f"1740787200.00000000{n}" for n in range(9)], id="nanoseconds of seconds"),
    pytest.param([f"{1740787200123 + n}" for n in range(9)], id="milliseconds"),
    pytest.param([f"1740787200123.{n:06}" for n in range(9)], id="parts of milliseconds"),
    pytest.param([f"{1740787200000000000 + n}" for n in range(9)], id="nanoseconds"),
    pytest.param([f"2025-03-01T00:00:00.00000000{n}Z" for n in range(9)], id="ISO nanoseconds"),
    pytest.param(["1740787200", "1740787201", "1740787202000", "1740787203000"], id="new unit"),
    pytest.param([*map(str, range(8, 13))], id="whole numbers"),
    pytest.param(["00008", "00009", "00010"], id="padded numbers"),
    pytest.param(["-3", "-2.5", "0", "2.5", "10.5"], id="numbers"),
    pytest.param(["1.05", "1.25", "1.50", "2.75"], id="numbers with as many decimals"),
    pytest.param(["1e2", "2e2", "1e3"], id="exponents"),
    pytest.param(["v1.9", "v1.10", "v1.11"], id="versions of two parts"),
    pytest.param(["24.04", "24.10", "25.04", "25.10"], id="calendar versions"),
    pytest.param(["2025.03.09", "2025.03.10", "2025.12.01"], id="dates with dots"),
    pytest.param(["1.04.26", "02.04.26", "12.04.26"], id="versions, or dates in the same order"),
    pytest.param(["10.13.26", "10.31.26", "11.0.26"], id="versions that are no dates"),
    pytest.param(VERSIONS, id="versions"),
    pytest.param(["2025-03", "2025-03-02", "2025-03-02T01:00"], id="parts of ISO 8601"),
    pytest.param(["2025-W09-7", "2025-W10", "2025-W10-2"], id="weeks"),
    pytest.param(["2025-059", "2025-060", "2025-365"], id="days of a year"),
    pytest.param(["20250301T095959Z", "20250301T100000Z"], id="basic ISO 8601"),
    pytest.param(["2025-03-01 09:00:00,5", "2025-03-01 09:00:00,75"], id="decimal comma"),
    pytest.param(["2025-03-01T10:00+02:00", "2025-03-01T09:00Z"], id="zones"),
    pytest.param(["Sat Mar 1 10:00:00 2025 +0100", "Sat Mar 1 09:30:00 2025 +0000"], id="git"),
    pytest.param(["2025-03-01 10:00:00 +0100 CET", "2025-03-01 09:00:00.5 +0000 UTC"], id="Go"),
    pytest.param(["Sat Mar  1 10:00:00 UTC 2025", "Sun Mar  2 08:00:00 UTC 2025"], id="date"),
    pytest.param(["1 Feb 2025", "28-Feb-2025", "March 1, 2025", "2 March 2025"], id="names"),
    pytest.param(["Sat, 1 Mar 2025 09:00:00 GMT", "Sun, 2 Mar 2025 08:00:00 GMT"], id="RFC 5322"),
]


@pytest.mark.parametrize("size", [1, 40, 1_000_000])
@pytest.mark.parametrize("texts", ORDERED)
def test_times_keep_their_order(texts: Sequence[str], size: int, tmp_path: Path) -> None:
    assert order(tmp_path, shuffled(texts, 1), size) == list(texts)


@pytest.mark.parametrize("size", [1, 40, 1_000_000])
@pytest.mark.parametrize(
    ("texts", "said"),
    [
        pytest.param(
            ["03/02/2025", "05/02/2025", "04/03/2025"],
            "`05/02/2025` is 2025-02-05 with the day first, and 2025-05-02 with the month first",
            id="day or month",
        ),
        pytest.param(
            ["1.8", "1.9", "1.10"], ":4: time: `1.10` and `1.8` of line 2", id="version or number"
        ),
        pytest.param(["0.5", "0.25"], "in one order as numbers, and in another", id="decimals"),
        pytest.param(["1.1", "1.10"], "as numbers, and in another as versions", id="equal numbers"),
        pytest.param(
            ["20.03.26", "31.03.26", "01.04.26"],
            "are in one order as versions, and in another as dates with years of two digits",
            id="version or date, the day first",
        ),
        pytest.param(
            ["12.30.25", "12.31.25", "1.1.26"],
            ":4: time: `1.1.26` and `12.30.25` of line 2 are in one order as versions",
            id="version or date, the month first",
        ),
        pytest.param(
            ["1740787200000", "1740787260"],
            ":3: time: `1740787260` in seconds since 1970 by its size, and `1740787200000` in"
            " milliseconds in line 2",
            id="two units",
        ),
    ],
)
def test_times_of_two_meanings_are_refused_and_both_are_named(
    texts: Sequence[str], said: str, size: int, tmp_path: Path
) -> None:
    assert said in refusal(tmp_path, texts, size)


@pytest.mark.parametrize("size", [1, 40, 1_000_000])
@pytest.mark.parametrize(
    ("texts", "said"),
    [
        pytest.param(["soon"], ":2: time: `soon` is not a time", id="word"),
        pytest.param([""], ":2: time: `` is not a time", id="nothing"),
        pytest.param(["1", "2", "2025-03-01"], ":4: time: `2025-03-01` is not a n", id="mixed"),
        pytest.param(["2025-03-01", "7"], ":3: time: `7` is not a date, as the times", id="date"),
        pytest.param(["13/02/2025", "02/13/2025"], ":3: time: `02/13/2025` is not a d", id="both"),
        pytest.param(["v1.2", "v1.x"], ":3: time: `v1.x` is not a version", id="version"),
        pytest.param(["2025-02-30"], "`2025-02-30` is not a time", id="no such day"),
        pytest.param(["2025-03-01T25:00"], "is not a time", id="no such hour"),
        pytest.param(["1 Foo 2025"], "is not a time", id="no such month"),
        pytest.param(["2025-W54"], "is not a time", id="no such week"),
        pytest.param(["2025-366"], "is not a time", id="no such day of the year"),
        pytest.param(["3/2/2025 13:00 PM"], "is not a time", id="no such afternoon"),
        pytest.param(["2025-03-01T00:00+99:00"], "is not a time", id="no such zone"),
        pytest.param(["0001-01-01"], "is not a time", id="before 1678"),
        pytest.param(["9999-12-31"], "is not a time", id="after 2261"),
        pytest.param(["nan"], "is not a time", id="NaN"),
        pytest.param(["1e99"], "is not a time", id="beyond 64 bits"),
        pytest.param(["9" * 400], "is not a time", id="digits"),
        pytest.param(["\u0661"], "is not a time", id="digits of another script"),
        pytest.param(
            ["1", "2", "1"], ":4: time: `1` is not later or earlier than that of line 2", id="2"
        ),
        pytest.param(["v1", "v1.0"], "is not later or earlier", id="equal versions"),
    ],
)
def test_what_is_no_time_is_refused_with_its_line(
    texts: Sequence[str], said: str, size: int, tmp_path: Path
) -> None:
    assert said in refusal(tmp_path, texts, size)


def test_columns_of_one_series_each_may_be_in_another_order(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    # Read as numbers `b` comes first, as versions second: but it is alone in its series.
    path.write_text("time,value,series\n1.10,1,b\n1.9,1,a\n1.20,2,b\n")
    one, two = points_csv.read(path, Meaning()).series
    assert [one.series.values, two.series.values] == [(1.0, 2.0), (1.0,)]


def test_so_many_versions_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_column, "MAX_VERSIONS", 3)
    assert order(tmp_path, ["v1", "v2", "v3"]) == ["v1", "v2", "v3"]
    assert ":5: time: `v4` is not a version" in refusal(tmp_path, ["v1", "v2", "v3", "v4", "v5"])
    assert order(tmp_path, ["0.25", "0.5", "0.75", "1"]) == ["0.25", "0.5", "0.75", "1"]


@FOLDER
@given(
    moments=st.lists(
        st.datetimes(FIRST, LAST, timezones=st.just(UTC)), min_size=1, max_size=9, unique=True
    ),
    separator=st.sampled_from(["T", " "]),
    zone=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), None]),
    size=st.integers(1, 100),
)
def test_what_python_writes_is_in_its_order(
    moments: list[datetime], separator: str, zone: timezone | None, size: int, tmp_path: Path
) -> None:
    texts = [
        (moment.astimezone(zone) if zone else moment.replace(tzinfo=None)).isoformat(separator)
        for moment in moments
    ]
    by_time = [text for _, text in sorted(zip(moments, texts, strict=True))]
    assert order(tmp_path, texts, size) == by_time


@FOLDER
@given(
    numbers=st.sets(
        st.integers(-(2**63), 2**63 - 1).filter(lambda n: abs(n) < 10**8 or n >= 10**17)
    )
)
def test_whole_numbers_are_in_their_order_to_the_last_digit(
    tmp_path: Path, numbers: set[int]
) -> None:
    texts = list(map(str, numbers))
    if texts:
        assert list(map(int, order(tmp_path, texts))) == sorted(numbers)


@FOLDER
@given(
    numbers=st.sets(
        st.tuples(st.integers(0, 10**13), st.integers(0, 10**9 - 1)), min_size=1, max_size=9
    ),
    size=st.integers(1, 60),
)
def test_decimals_are_in_their_order_to_the_last_digit(
    numbers: set[tuple[int, int]], size: int, tmp_path: Path
) -> None:
    texts = [f"{whole}.{part:09}" for whole, part in numbers]
    sizes = {sum(whole >= 10**n for n in (8, 11)) for whole, _ in numbers}
    if len(sizes - {0}) < 2:
        assert order(tmp_path, texts, size) == sorted(texts, key=Fraction)


@FOLDER
@given(
    versions=st.lists(
        st.lists(st.integers(0, 999), min_size=3, max_size=4), min_size=1, max_size=9
    ),
    letter=st.sampled_from(["", "v"]),
)
def test_versions_are_in_the_order_of_their_parts(
    versions: list[list[int]], letter: str, tmp_path: Path
) -> None:
    def parts(version: Sequence[int]) -> tuple[int, ...]:
        return tuple(version) if version[-1] else parts(version[:-1]) if version[:-1] else ()

    different = {parts(version): version for version in versions}
    texts = [letter + ".".join(map(str, version)) for version in different.values()]
    expected = [text for _, text in sorted(zip(different, texts, strict=True))]
    assert order(tmp_path, texts) == expected
