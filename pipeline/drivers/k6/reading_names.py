"""Names of the readings of a k6 load; see `summarize.py` for their meaning.

A script of somebody's own may have any metric and any operation.  One of ours has those that it or
`lib/` spells, as a text or as a template such as `create_${half}`.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.drivers.k6.csv_points import UNUSED
from pipeline.drivers.k6.summarize import DEFAULT_ZERO, NO_COUNTERS, RELATIVE, REQUEST
from pipeline.judge.stats.summary import timing_units
from pipeline.model.reading_names import ReadingNames, with_unit

_COUNTS = (
    *("requests", "errors_share", "iterations", "reads", "reads_given_up", "cut_off"),
    *("generator_cpu_share", "pods.reads", *(f"pods.answers{{code={n}xx}}" for n in (2, 4, 5))),
)
_TEXT = re.compile(
    r"""//[^\n]*|/\*.*?\*/|'((?:\\.|[^'\\\n])*)'|"((?:\\.|[^"\\\n])*)"|`((?:\\.|[^`\\])*)`""",
    re.DOTALL,
)
_EXPRESSION = r"\$\{[^}]*\}"
_SPELLED = re.compile(rf"(?:[a-z0-9_]|{_EXPRESSION})+")
_LENGTH = re.compile(rf"{_EXPRESSION}m?s")  # of time, such as `${requestTimeoutS}s`
_OWN = r"\w+"  # what k6 allows
_OWN_OPERATION = r"[^{}]*"


def names_of_script(scripts: Iterable[Path] | None, *, is_fixed: bool) -> ReadingNames:
    """Return the names of the readings of a script.

    Args:
        scripts: Files of one of our scripts; None for one of somebody's own.
        is_fixed: True for fixed work, False for an open load.
    """
    texts = None if scripts is None else sorted(set(spelled_names(scripts)))
    words = [] if texts is None else [one for one in texts if "$" not in one]
    word = _OWN if texts is None else _any_of(texts)
    operation = _OWN_OPERATION if texts is None else word
    units = {
        **timing_units(REQUEST),
        **timing_units(RELATIVE, "1"),
        **{name: unit for op in words for name, unit in _of_operation(op).items()},
        **with_unit("1", (*_COUNTS, *DEFAULT_ZERO)),
        **({"unfinished_share": "1"} if is_fixed else {}),
        "span": "s",
    }
    own = rf"(?!(?:{'|'.join((*NO_COUNTERS, RELATIVE, *UNUSED))})\b)(?:{word})"
    of = rf"(?:\{{op=(?:{operation})\}})?"
    ends = "|".join(key.removeprefix("x") for key in timing_units("x"))
    counted = "|".join(("requests", *DEFAULT_ZERO))
    others = (
        rf"(?:{own}|{REQUEST}){of}(?:{ends})",
        rf"(?:{own}|{counted}){of}",
    )
    return ReadingNames(units, others)


def spelled_names(scripts: Iterable[Path]) -> Iterator[str]:
    """Yield the texts of scripts that may be a metric or an operation, and the templates."""
    for path in scripts:
        for match in _TEXT.finditer(path.read_text(encoding="utf-8")):
            text = match[match.lastindex] if match.lastindex else ""
            if _SPELLED.fullmatch(text) and not _LENGTH.fullmatch(text):
                yield text


def _of_operation(op: str) -> dict[str, str]:
    return timing_units(f"{REQUEST}{{op={op}}}") | {f"requests{{op={op}}}": "1"}


def _any_of(texts: Iterable[str]) -> str:
    """Return a regular expression of texts, and of what templates may become."""
    return "|".join(re.sub(_EXPRESSION, r"\\w+", text) for text in texts)
