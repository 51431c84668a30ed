"""Recompute the cells of results/tables from the committed runs, by another path than the package's.

    python results/recompute.py [folder of results]

It uses pandas, NumPy and SciPy and nothing of paper_lenet: what a column means is written a second time, in the folder
recomputing. There a function for each kind of table gives what the runs say, row by row; rows and columns are found by
their labels, so that new rows need no change. A number must be what is computed, rounded as it is printed. The Markdown
is read, and the CSV must have the same numbers; captions and notes are not read. The exit code is 1 if a cell differs
or nothing is known of a table.
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from recomputing import others, studies, verdicts
from recomputing.basics import NUMBER, ROOT, Digits, Key, Near, OneOf, Row, Skip, Table, canonical, read

# A cell of two numbers, which are two columns in the CSV.
PAIR = rf"({NUMBER}) (?:±|to|of) ({NUMBER})"


@dataclass
class Result:
    """What came of one table; cells that are skipped are counted by column and reason."""

    compared: int = 0
    loosely: int = 0
    labels: int = 0
    differ: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def read_table(folder: Path, name: str) -> Table:
    """The Markdown's grid and the CSV's cells."""
    lines = [line for line in (folder / f"{name}.md").read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    grid = [
        [re.sub(r"\\([^\w\s])", r"\1", cell).strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines
    ]
    header = [cell + (f"#{n + 1}" if (n := grid[0][:k].count(cell)) else "") for k, cell in enumerate(grid[0])]
    return Table(name, header, grid[2:], read(folder / f"{name}.csv", header=None).iloc[1:].to_numpy().tolist())


Function = Callable[[Path, Table], list[Row]]
TABLES: dict[str, Function] = {
    "amounts": others.amounts,
    "claims": verdicts.claims,
    "classes": studies.classes,
    "codes": others.codes,
    "comparison": verdicts.comparison,
    "comparison-choice": verdicts.comparison_choice,
    "comparison-costs": verdicts.comparison_costs,
    "comparison-guesses": verdicts.comparison_guesses,
    "comparison-variants": verdicts.comparison_variants,
    "deviations": partial(studies.deviations, beside="fig5", own={"loss=eq8": "eq8", "distortions": "distorted"}),
    "distortions": others.distortions,
    "fronts": others.fronts,
    "noise": studies.noise,
    "overlap": studies.overlap,
    "quarter-claims": verdicts.claims,
    "quarter-deviations": partial(
        studies.deviations,
        beside="quarter-fig5",
        own={"loss.name=eq9, its j": "quarter-eq9", "distortions": "quarter-distorted"},
    ),
    "readings": studies.readings,
    "recovered": others.recovered,
    "recovered-statements": others.recovered_statements,
    "search": others.search,
    "strings": partial(others.strings, of="characters"),
    "strings-against": others.strings_against,
    "strings-printed": others.strings_printed,
    "strings-rejection": others.strings_rejection,
    "strings-short": others.strings_short,
    "strings-training": others.strings_training,
    "strings-whole": partial(others.strings, of="strings"),
    "tutorials": verdicts.tutorials,
    "tutorials-classes": studies.tutorial_classes,
}
# By what the name begins with.
KINDS: dict[str, Function] = {"ablation-": verdicts.ablation, "recipe": studies.recipe}


def function_of(results: Path, name: str) -> Function | None:
    """What recomputes a table: its own function, that of its kind, or that of the runs of its name."""
    if name in TABLES:
        return TABLES[name]
    for start, function in KINDS.items():
        if name.startswith(start):
            return function
    runs = results / "runs" / f"{name}.csv"
    if not runs.exists():
        return None
    return studies.sweep if read(runs)["fingerprint"].nunique() > 1 else verdicts.one_configuration


def parts(cell: str) -> list[str]:
    """The numbers of a cell of two, or the cell."""
    pair = re.fullmatch(PAIR, cell)
    return list(pair.groups()) if pair else [cell]


def agrees(text: str, value: Any) -> bool:
    """Whether one printed number or text is what was computed."""
    if isinstance(value, OneOf):
        return text in value.texts
    if isinstance(value, str):
        return text == value
    number = value.value if isinstance(value, (Digits, Near)) else float("nan" if value is None else value)
    if math.isnan(number):
        return text in ("-", "")
    if not re.fullmatch(NUMBER, text):
        return False
    printed = float(text.replace(",", ""))
    if isinstance(value, Near):
        slack = value.slack
    elif isinstance(value, Digits):
        slack = 0.5 * 10.0 ** (math.floor(math.log10(abs(number) or 1)) - value.digits + 1)
    else:
        mantissa, _, exponent = text.partition("e")
        slack = 0.5 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    # What is half-way may be rounded either way, and runs have eight digits.
    return abs(printed - number) <= slack * (1 + 1e-6) + abs(number) * 1e-8


def compare(results: Path, name: str) -> Result | None:
    """One table, cell by cell; None where nothing is known of it."""
    function = function_of(results, name)
    if function is None:
        return None
    table = read_table(results / "tables", name)
    return held_against(table, function(results, table))


def held_against(table: Table, rows: list[Row]) -> Result:
    """A table beside the rows that the runs give: each row of either must be in the other."""
    result = Result()
    keys = [column for column in table.header if isinstance(rows[0].get(column), Key)]
    expected: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = tuple(canonical(row[column].text) for column in keys)
        if key in expected:
            result.differ.append(f"{key}: the table's labels do not tell two configurations apart")
        expected[key] = row
    for cells in table.rows:
        labelled = dict(zip(table.header, cells, strict=True))
        key = tuple(canonical(labelled[column]) for column in keys)
        result.labels += len(keys)
        found = expected.pop(key, None)
        if found is None:
            result.differ.append(f"{', '.join(key)}: no such row in what the runs give")
            continue
        for column in table.header:
            if column not in keys:
                compare_cell(result, ", ".join(key), column, labelled[column], found.get(column, Skip("no rule")))
    result.differ += [f"{', '.join(key)}: a row that the table lacks" for key in expected]
    compare_csv(result, table)
    return result


def compare_cell(result: Result, row: str, column: str, cell: str, value: Any) -> None:
    """One cell, part by part; a cell that rightly has nothing is not counted."""
    printed = parts(cell)
    if isinstance(value, Skip):
        result.skipped[f"{column or 'label'}: {value.why}"] += len(printed) if cell not in ("-", "") else 0
        return
    values = list(value) if isinstance(value, tuple) else [value]
    if len(values) != len(printed):
        values, printed = [value], [cell]
        right = [isinstance(value, str) and agrees(cell, value)]
    else:
        right = [agrees(text, each) for text, each in zip(printed, values, strict=True)]
    result.compared += len(printed) if cell not in ("-", "") or not all(right) else 0
    result.loosely += sum(isinstance(each, Near) for each in values)
    if not all(right):
        result.differ.append(f"{row}; {column}: {cell} is printed, {plain(value)} computed")


def plain(value: Any) -> str:
    """What was computed, to be read."""
    if isinstance(value, tuple):
        return " and ".join(map(plain, value))
    if isinstance(value, OneOf):
        return " or ".join(value.texts)
    value = value.value if isinstance(value, (Digits, Near)) else value
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def compare_csv(result: Result, table: Table) -> None:
    """Whether the CSV has the numbers of the Markdown, one a cell; text that is no number stands there as it is."""
    columns: list[list[str]] = []
    for cells in zip(*table.rows, strict=True):
        several = [len(parts(cell)) > 1 for cell in cells]
        numeric = all(
            two or re.fullmatch(NUMBER, cell) or cell == "-" or cell.endswith(" diverged")
            for two, cell in zip(several, cells, strict=True)
        )
        split = [parts(cell) + [""] * (any(several) and not two) for two, cell in zip(several, cells, strict=True)]
        if numeric:
            columns += [[bare(text) for text in column] for column in zip(*split, strict=True)]
        else:
            columns.append(list(cells))
    expected = [list(row) for row in zip(*columns, strict=True)]
    if [len(row) for row in expected] != [len(row) for row in table.csv]:
        result.differ.append("the CSV has another number of rows or columns")
        return
    for number, (row, own) in enumerate(zip(expected, table.csv, strict=True), 1):
        for column, (text, cell) in enumerate(zip(row, own, strict=True)):
            if text != cell:
                result.differ.append(f"CSV, row {number}, column {column + 1}: {cell!r}, in Markdown {text!r}")


def bare(text: str) -> str:
    """A number without a plus and without commas; nothing of what is no number."""
    return text.replace(",", "").removeprefix("+") if re.fullmatch(NUMBER, text) else ""


def main(results: Path) -> int:
    """One line for each table, what differs below it, then what is not covered; 1 if anything differs or is unknown."""
    total, unknown, notes = Result(), [], []
    for path in sorted((results / "tables").glob("*.md")):
        result = compare(results, path.stem)
        if result is None:
            unknown.append(path.stem)
            print(f"{path.stem}: nothing here recomputes it")
            continue
        print(f"{path.stem}: {told(result)}")
        for difference in result.differ:
            print(f"    {difference}")
        notes += [f"{path.stem}, {count} cells not covered: {why}" for why, count in result.skipped.items() if count]
        if result.loosely:
            notes.append(f"{path.stem}, {result.loosely} cells are of random draws, and held against draws of our own")
        total.compared += result.compared
        total.labels += result.labels
        total.differ += result.differ
        total.skipped += result.skipped
    print("", *notes, "", sep="\n")
    covered = total.compared / max(1, total.compared + sum(total.skipped.values()))
    print(f"total: {told(total)}; {100 * covered:.1f} % covered; {total.labels} labels; {len(unknown)} unknown tables")
    return 1 if total.differ or unknown else 0


def told(result: Result) -> str:
    """The counts of a result."""
    return f"{result.compared} cells compared, {len(result.differ)} differ, {sum(result.skipped.values())} not covered"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "results"))
