"""The folder of a run: create it, lock it, resume what is in it.

Each command that measures keeps everything in one folder.  What was asked for is in its
request.json, so that a run is resumed with all of its settings.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline import toolchain
from pipeline.model.ports import Artifact
from pipeline.model.results import Machine
from pipeline.model.subject import Subject
from pipeline.runs import suite_file
from pipeline.runs.request import spec_of
from pipeline.runs.suite_file import SUITE, LoadedSuite
from pipeline.runs.trust import RunOrigin
from pipeline.storage import codec, toml_file
from pipeline.system import paths, private_folder, terminal
from pipeline.system.errors import ConfigError, InvalidPairsError, PipelineError
from pipeline.system.log import log

REQUEST = "request.json"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of a command that can be resumed, such as `run`."""

    path: Path
    command: str

    @property
    def request(self) -> Path:
        """Path of request.json."""
        return self.path / REQUEST

    def require_new(self) -> None:
        """Refuse a folder that is not empty or cannot be created; see `require_new_folder`."""
        paths.require_new_folder(self.path, resume=f"{self.command} --resume")

    def create(self, request: str) -> None:
        """Create the folder, with the text of its request.json.

        It is refused again if it is not empty: another command may have begun in it while this one
        built what it measures.
        """
        self.require_new()
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

        `files` are names of other files in the folder that decide that.
        """
        names = [name for name in (REQUEST, *files) if (self.path / name).is_file()]
        texts = {name: toml_file.read(self.path / name, "the file") for name in names}
        return RunOrigin(f"{self.command} --resume", began, subjects, texts, suite_digest)

    def suite(self) -> LoadedSuite:
        """Return the suite in the folder, or raise ConfigError if it is gone or unusable."""
        path = self.path / SUITE
        if not path.is_file():
            raise ConfigError(f"{self.request}: suite: {path} is gone", hint=codec.REQUEST.hint)
        return suite_file.load(path)

    def require_request(self, fields: Mapping[str, tuple[object, object]]) -> None:
        """Raise ConfigError if request.json does not belong to the results beside it.

        `fields` has what request.json says, and what was measured, by field.
        """
        for name, (asked, measured) in fields.items():
            if asked != measured:
                raise ConfigError(
                    f"{self.request}: {name}: is {asked}, and the results beside it are of"
                    f" {measured}",
                    hint=codec.REQUEST.hint,
                )

    @contextmanager
    def naming(self, field: str) -> Iterator[None]:
        """Name request.json and one of its fields in an error that its value causes."""
        try:
            yield
        except PipelineError as error:
            error.args = (f"{self.request}: {field}: {error}",)
            raise

    def rebuild(self, field: str, subject: Subject) -> Artifact:
        """Return the build that was measured, built again if it is a source.

        Raises:
            ConfigError: The binary is another one now.
            LaunchError: The build is gone, or cannot be built.
        """
        with self.naming(field):
            artifact = toolchain.artifact(spec_of(subject.spec), subject.facts.get("build", ""))
        what = f"the binary of the {field}"
        self.require_same(what, subject.digest, artifact.subject.digest)
        return artifact

    def require_same(self, what: str, before: str, now: str) -> None:
        """Raise ConfigError if something differs from when the run started."""
        if before != now:
            raise ConfigError(
                f"{what} changed since the {self.command} in {self.path} started:"
                f" it was {before}, now it is {now}",
                hint="start a new one",
            )

    def require_same_machine(self, before: Machine, now: Machine) -> None:
        """Raise ConfigError on another machine, or with other tools."""
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
        except InvalidPairsError:
            raise
        except (PipelineError, KeyboardInterrupt, OSError):
            done, *arguments = state()
            command = terminal.command(self.command, "--resume", self.path, *arguments)
            log.warning("stopped after %s; resume with: %s", done, command)
            raise
