"""One table of text cells, written as Markdown, as LaTeX and as tidy CSV."""

from __future__ import annotations

import math
import re
import textwrap
import unicodedata
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

# LaTeX's floats from narrow to wide, with how many characters fit a line and how many lines a page, rather too few than
# too many: a column of a two-column page (3.4 in), a page with margins of an inch (6.5 in), that page turned (9 in).
FLOATS = (
    ("table", r"\footnotesize", 54, 50),
    ("table*", r"\footnotesize", 108, 50),
    ("table*", r"\scriptsize", 115, 55),
    ("sidewaystable*", r"\footnotesize", 150, 30),
    ("sidewaystable*", r"\scriptsize\renewcommand{\arraystretch}{0.9}", 160, 42),
)
# The last of them takes that many characters if text is broken into short lines.
SQUEEZED = 183
GAP = 2
# Numbers with a decimal point stand with their points below each other; `detect-weight` lets the best ones be bold.
NUMBERS = (
    r"\sisetup{detect-weight,separate-uncertainty,retain-explicit-plus,retain-zero-uncertainty,"
    r"group-digits=integer,group-separator={,},group-minimum-digits=4}"
)
POINT = re.compile(r"([+-]?)([\d,]+)(?:\.(\d+))?(?: ± ([\d,]+)(?:\.(\d+))?)?")
# Text wider than this may be broken into lines, and no header is broken into narrower ones.
LONG_TEXT, SHORT_HEADER = 22, 9
# Alone a file is a document of its own; where it is \input nothing is to be done but to set the table.
ALONE = r"""% \input this file, or compile it as it is. Needs the packages booktabs, tabularx, rotating and siunitx.
\expandafter\ifx\csname @nodocument\endcsname\relax\let\endoftable\relax\else
\documentclass{article}
\usepackage[margin=1in]{geometry}
\usepackage{booktabs,tabularx,rotating,siunitx}
\begin{document}
\def\endoftable{\end{document}}\fi"""


# Characters that LaTeX would not print as they are; µ and the like are in mathematics, whose fonts have them.
TEX = {"±": r"$\pm$", "×": r"$\times$", "<": "$<$", ">": "$>$", "|": "$|$", "−": "$-$", "≤": r"$\leq$", "≥": r"$\geq$"}
TEX |= {"≠": r"$\neq$", "≈": r"$\approx$", "→": r"$\to$", "←": r"$\leftarrow$", "∞": r"$\infty$", "·": r"$\cdot$"}
TEX |= {"•": r"$\bullet$", "°": r"$^\circ$", "²": "$^2$", "³": "$^3$", "µ": r"$\mu$", "…": r"\ldots{}", "–": "--"}
TEX |= {"—": "---", "‘": "`", "’": "'", "“": "``", "”": "''", "\xa0": "~", "ß": r"\ss{}", "ı": r"\i{}", "§": r"\S{}"}
TEX |= {"\\": r"\textbackslash{}", "^": r"\^{}", "~": r"\~{}", "`": r"\`{}", '"': "''"}
TEX |= {character: "\\" + character for character in "%&#_{}$"}
TEX |= {"æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}"}
GREEK = {letter: unicodedata.name(letter).split()[-1].replace("LAMDA", "LAMBDA") for letter in "ΓΔΘΛΞΠΣΥΦΨΩ"}
TEX |= {letter: rf"$\{name.capitalize()}$" for letter, name in GREEK.items()}
GREEK |= {letter: unicodedata.name(letter).split()[-1] for letter in "αβγδεζηθικμνξπρστυφχψω"} | {"λ": "LAMBDA"}
TEX |= {letter: rf"$\{name.lower()}$" for letter, name in GREEK.items() if letter.islower()} | {"ς": r"$\varsigma$"}
TEX |= dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧο", "ABEZHIKMNOPTXo", strict=True))
TEX_ACCENTS = dict(
    zip(
        map(chr, (0x300, 0x301, 0x302, 0x303, 0x304, 0x306, 0x307, 0x308, 0x30A, 0x30B, 0x30C, 0x323, 0x327, 0x331)),
        (f"\\{accent}" for accent in "`'^~=u.\"rHvdcb"),
        strict=True,
    )
)
# What is not set character by character.
TEX_TOKEN = re.compile(
    r"(?P<power>(?<![\w.])[+-]?\d[\d.]*e[+-]\d+)|(?P<code>`[^`]+`)|(?P<quoted>\"[^\"]*\")|(?P<twice>-(?=-)|'(?='))"
    r"|(?P<minus>(?<![\w-])-(?=\d))|(?P<slash>(?<=\w)/(?=\w))|(?P<character>.)",
    re.DOTALL,
)


@dataclass
class Table:
    """Text cells with a caption above and notes below: one object, three formats.

    name: of its files, without a suffix.  header, rows: plain text, each row as long as the header.
    caption, notes: plain text with `code`.
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

    def numeric_columns(self) -> list[bool]:
        """Whether all cells of each column are numbers, several numbers (1.0 ± 0.1), or say that there is none."""
        return [all(map(_is_numeric, cells)) for cells in zip(*self.rows, strict=True)]

    def markdown(self) -> str:
        """A pipe table between caption and notes. Cells are plain text; caption and notes may have `code`."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        grid = "\n".join(map(markdown_row, lines))
        return "\n\n".join([f"**{self.caption}**", grid, self.statistics, *self.notes]) + "\n"

    def csv(self) -> str:
        """The same numbers, one a cell: 1.0 ± 0.1 takes two columns; a cell that has none is empty."""
        header: list[str] = []
        columns: list[Sequence[str]] = []
        for name, cells, numeric in zip(self.header, zip(*self.rows, strict=True), self.numeric_columns(), strict=True):
            for part, values in _split(cells).items() if numeric else [("", cells)]:
                header.append((name or "row").removesuffix(", mean ± std") + part)
                columns.append(values)
        rows = zip(*columns, strict=True)
        return csv_text(header, (dict(zip(header, row, strict=True)) for row in rows))

    def latex(self) -> str:
        """Floats for booktabs that compile alone as well as in a document.

        What is too wide for a page is turned; what is too wide or too long for that too is divided, by columns, of
        which each part has the first, and by rows.
        """
        numeric, points = self.numeric_columns(), self._points()
        widest = [max(map(width, cells)) for cells in zip(*self.rows, strict=True)]
        long = [wide > LONG_TEXT and not number for wide, number in zip(widest, numeric, strict=True)]
        widths = [LONG_TEXT if is_long else wide for wide, is_long in zip(widest, long, strict=True)]
        headers = [_lines(name, max(wide, SHORT_HEADER)) for name, wide in zip(self.header, widths, strict=True)]
        widths = [max(wide, *map(width, lines)) + GAP for wide, lines in zip(widths, headers, strict=True)]
        unbroken = [max(wide + GAP, least) for wide, least in zip(widest, widths, strict=True)]
        parts = []
        for shown in _side_by_side(widths):
            needed, whole = sum(widths[c] for c in shown), sum(unbroken[c] for c in shown)
            broken = [c for c in shown if long[c]]
            possible = []
            for kind, size, room, page in [each for each in FLOATS if needed <= each[2]] or FLOATS[-1:]:
                # what the columns that may be broken have, when all others are as wide as they need
                each = LONG_TEXT + max(room - needed, 0) // len(broken) if broken and whole > room else 0
                tall = [max((_height(row[c], each) for c in broken), default=1) if each else 1 for row in self.rows]
                possible.append((kind, size, broken if each else [], _pages(tall, page)))
            kind, size, broken, pages = min(possible, key=lambda float_: len(float_[-1]))
            kinds = {c: r">{\raggedright\arraybackslash}X" for c in broken} | points
            letters = "".join(kinds.get(c, "r" if numeric[c] else "l") for c in shown)
            head = " & ".join(_header(headers[c], numeric[c], c in points) for c in shown)
            parts += [(kind, size, letters, head, shown, rows) for rows in pages]
        floats = [self._float(*part, k, len(parts)) for k, part in enumerate(parts)]
        return "\n".join([ALONE, *floats, r"\endoftable", ""])

    def _points(self) -> dict[int, str]:
        """What siunitx calls each column of numbers with a decimal point, by column: S with room for the longest."""
        found = {}
        for c, cells in enumerate(zip(*self.rows, strict=True)):
            parts = [match.groups() for match in map(POINT.fullmatch, cells) if match]
            other = any(re.search(r"\d", cell) for cell in cells if not POINT.fullmatch(cell))
            if other or not any(after for _, _, after, _, _ in parts):
                continue  # a range, an exponent, k of n; or whole numbers
            sign = "+" if any(sign for sign, *_ in parts) else ""
            whole = max(len(before.replace(",", "")) for _, before, *_ in parts)
            decimals = max(len(after or "") for _, _, after, _, _ in parts)
            spread = max((len((a + (b or "")).replace(",", "").lstrip("0")) for *_, a, b in parts if a), default=0)
            found[c] = rf"S[table-format={sign}{whole}.{decimals}{f'({spread})' if spread else ''}]"
        return found

    def _float(
        self, kind: str, size: str, letters: str, head: str, columns: list[int], rows: list[int], part: int, parts: int
    ) -> str:
        """One float with some of the columns and rows; the last of several has the notes, all have one number."""
        caption = _tex(f"{self.caption} {self.statistics}" + (f" Part {part + 1} of {parts}." if parts > 1 else ""))
        named = [rf"\label{{tab:{self.name}}}"] if part == 0 else []
        notes = r"\\".join(map(_begun, map(_tex, self.notes)))
        name, wide = ("tabularx", r"{\linewidth}") if "X" in letters else ("tabular", "")
        points = self._points()
        body = [
            _begun(" & ".join(_cell(self.rows[r][c], (r, c) in self.best, c in points) for c in columns)) + r" \\"
            for r in rows
        ]
        return "\n".join(
            [
                rf"\begin{{{kind}}}",
                *([r"\addtocounter{table}{-1}"] if part else []),
                r"\centering",
                rf"\caption{{{caption}}}",
                *named,
                size + r"\setlength{\tabcolsep}{3pt}",
                *([NUMBERS] if points.keys() & set(columns) else []),
                rf"\begin{{{name}}}{wide}{{@{{}}{letters}@{{}}}}",
                r"\toprule",
                _begun(head) + r" \\",
                r"\midrule",
                *body,
                r"\bottomrule",
                rf"\end{{{name}}}",
                *(
                    [rf"\par\smallskip\begin{{minipage}}{{\linewidth}}\raggedright {notes}\end{{minipage}}"]
                    if part == parts - 1
                    else []
                ),
                rf"\end{{{kind}}}",
            ]
        )


def markdown_row(cells: Sequence[str]) -> str:
    """A line of a pipe table whose cells show these plain texts; `cells_of` reads it again."""
    return "| " + " | ".join(map(_markdown, cells)) + " |"


def cells_of(line: str) -> list[str]:
    """The plain texts of a line that `markdown_row` wrote."""
    cells = re.findall(r"((?:[^\\|]|\\.)*)\|", line.strip().removeprefix("|"))
    return [re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", cell.strip(" ")) for cell in cells]


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
    """The columns of the CSV that one column of numbers becomes, by what is added to its name."""
    for pattern, names in PARTS:
        found = [pattern.fullmatch(cell) for cell in cells]
        if any(found):
            lone = [cell if ONE.fullmatch(cell) else "" for cell in cells]
            first = [match[1] if match else one for match, one in zip(found, lone, strict=True)]
            return {
                names[0]: [_plain(text) for text in first],
                names[1]: [_plain(match[2]) if match else "" for match in found],
            }
    return {"": [_plain(cell) for cell in cells]}


def _is_numeric(cell: str) -> bool:
    """Whether a cell is a number, or several, or says that there is none."""
    several = any(pattern.fullmatch(cell) for pattern, _ in PARTS)
    return bool(several or ONE.fullmatch(cell) or cell == NOTHING or cell.endswith(" diverged"))


def _plain(cell: str) -> str:
    return cell.replace(",", "").removeprefix("+") if ONE.fullmatch(cell) else ""


def _side_by_side(widths: Sequence[int]) -> list[list[int]]:
    """The columns of each part that the widest float takes; all parts have the first column."""
    first, *others = range(len(widths))
    parts = [[first]]
    for column in others:
        if sum(widths[c] for c in parts[-1]) + widths[column] > SQUEEZED and parts[-1][1:]:
            parts.append([first])
        parts[-1].append(column)
    return parts


def _pages(tall: Sequence[int], page: int) -> list[list[int]]:
    """The rows of each page, by the lines that each row takes; pages are about equally full."""
    fewest = -(-sum(tall) // page)
    pages: list[list[int]] = [[]]
    for row, lines in enumerate(tall):
        used = sum(tall[r] for r in pages[-1])
        if pages[-1] and (used + lines > page or used >= sum(tall) / fewest):
            pages.append([])
        pages[-1].append(row)
    return pages


def _height(cell: str, wide: int) -> int:
    """The lines that a cell takes in a column of that many characters."""
    return len(textwrap.wrap(cell, wide)) or 1


def _begun(line: str) -> str:
    """A line of LaTeX after one that ends in a command: [ or * at its beginning would be that command's."""
    return "{}" + line if line.startswith(("[", "*")) else line


def _lines(name: str, width: int) -> list[str]:
    """A header in lines of that many characters, where it can be broken: at spaces, and within model.init.gain."""
    here = "\N{ZERO WIDTH SPACE} "
    breakable = re.sub(r"(?<=\w)(\.)(?=[a-z])", rf"\1{here}", name)
    return [line.replace(here, "").strip(here) for line in textwrap.wrap(breakable, width, break_long_words=False)] or [
        ""
    ]


def _header(lines: Sequence[str], numeric: bool, point: bool) -> str:
    """A header of one or several lines, which stand on the rule below. point: above numbers that siunitx sets."""
    if len(lines) == 1:
        text = _tex(lines[0])
    else:
        begin = r"\begin{tabular}[b]{@{}" + ("r" if numeric else "l") + "@{}}"
        text = begin + r"\\".join(map(_tex, lines)) + r"\end{tabular}"
    return f"{{{text}}}" if point else text


def _cell(text: str, bold: bool, point: bool) -> str:
    """A cell of a row. point: of a column that siunitx sets."""
    if point and POINT.fullmatch(text):
        return (r"\bfseries " if bold else "") + text.replace(",", "").replace(" ± ", r" \pm ")
    shown = rf"\textbf{{{_tex(text, markup=False)}}}" if bold else _tex(text, markup=False)
    return f"{{{shown}}}" if point else shown


def _markdown(cell: str) -> str:
    """Plain text as Markdown: a backslash before what would be markup, and only there."""
    text = re.sub(r"\s", " ", cell)
    text = re.sub(r"[\\|*~`$]|(?<![^\W_])_|_(?![^\W_])|<(?=[\w/!?])|&(?=#?\w+;)|\[(?=[^\]]*\][(\[:])", r"\\\g<0>", text)
    return text


def _tex(text: str, markup: bool = True) -> str:
    """Text with a minus sign where a number is negative and long paths that may be broken.

    markup: `code` is set in its type; else a backtick is one.
    """
    if text == NOTHING:
        return "--"
    found = []
    for match in TEX_TOKEN.finditer(re.sub(r"\s", " ", text)):
        kind, token = match.lastgroup, match[0]
        if kind == "power":
            number, exponent = token.split("e")
            found.append(rf"${number}\times10^{{{exponent[0].replace('+', '')}{exponent[1:].lstrip('0') or '0'}}}$")
        elif kind == "quoted":
            found.append(f"``{_tex(token[1:-1], markup)}''")
        elif kind == "code" and markup:
            found.append(rf"\texttt{{{_tex(token[1:-1], markup)}}}")
        elif kind == "code":
            found.append(f"{TEX['`']}{_tex(token[1:-1], markup)}{TEX['`']}")
        elif kind == "minus":
            found.append("$-$")
        elif kind == "slash":
            found.append(r"/\allowbreak{}")
        elif kind == "twice":
            found.append(token + "{}")  # two of them would be set as one sign
        else:
            found.append(_tex_character(token))
    return "".join(found)


def _tex_character(character: str) -> str:
    """A character as LaTeX's first fonts have it, without packages; one that they lack by its name in Unicode."""
    if character in TEX:
        return TEX[character]
    if character.isascii():
        return character
    letter, *marks = list(unicodedata.normalize("NFD", character))
    if marks and all(mark in TEX_ACCENTS for mark in marks):
        made = letter if letter.isascii() else _tex_character(letter)
        for mark in marks:
            made = rf"{TEX_ACCENTS[mark]}{{{made}}}"
        return made
    return named(character)


def named(character: str) -> str:
    """[name in Unicode] of what a font has no glyph for; nothing for what only joins or varies others."""
    if unicodedata.category(character) in ("Cf", "Me", "Mn"):
        return ""
    return f"[{unicodedata.name(character, f'U+{ord(character):04X}').lower()}]"


def width(text: str) -> int:
    """How many characters wide LaTeX sets a text, about."""
    return sum(1 if c in TEX or c.isascii() or unicodedata.decomposition(c) else len(named(c)) for c in text)
