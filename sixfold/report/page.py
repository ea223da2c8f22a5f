"""Blocks in, HTML out: a whole self-contained page, or a fragment for a notebook. Nothing in it is fetched."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sixfold.fetch.folders import PRIVATE, write_text
from sixfold.report import cells, show, svg, tallies
from sixfold.report.blocks import Block, Page, Section, Shown, Tile, Tiles


def render(page: Page) -> str:
    """The page as one HTML document with no network references: style, script and drawings are inside.

    Raises:
        DataError: a block that contradicts itself, such as a span outside its text.
    """
    environment = _environment()
    return environment.get_template("page.html.j2").render(
        page=page,
        anchors=_anchors(page.sections),
        style=Markup(_source("style.css")),
        script=Markup(_source("sort.html.j2")),
        script_digest=_digest(_source("sort.html.j2")),
    )


def fragment(block: Section | Block | Page | Shown) -> str:
    """A section, block or page as an HTML fragment that carries its own style: what a notebook shows."""
    if isinstance(block, Page):
        sections: tuple[Section, ...] = block.sections
    elif isinstance(block, Section):
        sections = (block,)
    elif isinstance(block, Tile):
        sections = (Section("", (Tiles((block,)),)),)
    elif hasattr(block, "kind"):
        sections = (Section("", (block,)),)  # type: ignore[arg-type]
    else:
        return str(Markup("<pre>{}</pre>").format(show.visible(str(block))))
    return _environment().get_template("fragment.html.j2").render(sections=sections, style=Markup(_source("style.css")))


def write(page: Page, path: str | os.PathLike[str]) -> Path:
    """Write the page to ``path``, whole or not at all, making its folder where it is missing.

    Only the owner may read it, since it shows texts: who shares a report gives it away on purpose (``chmod 644``).

    Raises:
        StorageError: when it cannot be written; what stood there before is untouched.
    """
    target = Path(path)
    write_text(target, render(page), mode=PRIVATE, parents=True)
    return target


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sixfold.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    for name in ("count", "percent", "number"):
        environment.filters[f"show_{name}"] = getattr(show, name)
    drawings = {
        "curves": svg.lines,
        "reliability": svg.reliability,
        "heatmap": tallies.heatmap,
        "bars": tallies.bars,
    }
    environment.globals.update(
        {f"draw_{name}": _markup(function) for name, function in drawings.items()},
        lost_notes=svg.lost_notes,
        thin_note=svg.thin_note,
        kinds=cells.kinds,
        heads=cells.heads,
        rows=cells.rows,
        plain=cells.plain,
        looks_like_code=cells.looks_like_code,
        pieces=cells.pieces,
        tagged=cells.tagged,
        cut=cells.cut,
        paragraphs=_paragraphs,
    )
    return environment


def _finalize(value: Any) -> Any:
    """Every string that a template prints passes here, so none can hide its characters."""
    return show.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _markup(function: Any) -> Any:
    return lambda block: Markup(function(block))


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


def _anchors(sections: Sequence[Section]) -> list[str]:
    """An anchor for each section: its id where that can be one and is not taken, else its number."""
    found: list[str] = []
    for place, section in enumerate(sections, 1):
        fit = re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,60}", section.id) and section.id not in found
        found.append(section.id if fit else f"section-{place}")
    return found


@functools.cache
def _source(name: str) -> str:
    source, _, _ = PackageLoader("sixfold.report").get_source(Environment(autoescape=True), name)
    return source.strip()


def _digest(script: str) -> str:
    """The script's hash for the page's content security policy: no other script may run."""
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
