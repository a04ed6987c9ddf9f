"""What GitHub says of itself, of people and of what it refuses."""

import time
from typing import Any

from tests.github.described import instance

BOT = "github-actions[bot]"

TOO_LONG = (
    422,
    {
        "message": "Validation Failed",
        "errors": [
            {
                "resource": "IssueComment",
                "code": "unprocessable",
                "field": "data",
                "message": "Body is too long (maximum is 65536 characters)",
            }
        ],
        "documentation_url": "https://github.example/docs",
    },
)


def user(login: str) -> dict[str, Any]:
    """Return a person, or a bot, by their login."""
    kind = "Bot" if login.endswith("[bot]") else "User"
    return instance("simple-user", login=login, type=kind)


def app(login: str) -> dict[str, Any]:
    """Return the app whose bot has a login."""
    slug = login.removesuffix("[bot]")
    return {
        "id": 1,
        "slug": slug,
        "node_id": "x",
        "owner": user("github"),
        "name": slug,
        "description": None,
        "external_url": "https://github.example/x",
        "html_url": "https://github.example/x",
        "created_at": "2026-01-02T03:04:05Z",
        "updated_at": "2026-01-02T03:04:05Z",
        "permissions": {},
        "events": [],
    }


def refusal(fault: str) -> tuple[int, Any, dict[str, str]] | None:
    """Return the answer of a fault that has no effect on the state."""
    if fault.startswith("limited"):
        after = {"Retry-After": fault.split()[1]} if fault[8:].strip().isdecimal() else {}
        said = "You have exceeded a secondary rate limit. Please wait a few minutes."
        return 403, {"message": said}, after
    reset = int(time.time()) + (-300 if fault == "spent by another clock" else 1)
    left = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{reset}"}
    limit = "API rate limit exceeded for installation ID 1."
    answers: dict[str, tuple[int, str, dict[str, str]]] = {
        "spent": (429, limit, left),
        "spent by another clock": (403, limit, left),
        "spent, and no more": (403, limit, {}),
        "abuse": (403, "You have triggered an abuse detection mechanism.", {}),
        "broken": (502, "Server Error", {}),
        "forbidden": (403, "Resource not accessible by integration", {}),
    }
    if fault not in answers:
        return None
    status, said, headers = answers[fault]
    return status, {"message": said}, headers
