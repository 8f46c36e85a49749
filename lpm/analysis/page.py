"""A page that stands alone: sections, tables and figures in one HTML file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from .picture import Picture

_STYLE = (files("lpm.analysis") / "report.css").read_text(encoding="utf-8")
_REM_AN_INCH, _NARROW = 8, 34


@dataclass(frozen=True)
class Illustration:
    """A figure of a report, with the name of its file and its words."""

    name: str
    title: str
    caption: str
    figure: Picture

    def png(self) -> bytes:
        """The figure as a PNG file."""
        return self.figure.png()


def page(name: str, title: str, size: str, parts: Sequence[str]) -> str:
    """The whole file: no other file and no network is needed.

    Args:
        name: of what it is about, above the title.
        title: heading.
        size: one line below it.
        parts: sections; empty ones are left out.
    """
    header = (
        f"<header><p class=kicker>{escape(name)}</p><h1>{escape(title)}</h1>"
        f"<p>{escape(size)}</p></header>"
    )
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        "<meta name=color-scheme content='light dark'>"
        f"<title>{escape(name)}: {escape(title)}</title><style>{_STYLE}</style></head>\n"
        "<body><main>"
        + "\n".join(part for part in [header, *parts] if part)
        + "</main></body></html>\n"
    )


def figure(picture: Illustration) -> str:
    """A section with a figure, no larger than it was drawn for, and its words."""
    width = picture.figure.get_figwidth() * _REM_AN_INCH
    narrow = " narrow" if width < _NARROW else ""
    return section(
        picture.title,
        f"<figure role=img aria-label='{escape(picture.title, quote=True)}'>"
        f"<div class='wide{narrow}' style='max-width:{width:.0f}rem'>{picture.figure.svg()}</div>"
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>",
    )


def section(title: str, content: str) -> str:
    """A heading and what follows; `content` is HTML."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def table(lines: Sequence[Mapping[str, Any]], kind: str = "") -> str:
    """Rows as a table, escaped; `kind` is a class of the style sheet.

    numbers: all but the first two columns to the right; values: all but the first; pairs: long
    text in the last.
    """
    if not lines:
        return "<p>Nothing to show.</p>"
    head = "".join(f"<th>{escape(str(name))}</th>" for name in lines[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in line.values()) + "</tr>"
        for line in lines
    )
    return (
        f"<div class=wide><table class='{kind}'><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def file_name(title: str) -> str:
    """A title in lower case with hyphens."""
    kept = "".join(c if c.isalnum() else " " for c in title.lower())
    return "-".join(kept.split())
