"""Remember which runs were started here: resuming another one executes what a stranger wrote.

The folder of a run says how its builds are made (a command), which programs they are, and where
they run (a kubeconfig may start programs too).  A run that this user starts on this machine is
recorded outside of its folder, by a digest of all that.  A folder that is not recorded, or that was
changed since, is resumed only with `--trust`.
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

_STARTED, _TRUSTED = "begun.txt", "trusted.txt"
"""Files of the runs that this user started on this machine, and of others that are trusted."""

_MAX_CHARACTERS = 2_000  # printed of a command or a spec
_MAX_LINES = 500  # printed of a file


@dataclass(frozen=True, slots=True)
class RunOrigin:
    """The identity of a run, as its folder states it, and what resuming it executes.

    `began` is the start time and the random seed.  `texts` are the files that decide what is
    executed, by name.
    """

    command: str
    began: tuple[datetime, int]
    subjects: Mapping[str, Subject]
    texts: Mapping[str, str]
    suite: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the origin, in hexadecimal."""
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
        """Yield lines that say what resuming it would execute."""
        for name, one in self.subjects.items():
            yield f"{name}: {truncate(one.spec, _MAX_CHARACTERS)}"
            if command := one.facts.get("build"):
                yield f"  built by: {truncate(command, _MAX_CHARACTERS)}"
        for name, text in self.texts.items():
            if suite := _bundled_suite(text):
                yield f"{name}: the bundled suite {suite}"
                continue
            lines = [line for line in text.splitlines() if line.strip()]
            yield f"{name}, {len(lines)} lines:"
            yield from (f"  {truncate(line, _MAX_CHARACTERS)}" for line in lines[:_MAX_LINES])
            if len(lines) > _MAX_LINES:
                yield "  …"


def note(origin: RunOrigin, out: Path, name: str = _STARTED) -> None:
    """Record that a run was started here, so that it is resumed without a question.

    A record that cannot be written is only logged.
    """
    if is_known(origin):
        return
    line = f"{origin.digest} {datetime.now(UTC).isoformat()} {shlex.quote(str(out.absolute()))}"
    try:
        folder = paths.state()
        with (folder / name).open("a", encoding="utf-8", errors="replace") as file:
            file.write(line.replace("\n", " ") + "\n")
    except (StorageError, OSError) as error:
        log.warning(
            "`%s` will need --trust, because this run could not be recorded: %s",
            origin.command,
            error,
        )


def is_known(origin: RunOrigin, *, or_trusted: bool = True) -> bool:
    """Return whether a run was started here, or is trusted, and is unchanged since."""
    return origin.digest in _recorded(_STARTED) | (_recorded(_TRUSTED) if or_trusted else set())


def require(origin: RunOrigin, out: Path, *, is_trusted: bool) -> None:
    """Return if a run was started here and is unchanged since, or if the user trusts it.

    Trust is recorded.  Without it, the hint of the ConfigError lists what would be executed.
    """
    if is_trusted:
        note(origin, out, _TRUSTED)
    elif not is_known(origin):
        command = f"milo-perf {origin.command} {shlex.quote(str(out))} --trust"
        raise ConfigError(
            f"{out} was not started here by you, or was changed since: resuming it executes what it"
            " says",
            hint="\n".join(
                [*origin.executes(), f"if you trust whoever made this folder: {command}"]
            ),
        )


def _bundled_suite(text: str) -> str | None:
    """Return the name of the bundled suite with this text, if any."""
    suites = paths.project_path("suites").glob("*.toml")
    return next((path.stem for path in suites if path.read_text(encoding="utf-8") == text), None)


def _recorded(name: str) -> frozenset[str]:
    with suppress(StorageError, OSError):
        text = (paths.state() / name).read_text(encoding="utf-8", errors="replace")
        return frozenset(line.partition(" ")[0] for line in text.splitlines())
    return frozenset()
