"""What every page is made with: its template, its style, and how a text becomes a part of it.

Everything is escaped by the template, what cannot be printed is replaced, what is too long is cut.
"""

import base64
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pipeline.system.sanitize import printable

if TYPE_CHECKING:  # loaded only when a page is rendered
    from jinja2 import Environment

_CELL = 600  # characters of one interpolated text
_STYLE = "assets/report.css"


def rendered(template: str, **values: Any) -> str:  # noqa: ANN401 (whatever a template shows)
    """Return a page; it is also given `style`, and `style_digest` for its policy."""
    style = source(_STYLE)
    return (
        _environment()
        .get_template(template)
        .render(**values, style=raw(style), style_digest=digest(style))
    )


@lru_cache(maxsize=8)
def source(name: str) -> str:
    """Return the text of a file beside the templates."""
    loader = _environment().loader
    if loader is None:
        raise LookupError("the templates have no loader")
    return loader.get_source(_environment(), name)[0]


def raw(markup: str) -> Any:  # noqa: ANN401 (markupsafe loads late)
    """Return markup that a template writes as it is: made by us, of escaped texts."""
    from markupsafe import Markup

    return Markup(markup)  # noqa: S704 (see above)


def digest(text: str) -> str:
    """Return the SHA-256 of a text, as a policy names it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _shown(value: object) -> object:
    """Return what the template writes: markup as it is, any other text printable and short."""
    from markupsafe import Markup

    if isinstance(value, Markup):
        return value
    text = printable(str(value))
    return text if len(text) <= _CELL else f"{text[:_CELL]}…"


@lru_cache(maxsize=1)
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("pipeline", "render"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
