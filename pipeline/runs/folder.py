"""The folder of a run: create it, lock it, resume what is in it.

`run`, `capacity` and `evaluate` keep everything that they measure in one folder each.  What was
asked for is in its request.json, so that a run is resumed with all of its settings.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.model.results import Machine
from pipeline.model.subject import Subject
from pipeline.runs import trust
from pipeline.runs.trust import RunOrigin
from pipeline.storage import codec, toml_file
from pipeline.system import paths, private_folder, terminal
from pipeline.system.errors import ConfigError, PipelineError
from pipeline.system.log import log

REQUEST = "request.json"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of a command that can be resumed.

    Attributes:
        path: Path of the folder.
        command: Name of the command: `run`, `capacity` or `evaluate`.
    """

    path: Path
    command: str

    @property
    def request(self) -> Path:
        """Path of request.json."""
        return self.path / REQUEST

    def require_new(self) -> None:
        """Make sure that the folder can be created, before hours are spent on its content.

        Raises:
            ConfigError: The folder is not empty, or cannot be written.
        """
        paths.require_new_folder(self.path, resume=f"{self.command} --resume")

    def create(self, request: str) -> None:
        """Create the folder with request.json in it.

        Args:
            request: Text of request.json.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        codec.write_text(self.request, request)

    def origin(
        self,
        began: tuple[datetime, int],
        subjects: Mapping[str, Subject],
        files: Sequence[str] = (),
        suite_digest: str = "",
    ) -> RunOrigin:
        """Return what identifies this run, and decides what resuming it executes; see `trust`.

        Args:
            began: Start time and seed of the run.
            subjects: The builds, by arm.
            files: Names of other files in the folder that decide what is executed.
            suite_digest: Digest of the suite, scripts included.
        """
        names = [name for name in (REQUEST, *files) if (self.path / name).is_file()]
        texts = {name: toml_file.read(self.path / name, "the file") for name in names}
        return RunOrigin(f"{self.command} --resume", began, subjects, texts, suite_digest)

    def note(self, origin: RunOrigin) -> None:
        """Note that the run was started here by this user, so that it is resumed unasked."""
        trust.note(origin, self.path)

    def require_trusted(self, origin: RunOrigin, *, is_trusted: bool) -> None:
        """Refuse to resume what somebody else started, unless the user says to trust it.

        Raises:
            ConfigError: The run was not started here, or its folder was changed since.
        """
        trust.require(origin, self.path, is_trusted=is_trusted)

    def require_same(self, what: str, before: str, now: str) -> None:
        """Refuse to resume when something differs from when the run started.

        Raises:
            ConfigError: The two differ.
        """
        if before != now:
            raise ConfigError(
                f"{what} changed since the {self.command} in {self.path} started:"
                f" it was {before}, now it is {now}",
                hint="start a new one",
            )

    def require_same_machine(self, before: Machine, now: Machine) -> None:
        """Refuse to resume on another machine, or with other tools.

        Raises:
            ConfigError: A fact of the machine's fingerprint differs.
        """
        for fact, value in now.fingerprint.items():
            self.require_same(
                f"the machine's {fact}", before.fingerprint.get(fact, "unknown"), value
            )

    @contextmanager
    def measuring(self, state: Callable[[], tuple[object, ...]]) -> Iterator[None]:
        """Be the only process that measures on this machine.

        Args:
            state: Returns what was measured so far, such as `3 pairs`, and the arguments that
                resuming needs beside the folder; called when the block is interrupted.
        """
        with self.resumable(state), private_folder.measurement_lock(self.path):
            yield

    @contextmanager
    def resumable(self, state: Callable[[], tuple[object, ...]]) -> Iterator[None]:
        """Log how to resume when the block is interrupted; see `measuring`."""
        try:
            yield
        except (PipelineError, KeyboardInterrupt, OSError):
            done, *arguments = state()
            command = terminal.command(self.command, "--resume", self.path, *arguments)
            log.warning("stopped after %s; resume with: %s", done, command)
            raise
