"""Find the explanation of a run in its folder, which may be that of a stranger."""

import hashlib
from pathlib import Path

from pipeline.judge.flames import MAX_FRAMES
from pipeline.model.explanation import Explanation, FlameFrame
from pipeline.model.results import ResultSet
from pipeline.storage import artifact, codec
from pipeline.system.errors import BaselineError
from pipeline.system.log import log

FOLDER = "explain"
"""Folder of the extra pairs and of the explanation, in that of the run."""

EXPLANATION = "explain.json"

_MAX_WORKLOADS = 20
_MAX_FRAMES = 2 * MAX_FRAMES


def run_digest(results: ResultSet) -> str:
    """Return the digest that ties an explanation to the results that it explains."""
    return f"sha256:{hashlib.sha256(codec.RESULTS.dumps(results).encode()).hexdigest()}"


def read_explanation(out: Path, results: ResultSet) -> Explanation | None:
    """Return what `explain` says of a run; None if nothing does, or if it cannot be read.

    An explanation of other results, such as those before pairs were added, is not used.
    """
    try:
        data = artifact.file_in(out / FOLDER, EXPLANATION)
        return None if data is None else parse_explanation(data, results)
    except (BaselineError, ValueError) as error:
        log.warning("what changed inside is not shown: %s", error)
        return None


def parse_explanation(data: bytes, results: ResultSet) -> Explanation:
    """Return an explanation that may come from an untrusted source.

    Raises:
        ValueError: The file cannot be read, explains other results, or is too large.
    """
    explanation = codec.EXPLANATION.parse(data)
    if explanation.run != run_digest(results):
        raise ValueError(f"{EXPLANATION} explains other results")
    frames = [
        frame for one in explanation.workloads for graph in one.flames for frame in graph.frames
    ]
    if len(explanation.workloads) > _MAX_WORKLOADS or len(frames) > _MAX_FRAMES:
        raise ValueError(f"{EXPLANATION} has more workloads or frames than we write")
    if not all(map(_is_inside, frames)):
        raise ValueError(f"{EXPLANATION} has a frame outside of its drawing")
    return explanation


def _is_inside(frame: FlameFrame) -> bool:
    is_place = 0 <= frame.depth <= 100 and 0 <= frame.start <= 1 and 0 < frame.width <= 1
    return is_place and frame.baseline >= 0 and frame.candidate >= 0
