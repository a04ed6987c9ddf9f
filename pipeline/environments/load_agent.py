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
from pipeline.system.sanitize import truncate

PORT = 6565
"""Port of the agent.  It is k6's own port, because the k6-operator polls that one."""

_HEADER = "X-Agent-Token"
_ATTEMPTS = 3
_CHUNK = 1 << 20
_BOUNDS = Bounds(size=16 * 2**20, values=100_000, characters=2**20, number=2.0**63)
"""Limits of a JSON answer: object names from a setup, or a list of result files."""

_MAX_NAME = 255  # bytes, the limit of Linux
_MAX_QUOTE = 300  # characters of an answer in an error message
_TIMEOUT_S = 60.0
_SETUP_TIMEOUT_S = 330.0  # longer than the setup timeout of any script


@dataclass(frozen=True, slots=True)
class PodFile:
    """A result file in a pod: name, size in bytes, and SHA-256 in hexadecimal."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class AgentState:
    """State of the program in a load pod.

    Attributes:
        is_running: True until the program has ended.
        exit: Exit code of the program.
        began_s: Unix time at which the program began.
        ended_s: Unix time at which the program ended.
        cpu_share: Share of the pod's processors that the program used, between 0 and 1.
        files: Result files of the program.
        barriers: Number of barriers that the program has reached.
    """

    is_running: bool
    exit: int = 0
    began_s: float = 0.0
    ended_s: float = 0.0
    cpu_share: float = 0.0
    files: tuple[PodFile, ...] = ()
    barriers: int = 0


@dataclass(frozen=True, slots=True)
class LoadAgent:
    """A client of the agent of one load pod.

    Each request raises LoadError if it was refused, or if there was no usable answer.

    Attributes:
        api: Client of the cluster.
        namespace: Namespace of the pod.
        pod: Name of the pod.
        title: Display name, such as `load pod 2 of 4`.
        token: Secret token of the load, which the agent requires.
        pause_s: Seconds between two attempts to download a file.
    """

    api: Api
    namespace: str
    pod: str
    title: str
    token: str = field(repr=False)
    pause_s: float

    def run_setup(self) -> object:
        """Run the setup of the k6 script, and return its result."""
        data: object = self._json("POST", "setup", single_try_s=_SETUP_TIMEOUT_S)
        for key in ("data", "attributes", "data"):  # the form of k6's answer
            data = data.get(key) if isinstance(data, dict) else None
        return data

    def set_setup_data(self, data: object) -> None:
        """Give k6 the result of the setup that ran in another pod."""
        self._json("PUT", "setup", data)

    def start(self) -> None:
        """Start the load."""
        self._json("POST", "start")

    def release(self, barrier: int) -> None:
        """Let the program pass a barrier that it has reached; the first is 1."""
        self._json("POST", f"barriers/{barrier}")

    def state(self) -> AgentState:
        """Return the state of the program."""
        answer = self._json("GET", "state")
        try:
            if answer["running"]:
                return AgentState(is_running=True, barriers=int(answer["barriers"]))
            if answer.get("error"):
                raise LoadError(f"{self.title}: {truncate(str(answer['error']), _MAX_QUOTE)}")
            files = tuple(
                PodFile(str(one["name"]), int(one["size"]), str(one["sha256"]))
                for one in answer["files"]
            )
            return AgentState(
                is_running=False,
                exit=int(answer["exit"]),
                began_s=float(answer["began"]),
                ended_s=float(answer["ended"]),
                cpu_share=float(answer["cpu_share"]),
                files=files,
            )
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            quoted = truncate(str(answer), _MAX_QUOTE)
            raise LoadError(f"{self.title}: this is not an agent's answer: {quoted}") from error

    def download(self, files: tuple[PodFile, ...], folder: Path) -> None:
        """Download result files, verify size and checksum, and let the pod end."""
        for file in files:
            if not _is_file_name(file.name):
                raise LoadError(
                    f"{self.title} names a file that is a path, or too long: {file.name[:60]!r}"
                )
            self._download(file, folder / file.name)
        self._json("POST", "downloaded")

    def _download(self, file: PodFile, path: Path) -> None:
        why = ""
        for _ in range(_ATTEMPTS):
            try:
                self._download_once(file, path)
            except LoadError as error:
                why = str(error)
            else:
                return
            log.warning("%s: %s: %s; downloading it again", self.title, file.name, why)
            time.sleep(self.pause_s)
        raise LoadError(f"{self.title}: {file.name} did not arrive whole: {why}")

    def _download_once(self, file: PodFile, path: Path) -> None:
        import urllib3

        checksum, size = hashlib.sha256(), 0
        response = self._send("GET", f"files/{quote(file.name)}")
        try:
            with path.open("wb") as out:
                for chunk in response.stream(_CHUNK):
                    checksum.update(chunk)
                    size += len(chunk)
                    if size > file.size:
                        response.close()  # without reading the rest
                        raise LoadError(f"more than {file.size} bytes came")
                    out.write(chunk)
        except urllib3.exceptions.HTTPError as error:
            kind = type(error).__name__
            raise LoadError(f"the answer broke off after {size} bytes ({kind})") from error
        except OSError as error:
            raise StorageError.unwritable(path, error) from error
        finally:
            response.release_conn()
        if size != file.size:
            raise LoadError(f"{size} of {file.size} bytes came")
        if checksum.hexdigest() != file.digest:
            raise LoadError("its checksum differs")

    def _json(
        self, method: str, endpoint: str, body: object = None, *, single_try_s: float = 0.0
    ) -> Mapping[str, Any]:
        import urllib3

        response = self._send(method, endpoint, body, single_try_s=single_try_s)
        try:
            data = response.read(_BOUNDS.size + 1)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            response.close()
            kind = type(error).__name__
            raise LoadError(f"{self.title}: {endpoint}: the answer broke off ({kind})") from error
        if len(data) > _BOUNDS.size:
            response.close()  # without reading the rest
        response.release_conn()
        try:
            answer = strict_json.loads(data, _BOUNDS)
        except ValueError as error:
            raise LoadError(
                f"{self.title}: {endpoint}: the answer cannot be read: {error}"
            ) from error
        return answer if isinstance(answer, dict) else {}

    def _send(
        self, method: str, endpoint: str, body: object = None, *, single_try_s: float = 0.0
    ) -> Any:  # noqa: ANN401 (a response of urllib3)
        """Send a request; with `single_try_s`, wait so long and do not retry."""
        pods = namespace_path(self.namespace, "pods")
        try:
            return self.api.proxy(
                method,
                f"{pods}/{self.pod}:{PORT}/proxy/agent/{endpoint}",
                headers={_HEADER: self.token},
                body=body,
                timeout_s=single_try_s or _TIMEOUT_S,
                is_retried=not single_try_s,
            )
        except ClusterError as error:
            raise LoadError(f"{self.title}: {endpoint}: {error}", hint=error.hint) from error


def _is_file_name(name: str) -> bool:
    is_one = Path(name).name == name and name not in ("", "..")
    return is_one and name.isprintable() and len(name.encode()) <= _MAX_NAME
