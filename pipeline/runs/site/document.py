"""Render a Markdown document of this project as a page, with the files that it links to."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

_SUFFIXES = (".svg", ".png", ".csv", ".html")
_MAX_BYTES = 2 * 2**20  # of one file
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class MarkdownPage:
    """A document as markup.

    Attributes:
        title: Text of its first heading.
        body: Markup; HTML in the document is escaped.
        files: Files that it shows or links to, by their path beside the page.
    """

    title: str
    body: str
    files: dict[str, Path] = field(default_factory=dict)


def read_document(path: Path, top: Path) -> MarkdownPage:
    """Return a Markdown file as markup; a link to a file that is not copied becomes plain text.

    Args:
        path: Markdown file.
        top: Folder that contains every file that may be copied.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(path.read_text(encoding="utf-8"))
    files: dict[str, Path] = {}
    title = path.stem
    for number, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h1":
            title = tokens[number + 1].content
        if token.attrs.pop("style", None) == "text-align:right":  # a page allows no style in place
            token.attrs["class"] = "number"
        open_links: list[bool] = []
        for child in token.children or ():
            match child.type:
                case "image":
                    _point(child.attrs, "src", path, top, files)
                case "link_open":
                    open_links.append(_point(child.attrs, "href", path, top, files))
                    child.tag = child.tag if open_links[-1] else "span"
                case "link_close":
                    child.tag = child.tag if open_links.pop() else "span"
                case _:
                    pass
    return MarkdownPage(title, parser.renderer.render(tokens, parser.options, {}), files)


def _point(
    attributes: dict[str, str | int | float],
    name: str,
    path: Path,
    top: Path,
    files: dict[str, Path],
) -> bool:
    """Point an attribute to a copied file; return False if its target is not on the site."""
    address = str(attributes.get(name, ""))
    if address.startswith(("https://", "#")):
        return True
    target = (path.parent / unquote(address.partition("#")[0])).resolve()
    if (
        target.suffix in _SUFFIXES
        and _NAME.fullmatch(target.name)
        and target.is_relative_to(top.resolve())
        and target.is_file()
        and target.stat().st_size <= _MAX_BYTES
    ):
        place = f"files/{target.name}"
        files.setdefault(place, target)
        if files[place] == target:
            attributes[name] = place
            return True
    attributes.pop(name, None)
    return False
