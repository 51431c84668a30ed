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

from paper_lenet import paper
from paper_lenet.config.studies import Shown, command_of, studies
from paper_lenet.data import Data
from paper_lenet.paper import bitmaps
from paper_lenet.reporting.figures.build import generated
from paper_lenet.reporting.figures.common import Drawing
from paper_lenet.reporting.formats import Table
from paper_lenet.reporting.page import charts
from paper_lenet.reporting.page.live import Net, Strings, base64_of, gallery, wall
from paper_lenet.reporting.page.sections import COSTS, RATES, ROWS, SECTIONS, WALL, Section
from paper_lenet.reporting.page.words import title, told
from paper_lenet.reporting.results import TableError, read_results
from paper_lenet.reporting.tables import claims

# An SVG that is larger than this is shown as its PNG, if that is smaller.
LARGEST_SVG = 300_000


SCRIPTS, LATE_SCRIPTS = ("lenet.js", "page.js", "network.js"), ("rows.js", "charts.js")  # after the network, and last
LONGEST = 8  # rows of a short table
EMBEDDED = 2  # sections whose figure is in the page itself, so that it begins whole wherever it lies
REDRAW = "python experiments/figures.py"

# The training time of a row in results/runs: of a run, and of a classifier.
SECONDS = ("seconds", "train_seconds")


@dataclass(frozen=True)
class ShownTable:
    """A table of results/tables as HTML shows it. numeric: which columns are numbers, to be set to the right.

    short: some of its rows and columns only.
    """

    name: str
    shown: Shown
    caption: Markup
    header: list[str]
    rows: list[list[Markup]]
    numeric: list[bool]
    notes: list[Markup]
    formats: list[str]
    short: bool = False


@dataclass(frozen=True)
class ShownFigure:
    """A figure of results/figures.

    source: it itself.  file: where it is, for those that are loaded when they are seen.  formats: of its files.
    """

    name: str
    shown: Shown
    caption: str
    source: str
    file: str
    formats: list[str]


def page(
    tables: Iterable[tuple[Table, Shown]],
    results: Path,
    data: Data | None,
    nets: Sequence[Net],
    strings: Strings | None = None,
    replay: bool = False,
) -> str:
    """The whole page as HTML text; nothing is written.

    tables: all that it shows, and where.
    results: the folder with figures, runs and errors; the page's links expect it in results/<folder>/.
    data: MNIST, or None, and then images that need it are left out.  nets: what can be tried on the page.
    strings: what reads strings on it.  replay: whether a training is recorded. Their scripts are loaded from the files
    STRINGS and REPLAY beside the page.
    Raises TableError where a file in results cannot be read.
    """
    shown_tables = [_table(results, table, shown) for table, shown in tables]
    if not shown_tables:
        raise TableError(f"{results / 'runs'}: no results to show")
    drawings = generated()
    figures = [_figure(path, drawings.get(path.stem)) for path in sorted((results / "figures").glob("*.png"))]
    images, offered, source = gallery(data)
    errors, errors_wall = wall(results, data, len(images))
    moved, costs, rates = charts.moved(results), charts.costs(results), charts.rates(results)
    live = {
        "nets": [net.for_page() for net in nets],
        "codes": bitmaps.DIGITS.int().tolist(),
        "images": base64_of(np.concatenate([images, errors]).tobytes()),
        "labels": [tile.label for tile in offered],
        **{"moved": moved, "costs": costs, "rates": rates},
    }
    bibliography = results.parent / "references.bib"
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_part), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["inline"] = _inline
    environment.filters["counted"] = _counted
    environment.filters["title"] = title
    return environment.get_template("page.html.j2").render(
        parts=_divided(shown_tables, figures, [WALL, *([ROWS] if strings else [])], [COSTS] if costs else []),
        result=_result(shown_tables),
        counts=_counts(shown_tables),
        nets=[(net.name, net.title) for net in nets],
        gallery=offered,
        gallery_source=source,
        wall=errors_wall,
        has_mnist=data is not None,
        EMBEDDED=EMBEDDED,
        COSTS=COSTS,
        RATES=RATES,
        digits=range(paper.CLASSES),
        moved=moved and moved["classifiers"],
        costs=costs and [each["name"] for each in costs],
        rates=rates and [each["name"] for each in rates["readings"]],
        strings=strings,
        replay=replay,
        jobs=jobs(results),
        redraw=REDRAW,
        bibliography=bibliography.read_text(encoding="utf-8") if bibliography.exists() else None,
        style=Markup(_part("page.css")),
        scripts=[Markup(_part(name)) for name in SCRIPTS],
        late_scripts=[Markup(_part(name)) for name in LATE_SCRIPTS],
        # no "<" in a script, so that nothing in it can end it
        live=Markup(json.dumps(live, separators=(",", ":")).replace("<", "\\u003c")),
    )


def _counted(things: Sequence[tuple[int, str]]) -> str:
    """How many there are of each kind that there is, such as `2 tables and 1 figure`."""
    return " and ".join(f"{count} {name}{'s' * (count > 1)}" for count, name in things if count) or "Commands"


def _part(name: str) -> str:
    return (resources.files("paper_lenet.reporting.page") / name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Part:
    """A section with what is in it: the commands of its studies, what is seen at once, and what is unfolded.

    tried: whether there is something in it to be tried or pointed at.
    """

    section: Section
    commands: list[str]
    table: ShownTable | None
    figure: ShownFigure | None
    tables: list[ShownTable]
    figures: list[ShownFigure]
    tried: bool

    @property
    def open(self) -> bool:
        """Whether anything of it is seen at once."""
        return bool(self.table or self.figure or self.tried)


def _divided(
    tables: Sequence[ShownTable], figures: Sequence[ShownFigure], tried: Sequence[str], charted: Sequence[str]
) -> list[Part]:
    """Each section that shows anything.

    tried: keys of those that have more than tables and figures.
    charted: of those with a chart in their figure's place.
    """
    divided = []
    for section in SECTIONS:
        own_tables, own_figures = _of(section, tables), _of(section, figures)
        commands = dict.fromkeys(each.command() for each in studies().values() if each.shown.section == section.key)
        table = next((_short(each, section) for each in tables if each.name == section.table), None)
        chart = section.key in charted
        figure = next((each for each in figures if each.name == section.figure and not chart), None)
        own_figures = [each for each in own_figures if each is not figure]
        to_try = chart or section.key in tried
        part = Part(section, list(commands), table, figure, own_tables, own_figures, to_try)
        if part.open or own_tables or own_figures:
            divided.append(part)
    return divided


def _short(table: ShownTable, section: Section) -> ShownTable:
    """What a section shows of a table at once."""
    plain = [", ".join(cell.striptags() for cell in row) for row in table.rows]
    found = [next((k for k, text in enumerate(plain) if text.startswith(begin)), None) for begin in section.rows]
    chosen = list(dict.fromkeys(k for k in found if k is not None)) or list(range(len(table.rows)))
    columns = [k for k, title in enumerate(table.header) if k == 0 or not section.columns or title in section.columns]
    return ShownTable(
        name=f"{table.name}-short",
        shown=table.shown,
        caption=table.caption,
        header=[table.header[k] for k in columns],
        rows=[[table.rows[row][k] for k in columns] for row in chosen[:LONGEST]],
        numeric=[table.numeric[k] for k in columns],
        notes=table.notes[:1],
        formats=table.formats,
        short=True,
    )


RESULT = {
    **{"paper": "paper", "ours": "ours, mean ± std", "interval": "95 % interval of the mean"},
    **{"seeds": "n seeds", "verdict": "verdict"},
}


def _result(tables: Sequence[ShownTable]) -> dict[str, str] | None:
    """The row of the claims that the page begins with, by the keys of RESULT; None where it is not there."""
    for table in tables:
        if table.name == "claims" and set(RESULT.values()) <= set(table.header):
            for row in table.rows:
                if row[0] == "test error, 60,000 patterns, %":
                    return {key: row[table.header.index(column)].striptags() for key, column in RESULT.items()}
    return None


def _counts(tables: Sequence[ShownTable]) -> dict[str, tuple[int, int]]:
    """By table with verdicts, how many of its rows are reproduced, and how many there are."""
    counts = {}
    for table in tables:
        if "verdict" in table.header:
            column = table.header.index("verdict")
            verdicts = [row[column].striptags() for row in table.rows]
            counts[table.name] = (verdicts.count("reproduced"), len(verdicts))
    return counts


def _of(section: Section, each: Sequence[Any]) -> list[Any]:
    """Those that stand in a section, in order; what says it stands in one that there is not comes last."""
    keys = {known.key for known in SECTIONS}
    own = [one for one in each if (one.shown.section if one.shown.section in keys else "more") == section.key]
    return sorted(own, key=lambda one: (one.shown.place, one.name))


def _table(results: Path, table: Table, shown: Shown) -> ShownTable:
    header = list(table.header)
    cells = [[_told(cell) for cell in row] for row in table.rows]
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


def _told(cell: str) -> Markup:
    """A cell with its settings in words; as the command line has them, by pointing at it."""
    words = told(cell)
    return _linked(cell) if words == cell else Markup('<span title="{}">{}</span>').format(cell, words)


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
    """A figure as its SVG, or as its PNG where that is smaller by much."""
    svg = path.with_suffix(".svg")
    try:
        content, kind = path.read_bytes(), "png"
        if svg.exists() and svg.stat().st_size <= max(LARGEST_SVG, len(content)):
            content, kind = svg.read_bytes(), "svg"
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error
    caption, shown = (drawing.caption, drawing.shown) if drawing else (f"Figure {path.stem}.", Shown())
    formats = ["png", "svg"] if svg.exists() else ["png"]
    source = f"data:image/{'svg+xml' if kind == 'svg' else kind};base64,{base64_of(content)}"
    return ShownFigure(path.stem, shown, caption, source, f"../figures/{path.stem}.{kind}", formats)


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
