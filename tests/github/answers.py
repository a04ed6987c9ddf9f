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
    match fault:
        case "spent":
            left = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{int(time.time()) + 1}"}
            return 429, {"message": "API rate limit exceeded"}, left
        case "broken":
            return 502, {"message": "Server Error"}, {}
        case "forbidden":
            return 403, {"message": "Resource not accessible by integration"}, {}
        case _:
            return None
