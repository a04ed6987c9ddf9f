"""A suite of somebody's own: its script or config stands beside it, and any editor has saved it."""

import codecs
import contextlib
import errno
import os
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
        assert (
            f"there is no {said} in {tmp_path}, the suite's folder, and ours are "
            in f"{refused.value}"
        )


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


@pytest.mark.parametrize("name", ["mine.js", "lib/bad.js", "mine.yaml", "modules/bad.yaml"])
@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("a link to elsewhere", "is a symbolic link to a file outside of"),
        ("a link to nothing", "is a symbolic link to nothing"),
        ("a circle of links", "is a symbolic link in a circle"),
        ("a pipe", "is not a file"),
        ("a file without rights", "cannot be read: Permission denied"),
        ("a large file", "has more than 524,288 bytes"),
        ("latin-1", ":2: is not UTF-8"),
    ],
)
def test_a_file_beside_a_suite_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str, problem: str
) -> None:
    folder = tmp_path / "perf"
    is_k6 = name.endswith(".js")
    path = suite(folder, K6 if is_k6 else CL2, "mine.js" if is_k6 else "mine")
    (folder / ("mine.js" if is_k6 else "mine.yaml")).write_text("")
    bad = folder / name
    bad.parent.mkdir(exist_ok=True)
    bad.unlink(missing_ok=True)
    make_unusable(bad, kind, monkeypatch)
    with pytest.raises(ConfigError) as refused:
        suite_file.load(path)
    assert f"{path}:" in f"{refused.value}"
    assert f"{bad}" in f"{refused.value}"
    assert problem in f"{refused.value}"


def make_unusable(path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a file that cannot be used as a script."""
    match kind:
        case "a link to elsewhere":
            path.symlink_to("/etc/hostname")
        case "a link to nothing":
            path.symlink_to("nothing")
        case "a circle of links":
            path.symlink_to(path.name)
        case "a pipe":
            os.mkfifo(path)
        case "a file without rights":
            path.write_text("")
            read = Path.read_bytes

            def refuse(self: Path) -> bytes:  # root may read anything
                if self == path:
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
                return read(self)

            monkeypatch.setattr(Path, "read_bytes", refuse)
        case "a large file":
            path.write_bytes(b" " * (2**19 + 1))
        case _:
            path.write_bytes(b"//\n// \xe9\n")


def test_a_link_inside_the_folder_of_a_suite_is_a_file_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "common.js").write_text(SCRIPT)
    path = suite(tmp_path)
    (tmp_path / "mine.js").symlink_to("common.js")
    loaded = suite_file.load(path)
    (tmp_path / "out").mkdir()
    suite_file.keep(loaded, tmp_path / "out")
    assert not (tmp_path / "out" / "mine.js").is_symlink()
    assert suite_file.load(tmp_path / "out" / suite_file.SUITE).digest == loaded.digest


def test_too_many_files_beside_a_suite_are_refused(tmp_path: Path) -> None:
    path = suite(tmp_path)
    (tmp_path / "mine.js").write_text("")
    (tmp_path / "lib").mkdir()
    for number in range(200):
        (tmp_path / "lib" / f"x{number}.js").write_text("")
    with pytest.raises(ConfigError, match="201 files are beside the suite, and 200 are allowed"):
        suite_file.load(path)


@pytest.mark.parametrize("script", ["../mine.js", "scripts/mine.js", "/etc/mine.js"])
def test_a_script_has_no_folder(tmp_path: Path, script: str) -> None:
    for driver in (K6, CL2):
        with pytest.raises(ConfigError, match="in the folder of the suite, without a folder"):
            suite_file.load(suite(tmp_path, driver, script))


def test_a_path_may_begin_with_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert suite_file.path_of("~/perf/mine.toml") == tmp_path / "perf" / "mine.toml"


def test_a_path_without_its_ending_is_guessed_in_the_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite(tmp_path / "perf")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"there is no suite `\./perf/mine`") as refused:
        suite_file.path_of("./perf/mine")
    assert refused.value.hint == "did you mean perf/mine.toml?"


def test_an_artifact_cannot_name_a_file_as_the_suite_that_decides(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no suite"):
        suite_file.bundled_path(f"{suite(tmp_path)}")


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


@pytest.mark.parametrize(
    "text",
    [
        f"pairs = {'1' * 5000}",
        f"pairs = 0x{'f' * 5000}",
        f"{'a.' * 5000}a = 1",
        "rate = 1e308",
        "projects = 9223372036854775807",
        "a = [{ b = [1, -1e16] }]",
    ],
)
def test_numbers_and_keys_beyond_all_sense_are_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^x\.toml: "):
        toml_file.parse(text, "x.toml")


def test_a_suite_beside_a_file_whose_name_is_no_text_has_a_digest(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "mine.js").write_text(SCRIPT)
    (tmp_path / "lib" / os.fsdecode(b"a\xff.js")).write_text("export const x = 1\n")
    assert suite_file.load(suite(tmp_path)).digest.startswith("sha256:")
