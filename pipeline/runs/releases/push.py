"""Keep measured releases on a branch of a git repository, where `site` finds them."""

from pathlib import Path

from pipeline.runs.history import branch
from pipeline.runs.history.branch import Branch
from pipeline.runs.site import places
from pipeline.storage import codec
from pipeline.system import paths
from pipeline.system.errors import BaselineError

FOLDER = "releases"
"""Folder on the branch; it has one measurement, the newest."""


def push(folder: Path, remote: str, name: str) -> bool:
    """Push the releases in a folder to a branch; return False if they are there already.

    Args:
        folder: Folder of a measurement of releases; its files are untrusted.
        remote: Address or folder of the repository, or a remote's name in the current clone.
        name: Name of the branch.

    Raises:
        BaselineError: The folder has no releases that can be read, or none was measured.
        NetworkError: The repository does not answer.
        PublishError: The repository refuses the commit.
    """
    series, reports = places.read_releases(folder)
    if not series.measured:
        raise BaselineError(f"{folder}: no release in it was measured, so there is nothing to keep")
    texts = {paths.RELEASES: codec.RELEASES.dumps(series)}
    for step, results in reports.items():
        texts[f"{step}/{paths.RESULTS}"] = codec.RESULTS.dumps(results)
    first, last = series.releases[0].name, series.measured[-1].release
    place = Branch(remote, name, f"{FOLDER}/{paths.RELEASES}")
    return branch.replace_folder(place, texts, f"{FOLDER}: keep {first} to {last}")
