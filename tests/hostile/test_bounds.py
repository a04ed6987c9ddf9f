"""Whatever a file from elsewhere holds, it is read within bounds or refused in one sentence."""

import gzip
import json
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.commands import main
from pipeline.drivers.k6 import csv_points
from pipeline.drivers.k6.csv_points import ReadBudget, read_series
from pipeline.drivers.k6.summarize import read_points
from pipeline.environments.load_agent import LoadAgent
from pipeline.judge import policy
from pipeline.model.subject import Arm
from pipeline.runs import request, suite_file, traces
from pipeline.runs.history import nightly_records
from pipeline.storage import codec, strict_json
from pipeline.system.errors import BaselineError, ConfigError, Exit, LoadError
from tests import builders
from tests.hostile import shapes

HEAD = shapes.POINTS_HEAD


def _points(path: Path, *parts: bytes) -> Path:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    with path.open("wb") as file:
        for part in (HEAD, *parts):
            file.write(packer.compress(part))
        file.write(packer.flush())
    return path


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        pytest.param([b"http_req_duration,1," + b"1" * 2**20] * 40, "longer than", id="one line"),
        pytest.param([b'"', *[b"x\n" * 2**19] * 40], "longer than", id="one quoted field"),
        pytest.param([b"\n" * 2**20] * 40, "longer than", id="empty lines"),
        pytest.param(
            [shapes.point(tags=f"arm=baseline&phase=load&op=o{n}") for n in range(2_001)],
            "more than 2000 kinds of points",
            id="kinds",
        ),
        pytest.param([shapes.point() * 1_000] * 1_501, "more points than", id="points"),
        pytest.param([b"\xff\xfe,1,1\n"], "not what k6 writes", id="not UTF-8"),
    ],
)
def test_points_from_elsewhere_that_are_too_much_are_refused(
    tmp_path: Path, parts: list[bytes], said: str
) -> None:
    path = _points(tmp_path / "points.csv.gz", *parts)
    with pytest.raises(LoadError, match=said) as caught:
        list(read_series(path, ReadBudget.foreign()))
    assert str(caught.value).isprintable()


def test_points_that_unpack_to_more_than_is_read_are_refused(tmp_path: Path) -> None:
    path = _points(tmp_path / "points.csv.gz", *[shapes.point() * 100] * 50)
    unpacked = len(gzip.decompress(path.read_bytes()))
    assert list(read_series(path, ReadBudget(size=unpacked)))
    with pytest.raises(LoadError, match="larger, unpacked, than is read"):
        list(read_series(path, ReadBudget(size=unpacked - 1)))


def test_what_several_files_may_hold_together_is_bounded(tmp_path: Path) -> None:
    path = _points(tmp_path / "points.csv.gz", shapes.point() * 100)
    allowed = ReadBudget(lines=250)
    for _ in range(2):
        list(read_series(path, allowed))
    with pytest.raises(LoadError, match="more points than"):
        list(read_series(path, allowed))
    assert allowed.is_spent


def test_a_page_says_which_points_of_a_folder_from_elsewhere_it_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = shapes.run(tmp_path, points=shapes.point() * 100, pairs=3)
    monkeypatch.setattr(ReadBudget, "foreign", lambda: ReadBudget(lines=150))
    page = traces.read(tmp_path, found, is_ours=False)
    assert [one for one in page.unread if "more points than are read" in one]
    assert "raw times of 1 more files are not read" in page.unread
    assert {arms[Arm.BASELINE].count for arms in page.distributions.values()} == {100}
    whole = traces.read(tmp_path, found, is_ours=True)
    assert not whole.unread
    assert next(iter(whole.distributions.values()))[Arm.BASELINE].count == 300


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        pytest.param(["server,0,inf,1,1,1,0,0"], "is not a number", id="infinite"),
        pytest.param(["server,nan,1,1,1,1,0,0"], "is not a number", id="no number"),
        pytest.param([f"c{n},0,1,1,1,1,0,0" for n in range(60)], "more than 100", id="names"),
        pytest.param(["server,0,1,1,1,1,0,0" + "\udcff"], "cannot be read", id="not UTF-8"),
        pytest.param(["server,0,1,1,1,1,0,0"] * 500_000, "too large to be read", id="size"),
    ],
)
def test_looks_from_elsewhere_that_cannot_be_are_left_out(
    tmp_path: Path, rows: list[str], said: str
) -> None:
    found = shapes.run(tmp_path, points=shapes.point())
    text = "\n".join(["component,time_s,cpu_s,memory,threads,files,read,written", *rows])
    path = tmp_path / "pairs" / "000" / "object-crud" / "candidate" / "process.csv"
    path.parent.mkdir()
    path.write_bytes(text.encode(errors="surrogateescape"))
    page = traces.read(tmp_path, found, is_ours=False)
    (sentence,) = page.unread
    assert said in sentence
    assert sentence.isprintable()


def test_many_kinds_of_points_are_counted_as_exactly_as_few(tmp_path: Path) -> None:
    lines = [
        shapes.point(
            at=1_000_000 + n, value=n % 7 + 1, tags=f"arm=baseline&phase=load&op=o{n % 97}"
        )
        for n in range(5_000)
    ]
    found = read_points(_points(tmp_path / "points.csv.gz", *lines), [Arm.BASELINE])
    values = {one.name: one.value for one in found.arms[Arm.BASELINE].readings}
    assert values["http_req_duration/count"] == 5_000
    assert values["http_req_duration{op=o3}/count"] == len(range(3, 5_000, 97))
    mean = sum(n % 7 + 1 for n in range(3, 5_000, 97)) / len(range(3, 5_000, 97)) / 1e3
    assert values["http_req_duration{op=o3}/mean"] == pytest.approx(mean)


def test_k6_itself_may_write_more_than_a_stranger() -> None:
    ours, foreign = ReadBudget(), ReadBudget.foreign()
    assert ours.size > 100 * foreign.size
    assert ours.lines > 100 * foreign.lines
    assert csv_points._CHUNK_BYTES / csv_points._CHUNK > 500  # noqa: SLF001 (bytes of a line; k6 has 110)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param("[" + "[]," * 200_000 + "[]]", "more than 80000 values", id="lists"),
        pytest.param("[" + "0," * 200_000 + "0]", "more than 80000 values", id="numbers"),
        pytest.param(json.dumps({f"k{n}": 0 for n in range(10**5)}), "more than 80000", id="keys"),
        pytest.param('"' + "x" * 9_000 + '"', "more than 5000 characters", id="text"),
        pytest.param(" " * 5 * 2**20, "larger than 4 MiB", id="spaces"),
        pytest.param("[" * 10**5, "nested more than 16 deep", id="depth"),
        pytest.param('["\xff"]', "not UTF-8", id="not UTF-8"),
    ],
)
def test_a_file_that_a_person_names_is_read_within_bounds(
    tmp_path: Path, body: str, said: str
) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(body.encode("latin-1"))
    for read in (codec.RESULTS.read, codec.CAPACITY.read, codec.EVALUATION.read):
        with pytest.raises(BaselineError, match=said):
            read(path)


def test_the_most_pairs_that_a_run_may_have_can_be_read_again(tmp_path: Path) -> None:
    suite = suite_file.load(suite_file.path_of("pr")).suite
    metrics = [m.metric() for w in suite.workloads for m in w.metrics]
    pairs = request.max_pairs(suite)
    named = [replace(metric, name=f"m{number}") for number, metric in enumerate(metrics)]
    found = builders.results(*((metric, [0.5] * pairs, [0.5] * pairs) for metric in named))
    codec.RESULTS.write(tmp_path / "results.json", found)
    assert codec.RESULTS.read(tmp_path / "results.json") == found
    assert pairs > 400


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a = " + "[" * 10**5, "nested too deep", id="deep"),
        pytest.param("#" * 2**20, "has more than 524,288 bytes", id="large"),
        pytest.param("\udcff", "is not UTF-8", id="not UTF-8"),
        pytest.param("\n".join(f"k{n} = 0" for n in range(20_000)), "suite.toml:", id="keys"),
    ],
)
def test_a_suite_from_elsewhere_is_read_within_bounds(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "suite.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=said) as caught:
        suite_file.load(path)
    assert len(caught.value.hint) < 10_000


def test_a_history_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nights.jsonl"
    path.write_bytes(b"\n" * (nightly_records.MAX_BYTES + 1))
    with pytest.raises(BaselineError, match="larger than 5 MiB") as caught:
        nightly_records.load(path)
    assert "to another file" in caught.value.hint


def test_a_history_of_more_metrics_than_are_read_is_refused(tmp_path: Path) -> None:
    night = nightly_records.nightly_record(
        builders.results((builders.LATENCY, [0.1, 0.1], [0.1, 0.1]))
    )
    (value,) = night.metrics.values()
    many = night.model_copy(update={"metrics": {f"a/{n}": value for n in range(301)}})
    path = tmp_path / "nights.jsonl"
    path.write_text(many.model_dump_json(by_alias=True) + "\n")
    with pytest.raises(BaselineError, match="301 metrics; the limit is 300"):
        nightly_records.load(path)


def test_a_report_repeats_only_so_many_warnings_of_trials() -> None:
    found = builders.results(
        (builders.LATENCY, [0.1, 0.1], [0.1, 0.1]), warnings=tuple(f"w{n}" for n in range(1_000))
    )
    report = policy.report(found)
    assert "800 more warnings of trials are in results.json" in report.warning_texts
    assert len(report.warning_texts) < 220


class _Answering:
    """An API server that passes what a load pod answers on."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def proxy(self, *_: object, **__: object) -> "_Answering":
        return self

    def read(self, size: int) -> bytes:
        return self.data[:size]

    def stream(self, size: int) -> list[bytes]:
        return [self.data[at : at + size] for at in range(0, len(self.data), size)]

    def release_conn(self) -> None:
        pass

    def close(self) -> None:
        pass


def _agent(data: bytes) -> LoadAgent:
    return LoadAgent(_Answering(data), "n", "p", "load pod 1 of 2", "token", 0.0)  # type: ignore[arg-type]  # all that is asked of it


_STATE = {"running": False, "exit": 0, "began": 1.0, "ended": 2.0, "cpu_share": 0.5, "files": []}


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe\x00",
        b"",
        b"<html>",
        b"[" * 10**6,
        b'{"running": NaN}',
        b" " * (17 * 2**20),
        b"[]",
        b"3",
        json.dumps(_STATE | {"exit": 1e300}).encode(),
        json.dumps(_STATE | {"exit": "x" * 10**5}).encode(),
        json.dumps(_STATE | {"files": [3]}).encode(),
        json.dumps(_STATE | {"files": {"a": 1}}).encode(),
        json.dumps(_STATE | {"began": None}).encode(),
        json.dumps(_STATE | {"error": "\x1b[2J" * 10**4}).encode(),
    ],
    ids=lambda data: data[:12].decode("latin-1") + f"{len(data)}",
)
def test_a_load_agent_that_answers_with_something_else_is_one_sentence(data: bytes) -> None:
    with pytest.raises(LoadError, match="load pod 1 of 2") as caught:
        _agent(data).state()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("data", [b'{"data": 3}', b'{"data": {"attributes": []}}', b"[]"])
def test_a_setup_that_returns_something_else_returned_nothing(data: bytes) -> None:
    assert _agent(data).run_setup() is None


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", ".", "..", "a\x00b", "a\nb", "/etc/x", "x" * 300]
)
def test_a_load_agent_cannot_choose_where_its_files_go(tmp_path: Path, name: str) -> None:
    state = _STATE | {"files": [{"name": name, "size": 1, "sha256": "0"}]}
    agent = _agent(json.dumps(state).encode())
    with pytest.raises(LoadError, match="names a file that is a path"):
        agent.download(agent.state().files, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_load_agent_that_sends_more_than_it_told_is_cut_short(tmp_path: Path) -> None:
    agent = _agent(b"x" * (5 * 2**20))
    state = _agent(
        json.dumps(_STATE | {"files": [{"name": "a", "size": 10, "sha256": "0"}]}).encode()
    ).state()
    with pytest.raises(LoadError, match="more than 10 bytes came"):
        agent.download(state.files, tmp_path)
    assert (tmp_path / "a").stat().st_size == 0


def test_bounds_of_strict_json_hold_before_anything_is_made_of_a_text() -> None:
    data = b"[" + b"[]," * 10**6 + b"[]]"
    before = sys.getallocatedblocks()
    with pytest.raises(ValueError, match="more than 80000 values"):
        strict_json.loads(data, strict_json.OURS)
    assert sys.getallocatedblocks() - before < 10_000


@pytest.mark.parametrize(
    ("command", "head", "line", "most"),
    [
        ("history", "time,value,series", "{0},1,s{0}", 20_000),
        ("judge", "pair,arm,metric,value", "1,baseline,m{0},1", 50_000),
    ],
)
def test_a_table_of_nothing_but_names_is_refused_with_its_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    *,
    head: str,
    line: str,
    most: int,
) -> None:
    path = tmp_path / "names.csv"
    path.write_text("\n".join([head, *map(line.format, range(2 * most))]))
    assert main.main([command, str(path)]) == Exit.BAD_ARGUMENTS
    said = capsys.readouterr().err
    assert f"names.csv:{most + 2}: " in said
    assert f"one of the {most:,}" in said
