"""A suite of somebody's own: its script or config stands beside it, and any editor has saved it."""

import codecs
import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.drivers.load_files import LoadFromFiles
from pipeline.environments.gke import cost
from pipeline.environments.registry import read_environment
from pipeline.runs import suite_file
from pipeline.storage import acknowledged, toml_file
from pipeline.system import paths
from pipeline.system.errors import ConfigError

K6 = """
[workload.driver]
kind = "k6"
script = "{script}"
rate = 20.0
duration_s = 8
"""
CL2 = """
[workload.driver]
kind = "clusterloader2"
config = "{script}"
rate = 20.0
duration_s = 8
"""
SUITE = """name = "mine"
description = "x"
pairs = 3
[environment]
kind = "local"
[[workload]]
name = "mine"
metric = [{ name = "a", select = "errors_share", unit = "1", scale = "difference", margin = 0.1 }]
"""
SCRIPT = """// @ts-check
import http from 'k6/http'
import {
  get,
} from './lib/api.js'
/** @param {import('./lib/settings.js').Arm} arm */
export const name = 'x'
export default function (arm) { get(arm, '/') }
"""
CONFIG = "name: mine\nsteps:\n- module: {path: modules/begin.yaml}\n"


def suite(folder: Path, driver: str = K6, script: str = "mine.js", name: str = "mine.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(SUITE + driver.format(script=script), encoding="utf-8")
    return path


def load_of(suite: Path) -> LoadFromFiles:
    settings = suite_file.load(suite).suite.workloads[0].driver
    assert isinstance(settings, LoadFromFiles)
    return settings


def test_a_script_beside_its_suite_is_run_with_our_lib(tmp_path: Path) -> None:
    (tmp_path / "mine.js").write_text(SCRIPT)
    driver = load_of(suite(tmp_path))
    with driver.laid_out() as root:
        assert (root / "mine.js").read_text() == SCRIPT
        ours = paths.project_path("k6_scripts", "lib")
        assert {p.name: p.read_bytes() for p in (root / "lib").iterdir()} == {
            p.name: p.read_bytes() for p in ours.glob("*.js")
        }
    assert not root.exists()


def test_a_config_beside_its_suite_is_run_with_our_modules(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(CONFIG)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "own.yaml").write_text("kind: Secret\n")
    driver = load_of(suite(tmp_path, CL2, "mine"))
    with driver.laid_out() as root:
        assert (root / "mine.yaml").read_text() == CONFIG
        assert (root / "templates" / "own.yaml").is_file()
        assert (root / "modules" / "begin.yaml").is_file()
        assert (root / "projects.yaml").is_file()


def test_ours_is_run_where_it_is_unless_one_of_its_name_stands_beside(tmp_path: Path) -> None:
    path = suite(tmp_path, script="object_crud.js")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "api.js").write_text("throw 1")  # of something else
    loaded = suite_file.load(path)
    with load_of(path).laid_out() as root:
        assert root == paths.project_path("k6_scripts")
    (tmp_path / "object_crud.js").write_text(SCRIPT)
    assert suite_file.load(path).digest != loaded.digest


def test_all_that_is_measured_by_is_in_the_digest_and_not_where_it_stands(tmp_path: Path) -> None:
    for driver, script, main, other in (
        (K6, "mine.js", "mine.js", "lib/more.js"),
        (CL2, "mine", "mine.yaml", "templates/more.yaml"),
    ):
        here = tmp_path / main
        path = suite(here, driver, script)
        (here / main).write_text(SCRIPT if driver == K6 else CONFIG)
        loaded = suite_file.load(path)
        for change in (main, other):
            before = suite_file.load(path).digest
            (here / change).parent.mkdir(exist_ok=True)
            with (here / change).open("a") as file:
                file.write("\n")
            assert suite_file.load(path).digest != before
        (here / other).unlink()
        (here / main).write_text(SCRIPT if driver == K6 else CONFIG)
        for kept in (tmp_path / f"a-{main}", paths.project_path("out", f"x-{tmp_path.name}")):
            kept.mkdir(parents=True)
            try:
                suite_file.keep(loaded, kept)
                assert suite_file.load(kept / suite_file.SUITE).digest == loaded.digest
            finally:
                for left in kept.iterdir():
                    left.unlink()
                kept.rmdir()


def test_a_script_that_is_nowhere_is_named_with_its_line(tmp_path: Path) -> None:
    for driver, script, said in ((K6, "none.js", "none.js"), (CL2, "none", "none.yaml")):
        path = suite(tmp_path, driver, script)
        with pytest.raises(ConfigError) as refused:
            suite_file.load(path)
        assert f"{path}:12: workload.0.driver." in f"{refused.value}"
        assert f"there is no {said} beside the suite, and ours are " in f"{refused.value}"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import x from './helper.js'", "./helper.js"),
        ("import { x } from 'https://jslib.k6.io/k6-utils/1.4.0/index.js'", "https://jslib.k6.io"),
        ("export * from '../other.js'", "../other.js"),
        ("import './lib/none.js'", "./lib/none.js"),
        ("import {\n x\n} from 'lodash'", "lodash"),
        ("import*as x from'lodash'", "lodash"),
    ],
)
def test_an_import_that_would_not_be_found_is_refused_before_anything_starts(
    tmp_path: Path, line: str, name: str
) -> None:
    (tmp_path / "helper.js").write_text("")
    (tmp_path / "mine.js").write_text(f"// x\n{line}\n{SCRIPT}")
    with pytest.raises(ConfigError) as refused:
        suite_file.load(suite(tmp_path))
    number = 2 + line.count("\n")
    assert f"{tmp_path / 'mine.js'}:{number}: it imports `{name}" in f"{refused.value}"


def test_a_helper_in_lib_may_be_imported(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "helper.js").write_text("import { get } from './api.js'\nexport { get }\n")
    (tmp_path / "mine.js").write_text("import { get } from './lib/helper.js'\n" + SCRIPT)
    with load_of(suite(tmp_path)).laid_out() as root:
        assert (root / "lib" / "helper.js").is_file()
        assert (root / "lib" / "api.js").is_file()


# What editors do to a file


def read_as(folder: Path, kind: str, data: bytes) -> object:
    """Read a file of some kind by the reader of it."""
    path = folder / f"{kind}.toml"
    path.write_bytes(data)
    match kind:
        case "suite":
            return suite_file.load(path).suite
        case "environment":
            return read_environment(str(path))
        case "steps":
            return acknowledged.steps(path)
        case "regressions":
            return acknowledged.regressions(path)
        case _:
            return cost.prices(path)


TOML = {
    "suite": SUITE + K6.format(script="object_crud.js"),
    "environment": '[environment]\nkind = "kind"\n',
    "steps": '[[acknowledged]]\nseries = "é"\nindex = 3\nreason = "x"\n',
    "regressions": '[[accepted]]\nmetric = "é"\nreason = "x"\nby = "a"\nuntil = 2026-12-31\n',
    "prices": 'as_of = "2026-01-01"\n',
}


@pytest.mark.parametrize("kind", TOML)
def test_a_mark_of_utf_8_and_line_ends_of_windows_change_nothing(tmp_path: Path, kind: str) -> None:
    plain = TOML[kind].encode()
    usual = read_as(tmp_path, kind, plain)
    windows = codecs.BOM_UTF8 + plain.replace(b"\n", b"\r\n")
    assert read_as(tmp_path, kind, windows) == usual


@pytest.mark.parametrize("kind", TOML)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "latin-1"])
def test_another_encoding_is_a_sentence(tmp_path: Path, kind: str, encoding: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_as(tmp_path, kind, f"# é\n{TOML[kind]}".encode(encoding))
    said = "is not UTF-8" if encoding == "latin-1" else "is UTF-16 or UTF-32"
    assert said in f"{refused.value}"
    assert f"{kind}.toml" in f"{refused.value}"
    assert "UTF-8" in refused.value.hint


def test_what_was_kept_of_a_suite_with_a_mark_is_the_same_suite(tmp_path: Path) -> None:
    path = suite(tmp_path, script="object_crud.js")
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    loaded = suite_file.load(path)
    (tmp_path / "out").mkdir()
    suite_file.keep(loaded, tmp_path / "out")
    assert suite_file.load(tmp_path / "out" / suite_file.SUITE).digest == loaded.digest


@given(data=st.binary())
def test_any_bytes_are_read_or_refused_in_a_sentence(data: bytes) -> None:
    with contextlib.suppress(ConfigError):
        toml_file.parse(toml_file.decode(data, "x.toml"), "x.toml")


def test_tables_that_are_nested_too_deeply_are_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"x\.toml: not TOML"):
        toml_file.parse("a = " + "[" * 100_000, "x.toml")
