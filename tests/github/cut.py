"""Cut GitHub's own OpenAPI description to what we call: the file beside this one.

Source: package/generated/api.github.com.json of `npm pack @octokit/openapi@23.0.2` (MIT, GitHub).
Run: python tests/github/cut.py api.github.com.json > tests/github/openapi.json
"""

import json
import sys
from pathlib import Path
from typing import Any

OPERATIONS = {
    "/repos/{owner}/{repo}/pulls": ("get",),
    "/repos/{owner}/{repo}/pulls/{pull_number}": ("get",),
    "/repos/{owner}/{repo}/pulls/{pull_number}/files": ("get",),
    "/repos/{owner}/{repo}/issues": ("get", "post"),
    "/repos/{owner}/{repo}/issues/{issue_number}": ("patch",),
    "/repos/{owner}/{repo}/issues/{issue_number}/comments": ("get", "post"),
    "/repos/{owner}/{repo}/issues/comments/{comment_id}": ("patch", "delete"),
    "/repos/{owner}/{repo}/check-runs": ("post",),
    "/repos/{owner}/{repo}/check-runs/{check_run_id}": ("patch",),
    "/repos/{owner}/{repo}/commits/{ref}/check-runs": ("get",),
}
_TALK = ("description", "summary", "examples", "example", "externalDocs", "tags", "title")


def cut(whole: dict[str, Any]) -> dict[str, Any]:
    """Return the operations above with everything that they refer to, and without the talk."""
    paths = {
        path: {method: _quiet(whole["paths"][path][method]) for method in methods}
        for path, methods in OPERATIONS.items()
    }
    kept: dict[str, dict[str, Any]] = {}
    waiting = _references(paths)
    while waiting:
        kind, name = waiting.pop()
        if name not in kept.setdefault(kind, {}):
            kept[kind][name] = _quiet(whole["components"][kind][name])
            waiting |= _references(kept[kind][name])
    return {
        "openapi": whole["openapi"],
        "info": {
            "title": "GitHub's REST API, cut by tests/github/cut.py",
            "version": whole["info"]["version"],
            "license": whole["info"]["license"],
        },
        "servers": whole["servers"],
        "paths": paths,
        "components": {kind: dict(sorted(kept[kind].items())) for kind in sorted(kept)},
    }


def _references(part: object) -> set[tuple[str, str]]:
    if isinstance(part, dict):
        found = {r for value in part.values() for r in _references(value)}
        if isinstance(part.get("$ref"), str):
            _, _, kind, name = part["$ref"].split("/")
            found.add((kind, name))
        return found
    return {r for value in part for r in _references(value)} if isinstance(part, list) else set()


def _quiet(part: Any, *, is_map: bool = False) -> Any:  # noqa: ANN401 (JSON)
    """Return a part without descriptions and examples; a key of `properties` is a name, no talk."""
    if isinstance(part, list):
        return [_quiet(value) for value in part]
    if not isinstance(part, dict):
        return part
    kept = {
        key: _quiet(value, is_map=key == "properties" and not is_map)
        for key, value in part.items()
        if is_map or not (key in _TALK or key.startswith("x-"))
    }
    is_response = "description" in part and set(part) <= {"description", "content", "headers"}
    return {"description": "", **kept} if is_response and not is_map else kept


if __name__ == "__main__":
    source = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    json.dump(cut(source), sys.stdout, separators=(",", ":"))
    sys.stdout.write("\n")
