"""Remove credentials from a log, such as that of ClusterLoader2, which can print its kubeconfig.

`[removed]` marks each place.  A log is read line by line, so its size does not matter; a line that
is too long to check is left out.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from pipeline.system.errors import StorageError

REMOVED = "[removed]"
MAX_LINE = 2**16
"""Length limit of a line.  With the bounds in the patterns, the worst line takes below a second."""

_KEYS = (
    r"(?<![A-Za-z0-9])(?:(?:bearer|id|access|refresh)?[_-]?token|password|passwd|api[_-]?key"
    r"|client[_-]?secret|secret[_-]?(?:access[_-]?)?key"
    r"|(?:client-key|client-certificate|certificate-authority)-data|(?:key|cert|ca)data)"
    r"\\?[\"']?"
)
_MARK = r"[|>][+\d-]{0,2}"  # of a value in YAML that stands in the lines below
# A value in JSON, in JSON that is quoted, in Go's `%+v`, or a word.
_VALUE = r"""(?:\\?"[^"\\]*\\?"|'[^']*'|\[[\d ,]+\]|[^\s"'\\,;{}\[\]]+)"""
_RULES = tuple(
    (re.compile(pattern, re.IGNORECASE), instead)
    for pattern, instead in (
        # Headers, wherever they are printed.
        (r"\b((?:proxy-)?authorization\\?[\"']?\s*[:=]\s*)[^\r\n]+", rf"\1{REMOVED}"),
        (r"\b((?:set-)?cookie\\?[\"']?\s*:\s*)[^\r\n]+", rf"\1{REMOVED}"),
        (r"\b((?:bearer|basic)\s{1,9})[\w.~+/=-]{8,}", rf"\1{REMOVED}"),
        # Name and password in a URL.
        (r"\b([a-z][a-z0-9+.-]{0,20}://)[^\s/@\"']{1,4096}@", rf"\1{REMOVED}@"),
        # A JWT, a PEM block in base64, and one that is quoted in one line.
        (r"\beyJ[\w-]{6,4096}\.[\w-]+(?:\.[\w-]*)?", REMOVED),
        (r"LS0tLS1CRUdJTi[A-Z0-9+/=]*", REMOVED),
        (r"-----BEGIN [A-Z0-9 ]{1,40}-----.*?(?:-----END [A-Z0-9 ]{1,40}-----|$)", REMOVED),
        # A key that begins its line has all of it as its value, in YAML.
        (rf"^([\s-]*[\"']?{_KEYS}:\s+)(?!{_MARK}\s*$)\S[^\r\n]*", rf"\1{REMOVED}"),
        (rf"({_KEYS}\s*[:=]\s*){_VALUE}", rf"\1{REMOVED}"),
        (r"(--(?:token|password)\s+)\S+", rf"\1{REMOVED}"),
    )
)
# In lower case; a line without any of them matches no rule, and most lines are such.
_SIGNS = (
    *("authorization", "cookie", "bearer", "basic", "://", "eyj", "ls0tls1crudjti", "-----begin"),
    *("token", "passw", "key", "secret", "data"),
)
_BLOCK = re.compile(rf"(?P<key>(?P<indent>[\s-]*)[\"']?{_KEYS}:)\s*(?:{_MARK})?\s*", re.IGNORECASE)
_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{1,40}-----")
_END = re.compile(r"-----END [A-Z0-9 ]{1,40}-----")
_IN_PEM = re.compile(r"\s*(?:[A-Za-z0-9+/=]{0,100}|[A-Za-z-]{1,20}: [\w ,-]{1,200})\s*")


def scrub_lines(lines: Iterable[str], known: Sequence[str] = ()) -> Iterator[str]:
    """Yield lines, with their ends, without credentials; one of many lines leaves one line."""
    in_pem = False
    block: int | None = None  # indentation of a key whose value is in the following lines
    for line in lines:
        if block is not None:
            if not line.strip() or len(line) - len(line.lstrip(" \t")) > block:
                continue
            block = None
        if in_pem and (_END.search(line) or _IN_PEM.fullmatch(line)):
            in_pem = _END.search(line) is None
            continue
        if _may_have_secret(line) and (match := _BLOCK.fullmatch(line)):
            block = len(match["indent"])
            yield f"{match['key']} {REMOVED}\n"
            continue
        in_pem = _BEGIN.search(line) is not None and _END.search(line) is None
        yield _scrub_line(line, known)


def scrub_file(path: Path, known: Sequence[str] = ()) -> None:
    """Remove credentials from a file, all or nothing; bytes that are not UTF-8 become U+FFFD.

    Raises:
        StorageError: The file cannot be read or written, and is unchanged.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with (
            path.open(encoding="utf-8", errors="replace", newline="") as file,
            partial.open("w", encoding="utf-8", newline="") as out,
        ):
            out.writelines(scrub_lines(_lines(file), known))
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(
            f"{path}: cannot be freed of credentials: {error.strerror}",
            hint="it may hold some: do not hand it on",
        ) from error


def _lines(file: TextIO) -> Iterator[str]:
    """Yield the lines of a file; one that is too long is replaced, because it may have a secret."""
    while line := file.readline(MAX_LINE):
        if line.endswith("\n") or len(line) < MAX_LINE:
            yield line
            continue
        while line and not line.endswith("\n"):
            line = file.readline(MAX_LINE)
        yield f"[a line of more than {MAX_LINE} characters was left out]\n"


def _scrub_line(line: str, known: Sequence[str]) -> str:
    for secret in known:
        if secret:
            line = line.replace(secret, REMOVED)
    if not _may_have_secret(line):
        return line
    for pattern, instead in _RULES:
        line = pattern.sub(instead, line)
    return line


def _may_have_secret(line: str) -> bool:
    small = line.lower()
    return any(sign in small for sign in _SIGNS)
