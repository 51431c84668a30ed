"""The report page: everything in results/ on one page that needs no network, beside LeNet-5 at work.

Made of results/; nothing here trains, downloads or types a number. The page's parts are plain files beside this one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape

from paper_lenet.config.studies import Shown, command_of, studies
from paper_lenet.data import Data
from paper_lenet.paper import bitmaps
from paper_lenet.reporting.figures.build import generated
from paper_lenet.reporting.figures.common import Drawing
from paper_lenet.reporting.formats import Table
from paper_lenet.reporting.page.live import Net, base64_of, gallery, wall
from paper_lenet.reporting.results import TableError, read_results
from paper_lenet.reporting.tables import claims

# An SVG that is larger than this is shown as its PNG, if that is smaller.
LARGEST_SVG = 300_000


@dataclass(frozen=True)
class Section:
    """A part of the page. Tables, figures and studies say by its key that they stand in it."""

    key: str
    title: str
    lead: str


SECTIONS = (
    Section(
        "headline",
        "The paper's numbers and ours",
        "LeNet-5 trained as in 1998, many seeds, beside what the paper reports. A verdict asks whether the published "
        "number could be one more run of ours.",
    ),
    Section(
        "figures",
        "Figures 5 to 8, Section III-B",
        "The learning curve, the error against the size of the training set, the distortions and the errors.",
    ),
    Section(
        "network",
        "The network and its training",
        "The states of every layer for one digit, the codes, the connections, what training made of the kernels, the "
        "effective learning rates, and which digit is taken for which.",
    ),
    Section(
        "deviations",
        "Where the paper leaves a choice",
        "What each deviation changes in the test error, one at a time, and the studies that chose the reading of the "
        "recipe without looking at the test set. The tags are those of DEVIATIONS.md.",
    ),
    Section(
        "quarter",
        "At a quarter of the printed rates",
        "The reading of the first study, which was the headline before the second: the same numbers with it.",
    ),
    Section(
        "classifiers",
        "The other classifiers",
        "Section III-C: what Figs. 9 to 12 compare LeNet-5 with, trained and measured here.",
    ),
    Section(
        "today",
        "What of 1998 still matters",
        "One detail exchanged at a time, the way from the recipe of 1998 to that of today, and three public tutorials "
        "that call their networks LeNet-5. A part that has not been run yet is not here.",
    ),
    Section(
        "strings",
        "Strings of digits",
        "Sections V to X: strings read by a network that moves over them, or in pieces between cuts, and learned as a "
        "whole; and amounts of cheques.",
    ),
    Section("noise", "Noise", "What nobody controls: the order in which sums are rounded, and the seed."),
    Section("more", "More results", "Results that no other section has."),
)
REDRAW = "python experiments/figures.py"

# The training time of a row in results/runs: of a run, and of a classifier.
SECONDS = ("seconds", "train_seconds")


@dataclass(frozen=True)
class ShownTable:
    """A table of results/tables as HTML shows it. numeric: which columns are numbers, to be set to the right."""

    name: str
    shown: Shown
    caption: Markup
    header: list[str]
    rows: list[list[Markup]]
    numeric: list[bool]
    notes: list[Markup]
    formats: list[str]


@dataclass(frozen=True)
class ShownFigure:
    """A figure of results/figures, embedded. formats: the suffixes of its files."""

    name: str
    shown: Shown
    caption: str
    source: str
    formats: list[str]


def page(tables: Iterable[tuple[Table, Shown]], results: Path, data: Data | None, nets: Sequence[Net]) -> str:
    """The whole page as HTML text; nothing is written.

    tables: all that it shows, and where.
    results: the folder with figures, runs and errors; the page's links expect it in results/<folder>/.
    data: MNIST, or None, and then images that need it are left out.  nets: what can be tried on the page.
    Raises TableError where a file in results cannot be read.
    """
    shown_tables = [_table(results, table, shown) for table, shown in tables]
    if not shown_tables:
        raise TableError(f"{results / 'runs'}: no results to show")
    drawings = generated()
    figures = [_figure(path, drawings.get(path.stem)) for path in sorted((results / "figures").glob("*.png"))]
    images, offered, source = gallery(data)
    errors, errors_wall = wall(results, data, len(images))
    live = {
        "nets": [net.for_page() for net in nets],
        "codes": bitmaps.DIGITS.int().tolist(),
        "images": base64_of(np.concatenate([images, errors]).tobytes()),
    }
    bibliography = results.parent / "references.bib"
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_part), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["inline"] = _inline
    return environment.get_template("page.html.j2").render(
        sections=_divided(shown_tables, figures),
        nets=[(net.name, net.title) for net in nets],
        gallery=offered,
        gallery_source=source,
        wall=errors_wall,
        has_mnist=data is not None,
        jobs=jobs(results),
        redraw=REDRAW,
        bibliography=bibliography.read_text(encoding="utf-8") if bibliography.exists() else None,
        style=Markup(_part("page.css")),
        scripts=[Markup(_part(name)) for name in ("lenet.js", "page.js")],
        # no "<" in a script, so that nothing in it can end it
        live=Markup(json.dumps(live, separators=(",", ":")).replace("<", "\\u003c")),
    )


def _part(name: str) -> str:
    return (resources.files("paper_lenet.reporting.page") / name).read_text(encoding="utf-8")


def _divided(
    tables: Sequence[ShownTable], figures: Sequence[ShownFigure]
) -> list[tuple[Section, list[str], list[ShownTable], list[ShownFigure]]]:
    """Each section that shows anything, with the commands of its studies, its tables and its figures."""
    divided = []
    for section in SECTIONS:
        own_tables, own_figures = _of(section, tables), _of(section, figures)
        commands = dict.fromkeys(each.command() for each in studies().values() if each.shown.section == section.key)
        if own_tables or own_figures:
            divided.append((section, list(commands), own_tables, own_figures))
    return divided


def _of(section: Section, each: Sequence[Any]) -> list[Any]:
    """Those that stand in a section, in order; what says it stands in one that there is not comes last."""
    keys = {known.key for known in SECTIONS}
    own = [one for one in each if (one.shown.section if one.shown.section in keys else "more") == section.key]
    return sorted(own, key=lambda one: (one.shown.place, one.name))


def _table(results: Path, table: Table, shown: Shown) -> ShownTable:
    header = list(table.header)
    cells = [[_linked(cell) for cell in row] for row in table.rows]
    # the first column is the rows' names
    numeric = [k > 0 and is_numeric for k, is_numeric in enumerate(table.numeric_columns())]
    if table.name in claims.CLAIMS:
        header.append("runs")
        numeric.append(False)
        for row, shown_row in zip(table.rows, cells, strict=True):
            sources = claims.sources(table.name, row[0])
            links = (Markup('<a href="../runs/{0}.csv">{0}</a>').format(source) for source in sources)
            shown_row.append(Markup(", ").join(links))
    return ShownTable(
        name=table.name,
        shown=shown,
        caption=_inline(table.caption),
        header=header,
        rows=cells,
        numeric=numeric,
        notes=[_inline(note) for note in (table.statistics, *table.notes)],
        formats=[kind for kind in ("md", "tex", "csv") if (results / "tables" / f"{table.name}.{kind}").exists()],
    )


def _inline(text: str) -> Markup:
    """Caption or note of a table as HTML: code as such, and links."""
    parts = re.split(r"`([^`]+)`", text)
    return Markup("").join(Markup("<code>{}</code>").format(_linked(part)) if k % 2 else _linked(part)
                           for k, part in enumerate(parts))  # fmt: skip


def _linked(text: str) -> Markup:
    """Plain text as HTML: files of results/ and addresses as links."""
    html = str(escape(text))
    html = re.sub(r"\bresults/((?:runs|curves|errors|env)/[\w.-]+\.\w+|\w+\.csv)", r'<a href="../\1">\g<0></a>', html)
    return Markup(re.sub(r"https?://[^\s,;)]+[^\s,;).]", r'<a href="\g<0>">\g<0></a>', html))


def _figure(path: Path, drawing: Drawing | None) -> ShownFigure:
    """A figure as an image of its SVG, or of its PNG where that is smaller by much."""
    svg = path.with_suffix(".svg")
    try:
        content, kind = path.read_bytes(), "png"
        if svg.exists() and svg.stat().st_size <= max(LARGEST_SVG, len(content)):
            content, kind = svg.read_bytes(), "svg+xml"
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error
    caption, shown = (drawing.caption, drawing.shown) if drawing else (f"Figure {path.stem}.", Shown())
    formats = ["png", "svg"] if svg.exists() else ["png"]
    return ShownFigure(path.stem, shown, caption, f"data:image/{kind};base64,{base64_of(content)}", formats)


def jobs(results: Path) -> list[tuple[str, str, int, str]]:
    """What trained all this: command, name in results/runs, number of rows, and the sum of their training times, min.

    Raises TableError where a file in results/runs cannot be read.
    """
    rows = []
    for path in sorted((results / "runs").glob("*.csv")):
        runs = read_results(path)
        columns = [column for column in SECONDS if column in runs]
        if not columns:
            raise TableError(f"{path}: no column {' or '.join(SECONDS)}")
        seconds = runs[columns[0]]
        rows.append((command_of(path.stem), path.stem, len(seconds), f"{seconds.sum() / 60:.0f}"))
    return sorted(rows)
