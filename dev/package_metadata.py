"""Give the package the README that PyPI shows, whose relative links lead to the repository.

hatchling runs this when it builds a wheel or a source archive.  The repository is that of GitHub
Actions; elsewhere its address is unknown, and the links stay as they are.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(?P<before>(?P<image>!?)\[[^\]]*\]\()(?P<target>(?![a-z]+:|#)[^)\s]+)")


class ReadmeHook(MetadataHookInterface):
    """Adds the readme and the address of the repository."""

    def update(self, metadata: dict[str, Any]) -> None:
        """See `MetadataHookInterface.update`."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
        if server and name:
            text = with_absolute_links(text, f"{server}/{name}", f"v{metadata['version']}")
            metadata["urls"] = {"Source": f"{server}/{name}"}
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def with_absolute_links(text: str, repository: str, revision: str) -> str:
    """Return Markdown whose relative links and images are those of a revision of a repository."""

    def absolute(match: re.Match[str]) -> str:
        view = "raw" if match["image"] else "blob"
        return f"{match['before']}{repository}/{view}/{revision}/{match['target']}"

    return _LINK.sub(absolute, text)
