"""A Milo binary is what Go wrote into it, and takes only settings that it can be given."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import toolchain
from pipeline.model.subject import Product, Subject, parse_spec
from pipeline.system import paths
from pipeline.system.errors import BaselineError, ConfigError, Exit, LaunchError
from pipeline.toolchain import ahead, go, milo
from pipeline.toolchain.build import digest
from pipeline.toolchain.programs import minimum_go
from tests.running import gone

MAIN = 'package main\n\nfunc main() { println("milo %s") }\n'


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is built here away from the user's cache; without MILO_BIN of the user."""
    chosen = go.find(minimum_go())  # before the cache is another: it may be in there
    monkeypatch.setenv("PATH", str(chosen.path.parent), prepend=os.pathsep)
    for name, value in chosen.environment:
        monkeypatch.setenv(name, value)
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(paths, "cache", lambda: folder)
    for name in (milo.BINARY, milo.BASELINE_BINARY):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository with two commits, tagged v1 and v2, of a program of Milo's module."""
    folder = tmp_path / "a repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "go.mod").write_text(f"module {milo.MODULE}\n\ngo 1.23\n")
    for tag in ("v1", "v2"):
        (folder / "main.go").write_text(MAIN % tag)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", tag)
        git(folder, "tag", tag)
    return folder


BUILD = "go build -o {out} ."


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.invalid", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def said(path: Path) -> str:
    return subprocess.run([path], check=True, capture_output=True, text=True).stderr.strip()


def test_a_source_is_built_from_its_revision_and_the_checkout_stays_as_it_is(
    repository: Path,
) -> None:
    (repository / "main.go").write_text("this is not Go")
    built = toolchain.artifact(parse_spec(f"source:{repository}@v1"), BUILD)
    assert said(built.binary) == "milo v1"
    assert built.product is Product.MILO
    assert built.subject.facts["revision"] == git(repository, "rev-parse", "v1")
    assert built.subject.facts["go"] == go.find(minimum_go()).version
    assert (repository / "main.go").read_text() == "this is not Go"
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_a_source_may_build_a_reference_server_that_is_no_program_of_go(repository: Path) -> None:
    (repository / "build.sh").write_text('printf "#!/bin/sh\\necho said >&2" > "$1"; chmod +x "$1"')
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "a script")
    text = f"source:{repository}@HEAD?product=reference&slow-create=20ms"
    spec = parse_spec(text)
    toolchain.require_buildable(spec, "sh build.sh {out}")
    built = toolchain.artifact(spec, "sh build.sh {out}")
    assert said(built.binary) == "said"
    assert (built.product, spec.product) == (Product.REFERENCE, Product.REFERENCE)
    assert built.arguments == ("--fault=slow-create=20ms",)
    assert str(spec) == text
    tree = built.subject.facts["tree"]
    assert toolchain.built_trees({tree, "0" * 40}, "sh build.sh {out}") == {tree}
    assert toolchain.pin(built.subject).spec.startswith(f"source:{repository}@")
    with pytest.raises(ConfigError, match="no fault `slow-creates`"):
        toolchain.check_settings(parse_spec(text.replace("slow-create", "slow-creates")))


def test_a_source_is_built_once_for_each_tree_and_command(repository: Path) -> None:
    first = toolchain.artifact(parse_spec(f"source:{repository}@v1"), BUILD)
    when = first.binary.stat().st_mtime_ns
    again = toolchain.artifact(parse_spec(f"source:{repository}@v1^{{commit}}"), BUILD)
    assert again.binary == first.binary
    assert again.binary.stat().st_mtime_ns == when
    other = toolchain.artifact(parse_spec(f"source:{repository}@v2"), BUILD)
    trimmed = toolchain.artifact(parse_spec(f"source:{repository}@v1"), f"{BUILD} ")
    assert len({first.binary, other.binary, trimmed.binary}) == 3


@pytest.mark.parametrize("is_in_checkout", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_build_that_is_killed_leaves_no_process_and_the_next_removes_its_worktree(
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    *,
    is_in_checkout: bool,
) -> None:
    started = tmp_path / "started"
    waits = f"sleep 60 & echo $! > {started}.part; mv {started}.part {started}; wait; : {{out}}"
    hook = repository / ".git" / "hooks" / "post-checkout"
    if is_in_checkout:
        hook.write_text(f"#!/bin/sh\n{waits}\n")
        hook.chmod(0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(paths, "cache", lambda: tmp_path / "milo-perf")
    argv = ahead.argv(f"source:{repository}@v1", f"sh -c '{waits}'")
    with subprocess.Popen(argv) as process:
        while not started.exists():
            assert process.poll() is None
            time.sleep(0.01)
        assert len(git(repository, "worktree", "list").splitlines()) == 2
        process.send_signal(number)
    assert gone(int(started.read_text()))
    if number == signal.SIGKILL:
        hook.unlink(missing_ok=True)
        built = toolchain.artifact(parse_spec(f"source:{repository}@v2"), BUILD)
        assert said(built.binary) == "milo v2"

    assert len(git(repository, "worktree", "list").splitlines()) == 1
    left = [one.name for one in paths.cache().iterdir() if "worktree" in one.name]
    assert left == ["worktree.lock"]


@pytest.mark.parametrize(
    ("command", "error", "said"),
    [
        pytest.param("", ConfigError, "no command is guessed", id="no command"),
        pytest.param("go build .", ConfigError, "where the binary goes", id="no {out}"),
        pytest.param("go 'build {out}", ConfigError, "No closing quotation", id="open quote"),
        pytest.param("true {out}", LaunchError, "wrote nothing to {out}", id="writes nothing"),
        pytest.param("false {out}", LaunchError, "exited with 1", id="fails"),
        pytest.param("no-such-tool {out}", LaunchError, "not there", id="no such tool"),
    ],
)
def test_a_command_that_cannot_build_is_one_clear_error(
    repository: Path, command: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        toolchain.artifact(parse_spec(f"source:{repository}@v1"), command)
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_a_revision_or_repository_that_is_not_there_is_told(
    repository: Path, tmp_path: Path
) -> None:
    with pytest.raises(LaunchError, match="has no revision `v9`"):
        toolchain.artifact(parse_spec(f"source:{repository}@v9"), BUILD)
    with pytest.raises(LaunchError, match="not in a git repository"):
        toolchain.artifact(parse_spec(f"source:{tmp_path}@v1"), BUILD)


def test_settings_become_flags_and_variables(repository: Path) -> None:
    settings = "env.GOGC=50&flag.v=2&flag.watch-cache=false&manager-flag.concurrent-gc-syncs=5"
    built = toolchain.artifact(parse_spec(f"source:{repository}@v1?{settings}"), BUILD)
    assert built.variables == {"GOGC": "50"}
    assert built.arguments == ("--v=2", "--watch-cache=false")
    assert built.manager_arguments == ("--concurrent-gc-syncs=5",)
    assert built.subject.spec.endswith(settings)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("slow-create=20ms", "Milo has no setting `slow-create`"),
        ("flags.v=2", "did you mean `flag.…`"),
        ("flag.=2", "Milo has no setting `flag.`"),
        ("env.A-B=2", "Milo has no setting `env.A-B`"),
        ("flag.secure-port=1", "--secure-port is set by the launch itself"),
        ("manager-flag.kubeconfig=x", "--kubeconfig is set by the launch itself"),
    ],
)
def test_a_setting_that_cannot_be_given_is_refused_before_anything_runs(
    setting: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        toolchain.check_settings(parse_spec(f"binary:/nowhere/milo?{setting}"))
    assert caught.value.exit_code == Exit.BAD_ARGUMENTS


def test_a_binary_that_is_not_milo_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(
        LaunchError, match=r"is not Milo: it is a Go program of the module go\.k6\.io"
    ):
        toolchain.artifact(parse_spec(f"binary:{toolchain.program('k6').path}"))
    script = tmp_path / "milo"
    script.write_text(f"#!{sys.executable}\n")
    script.chmod(0o755)
    with pytest.raises(LaunchError, match="is not Milo: it is no Go program"):
        toolchain.artifact(parse_spec(f"binary:{script}"))
    script.chmod(0o644)
    with pytest.raises(LaunchError, match="not an executable file"):
        toolchain.artifact(parse_spec(f"binary:{script}"))
    with pytest.raises(LaunchError, match="not an executable file"):
        toolchain.artifact(parse_spec("binary:/nowhere/milo"))


def test_a_binary_kept_as_a_baseline_is_found_by_its_digest(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "bin" / "milo"
    binary.parent.mkdir()
    made = toolchain.artifact(parse_spec(f"source:{repository}@v1"), BUILD).binary
    shutil.copy2(made, binary)
    subject = toolchain.artifact(parse_spec(f"binary:{binary}?env.GOGC=50")).subject

    pinned = toolchain.pin(subject)
    assert pinned.spec == f"binary@{subject.digest}?env.GOGC=50"
    assert str(tmp_path) not in pinned.spec
    binary.unlink()
    again = toolchain.artifact(parse_spec(pinned.spec))
    assert digest(again.binary) == subject.digest

    shutil.rmtree(paths.cache() / "subjects")
    with pytest.raises(
        BaselineError, match="no binary on this machine has the digest of the baseline, sha256:"
    ):
        toolchain.artifact(parse_spec(pinned.spec))
    monkeypatch.setenv(milo.BASELINE_BINARY, str(made))
    assert toolchain.artifact(parse_spec(pinned.spec)).binary == made


def test_a_binary_that_was_replaced_meanwhile_is_not_kept(tmp_path: Path) -> None:
    binary = tmp_path / "milo"
    binary.write_text("another")
    with pytest.raises(BaselineError, match="is not the binary that was measured any more"):
        toolchain.pin(Subject(f"binary:{binary}", "sha256:" + "0" * 64))


def test_a_source_kept_as_a_baseline_is_named_by_its_commit(repository: Path) -> None:
    subject = toolchain.artifact(parse_spec(f"source:{repository}@v1"), BUILD).subject
    commit = git(repository, "rev-parse", "v1")
    assert toolchain.pin(subject).spec == f"source:{repository}@{commit}"
    assert subject.facts["build"] == BUILD


def test_build_information_of_a_release_is_read() -> None:
    info = milo.build_info(
        "bin/milo: go1.25.1\n\tpath\tgo.miloapis.com/milo/cmd/milo\n"
        "\tmod\tgo.miloapis.com/milo\tv0.30.0\th1:abc=\n"
        "\tdep\tcel.dev/expr\tv0.24.0\th1:def=\n"
        "\tbuild\t-trimpath=true\n\tbuild\tvcs.revision=0123\n\tbuild\tvcs.modified=true\n"
    )
    assert info == milo.BuildInfo(
        "1.25.1",
        milo.MODULE,
        "v0.30.0",
        {"-trimpath": "true", "vcs.revision": "0123", "vcs.modified": "true"},
    )
    assert milo.build_info("bin/milo: could not read Go build info") is None
    assert milo.build_info("") is None


def test_a_repository_elsewhere_is_fetched_once_for_a_tag(repository: Path, tmp_path: Path) -> None:
    url = repository.rename(tmp_path / "elsewhere").as_uri()
    built = toolchain.artifact(parse_spec(f"source:{url}@v1"), BUILD)
    assert said(built.binary) == "milo v1"
    assert built.subject.spec == f"source:{url}@v1"
    (tmp_path / "elsewhere").rename(tmp_path / "gone")
    assert toolchain.artifact(parse_spec(f"source:{url}@v2"), BUILD).binary != built.binary
    with pytest.raises(LaunchError, match="cannot be fetched") as error:
        toolchain.artifact(parse_spec(f"source:{url}@main"), BUILD)  # a branch moves
    assert "source:DIR@REVISION" in error.value.hint


def test_a_branch_elsewhere_is_fetched_again(repository: Path) -> None:
    url = repository.as_uri()
    branch = git(repository, "branch", "--show-current")
    first = toolchain.artifact(parse_spec(f"source:{url}@{branch}"), BUILD)
    (repository / "main.go").write_text(MAIN % "v3")
    git(repository, "commit", "--quiet", "--all", "--message", "v3")
    second = toolchain.artifact(parse_spec(f"source:{url}@{branch}"), BUILD)
    assert (said(first.binary), said(second.binary)) == ("milo v2", "milo v3")


def test_no_other_transport_of_git_is_used(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    spec = f"source:ext::touch {touched}@v1"
    with pytest.raises((LaunchError, ConfigError, ValueError)):
        toolchain.artifact(parse_spec(spec), BUILD)
    assert not touched.exists()


@pytest.mark.parametrize(
    ("tags", "newest"),
    [
        pytest.param(["v0.9.4", "v0.10.0", "v012.1", "v0.11.0-rc.1", "lib/v9.0.0"], "v0.10.0"),
        pytest.param(["v1.0.0", "v1.0.1"], "v1.0.1"),
    ],
)
def test_the_latest_release_is_the_highest_version_that_is_no_pre_release(
    repository: Path, tags: list[str], newest: str
) -> None:
    for tag in tags:
        git(repository, "tag", tag)
    built = toolchain.artifact(parse_spec(f"source:{repository}@latest-release"), BUILD)
    assert built.subject.spec == f"source:{repository}@{newest}"


def test_a_repository_without_releases_has_no_latest_one(repository: Path) -> None:
    with pytest.raises(LaunchError, match="no tag of a release"):
        toolchain.artifact(parse_spec(f"source:{repository}@latest-release"), BUILD)


def test_a_source_of_a_clone_is_kept_by_the_url_of_its_origin(repository: Path) -> None:
    commit = git(repository, "rev-parse", "v1")
    for origin in ("https://host.invalid/a/milo.git", "git@host.invalid:a/milo.git"):
        git(repository, "remote", "add", "origin", origin)
        kept = milo.pin(Subject(f"source:{repository}@v1", "sha256:00", {"revision": commit}))
        assert kept.spec == f"source:https://host.invalid/a/milo@{commit}"
        git(repository, "remote", "remove", "origin")


def test_a_binary_is_kept_by_the_source_that_the_user_names() -> None:
    subject = Subject("binary:/x/milo?env.GOGC=50&manifests=/y", "sha256:00", {"go": "1.26"})
    kept = milo.pin_to_source(subject, "https://host.invalid/a/milo@v0.32.5")
    assert kept.spec == "source:https://host.invalid/a/milo@v0.32.5?env.GOGC=50"
    assert (kept.digest, kept.facts) == (subject.digest, subject.facts)


@pytest.mark.parametrize(
    ("source", "facts"),
    [
        pytest.param("../milo@v1", {}, id="a folder of this machine"),
        pytest.param("https://host.invalid/milo", {}, id="no revision"),
        pytest.param("@v1", {}, id="no repository"),
        pytest.param(f"https://host.invalid/milo@{'0' * 40}", {"revision": "1" * 40}, id="another"),
    ],
)
def test_a_source_that_cannot_be_that_of_a_binary_is_refused(
    source: str, facts: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match=r"is not a source|was built from"):
        milo.pin_to_source(Subject("binary:/x/milo", "sha256:00", facts), source)


@pytest.mark.parametrize("is_url", [False, True], ids=["folder", "URL"])
def test_a_source_brings_its_manifests(repository: Path, *, is_url: bool) -> None:
    place = repository.as_uri() if is_url else f"{repository}"
    branch = git(repository, "branch", "--show-current")
    (repository / "config" / "webhook").mkdir(parents=True)
    (repository / "config" / "webhook" / "manifests.yaml").write_text("kind: x")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "manifests")
    built = toolchain.artifact(parse_spec(f"source:{place}@{branch}"), BUILD)
    assert built.manifests is not None
    assert (built.manifests / "config/webhook/manifests.yaml").read_text() == "kind: x"
    assert toolchain.artifact(parse_spec(f"source:{place}@v1"), BUILD).manifests is None
    named = f"source:{place}@{branch}?manifests=/other"
    assert toolchain.artifact(parse_spec(named), BUILD).manifests == Path("/other")
