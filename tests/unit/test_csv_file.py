"""CSV files of others: what every reader of them has in common."""

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.storage.csv_file import MAX_COLUMNS, Column, CsvFile
from pipeline.system.errors import ConfigError

COLUMNS = (
    Column("name"),
    Column("value", is_number=True),
    Column("note", is_needed=False),
    Column("of", is_needed=False, is_number=True),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(str.strip)
FOLDER = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(path: Path, size: int = 1_000_000) -> list[tuple[str, float]]:
    blocks = list(CsvFile(path, COLUMNS, size).blocks())
    rows = [
        (name, float(value))
        for block in blocks
        for name, value in zip(block.texts["name"], block.numbers["value"], strict=True)
    ]
    assert [block.first for block in blocks] == [
        sum(len(b.texts["name"]) for b in blocks[:n]) for n in range(len(blocks))
    ]
    return rows


def written(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def refusal(path: Path, size: int = 1_000_000) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(path, size)
    return caught.value


@FOLDER
@given(
    rows=st.lists(st.tuples(TEXT, st.floats(-1e9, 1e9), TEXT), min_size=1, max_size=8),
    size=st.integers(1, 60),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_text_stays_as_it_is_however_the_file_is_cut_into_blocks(
    rows: list[tuple[str, float, str]], size: int, end: str, quoting: int, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        # QUOTE_MINIMAL leaves a carriage return alone that does not end a line of this file.
        lines = csv.writer(file, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
        lines.writerow(["note", "value", "name"])
        kept = [
            tuple(t.replace("\r", " ").replace("\n", " ") if quoting == 0 else t for t in (n, m))
            for n, _, m in rows
        ]
        lines.writerows((m, repr(v), n) for (n, m), (_, v, _) in zip(kept, rows, strict=True))
    expected = [(n, v) for (n, _), (_, v, _) in zip(kept, rows, strict=True)]
    assert read(path, size) == read(path) == expected
    reader = CsvFile(path, COLUMNS, size)
    list(reader.blocks())
    assert reader.lookup(range(len(rows)), "note") == dict(enumerate(m for _, m in kept))
    wanted = kept[0][0]
    assert reader.rows_with("name", wanted.__eq__) == [
        n for n, (name, _) in enumerate(kept) if name == wanted
    ]


@pytest.mark.parametrize("name", ["1.10", "00048", "7e12345", "1e3", "True", "NA", "nan", ""])
def test_a_name_that_looks_like_something_else_is_a_name(name: str, tmp_path: Path) -> None:
    assert read(written(tmp_path / "x.csv", f"name,value\n{name},1\n")) == [(name, 1.0)]


@pytest.mark.parametrize("space", [" ", "\t", "\u00a0", "\u2009", " \u00a0 ", "\v", "\x1f"])
def test_white_space_around_a_name_makes_no_other_name(space: str, tmp_path: Path) -> None:
    data = f"name,value\na,1\n{space}a,2\na{space},3\n"
    path = written(tmp_path / "x.csv", data)
    assert read(path) == [("a", 1.0), ("a", 2.0), ("a", 3.0)]
    reader = CsvFile(path, COLUMNS)
    list(reader.blocks())
    assert reader.rows_with("name", "a".__eq__) == [0, 1, 2]


@pytest.mark.parametrize("line", ["a,4,05,", "a,1,101,,", "a,-4,5,,,"])
def test_a_decimal_comma_beside_an_empty_value_is_refused(line: str, tmp_path: Path) -> None:
    error = refusal(written(tmp_path / "x.csv", f"name,value,note\n{line}\n"))
    assert ":2: " in str(error)
    assert "the first line names 3" in str(error)


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param("name,value\na,1\nb,2\n", id="plain"),
        pytest.param("name,value\na,1\nb,2", id="no line end"),
        pytest.param("name,value\n\na,1\n\n\nb,2\n\n", id="blank lines"),
        pytest.param("\n \nname,value\na,1\nb,2\n", id="blank lines before the first"),
        pytest.param("name,value\na,1\n,\n , \nb,2\n,,\n", id="lines of separators"),
        pytest.param("sep=,\nname,value\na,1\nb,2\n", id="a line for Excel"),
        pytest.param("name,value\na,1,,\nb,2,\n", id="more separators"),
        pytest.param("name,value,,\na,1,,\nb,2,,\n", id="columns without a name"),
        pytest.param("name,value,x,x\na,1,5,6\nb,2,7,8\n", id="unknown columns twice"),
        pytest.param("name,value,note,of\na,1\nb,2,\n", id="short lines that lack nothing needed"),
        pytest.param(" name , value\na, 1\nb,2\t\n", id="spaces around numbers and headings"),
        pytest.param("name,value\r\na,1\r\nb,2\r\n", id="DOS"),
        pytest.param("name,value\ra,1\rb,2\r", id="old Mac"),
        pytest.param('"name","value"\n"a","1"\n"b","2"\n', id="all quoted"),
        pytest.param("\ufeffname,value\na,1\nb,2\n", id="UTF-8 with a mark"),
        pytest.param("\ufeff\ufeffname,value\na,1\nb,2\n", id="two marks"),
        pytest.param("name,value\na,1\nb,2\n".encode("utf-16"), id="UTF-16 of PowerShell"),
        pytest.param(b"\xfe\xff" + "name,value\na,1\nb,2\n".encode("utf-16-be"), id="UTF-16 BE"),
        pytest.param("name,value\na,1\nb,2\n".encode("utf-32"), id="UTF-32"),
    ],
)
def test_what_spreadsheets_and_shells_write_is_read(
    data: str | bytes, size: int, tmp_path: Path
) -> None:
    assert read(written(tmp_path / "x.csv", data), size) == [("a", 1.0), ("b", 2.0)]


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        pytest.param(
            "name,value\na,1\n\nb\n", 4, "1 value, and the first line names 2", id="short"
        ),
        pytest.param(
            "name,value,note\na,1,x\nb,12", 3, "2 values, and the first line names 3", id="cut off"
        ),
        pytest.param("name,value\na,1\nb,1,234\n", 3, "3 values, and", id="decimal comma"),
        pytest.param("name,value,,\na,1,,\nb,1,2,\n", 3, "`2` is in a column without", id="Excel"),
        pytest.param('name,value\na,1\nb,"1,5"\n', 3, "`1,5` is not a number", id="quoted comma"),
        pytest.param("name,value\na,1\nb,1\u00a0\n", 3, "is not a number", id="no-break space"),
        pytest.param("name,value\na,1\nb,1\u202f234\n", 3, "is not a number", id="narrow space"),
        pytest.param("name,value\na,\u20091\n", 2, "is not a number", id="thin space"),
        pytest.param("name,value\na,\u22121\n", 2, "is not a number", id="minus sign"),
        pytest.param("name,value\na,1_000\n", 2, "`1_000` is not a number", id="underscore"),
        pytest.param("name,value\na,\u0661\n", 2, "is not a number", id="Arabic digit"),
        pytest.param("name,value\na,1e999\n", 2, "is not a finite number", id="beyond doubles"),
        pytest.param("name,value\na,1\nb,\n", 3, "`` is not a number", id="empty"),
        pytest.param('name,value\n"a\nb",1\nc,x\n', 4, "`x` is not a number", id="after two lines"),
        pytest.param('name,value\na,1\nb,"2\n', 3, "cannot be read as CSV", id="open quote"),
        pytest.param('name,value\na,1\n"b"c,2\n', 3, "cannot be read as CSV", id="odd quote"),
        pytest.param(b"name,value\na,1\n\xe9,2\n", 3, "not UTF-8", id="Latin-1"),
        pytest.param("name;value\na;1\n", 1, "separated by semicolons", id="semicolons"),
        pytest.param("sep=;\nname;value\na;1\n", 2, "separated by semicolons", id="Excel's line"),
        pytest.param("name\tvalue\na\t1\n", 1, "separated by tabs", id="tabs"),
        pytest.param("name|value\na|1\n", 1, "separated by bars", id="bars"),
        pytest.param('{"name": 1, "value": 2}\n', 1, "looks like JSON", id="JSON"),
        pytest.param("\n\nvalue\n1\n", 3, "the column `name` is missing", id="no such column"),
        pytest.param("name,value,name\na,1,b\n", 1, "`name` is there twice", id="twice"),
        pytest.param("name,value\n".encode("utf-16-le"), 1, "NUL bytes", id="UTF-16, no mark"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(
    data: str | bytes, line: int, said: str, size: int, tmp_path: Path
) -> None:
    path = written(tmp_path / "x.csv", data)
    error = refusal(path, size)
    assert str(error).startswith(f"{path}:{line}: ")
    assert said in str(error)
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"\n\n", "the file is empty", id="blank"),
        pytest.param(b"\xff\xfen", "UTF-16", id="half of a UTF-16 character"),
        pytest.param(b"\x1f\x8b\x08\x00abc", "a gzip file", id="gzip"),
        pytest.param(b"BZh91AY&SY", "a bzip2 file", id="bzip2"),
        pytest.param(b"\xfd7zXZ\x00", "an xz file", id="xz"),
        pytest.param(b"\x28\xb5\x2f\xfdabc", "a zstd file", id="zstd"),
        pytest.param(b"PK\x03\x04abc", "an Excel workbook", id="xlsx"),
        pytest.param(b"name,value\n", "no line but the first", id="no rows"),
        pytest.param(b"name,value\n\n , \n", "no line but the first", id="blank rows"),
    ],
)
def test_what_is_no_table_is_refused(data: bytes, said: str, tmp_path: Path) -> None:
    assert said in str(refusal(written(tmp_path / "x.csv", data)))


def test_a_folder_and_nothing_are_refused(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in str(refusal(tmp_path))
    assert "cannot be read: No such file" in str(refusal(tmp_path / "x.csv"))


def test_a_hint_says_which_character_is_odd(tmp_path: Path) -> None:
    error = refusal(written(tmp_path / "x.csv", "name,value\na,101.2\u00a0\n"))
    assert "U+00A0 (no-break space)" in error.hint
    assert "1234.5" in refusal(written(tmp_path / "x.csv", 'name,value\na,"1,5"\n')).hint


@pytest.mark.parametrize("columns", [MAX_COLUMNS + 1, 60_000, 3_000_000])
def test_too_many_columns_are_one_sentence(columns: int, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    names = ",".join(f"c{n}" for n in range(columns))
    written(path, f"name,value,{names}\na,1{',1' * columns}\n")
    said = str(refusal(path))
    assert said.startswith(f"{path}:1: ")
    assert f"{columns + 2} columns" in said or "does not end within" in said


def test_many_columns_and_lines_without_values_take_little_memory(tmp_path: Path) -> None:
    head = ",".join(["name", "value", *(f"c{n}" for n in range(MAX_COLUMNS - 2))])
    path = written(tmp_path / "x.csv", f"{head}\n" + "\n" * 300_000 + "a,1\n" * 100_000)
    code = (
        "import re, sys; from pathlib import Path; import numpy;"
        "from pipeline.storage.csv_file import Column, CsvFile;"
        "file = CsvFile(Path(sys.argv[1]), (Column('name'), Column('value', is_number=True)));"
        "print(sum(len(block.texts['name']) for block in file.blocks()));"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1])"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows, kilobytes = map(int, done.stdout.split())
    assert rows == 100_000
    assert kilobytes < 200_000


TABLE = "pair,arm,metric,value\n" + "".join(
    f"{n},baseline,m,{100 + n}\n{n},candidate,m,{120 + n}\n" for n in range(5)
)
NIGHTS = "time,value\n" + "".join(f"2025-03-{n + 1:02},{1 + (n > 9) + n / 99}\n" for n in range(20))


def told(command: Sequence[str], path: str, data: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *command, path, "--json"],
        input=data,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(("verb", "data"), [("judge", TABLE), ("history", NIGHTS)])
def test_a_pipe_is_as_good_as_a_file(verb: str, data: str, tmp_path: Path) -> None:
    expected = told([verb], str(written(tmp_path / "x.csv", data)), "")
    assert expected
    assert told([verb], "-", data) == expected
    assert told([verb], "/dev/stdin", data) == expected
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = Thread(target=written, args=(fifo, data))
    writer.start()
    assert told([verb], str(fifo), "") == expected
    writer.join()


def test_errors_of_standard_input_name_it_with_the_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "judge", "-"],
        input=TABLE + "9,baseline,m,x\n",
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "standard input:12: value: `x` is not a number" in done.stderr
