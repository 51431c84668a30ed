"""Tables of results/runs/*.csv in the formats of formats.py; nothing here trains or types a number.

One configuration: the paper's numbers beside ours; several: a row a configuration; some names have a table of their
own (paper_lenet/special.py). Runs that diverged are counted and stated, never averaged.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from paper_lenet import evaluate, paper
from paper_lenet.collect import RUN_COLUMNS
from paper_lenet.files import write_atomic
from paper_lenet.formats import Table, lowest, n_of

HEADLINE = "lenet5"
# Runs with distortions, whose published error is another one; `claims` has it.
DISTORTED = ("distorted", "eq9-distorted")
# Fields of which results/runs tells only where they are not of 1998.
MODERN = ("model.activation", "model.table", "model.output", "model.geometry", "model.init.scheme", "optim.name")
VERDICT_RULE = "Verdict: reproduced if the paper's value lies within the 95 % prediction interval for one run."


class TableError(Exception):
    """Results that cannot become a table, or a file that cannot take one; the message is one line."""


def read_results(path: Path) -> pd.DataFrame:
    """A file of results/runs or results/curves. Raises TableError if it cannot be read or has no rows."""
    # Hexadecimal digits may look like a number, even like 12e456789012.
    text = {"fingerprint": str, "commit": str, "diverged_at": str, "label": str}
    try:
        frame = pd.read_csv(path, dtype=text)
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
    if frame.empty or "fingerprint" not in frame:
        raise TableError(f"{path}: no results in it")
    return frame


def read_runs(results: Path, name: str) -> pd.DataFrame:
    """results/runs/<name>.csv, with all of its columns. Raises TableError."""
    runs = read_results(results / "runs" / f"{name}.csv")
    missing = [column for column in RUN_COLUMNS if column not in runs]
    if missing:
        raise TableError(f"{results / 'runs' / name}.csv: no column {', '.join(missing)}")
    return runs


def available(results: Path) -> list[str]:
    """The names of all tables that the files in results/runs give, those of paper_lenet/special.py among them."""
    from paper_lenet.special import SPECIAL  # here, because that module is made of this one's parts

    names = {path.stem for path in (results / "runs").glob("*.csv")}
    special = {name for name, about in SPECIAL.items() if names.issuperset(about.sources)}
    return sorted((names - set(SPECIAL)) | special)


def build(results: Path, names: Sequence[str], documents: Path | None) -> dict[Path, str]:
    """The text of every file that the named tables give: tables/<name>.{md,tex,csv} and the documents that show one.

    names: of files in results/runs, or of tables in paper_lenet/special.py. documents: the folder of README.md and the
    other documents, of which one that is not there is left out; None for no documents. Nothing is written. Raises
    TableError.
    """
    from paper_lenet.special import SPECIAL  # here, because that module is made of this one's parts

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


def headline(name: str, runs: pd.DataFrame) -> Table:
    """The paper's numbers beside those of one configuration, or ours alone on other data."""
    error, done = _error_name(runs), finished(runs)
    quantities: list[tuple[str, str, float, Callable[[float], str]]] = [
        (f"{error}, %", "test_error_percent", paper.TEST_ERROR_PERCENT, percent),
        (
            "training error on the fly, last pass, %",
            "train_error_percent",
            paper.TRAIN_ERROR_PERCENT,
            percent,
        ),
        ("smallest effective rate, first pass", "rate_min_pass1", paper.RATE_RANGE[0], rate),
        ("largest effective rate, first pass", "rate_max_pass1", paper.RATE_RANGE[1], rate),
    ]
    with_paper = of_fig5(name, runs)
    if "optim.name" in runs:
        quantities = quantities[:2]  # its rate is not one a parameter
    rows = []
    for label, column, paper_value, text in quantities:
        values = numbers(done, column)
        ours = [*statistics_cells(values, len(runs), text), str(len(values))]
        if with_paper:
            rows.append([label, f"{paper_value:g}", *ours, verdict_cell(values, paper_value, len(runs))])
        else:
            rows.append([label, *ours])
    header = ["", "ours, mean ± std", "95 % interval of the mean", "n seeds"]
    notes = [*diverged_note(runs), provenance(name, runs)]
    if with_paper:
        header = ["", "paper", *header[1:], "verdict"]
        notes.insert(0, VERDICT_RULE)
    return Table(name, _caption(name, runs), header, rows, notes, intervals_note([len(done)]))


def sweep(name: str, runs: pd.DataFrame) -> Table:
    """A row a configuration, told apart by the fields that differ between them."""
    varied = varied_columns(runs)
    error = _error_name(runs)
    header = [*varied, f"{error}, %", "95 % interval of the mean", "training error on the fly, %", "n seeds"]
    rows, counts = [], []
    means: dict[str, list[float]] = {"test_error_percent": [], "train_error_percent": []}
    for _, group in runs.groupby("fingerprint", sort=False):
        done = finished(group)
        counts.append(len(done))
        for column, of_column in means.items():
            # A mean over those that did not diverge is not the best of anything.
            of_column.append(evaluate.mean(numbers(group, column) if len(done) == len(group) else []))
        test, interval = statistics_cells(numbers(done, "test_error_percent"), len(group), percent)
        train, _ = statistics_cells(numbers(done, "train_error_percent"), len(group), percent)
        fields = [setting(group[column].iloc[0]) for column in varied]
        rows.append([*fields, test, interval, train, f"{len(done)} of {len(group)}"])
    notes = [*diverged_note(runs), provenance(name, runs)]
    first = len(varied)
    best = lowest(means["test_error_percent"], first) | lowest(means["train_error_percent"], first + 2)
    return Table(name, _caption(name, runs), header, rows, notes, intervals_note(counts), best)


def varied_columns(runs: pd.DataFrame) -> list[str]:
    """The configuration fields that differ between the fingerprints of a file, such as optim.eta_factor."""
    fields = [column for column in runs.columns if column not in RUN_COLUMNS]
    return [field for field in fields if runs[field].nunique(dropna=False) > 1]


def setting(value: object) -> str:
    """A field as a cell: a list with what is repeated in it once and the number of times, such as [5e-05 ×4, 1e-05]."""
    text = str(value)
    if not text.startswith("["):
        return text
    items = [(item, len(list(group))) for item, group in itertools.groupby(text[1:-1].split(", "))]
    return f"[{', '.join(item if times == 1 else f'{item} ×{times}' for item, times in items)}]"


def finished(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that did not diverge."""
    return runs[runs["status"] == "ok"]


def numbers(runs: pd.DataFrame, column: str) -> list[float]:
    """A column as floats."""
    return [float(value) for value in runs[column]]


def errors_by_seed(runs: pd.DataFrame) -> dict[int, float]:
    """The error on held-out images of each run that did not diverge."""
    done = finished(runs)
    return dict(zip(map(int, done["seed"]), numbers(done, "test_error_percent"), strict=True))


def statistics_cells(values: list[float], n_runs: int, text: Callable[[float], str]) -> list[str]:
    """Two cells: mean ± standard deviation, and the interval of the mean."""
    if not values:
        return [f"{n_runs} of {n_runs} diverged", "-"]
    if len(values) == 1:
        return [text(values[0]), "-"]
    low, high = evaluate.t_interval(values)
    return [f"{text(evaluate.mean(values))} ± {text(evaluate.std(values))}", f"{text(low)} to {text(high)}"]


def verdict_cell(values: list[float], paper_value: float, n_runs: int) -> str:
    """VERDICT_RULE for the values of the runs that did not diverge, of n_runs."""
    if not values:
        return "not reproduced"
    diverged = n_runs - len(values)
    return evaluate.verdict(values, paper_value) + (f" ({diverged} diverged)" if diverged else "")


def of_fig5(name: str, runs: pd.DataFrame) -> bool:
    """Whether the runs are trainings that Fig. 5 and its text are about: the network of 1998 on the paper's images."""
    return _comparable(runs) and name not in DISTORTED and set(MODERN).isdisjoint(runs.columns)


def _comparable(runs: pd.DataFrame) -> bool:
    """Whether the runs trained and tested on the paper's images, all of them."""
    sizes = (runs["train_size"].dropna() == paper.TRAIN_SIZE) & (runs["test_size"].dropna() == paper.TEST_SIZE)
    return bool((runs["dataset"] == "mnist").all() and (runs["split"] == "test").all() and sizes.all())


def _error_name(runs: pd.DataFrame) -> str:
    return " and ".join(sorted(runs["split"].unique())) + " error"


def _caption(name: str, runs: pd.DataFrame) -> str:
    (dataset,) = runs["dataset"].unique()
    if dataset != "mnist":
        return f"{name}: the data set {dataset}, not MNIST; these numbers say nothing about the paper's."
    if (runs["split"] == "validation").all():
        held_out = _joined(runs["test_size"].dropna().astype(int).astype(str))
        return (
            f"{name} on MNIST: errors on {held_out} images held out of the training set (validation), not test errors."
        )
    if not _comparable(runs):
        return f"{name}: MNIST, but not the paper's 60,000 training and 10,000 test images."
    passes = finished(runs)["passes"]
    return f"{name} on MNIST" + ("." if passes.empty else f", {_joined(passes)} passes.")


def intervals_note(counts: Sequence[int]) -> str:
    """What the intervals of a table are; counts: the seeds of its rows."""
    return f"Mean ± standard deviation over {n_of(counts)}; intervals are Student's t over seeds."


def diverged_note(runs: pd.DataFrame) -> list[str]:
    """One note if any run diverged, else none."""
    diverged = len(runs) - len(finished(runs))
    return [f"{diverged} of {len(runs)} runs diverged and are in no mean."] if diverged else []


def provenance(name: str, runs: pd.DataFrame, sources: Sequence[str] = ()) -> str:
    """Code, date, hardware and versions of the runs, and what made the table; sources: its files, if not one `name`."""
    files = ", ".join(f"results/runs/{source}.csv" for source in sources or [name])
    return f"{origin(runs)}; {files} by `python experiments/tables.py {name}`."


def origin(made: pd.DataFrame, what: str = "runs") -> str:
    """Code, date, hardware and versions of rows that have them as results/runs does."""
    commits = _joined(made["commit"].str[:12])
    dirty = " with uncommitted changes" if commits != "unknown" and made["dirty"].any() else ""
    date, cpu = made["date"].max()[:10], _joined(made["cpu"])
    return f"Commit {commits}{dirty}; {what} of {date} on {cpu}; torch {_joined(made['torch'])}"


def _joined(values: pd.Series[str]) -> str:
    return ", ".join(str(value) for value in sorted(values.unique()))


def percent(value: float) -> str:
    """A percentage, or a difference of two, with three decimals."""
    return f"{value:.3f}"


def rate(value: float) -> str:
    """An effective learning rate with three digits."""
    return f"{value:.3g}"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error
