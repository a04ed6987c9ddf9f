"""Render the Jinja templates beside this module; every interpolated text is escaped.

A text of a stranger is made printable and cut to `_MAX_CELL` characters before it is escaped.
"""

import base64
import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pipeline.render.escape import escape_markdown
from pipeline.system.sanitize import printable

if TYPE_CHECKING:  # loaded only when a template is rendered
    from jinja2 import Environment

_MAX_CELL = 600  # characters of one interpolated text
_STYLE = "assets/report.css"


def render_html(template: str, **values: Any) -> str:  # noqa: ANN401 (whatever a template shows)
    """Return a page; its template also gets `style` and `style_digest`."""
    style = asset(_STYLE)
    return (
        _environment(is_html=True)
        .get_template(template)
        .render(**values, style=raw(style), style_digest=sha256_base64(style))
    )


def render_markdown(template: str, **values: Any) -> str:  # noqa: ANN401 (as above)
    """Return the Markdown of a template."""
    return _environment(is_html=False).get_template(template).render(**values)


@lru_cache(maxsize=8)
def asset(name: str) -> str:
    """Return the text of a file beside the templates."""
    environment = _environment(is_html=True)
    if environment.loader is None:
        raise LookupError("the templates have no loader")
    return environment.loader.get_source(environment, name)[0]


def raw(markup: str) -> Any:  # noqa: ANN401 (markupsafe loads late)
    """Return markup that a template does not escape: our own, or already escaped."""
    from markupsafe import Markup

    return Markup(markup)  # noqa: S704 (see above)


def sha256_base64(text: str) -> str:
    """Return the SHA-256 digest of a text as a Content-Security-Policy names it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _printable_cell(value: object) -> object:
    from markupsafe import Markup

    if isinstance(value, Markup):
        return value
    text = printable(str(value))
    return text if len(text) <= _MAX_CELL else f"{text[:_MAX_CELL]}…"


def _markdown_cell(value: object) -> object:
    from markupsafe import Markup

    return value if isinstance(value, Markup) else raw(escape_markdown(value))


@lru_cache(maxsize=2)
def _environment(*, is_html: bool) -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("pipeline", "render"),
        autoescape=True,
        finalize=_printable_cell if is_html else _markdown_cell,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
