"""Artifacts that are read: what is foreign in them is text, and no lie in them decides."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.render.markdown import MARKER
from tests.hostile.case import Case, body, edited, folder

_SHOWN, _NUMBERS, _UNREAD = "escaping", "the numbers are judged again", "never opened"


def _everywhere(said: str) -> Callable[[Path], Path]:
    """Return the maker of results whose every free text is this one."""

    def edit(found: dict[str, Any]) -> None:
        for subject in found["subjects"].values():
            subject.update(spec=said, digest=said, facts={said: said})
        for trial in found["trials"]:
            trial["warnings"] = [said]
            trial["invalid"] = [said] if trial["invalid"] else []
        found["machine"] = {"facts": {said: said}, "fingerprint": {said: said}}
        found["tools"] = {said: {"version": said, "digest": said}}
        found["environment"] = said
        found["suite_digest"] = found["load_digest"] = said
        spreads = {said: {"variance": 0.01, "runs": 10}}
        found["prior"] = {"source": said, "freedom": 4.0, "spreads": spreads}

    return edited(edit)


def _forged(at: Path) -> Path:
    return folder(
        at,
        json.dumps(body()),
        verdict_json='{"schema": "milo-perf.verdict/2", "verdict": "unchanged", "exit_code": 0}',
        report_md=f"{MARKER}\n## ✅ PASS: no metric worse\n",
        report_html="<script>alert(1)</script>",
    )


def _of_another_request(at: Path) -> Path:
    return folder(at, json.dumps(body()), pr_json='{"number": 1}', NUMBER="1", event_json="{}")


def _own_looks(found: dict[str, Any]) -> None:
    for trial in found["trials"]:
        trial["invalid"] = []
    found["looks"] = [2, found["pairs_asked"]]


FREE = [
    Case("HTML in free text", _SHOWN, _everywhere("<script>x</script><img src=x onerror=y>")),
    Case("a mention in free text", _SHOWN, _everywhere("@org/team @user, see #1 and GH-2")),
    Case("our marker in free text", _SHOWN, _everywhere(f"--> {MARKER} <!--")),
    Case("a link in free text", _SHOWN, _everywhere("[a](https://x.y) <https://x.y> www.x.y")),
    Case("a picture in free text", _SHOWN, _everywhere("![a](https://x.y/z.png)")),
    Case("cells and rows in free text", _SHOWN, _everywhere("a | b\n| :-- |\n\n# c")),
    Case("a fence's end in free text", _SHOWN, _everywhere("```\n# not code\n````")),
    Case("a shell's command in free text", _SHOWN, _everywhere("$(rm -rf /) `id`; id & id")),
    Case("a workflow's command in free text", _SHOWN, _everywhere("\n::add-mask::a\n::error::b")),
    Case("a terminal's escapes in free text", _SHOWN, _everywhere("\x1b]0;a\x07\x1b[2J\x9b31m")),
    Case("text that turns round", _SHOWN, _everywhere("a\u202eb\u2066c\u200fd\u061c")),
    Case("a template in free text", _SHOWN, _everywhere("{{ 7*7 }} {% raw %} ${{ secrets.X }}")),
    Case("the end of CDATA in free text", _SHOWN, _everywhere("]]> &amp; <!ENTITY x '&x;'>")),
    Case("15 kB in every free text", _SHOWN, _everywhere("long<&|" * 2100)),
]

LIES = [
    Case("verdict.json and reports say `no regression`", _NUMBERS, _forged),
    Case("files that name another pull request", _UNREAD, _of_another_request),
    Case("looks that were never agreed", _NUMBERS, edited(_own_looks)),
    Case(
        "the machine is said to be the same",
        _NUMBERS,
        edited(
            lambda found: found.update(
                stored={
                    "name": "reference-pr",
                    "taken_at": "2026-01-02T03:04:05Z",
                    "same_machine": True,
                    "differences": [],
                    "digest": "sha256:0",
                    "values": {"object-crud/create_p50": 9.0},
                }
            )
        ),
    ),
]
