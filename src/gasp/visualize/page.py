"""What all reports share: one self-contained page, lists of facts, small bars."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from importlib import resources
from typing import Any


def page(title: str, sections: Iterable[str], *, extra_style: str = "") -> str:
    """A whole page as HTML text; empty sections are left out."""
    style = resources.files("gasp.visualize").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · gasp</title>\n<style>\n{style}{extra_style}</style></head>\n<body><main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main></body></html>\n"
    )


def facts(values: Iterable[tuple[str, str]]) -> str:
    """Tiles of a number and what it counts."""
    items = "".join(f"<li><b>{escape(value)}</b>{escape(what)}</li>" for value, what in values)
    return f'<ul class="facts">{items}</ul>'


def definitions(values: Mapping[str, Any]) -> str:
    """Names and values in two columns."""
    entries = "".join(
        f"<dt>{escape(str(name))}</dt><dd>{escape(_written(value))}</dd>" for name, value in values.items()
    )
    return f"<dl>{entries}</dl>"


def meter(share: float, colour: str) -> str:
    """A bar for a share in 0..1, without its number."""
    width = f"{100 * min(1.0, max(0.0, share)):.1f}"
    return f'<span class="meter"><i style="width:{width}%;background:{colour}"></i></span>'


def table(names: Iterable[str], rows: str, kind: str = "") -> str:
    """A table of ``rows`` (HTML) below these names, which is moved sideways where the page is narrow."""
    style = f' class="{kind}"' if kind else ""
    return f'<div class="scroll"><table{style}>{_header_row(names)}{rows}</table></div>'


def _header_row(names: Iterable[str]) -> str:
    """The first row of a table; all columns but the first hold numbers."""
    heads = "".join(
        f"<th{' class=number' if place else ''}>{escape(name)}</th>" for place, name in enumerate(names)
    )
    return f"<tr>{heads}</tr>"


def figure(jpeg: bytes, alt: str, caption: str) -> str:
    """A picture inside the page, with plain text below it."""
    data = base64.b64encode(jpeg).decode()
    return (
        f'<figure><img alt="{escape(alt)}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def percent(share: float) -> str:
    """A share as a percentage."""
    return f"{100 * share:.0f} %"


def _written(value: Any) -> str:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return {True: "yes", False: "no", None: "–"}[value] if isinstance(value, bool | None) else str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_written(part)}" for name, part in value.items())
    return ", ".join(str(part) for part in value)
