"""Foreign text made harmless: one line, printable, of a known length."""


def plain(text: str) -> str:
    """Return text without what a terminal or a browser would obey: one line, printable."""
    if text.isprintable():  # nearly all of it, and a report has a million
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


def clipped(text: str, most: int) -> str:
    """Return plain text, cut where it is longer than so many characters."""
    said = plain(text[: most + 1])
    return said if len(said) <= most else f"{said[:most]}…"
