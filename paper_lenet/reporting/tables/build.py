"""Tables of results/, in the formats of formats.py, and the documents that show them."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

from paper_lenet.config.studies import Shown, studies
from paper_lenet.files import write_atomic
from paper_lenet.reporting import tables
from paper_lenet.reporting.formats import Table
from paper_lenet.reporting.results import TableError, read_runs
from paper_lenet.reporting.tables.common import Generated, runs_of
from paper_lenet.reporting.tables.plain import headline, sweep

HEADLINE = "lenet5"


def generated() -> dict[str, Generated]:
    """The tables that are more than one row per configuration, by name: of this folder's modules, and of the studies.

    Raises ConfigError for a wrong study, TableError for one whose kind of table there is not.
    """
    found: dict[str, Generated] = {}
    kinds = [module.name for module in pkgutil.iter_modules(tables.__path__)]
    for kind in kinds:
        found |= getattr(import_module(f"{tables.__name__}.{kind}"), "TABLES", {})
    for name, study in studies().items():
        if study.table:
            kind = str(study.table.get("kind"))
            make = getattr(import_module(f"{tables.__name__}.{kind}"), "table", None) if kind in kinds else None
            if make is None:
                raise TableError(f"conf/study/{name}.yaml: study.table.kind={kind}: no such kind of table")
            beside = [study.table["beside"]] if "beside" in study.table else []
            needs = (*runs_of(name, *beside), *study.table.get("needs", ()))
            found[name] = Generated(partial(make, study=study), needs, study.shown)
    return found


def available(results: Path) -> list[str]:
    """The names of all tables that the files in results/ give."""
    special = generated()
    plain = {path.stem for path in (results / "runs").glob("*.csv")} - set(special)
    there = {name for name, each in special.items() if all((results / need).exists() for need in each.needs)}
    return sorted(plain | there)


def made(results: Path, names: Sequence[str]) -> Iterator[tuple[Table, Shown]]:
    """The tables of these names, of `generated` or in results/runs, and where each is shown. Raises TableError."""
    special, known = generated(), studies()
    for name in names:
        if name in special:
            yield special[name].make(results), special[name].shown
            continue
        runs = read_runs(results, name)
        several = runs["fingerprint"].nunique() > 1
        shown = known[name].shown if name in known else Shown()
        if name == HEADLINE:
            shown = Shown("headline", 2, "README.md")
        yield (sweep if several else headline)(name, runs), shown


def build(results: Path, names: Sequence[str], documents: Path | None) -> dict[Path, str]:
    """The text of every file that the named tables give: tables/<name>.{md,tex,csv} and the documents that show one.

    documents: the folder of README.md and the other documents, of which one that is not there is left out; None for no
    documents. Nothing is written. Raises TableError.
    """
    files: dict[Path, str] = {}
    for table, shown in made(results, names):
        for suffix, text in (("md", table.markdown()), ("tex", table.latex()), ("csv", table.csv())):
            files[results / "tables" / f"{table.name}.{suffix}"] = text
        if documents and table.name == HEADLINE and read_runs(results, HEADLINE)["fingerprint"].nunique() > 1:
            raise TableError(f"{results / 'runs' / HEADLINE}.csv: several configurations; the headline needs one")
        document = documents / shown.document if documents and shown.document else None
        if document is not None and document.exists():
            marker = "headline" if table.name == HEADLINE else table.name
            files[document] = spliced(files.get(document) or _read(document), marker, table.markdown(), document)
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
