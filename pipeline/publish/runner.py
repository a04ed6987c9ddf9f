"""What the runner of a workflow says in its environment; it is GitHub's own word."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.system.errors import ConfigError

_TOKEN = re.compile(r"[\x21-\x7e]+")
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Runner:
    """One job as its environment describes it; what is not set is empty.

    Attributes:
        variables: By name.
    """

    variables: Mapping[str, str]

    def __repr__(self) -> str:
        return "Runner(…)"  # the token is in it

    @property
    def token(self) -> str:
        """The token, from GITHUB_TOKEN_FILE or GITHUB_TOKEN.

        Raises:
            ConfigError: There is none, or it could not stand in a header.
        """
        file = self.get("GITHUB_TOKEN_FILE")
        try:
            found = Path(file).read_text("utf-8").strip() if file else self.get("GITHUB_TOKEN")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"GITHUB_TOKEN_FILE: {file} cannot be read") from error
        if not _TOKEN.fullmatch(found):
            said = "is not a token" if found else "is not set, so nothing can be sent"
            hint = "in a workflow: `env: {GITHUB_TOKEN: ${{ github.token }}}`; or try --dry-run"
            raise ConfigError(f"GITHUB_TOKEN {said}", hint=hint)
        return found

    @property
    def repository(self) -> str:
        """`owner/name`.

        Raises:
            ConfigError: It is not set, or is nothing like it.
        """
        found = self.get("GITHUB_REPOSITORY")
        if not _REPOSITORY.fullmatch(found):
            said = f"`{found}` is not owner/name" if found else "is not set"
            raise ConfigError(f"GITHUB_REPOSITORY {said}", hint="such as milo-os/milo")
        return found

    @property
    def api_url(self) -> str:
        """Of the API, with the path that a GitHub Enterprise Server has, without a last slash."""
        return (self.get("GITHUB_API_URL") or "https://api.github.com").rstrip("/")

    @property
    def run_url(self) -> str:
        """The page of this workflow run; empty outside of one."""
        run = self.get("GITHUB_RUN_ID")
        if not run.isdecimal():
            return ""
        server = (self.get("GITHUB_SERVER_URL") or "https://github.com").rstrip("/")
        return f"{server}/{self.repository}/actions/runs/{run}"

    @property
    def is_in_actions(self) -> bool:
        """Whether what is printed may be taken for commands to the runner."""
        return self.get("GITHUB_ACTIONS") == "true"

    def get(self, name: str) -> str:
        """Return a variable; empty when it is not set."""
        return self.variables.get(name, "")

    def number(self, name: str, missing: int) -> int:
        """Return a variable that is a number, or what stands for a missing one."""
        found = self.get(name)
        return int(found) if found.isdecimal() else missing


def here() -> Runner:
    """Return the runner of this process."""
    return Runner(dict(os.environ))
