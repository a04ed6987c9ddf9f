"""Milo as a subject: an existing binary, or one built from git by the user's command."""

import difflib
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from pipeline.model.ports import Artifact
from pipeline.model.subject import PRODUCT, Product, Spec, SpecKind, Subject, parse_spec
from pipeline.model.version import parse_version
from pipeline.system import paths, processes
from pipeline.system.errors import BaselineError, ConfigError, LaunchError
from pipeline.system.log import log
from pipeline.system.redact import command_line
from pipeline.toolchain import git, go, reference
from pipeline.toolchain.build import Binary, build_once, cache_folder, digest, progress_logger
from pipeline.toolchain.programs import contains, minimum_go

MODULE = "go.miloapis.com/milo"
BINARY = "MILO_BIN"
BASELINE_BINARY = "MILO_BASELINE_BIN"
_OUT = "{out}"
_MILO = "milo"  # name of a binary in the cache
_BUILD_TIMEOUT_S = 3600.0
_EXAMPLE = f"--build 'go build -trimpath -o {_OUT} ./cmd/milo'"

# Prefixes of the settings in a spec.
_FLAG, _MANAGER_FLAG, _VARIABLE = "flag.", "manager-flag.", "env."
_MANIFESTS = "manifests"  # folder of a source tree, for the profiles that use its manifests
_PREFIXES = (_FLAG, _MANAGER_FLAG, _VARIABLE)
_NAME = {
    _FLAG: re.compile(r"[a-z][a-z0-9-]*"),
    _MANAGER_FLAG: re.compile(r"[a-z][a-z0-9-]*"),
    _VARIABLE: re.compile(r"[A-Za-z_][A-Za-z0-9_]*"),
}
# Flags that the launch sets itself: another value would break it, or use a foreign service.
_RESERVED_FLAGS = {
    *("advertise-address", "bind-address", "secure-port", "client-ca-file", "token-auth-file"),
    *("etcd-servers", "etcd-prefix", "tls-cert-file", "tls-private-key-file", "cert-dir"),
    *("kubeconfig", "infra-cluster-kubeconfig", "authorization-mode", "leader-elect"),
    *("service-account-issuer", "service-account-key-file", "controller-runtime-webhook-port"),
    *("control-plane-scope", "authentication-skip-lookup", "authorization-always-allow-paths"),
}

# Build settings that describe the source; a difference in any other makes builds incomparable.
_SOURCE_KEYS = ("vcs", "vcs.revision", "vcs.time", "vcs.modified")


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """Build information that Go wrote into a binary.

    The version of the main module is `(devel)` if it was built from a folder.
    """

    go: str
    module: str
    version: str
    settings: dict[str, str]


def check_settings(spec: Spec) -> None:
    """Raise ConfigError if the product of a spec does not accept one of its settings."""
    if spec.product is Product.REFERENCE:
        reference.check_settings(spec)
        return
    for name, value in spec.settings:
        if name == _MANIFESTS or (name, value) == (PRODUCT, Product.MILO):
            continue
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
        if not prefix or not _NAME[prefix].fullmatch(name.removeprefix(prefix)):
            near = difflib.get_close_matches(name.partition(".")[0] + ".", _PREFIXES, n=1)
            known = ", ".join([*(f"{prefix}NAME=VALUE" for prefix in _PREFIXES), "manifests=DIR"])
            raise ConfigError(
                f"`{spec}`: Milo has no setting `{name}`"
                + (f"; did you mean `{near[0]}…`?" if near else ""),
                hint=f"settings of Milo are {known}",
            )
        if prefix != _VARIABLE and name.removeprefix(prefix) in _RESERVED_FLAGS:
            raise ConfigError(
                f"`{spec}`: --{name.removeprefix(prefix)} is set by the launch itself",
                hint="leave it out; ports, certificates and addresses are chosen anew each time",
            )


def binary(spec: Spec) -> Artifact:
    """Return the Milo binary of a spec.

    Raises:
        ConfigError: Milo does not accept a setting.
        LaunchError: The file is missing, not executable or not Milo.
        BaselineError: The spec has a digest, and no binary on this machine has that digest.
    """
    check_settings(spec)
    path = _path(spec) if spec.place else _by_digest(spec)
    require_milo(path)
    return _artifact(spec, Binary(path, digest(path)), {})


def source(spec: Spec, command: str) -> Artifact:
    """Return the build of a revision of a git repository, made in a worktree of its own.

    It is Milo, or by the setting `product=reference` a reference server.  The cache keeps the
    binary under git's tree, the version of Go and the command.

    Args:
        spec: Spec with the folder or URL of the repository, and the revision; `latest-release` is
            the newest tag of a release, which the subject of the result names.
        command: Build command, one line in which `{out}` is the path of the binary.

    Raises:
        ConfigError: There is no command, or it does not say where the binary goes.
        LaunchError: The repository has no such revision, or the build fails.
    """
    words = build_argv(spec, command)
    folder = git.mirror(spec.place, spec.revision) if git.is_url(spec.place) else _path(spec)
    if spec.revision == git.LATEST_RELEASE:
        spec = replace(spec, revision=git.newest_release(folder))
        log.info("the newest release of %s is %s", spec.place, spec.revision)
    commit, tree = git.commit(folder, spec.revision)
    chosen = go.find(minimum_go())
    folder_in_cache = _source_folder(tree, chosen, command)
    title = f"{spec.place}@{spec.revision}"

    def make(partial: Path, cache: Path) -> None:
        with git.worktree(folder, commit) as place:
            argv = [word.replace(_OUT, str(partial)) for word in words]
            _run(argv, title, place, cache / "build.log", chosen)
        if not partial.is_file():
            raise LaunchError(
                f"{title}: the build command ended well, and wrote nothing to {_OUT}",
                hint=f"its output is in {cache / 'build.log'}",
            )

    built = build_once(folder_in_cache / _MILO, title, make)
    facts = {"revision": commit, "tree": tree, "build": command}
    if spec.product is Product.REFERENCE:
        subject = Subject(str(spec), built.digest, facts)
        return Artifact(subject, built.path, arguments=reference.arguments_of(spec))
    artifact = _artifact(spec, built, facts)
    manifests = artifact.manifests or _source_manifests(folder, tree, folder_in_cache)
    return replace(artifact, manifests=manifests)


def built_trees(trees: Iterable[str], command: str) -> set[str]:
    """Return the source trees whose build by a command is in the cache; see `source`."""
    chosen = go.find(minimum_go())
    return {tree for tree in trees if (_source_folder(tree, chosen, command) / _MILO).is_file()}


def _source_folder(tree: str, chosen: go.Go, command: str) -> Path:
    """Return the folder of the cache for the build of a source tree."""
    return cache_folder(_MILO, tree, chosen.version, command)


def _source_manifests(folder: Path, tree: str, cache: Path) -> Path | None:
    """Return a folder in the cache with the manifests of a tree; None if it has none."""
    kept = cache / "manifests"
    if kept.is_dir():
        return kept
    config = git.subtree(folder, tree, "config")
    if config is None:
        return None
    with tempfile.TemporaryDirectory(dir=cache) as aside:
        partial = Path(aside, "manifests")
        (partial / "config").mkdir(parents=True)
        git.extract(config, folder, partial / "config")
        with suppress(OSError):  # another process was faster
            partial.rename(kept)
    return kept


def build_argv(spec: Spec, command: str) -> list[str]:
    """Return the words of the command that builds a source; `{out}` is the path of the binary.

    Raises:
        ConfigError: There is no command, it does not say where the binary goes, or Milo does not
            accept a setting of the spec.
    """
    check_settings(spec)
    if not command:
        raise ConfigError(
            f"`{spec}` must be built, and no command is guessed",
            hint=f"say how, such as {_EXAMPLE}",
        )
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(
            f"--build {command}: {error}", hint=f"write it like {_EXAMPLE}"
        ) from error
    if not any(_OUT in word for word in words):
        raise ConfigError(
            f"--build {command}: it does not say where the binary goes",
            hint=f"write {_OUT} for its path, as in {_EXAMPLE}",
        )
    return words


def pin(subject: Subject) -> Subject:
    """Return a subject of Milo whose spec means the same build on any machine and at any time.

    A source is named by the URL of its origin and its commit.  A binary is named by its digest, and
    this machine's cache keeps a copy.

    Raises:
        BaselineError: The binary was removed or replaced.
    """
    spec = parse_spec(subject.spec)
    if spec.kind is SpecKind.SOURCE:
        is_tag = git.is_url(spec.place) and parse_version(spec.revision) is not None
        revision = spec.revision if is_tag else subject.facts.get("revision", spec.revision)
        place = spec.place if git.is_url(spec.place) else git.origin_url(_path(spec)) or spec.place
        return replace(subject, spec=str(replace(spec, place=place, revision=revision)))
    if spec.kind is SpecKind.IMAGE:
        return subject
    if spec.place:
        path = _path(spec)
        if not path.is_file() or digest(path) != subject.digest:
            raise BaselineError(
                f"{path} is not the binary that was measured any more, so it cannot be kept",
                hint="put it back, or measure again",
            )
        kept = _copy(subject.digest)
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_suffix(".partial")
            shutil.copy2(path, partial)
            partial.replace(kept)
        log.info("a copy of %s is kept in %s", path, kept)
    return replace(subject, spec=str(replace(spec, place="", revision=subject.digest)))


def pin_to_source(subject: Subject, source: str) -> Subject:
    """Return the subject of a binary, named by the source that it was built from.

    Args:
        subject: Subject as it was measured.
        source: `URL@REVISION` of the source.

    Raises:
        ConfigError: The text is no source, or the binary says that it is of another commit.
    """
    place, at, revision = source.rpartition("@")
    if not (at and git.is_url(place) and revision):
        raise ConfigError(
            f"`{source}` is not a source",
            hint="write URL@REVISION, such as https://host/milo@v1.2.0",
        )
    built_from = subject.facts.get("revision", "")
    is_commit = re.fullmatch(r"[0-9a-f]{40}", revision)
    if is_commit and built_from and built_from != revision:
        raise ConfigError(f"`{source}`: the binary was built from {built_from}")
    spec = parse_spec(subject.spec)
    if spec.product is not Product.MILO:
        raise ConfigError(f"`{spec}` is not Milo, so `{source}` cannot be its source")
    settings = tuple(one for one in spec.settings if one[0] != _MANIFESTS)  # a source brings them
    named = replace(spec, kind=SpecKind.SOURCE, place=place, revision=revision, settings=settings)
    return replace(subject, spec=str(named))


def build_info(text: str) -> BuildInfo | None:
    """Parse the output of `go version -m` for one binary; None if it is not a Go program."""
    first, *lines = text.splitlines() or [""]
    match = re.search(r": go(\d+\.\d+\S*)", first)
    if match is None:
        return None
    rows = [line.split("\t") for line in lines]
    settings = dict(
        row[2].split("=", 1) for row in rows if len(row) > 2 and row[1] == "build" and "=" in row[2]
    )
    module = next((row for row in rows if len(row) > 2 and row[1] == "mod"), ["", "", "", ""])
    version = module[3] if len(module) > 3 else ""
    return BuildInfo(match[1], module[2], version, settings)


def require_milo(path: Path) -> BuildInfo:
    """Return the build information of a Milo binary.

    Raises:
        LaunchError: The file is missing, not executable or not Milo.
    """
    if not path.is_file() or not os.access(path, os.X_OK):
        raise _not_executable(path)
    command = [str(go.find(minimum_go()).path), "version", "-m", str(path)]
    info = build_info(processes.capture(command) or "")
    if info is None or info.module != MODULE:
        what = f"a Go program of the module {info.module}" if info else "no Go program"
        raise LaunchError(
            f"{path} is not Milo: it is {what}",
            hint=f"Milo's own module is {MODULE}; `go version -m {path}` shows what it is",
        )
    return info


def _not_executable(path: Path) -> LaunchError:
    """Return the error for a path that cannot be run, with what is probably meant."""
    if path.is_dir():
        programs = [p.name for p in sorted(path.iterdir()) if p.is_file() and os.access(p, os.X_OK)]
        near = "milo" if "milo" in programs else next(iter(programs), "milo")
        return LaunchError(
            f"{path} is a folder, not an executable file", hint=f"name the program: {path / near}"
        )
    if path.exists():
        hint = f"chmod +x {shlex.quote(str(path))}"
        return LaunchError(f"{path} is not an executable file", hint=hint)
    nearest = next(place for place in path.parents if place.exists())
    missing = "" if nearest == path.parent else f"; there is no folder {path.parent} either"
    return LaunchError(
        f"{path} is not there, so it is not an executable file{missing}",
        hint="`binary:PATH` wants the program that Milo's build writes, such as ./bin/milo",
    )


def _artifact(spec: Spec, built: Binary, known: dict[str, str]) -> Artifact:
    info = require_milo(built.path)
    flags = " ".join(f"{k}={v}" for k, v in info.settings.items() if k not in _SOURCE_KEYS)
    facts = {"version": info.version, "go": info.go, "flags": flags}
    if revision := info.settings.get("vcs.revision"):
        facts["revision"] = revision
        facts["modified"] = "yes" if info.settings.get("vcs.modified") == "true" else "no"
    return with_settings(spec, Subject(str(spec), built.digest, {**facts, **known}), built.path)


def with_settings(spec: Spec, subject: Subject, path: Path, reference: str = "") -> Artifact:
    """Return an artifact with the settings of its spec: a program, or an image by its reference."""
    return Artifact(
        subject,
        path,
        product=Product.MILO,
        arguments=tuple(f"--{name}={value}" for name, value in _settings(spec, _FLAG)),
        manager_arguments=tuple(f"--{k}={v}" for k, v in _settings(spec, _MANAGER_FLAG)),
        variables=dict(_settings(spec, _VARIABLE)),
        image=reference,
        manifests=_named_manifests(spec),
    )


def _named_manifests(spec: Spec) -> Path | None:
    """Return the folder that a spec names for its manifests."""
    named = dict(spec.settings).get(_MANIFESTS)
    return paths.expand(named).absolute() if named else None


def _settings(spec: Spec, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the settings with a prefix, without it."""
    for name, value in spec.settings:
        if name.startswith(prefix):
            yield name.removeprefix(prefix), value


def _by_digest(spec: Spec) -> Path:
    """Return a binary on this machine with the digest of a spec."""
    named = [os.environ.get(name, "") for name in (BASELINE_BINARY, BINARY)]
    for path in (*(Path(name).absolute() for name in named if name), _copy(spec.revision)):
        if path.is_file() and digest(path) == spec.revision:
            return path
    raise BaselineError(
        f"no binary on this machine has the digest of the baseline, {spec.revision}",
        hint=f"set {BASELINE_BINARY} to that binary, or compare with --against binary:PATH",
    )


def _path(spec: Spec) -> Path:
    return paths.expand(spec.place).absolute()


def _copy(sha: str) -> Path:
    return paths.cache() / "subjects" / sha.removeprefix("sha256:") / "milo"


def _run(argv: list[str], title: str, place: Path, output: Path, chosen: go.Go) -> None:
    output.unlink(missing_ok=True)
    path = f"{chosen.path.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    log.info("building %s with Go %s: %s", title, chosen.version, command_line(argv))
    try:
        processes.run(
            argv,
            output=output,
            timeout_s=_BUILD_TIMEOUT_S,
            env={"PATH": path, **{k: v for k, v in chosen.environment if k == "GOROOT"}},
            cwd=place,
            tick=progress_logger(title),
        )
    except processes.CommandError as error:
        raise LaunchError(f"{title} could not be built: {error}", hint=error.hint) from error


@cache
def shares_etcd_connections(spec: Spec) -> bool | None:
    """Return True if a build shares its connections to etcd; before v0.30.0 it opened thousands.

    A binary of newer versions has a flag for the number of connections; a source's revision may be
    a version.  None if neither tells.
    """
    if spec.kind is SpecKind.BINARY and spec.place:
        try:
            path = Path(spec.place)
            return contains(path, b"shared-etcd-client-pool-size") if path.stat().st_size else None
        except OSError:  # it is missing; whoever starts it reports that better
            return None
    version = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)", spec.revision)
    if spec.kind is not SpecKind.SOURCE or version is None:
        return None
    return tuple(map(int, version.groups())) >= (0, 30, 0)
