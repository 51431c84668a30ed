"""The report page: everything in results/ on one page that needs no network, beside LeNet-5 at work.

Read from results/tables, results/figures, results/runs and results/errors; nothing here trains, downloads or types a
number. The page's parts are plain files in the folder report/.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup, escape

from paper_lenet.data import Data
from paper_lenet.paper import bitmaps
from paper_lenet.reporting.formats import cells_of
from paper_lenet.reporting.page.live import Net, base64_of, gallery, wall
from paper_lenet.reporting.results import TableError, read_results
from paper_lenet.reporting.tables import claims

# An SVG that is larger than this is shown as its PNG, if that is smaller.
LARGEST_SVG = 300_000


@dataclass(frozen=True)
class Section:
    """A part of the page: the tables and figures whose names match, in this order, and what makes them anew."""

    key: str
    title: str
    lead: str
    command: str
    tables: tuple[str, ...]
    figures: tuple[str, ...] = ()


SECTIONS = (
    Section(
        "headline",
        "The paper's numbers and ours",
        "LeNet-5 trained as in 1998, many seeds, beside what the paper reports. A verdict asks whether the published "
        "number could be one more run of ours.",
        "`make reproduce`, five seeds; `make figures-3b`, the claims",
        ("claims", "lenet5"),
        ("fig5-lenet5",),
    ),
    Section(
        "figures",
        "Figures 5 to 8, Section III-B",
        "The learning curve, the error against the size of the training set, the distortions and the errors.",
        "`make figures-3b`",
        ("fig5", "fig6", "distortions", "strength", "distorted", "eq9*", "overlap"),
        ("fig5-*", "fig6", "fig7", "fig8-*"),
    ),
    Section(
        "network",
        "The network and its training",
        "The states of every layer for one digit, the codes, the connections, what training made of the kernels, the "
        "effective learning rates, and which digit is taken for which.",
        "`make figures`; `python experiments/rates.py`, the rates",
        ("classes",),
        ("fig2", "fig3", "table1", "kernels", "rates", "confusion-fig5"),
    ),
    Section(
        "deviations",
        "Where the paper leaves a choice",
        "What each deviation changes in the test error, one at a time, and the study that chose the reading of the "
        "recipe without looking at the test set. The tags are those of DEVIATIONS.md.",
        "`make figures-3b`, the effects; `make readings`, the study",
        ("deviations", "readings"),
    ),
    Section(
        "classifiers",
        "The other classifiers",
        "Section III-C: what Figs. 9 to 12 compare LeNet-5 with, trained and measured here.",
        "`make comparison`",
        ("comparison", "comparison-costs", "comparison-choice", "choice-comparison", "choice-printed",
         "choice-deslanted", "comparison-nets"),
        ("fig9", "fig10", "rejects", "fig11", "fig12", "invariance", "curves-comparison-nets"),
    ),
    Section(
        "today",
        "What of 1998 still matters",
        "One detail exchanged at a time, the way from the recipe of 1998 to that of today, and three public tutorials "
        "that call their networks LeNet-5. A part that has not been run yet is not here.",
        "`make ablations`, `make tutorials`",
        ("ablation-from-1998", "ablation-from-modern", "ablation-ladder", "ablation-*", "tutorials*", "tutorial-*",
         "choice-*"),
        ("ablation-from-1998", "ablation-from-modern", "ablation-ladder", "ablation-*", "tutorials", "confusion-*"),
    ),
    Section(
        "noise",
        "Noise",
        "What nobody controls: the order in which sums are rounded, and the seed.",
        "`python experiments/noise.py`",
        ("noise",),
    ),
    Section("more", "More results", "Results that no other section has.", "", ("*",), ("*",)),
)  # fmt: skip

# What figures show, by name: for captions and for who cannot see them.
CAPTIONS = {
    "fig5-*": "Error against pass through the training set, training and test: mean and range of our seeds, and the "
    "points of the paper's Fig. 5.",
    "fig6": "Error against the size of the training set: ours with intervals, and the paper's Fig. 6.",
    "fig7": "Distorted digits: the paper's Fig. 7 redrawn from fitted maps, and random ones of our own generator.",
    "fig8-*": "The test images that our seeds most often get wrong, as in Fig. 8; framed are those among the paper's.",
    "ablation-ladder": "Test error on the way from the recipe of 1998 to that of today, step upon step.",
    "ablation-*": "Difference in test error for each detail that is exchanged, with its interval.",
    "tutorials": "Error against epoch of the three tutorials.",
    "confusion-*": "What the networks take for what: true label against answer, and precision, recall and F1 of each "
    "digit, means over seeds.",
    "curves-*": "Error against pass through the training set, a panel a configuration.",
    "fig9": "Test errors of the paper's classifiers, its numbers beside ours.",
    "fig10": "How much each must reject for 0.5 % error, the paper's numbers beside ours.",
    "rejects": "Error on what is left against the share that is rejected, and the paper's point of each classifier.",
    "invariance": "Test error on images that are scaled, shifted, turned or noisy, and the paper's estimates.",
    "fig11": "Multiply-adds of one recognition, the paper's numbers beside ours.",
    "fig12": "Variables that each must store, the paper's numbers beside ours.",
    "fig2": "The states of every layer of a trained LeNet-5 for one test image, as in Fig. 2.",
    "fig3": "The codes of Fig. 3; framed are the ten digits.",
    "table1": "Table I: which maps of S2 feed which of C3.",
    "kernels": "C1's kernels, and the coefficients and biases of S2 and S4, after training.",
    "rates": "Effective learning rates by layer and pass, and the range that the paper gives for the first.",
}
REDRAW = "python experiments/figures.py"

# Who trains what: a make target or command, and the names in results/runs that it gives.
JOBS = {
    "make reproduce": ("lenet5",),
    "make figures-3b": ("fig5", "fig6", "strength", "distorted", "eq9", "eq9-choice", "eq9-distorted", "deviations"),
    "make readings": ("readings",),
    "make comparison": ("comparison*", "choice-comparison", "choice-printed", "choice-deslanted"),
    "make ablations": ("choice-*", "ablation-*"),
    "make tutorials": ("tutorial-*",),
    "python experiments/noise.py": ("noise",),
    "python experiments/train.py experiment=modern": ("modern",),
}

# The training time of a row in results/runs: of a run, and of a classifier.
SECONDS = ("seconds", "train_seconds")


@dataclass(frozen=True)
class ShownTable:
    """A table of results/tables as HTML shows it. numeric: which columns are numbers, to be set to the right."""

    name: str
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
    caption: str
    source: str
    formats: list[str]


def page(results: Path, data: Data | None, nets: Sequence[Net]) -> str:
    """The whole page as HTML text; nothing is written.

    results: the folder with tables, figures, runs and errors; the page's links expect it in results/<folder>/.
    data: MNIST, or None, and then images that need it are left out.  nets: what can be tried on the page.
    Raises TableError where a file in results cannot be read.
    """
    tables = {path.stem: _table(path) for path in sorted((results / "tables").glob("*.md"))}
    figures = {path.stem: _figure(path) for path in sorted((results / "figures").glob("*.png"))}
    if not tables:
        raise TableError(f"{results / 'tables'}: no tables; `python experiments/tables.py` makes them")
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
        sections=_divided(tables, figures),
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
    tables: dict[str, ShownTable], figures: dict[str, ShownFigure]
) -> list[tuple[Section, list[ShownTable], list[ShownFigure]]]:
    """Each section with what it shows; each table and figure is in the first section that names it."""
    tables, figures = dict(tables), dict(figures)
    divided = []
    for section in SECTIONS:
        own_tables = [tables.pop(name) for name in _matching(section.tables, tables)]
        own_figures = [figures.pop(name) for name in _matching(section.figures, figures)]
        if own_tables or own_figures:
            divided.append((section, own_tables, own_figures))
    return divided


def _matching(patterns: Sequence[str], names: Iterable[str]) -> list[str]:
    """The names that match, in the order of the patterns, each once."""
    return list(dict.fromkeys(name for pattern in patterns for name in names if fnmatch(name, pattern)))


def _table(path: Path) -> ShownTable:
    """A table from its Markdown."""
    name = path.stem
    try:
        blocks = path.read_text(encoding="utf-8").strip().split("\n\n")
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: cannot be read: {error}") from error
    grid = [line for block in blocks for line in block.splitlines() if line.startswith("|")]
    lines = list(map(cells_of, grid))
    if len(lines) < 2 or any(len(line) != len(lines[0]) for line in lines):
        raise TableError(f"{path}: no table, or rows of different lengths")
    header, _, *rows = lines
    cells = [[_linked(cell) for cell in row] for row in rows]
    numeric = [k > 0 and all(map(_is_number, column)) for k, column in enumerate(zip(*rows, strict=True))]
    if name == "claims":
        header.append("runs")
        numeric.append(False)
        for row, shown in zip(rows, cells, strict=True):
            links = (Markup('<a href="../runs/{0}.csv">{0}</a>').format(source) for source in claims.sources(row[0]))
            shown.append(Markup(", ").join(links))
    formats = [kind for kind in ("md", "tex", "csv") if path.with_suffix(f".{kind}").exists()]
    return ShownTable(
        name=name,
        caption=_inline(blocks[0].strip("*")),
        header=header,
        rows=cells,
        numeric=numeric or [False] * len(header),
        notes=[_inline(block) for block in blocks[1:] if not block.startswith("|")],
        formats=formats,
    )


def _is_number(cell: str) -> bool:
    """Whether a cell is a number, perhaps with more behind it, or stands for none."""
    return cell in ("", "-") or re.match(r"[-+]?\d", cell) is not None


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


def _figure(path: Path) -> ShownFigure:
    """A figure as an image of its SVG, or of its PNG where that is smaller by much."""
    svg = path.with_suffix(".svg")
    try:
        content, kind = path.read_bytes(), "png"
        if svg.exists() and svg.stat().st_size <= max(LARGEST_SVG, len(content)):
            content, kind = svg.read_bytes(), "svg+xml"
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error
    captions = [caption for pattern, caption in CAPTIONS.items() if fnmatch(path.stem, pattern)]
    caption = captions[0] if captions else f"Figure {path.stem}."
    formats = ["png", "svg"] if svg.exists() else ["png"]
    return ShownFigure(path.stem, caption, f"data:image/{kind};base64,{base64_of(content)}", formats)


def jobs(results: Path) -> list[tuple[str, str, int, str]]:
    """What trained all this: command, name in results/runs, number of rows, and the sum of their training times, min.

    Raises TableError where a file in results/runs cannot be read.
    """
    rows = []
    names = sorted(path.stem for path in (results / "runs").glob("*.csv"))
    for command, patterns in {**JOBS, "": ("*",)}.items():
        for name in _matching(patterns, names):
            names.remove(name)
            path = results / "runs" / f"{name}.csv"
            runs = read_results(path)
            columns = [column for column in SECONDS if column in runs]
            if not columns:
                raise TableError(f"{path}: no column {' or '.join(SECONDS)}")
            seconds = runs[columns[0]]
            rows.append((command, name, len(seconds), f"{seconds.sum() / 60:.0f}"))
    return rows
