"""Talk to the agent of a load pod (go/load-agent/) through the API server of the cluster."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.environments.api import Api, ClusterError, namespace_path
from pipeline.storage import strict_json
from pipeline.storage.strict_json import Bounds
from pipeline.system.errors import LoadError, StorageError
from pipeline.system.log import log
from pipeline.system.sanitize import clipped

PORT = 6565
"""Of the keeper; it is that of k6 itself, because the k6-operator asks there."""

_HEADER = "X-Keeper-Token"
_TRIES = 3
_CHUNK = 1 << 20
_BOUNDS = Bounds(size=16 * 2**20, values=100_000, characters=2**20, number=2.0**63)
"""Of an answer: what a setup returns are names, and what was kept are files."""

_LONGEST_NAME = 255  # bytes, which is what Linux has
_SENTENCE = 300  # characters of an answer that are worth quoting
_ANSWER_S = 60.0
_SETUP_S = 330.0  # longer than any script gives its setup


@dataclass(frozen=True, slots=True)
class PodFile:
    """A file that waits in a pod: its name, its size in bytes, and its SHA-256 in hexadecimal."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class AgentState:
    """How far a pod is; of one that has ended, how its program did, and what it left."""

    is_running: bool
    exit: int = 0
    began_s: float = 0.0
    ended_s: float = 0.0
    cpu_share: float = 0.0
    files: tuple[PodFile, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadAgent:
    """One load pod.

    Attributes:
        api: Of the cluster.
        namespace: Of the pod.
        pod: Its name.
        title: For people, such as `load pod 2 of 4`.
        token: That it knows us by.
        pause_s: Seconds before a file is taken again.
    """

    api: Api
    namespace: str
    pod: str
    title: str
    token: str = field(repr=False)
    pause_s: float

    def setup(self) -> object:
        """Let k6 run the setup of its script, and return what that returned.

        Raises:
            LoadError: It failed, or there was no answer.
        """
        said = self._json("POST", "setup", once_s=_SETUP_S)
        return _data(said)

    def be_given(self, data: object) -> None:
        """Tell k6 what the setup in another pod returned.

        Raises:
            LoadError: It was refused, or there was no answer.
        """
        self._json("PUT", "setup", data)

    def start(self) -> None:
        """Let the load begin.

        Raises:
            LoadError: It was refused, or there was no answer.
        """
        self._json("POST", "start")

    def state(self) -> AgentState:
        """Return how far it is.

        Raises:
            LoadError: It did not answer as a keeper does.
        """
        said = self._json("GET", "state")
        try:
            if said["running"]:
                return AgentState(is_running=True)
            if said.get("error"):
                raise LoadError(f"{self.title}: {clipped(str(said['error']), _SENTENCE)}")
            files = tuple(
                PodFile(str(one["name"]), int(one["size"]), str(one["sha256"]))
                for one in said["files"]
            )
            return AgentState(
                is_running=False,
                exit=int(said["exit"]),
                began_s=float(said["began"]),
                ended_s=float(said["ended"]),
                cpu_share=float(said["cpu_share"]),
                files=files,
            )
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            shown = clipped(str(said), _SENTENCE)
            raise LoadError(f"{self.title} does not answer as a keeper does: {shown}") from error

    def take(self, files: tuple[PodFile, ...], folder: Path) -> None:
        """Copy what it kept, and let the pod end once all of it is here.

        Raises:
            LoadError: A file did not arrive as it was there.
        """
        for file in files:
            if not _is_name(file.name):
                raise LoadError(
                    f"{self.title} names a file that is a path, or too long: {file.name[:60]!r}"
                )
            self._take(file, folder / file.name)
        self._json("POST", "taken")

    def _take(self, file: PodFile, path: Path) -> None:
        why = ""
        for _ in range(_TRIES):
            try:
                if not (why := self._differs(file, path)):
                    return
            except LoadError as error:
                why = str(error)
            log.warning("%s: %s: %s; taking it again", self.title, file.name, why)
            time.sleep(self.pause_s)
        raise LoadError(f"{self.title}: {file.name} did not arrive whole: {why}")

    def _differs(self, file: PodFile, path: Path) -> str:
        """Copy a file, and say what is different about it; nothing where it is the same."""
        import urllib3

        hashed, size = hashlib.sha256(), 0
        response = self._asked("GET", f"files/{quote(file.name)}")
        try:
            with path.open("wb") as out:
                for chunk in response.stream(_CHUNK):
                    hashed.update(chunk)
                    size += len(chunk)
                    if size > file.size:
                        response.close()  # there is more of it, which nobody reads
                        return f"more than {file.size} bytes came"
                    out.write(chunk)
        except urllib3.exceptions.HTTPError as error:
            return f"the answer broke off after {size} bytes ({type(error).__name__})"
        except OSError as error:
            raise StorageError.unwritable(path, error) from error
        finally:
            response.release_conn()
        if size != file.size:
            return f"{size} of {file.size} bytes came"
        return "" if hashed.hexdigest() == file.digest else "its checksum is another"

    def _json(
        self, method: str, what: str, body: object = None, *, once_s: float = 0.0
    ) -> Mapping[str, Any]:
        import urllib3

        response = self._asked(method, what, body, once_s=once_s)
        try:
            data = response.read(_BOUNDS.size + 1)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            response.close()
            kind = type(error).__name__
            raise LoadError(f"{self.title}: {what}: the answer broke off ({kind})") from error
        if len(data) > _BOUNDS.size:
            response.close()  # there is more of it, which nobody reads
        response.release_conn()
        try:
            said = strict_json.loads(data, _BOUNDS)
        except ValueError as error:
            raise LoadError(f"{self.title} answered {what} with something else: {error}") from error
        return said if isinstance(said, dict) else {}

    def _asked(self, method: str, what: str, body: object = None, *, once_s: float = 0.0) -> Any:  # noqa: ANN401 (an answer of urllib3)
        """Return an answer; what takes so many seconds and must not be done twice is asked once."""
        pods = namespace_path(self.namespace, "pods")
        try:
            return self.api.proxy(
                method,
                f"{pods}/{self.pod}:{PORT}/proxy/keeper/{what}",
                headers={_HEADER: self.token},
                body=body,
                timeout_s=once_s or _ANSWER_S,
                is_retried=not once_s,
            )
        except ClusterError as error:
            raise LoadError(f"{self.title}: {what}: {error}", hint=error.hint) from error


def _data(said: Mapping[str, Any]) -> object:
    """Return what a setup returned, in k6's answer."""
    found: object = said
    for key in ("data", "attributes", "data"):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _is_name(name: str) -> bool:
    """Return whether a file can have this name in a folder of ours."""
    is_one = Path(name).name == name and name not in ("", "..")
    return is_one and name.isprintable() and len(name.encode()) <= _LONGEST_NAME
