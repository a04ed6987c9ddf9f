"""Which folders were begun here: going on with any other executes what a stranger wrote.

A folder says how its builds are made (a command), which programs they are, and where they run (a
kubeconfig may start programs too).  A run that this user begins on this machine is noted outside
of its folder, by a digest of all that; a folder that is not noted, or that was changed since, is
gone on with only when somebody says so.
"""

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.model.subject import Subject
from pipeline.system import paths
from pipeline.system.errors import ConfigError, StorageError
from pipeline.system.log import log
from pipeline.system.sanitize import truncate

_BEGUN, _TRUSTED = "begun.txt", "trusted.txt"
"""What this user began on this machine; what was begun elsewhere, and somebody trusts."""

_SHOWN = 2_000  # characters of a command or a spec that are printed
_MOST_LINES = 500  # of a file that is printed


@dataclass(frozen=True, slots=True)
class Begun:
    """What was begun, as its folder tells it.

    Attributes:
        command: That goes on with it, such as `run --resume`.
        began: When, and its random seed: what tells it from others.
        subjects: The builds, by what they are in it.
        texts: Of files in the folder that decide what is executed, by name.
        suite: Digest of what the suite means, its scripts included.
    """

    command: str
    began: tuple[datetime, int]
    subjects: Mapping[str, Subject]
    texts: Mapping[str, str]
    suite: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, in hexadecimal."""
        at, seed = self.began
        body = {
            "command": self.command,
            "at": at.astimezone(UTC).isoformat(),
            "seed": seed,
            "subjects": {name: asdict(one) for name, one in self.subjects.items()},
            "texts": dict(self.texts),
            "suite": self.suite,
        }
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()

    def executes(self) -> Iterator[str]:
        """Yield in lines what going on with it would execute."""
        for name, one in self.subjects.items():
            yield f"{name}: {truncate(one.spec, _SHOWN)}"
            if command := one.facts.get("build"):
                yield f"  built by: {truncate(command, _SHOWN)}"
        for name, text in self.texts.items():
            if suite := _ours(text):
                yield f"{name}: the suite {suite} of this program"
                continue
            lines = [line for line in text.splitlines() if line.strip()]
            yield f"{name}, {len(lines)} lines:"
            yield from (f"  {truncate(line, _SHOWN)}" for line in lines[:_MOST_LINES])
            if len(lines) > _MOST_LINES:
                yield "  …"


def note(begun: Begun, out: Path, name: str = _BEGUN) -> None:
    """Note that something was begun here, so that it can be gone on with unasked.

    Where that cannot be written, going on with it asks.

    Args:
        begun: As its folder tells it.
        out: The folder.
        name: Of the file that it is noted in.
    """
    if is_known(begun):
        return
    line = f"{begun.digest} {datetime.now(UTC).isoformat()} {shlex.quote(str(out.absolute()))}"
    try:
        folder = paths.state()
        with (folder / name).open("a", encoding="utf-8", errors="replace") as file:
            file.write(line.replace("\n", " ") + "\n")
    except (StorageError, OSError) as error:
        log.warning(
            "`%s` will ask for --trust, because this run is not noted: %s", begun.command, error
        )


def is_known(begun: Begun) -> bool:
    """Return whether something was begun here, or is trusted, and was not changed since."""
    return begun.digest in _noted(_BEGUN) | _noted(_TRUSTED)


def is_begun_here(begun: Begun) -> bool:
    """Return whether something was begun here, and was not changed since."""
    return begun.digest in _noted(_BEGUN)


def require(begun: Begun, out: Path, *, is_trusted: bool) -> None:
    """Return if something was begun here and not changed since, or if somebody trusts it.

    Args:
        begun: As the folder tells it.
        out: The folder.
        is_trusted: Whether somebody said so; it is then noted.

    Raises:
        ConfigError: Neither; the hint lists what would be executed.
    """
    if is_trusted:
        note(begun, out, _TRUSTED)
    elif not is_known(begun):
        command = f"milo-perf {begun.command} {shlex.quote(str(out))} --trust"
        raise ConfigError(
            f"{out} was not begun here by you, or was changed since, and to go on with it executes"
            " what it says",
            hint="\n".join(
                [
                    *begun.executes(),
                    f"if you trust whoever made the folder with all of this: {command}",
                ]
            ),
        )


def _ours(text: str) -> str:
    """Return the name of the suite of ours that a text is, or empty."""
    suites = paths.project_path("suites").glob("*.toml")
    return next((path.stem for path in suites if path.read_text(encoding="utf-8") == text), "")


def _noted(name: str) -> frozenset[str]:
    with suppress(StorageError, OSError):
        text = (paths.state() / name).read_text(encoding="utf-8", errors="replace")
        return frozenset(line.partition(" ")[0] for line in text.splitlines())
    return frozenset()
