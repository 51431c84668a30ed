"""One table of text cells, written as Markdown, as LaTeX and as tidy CSV."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from paper_lenet.files import csv_text

NUMBER = r"[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"
# Cells of more than one number: what they look like, and what the CSV calls their parts.
PARTS = (
    (re.compile(rf"({NUMBER}) ± ({NUMBER})"), (", mean", ", std")),
    (re.compile(rf"({NUMBER}) to ({NUMBER})"), (", low", ", high")),
    (re.compile(r"(\d+) of (\d+)"), ("", ", of")),
)
ONE = re.compile(NUMBER)
NOTHING = "-"

# LaTeX's floats from narrow to wide, with how many characters fit a line and how many rows a page, rather too few than
# too many: a column of a two-column page (3.4 in), a page with margins of an inch (6.5 in), that page turned (9 in).
FLOATS = (
    ("table", r"\footnotesize", 54, 50),
    ("table*", r"\footnotesize", 108, 50),
    ("table*", r"\scriptsize", 115, 55),
    ("sidewaystable*", r"\footnotesize", 150, 30),
    ("sidewaystable*", r"\scriptsize\renewcommand{\arraystretch}{0.9}", 160, 42),
)
GAP = 2
# Text wider than this may be broken into lines, and no header is broken into narrower ones.
LONG_TEXT, SHORT_HEADER = 22, 9
# Alone a file is a document of its own; where it is \input nothing is to be done but to set the table.
ALONE = r"""% \input this file, or compile it as it is. Needs the packages booktabs, tabularx and rotating.
\expandafter\ifx\csname @nodocument\endcsname\relax\let\endoftable\relax\else
\documentclass{article}
\usepackage[margin=1in]{geometry}
\usepackage{booktabs,tabularx,rotating}
\begin{document}
\def\endoftable{\end{document}}\fi"""
SYMBOLS = {"±": r"$\pm$", "×": r"$\times$", "<": "$<$", ">": "$>$", "|": "$|$"}
SYMBOLS |= {"\\": r"\textbackslash{}", "^": r"\^{}", "~": r"\~{}"}
SYMBOLS |= {character: "\\" + character for character in "%&#_{}$"}


@dataclass
class Table:
    """Text cells with a caption above and notes below: one object, three formats.

    statistics: what is averaged, with its n, and what kind of interval there is; part of LaTeX's caption.
    best: (row, column), from 0, of the cells that LaTeX sets bold.
    """

    name: str
    caption: str
    header: list[str]
    rows: list[list[str]]
    notes: list[str]
    statistics: str
    best: set[tuple[int, int]] = field(default_factory=set)

    def markdown(self) -> str:
        """A pipe table between caption and notes."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        grid = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return "\n\n".join([f"**{self.caption}**", grid, self.statistics, *self.notes]) + "\n"

    def csv(self) -> str:
        """The same numbers, one a cell: 1.0 ± 0.1 takes two columns; a cell that has none is empty."""
        header: list[str] = []
        columns: list[list[str]] = []
        for name, cells in zip(self.header, zip(*self.rows, strict=True), strict=True):
            for part, values in _split(cells).items():
                header.append((name or "row").removesuffix(", mean ± std") + part)
                columns.append(values)
        rows = zip(*columns, strict=True)
        return csv_text(header, (dict(zip(header, row, strict=True)) for row in rows))

    def latex(self) -> str:
        """A float for booktabs that compiles alone as well as in a document; what is too wide for a page is turned."""
        columns = list(zip(*self.rows, strict=True))
        numeric = [all(_is_numeric(cell) for cell in cells) for cells in columns]
        widest = [max(map(len, cells)) for cells in columns]
        long = [wide > LONG_TEXT and not number for wide, number in zip(widest, numeric, strict=True)]
        widths = [LONG_TEXT if is_long else wide for wide, is_long in zip(widest, long, strict=True)]
        headers = [_lines(name, max(width, SHORT_HEADER)) for name, width in zip(self.header, widths, strict=True)]
        widths = [max(width, *map(len, lines)) for width, lines in zip(widths, headers, strict=True)]
        width = sum(widths) + GAP * len(widths)
        whole = sum(map(max, zip(widest, widths, strict=True))) + GAP * len(widths)
        fitting = (each for each in FLOATS if width <= each[2] and len(self.rows) <= each[3])
        kind, size, room, _ = next(fitting, FLOATS[-1])
        broken = whole > room
        letters = "".join(
            "r" if number else r">{\raggedright\arraybackslash}X" if is_long and broken else "l"
            for number, is_long in zip(numeric, long, strict=True)
        )
        begin, end = r"\begin{tabular}", r"\end{tabular}"
        if broken:
            begin, end = r"\begin{tabularx}{\linewidth}", r"\end{tabularx}"
        head = " & ".join(_header(lines, number) for lines, number in zip(headers, numeric, strict=True))
        body = [
            " & ".join(_bold(_tex(cell), (r, c) in self.best) for c, cell in enumerate(row)) + r" \\"
            for r, row in enumerate(self.rows)
        ]
        notes = r"\\".join(map(_tex, self.notes))
        lines = [
            ALONE,
            rf"\begin{{{kind}}}",
            r"\centering",
            rf"\caption{{{_tex(f'{self.caption} {self.statistics}')}}}",
            rf"\label{{tab:{self.name}}}",
            size + r"\setlength{\tabcolsep}{3pt}",
            begin + "{@{}" + letters + "@{}}",
            r"\toprule",
            head + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            end,
            rf"\par\smallskip\begin{{minipage}}{{\linewidth}}\raggedright {notes}\end{{minipage}}",
            rf"\end{{{kind}}}",
            r"\endoftable",
            "",
        ]
        return "\n".join(lines)


def lowest(values: Sequence[float], column: int, decimals: int = 3) -> set[tuple[int, int]]:
    """Where a column is lowest, as `Table.best` has it; equal in their decimals are all best. nan takes no part."""
    rounded = [round(value, decimals) for value in values]
    finite = [value for value in rounded if math.isfinite(value)]
    return {(row, column) for row, value in enumerate(rounded) if finite and value == min(finite)}


def n_of(numbers: Sequence[int], what: str = "seeds") -> str:
    """How many there are of something in the rows of a table: n = 5 seeds, n = 2 to 4 seeds."""
    least, most = min(numbers), max(numbers)
    return f"n = {most} {what}" if least == most else f"n = {least} to {most} {what}"


def _split(cells: Sequence[str]) -> dict[str, list[str]]:
    """The columns of the CSV that one column of the table becomes, by what is added to its name."""
    for pattern, names in PARTS:
        found = [pattern.fullmatch(cell) for cell in cells]
        if any(found):
            lone = [cell if ONE.fullmatch(cell) else "" for cell in cells]
            first = [match[1] if match else one for match, one in zip(found, lone, strict=True)]
            return {
                names[0]: [_plain(text) for text in first],
                names[1]: [_plain(match[2]) if match else "" for match in found],
            }
    numeric = all(_is_numeric(cell) for cell in cells)
    return {"": [_plain(cell) if numeric else cell for cell in cells]}


def _is_numeric(cell: str) -> bool:
    """Whether a cell is a number, or several, or says that there is none."""
    several = any(pattern.fullmatch(cell) for pattern, _ in PARTS)
    return bool(several or ONE.fullmatch(cell) or cell == NOTHING or cell.endswith(" diverged"))


def _plain(cell: str) -> str:
    return cell.replace(",", "").removeprefix("+") if ONE.fullmatch(cell) else ""


def _lines(name: str, width: int) -> list[str]:
    """A header in lines of that many characters, where it can be broken: at spaces, and within model.init.gain."""
    here = "\N{ZERO WIDTH SPACE} "
    breakable = re.sub(r"(?<=\w)(\.)(?=[a-z])", rf"\1{here}", name)
    return [line.replace(here, "").strip(here) for line in textwrap.wrap(breakable, width, break_long_words=False)] or [
        ""
    ]


def _header(lines: Sequence[str], numeric: bool) -> str:
    """A header of one or several lines, which stand on the rule below."""
    if len(lines) == 1:
        return _tex(lines[0])
    begin = r"\begin{tabular}[b]{@{}" + ("r" if numeric else "l") + "@{}}"
    return begin + r"\\".join(map(_tex, lines)) + r"\end{tabular}"


def _bold(text: str, bold: bool) -> str:
    return rf"\textbf{{{text}}}" if bold else text


def _tex(text: str) -> str:
    """Text with a minus sign where a number is negative, `code` in its type, and long paths that may be broken."""
    escaped = "".join(SYMBOLS.get(character, character) for character in text)
    escaped = re.sub(r"(?<![\w.])([+-]?[\d.]+)e([+-])0*(\d+)", r"$\1\\times10^{\2\3}$", escaped)
    escaped = re.sub(r"(?<![\w{-])-(?=\d)", "$-$", escaped)
    escaped = re.sub(r"`([^`]+)`", r"\\texttt{\1}", escaped)
    escaped = re.sub(r'"([^"]*)"', r"``\1''", escaped)
    escaped = re.sub(r"(?<=\w)/(?=\w)", r"/\\allowbreak{}", escaped)
    return "--" if escaped == NOTHING else escaped
