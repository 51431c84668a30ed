"""Tables of results/runs/*.csv in the formats of formats.py, and the documents that show them.

Each is the one of a file (plain.py), or has a name and rows of its own (special.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from paper_lenet.files import write_atomic
from paper_lenet.reporting.results import TableError, read_runs
from paper_lenet.reporting.tables.plain import headline, sweep
from paper_lenet.reporting.tables.special import SPECIAL

HEADLINE = "lenet5"


def available(results: Path) -> list[str]:
    """The names of all tables that the files in results/runs give, those of special.py among them."""
    names = {path.stem for path in (results / "runs").glob("*.csv")}
    special = {name for name, about in SPECIAL.items() if names.issuperset(about.sources)}
    return sorted((names - set(SPECIAL)) | special)


def build(results: Path, names: Sequence[str], documents: Path | None) -> dict[Path, str]:
    """The text of every file that the named tables give: tables/<name>.{md,tex,csv} and the documents that show one.

    names: of files in results/runs, or of tables in special.py. documents: the folder of README.md and the
    other documents, of which one that is not there is left out; None for no documents. Nothing is written. Raises
    TableError.
    """
    files: dict[Path, str] = {}
    for name in names:
        if name in SPECIAL:
            table, document, marker = SPECIAL[name].make(results), SPECIAL[name].document, name
        else:
            runs = read_runs(results, name)
            one_configuration = runs["fingerprint"].nunique() == 1
            table = headline(name, runs) if one_configuration else sweep(name, runs)
            document, marker = ("README.md", "headline") if name == HEADLINE else (None, "")
            if documents and document and not one_configuration:
                raise TableError(f"{results / 'runs' / name}.csv: several configurations; the headline needs one")
        for suffix, text in (("md", table.markdown()), ("tex", table.latex()), ("csv", table.csv())):
            files[results / "tables" / f"{name}.{suffix}"] = text
        shown_in = documents / document if documents and document else None
        if shown_in is not None and shown_in.exists():
            files[shown_in] = spliced(files.get(shown_in) or _read(shown_in), marker, table.markdown(), shown_in)
    return files


def write(files: dict[Path, str]) -> None:
    """Write what `build` gave. Raises RecordError."""
    for path, text in files.items():
        write_atomic(path, text)


def differing(files: dict[Path, str]) -> list[Path]:
    """The files of `build` that are missing on disk or differ from it in any byte."""
    return [path for path, text in files.items() if not path.exists() or path.read_bytes() != text.encode()]


def splice(path: Path, marker: str, text: str) -> None:
    """Put `text` between the file's `<!-- marker:begin -->` and `<!-- marker:end -->`; TableError without."""
    write_atomic(path, spliced(_read(path), marker, text, path))


def spliced(document: str, marker: str, text: str, path: Path) -> str:
    """`document` with `text` between the two marker lines; `path` is for the message of TableError only."""
    begin, end = f"<!-- {marker}:begin -->", f"<!-- {marker}:end -->"
    if document.count(begin) != 1 or document.count(end) != 1 or document.index(begin) > document.index(end):
        raise TableError(f"{path}: needs one {begin} and one {end} after it")
    before, _, rest = document.partition(begin)
    return f"{before}{begin}\n{text.strip()}\n{end}{rest.partition(end)[2]}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error
