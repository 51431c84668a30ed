"""Tables of results/runs/*.csv in the formats of formats.py; nothing here trains or types a number.

One configuration: the paper's numbers beside ours; several: a row a configuration; some names have a table of their
own (special.py). Runs that diverged are counted and stated, never averaged.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from paper_lenet import paper
from paper_lenet.config import NOT_METHOD, Config, ConfigError
from paper_lenet.files import RecordError, one_line, read_table, write_atomic
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, lowest, n_of
from paper_lenet.runs.collect import RUN_COLUMNS, configuration
from paper_lenet.runs.records import ERROR_COLUMNS, GUESSING_PERCENT, PASS_COLUMNS, UNKNOWN, flat

HEADLINE = "lenet5"
# Columns of results/runs that depend on the number of passes.
FINAL = ("train_error_percent", "test_error_percent")
# The fields for which the paper leaves a choice, and the row of DEVIATIONS.md that each belongs to.
TAGS = {
    "model.init.gain": "D1",
    "model.init.exponent": "D1",
    "model.init.bias": "D2",
    "model.init.coefficient": "D3",
    "model.init.coefficient_value": "D3",
    "model.pooling": "D4",
    "model.rbf_factor": "D5",
    "loss.name": "D6",
    "loss.j": "D7",
    "loss.curvature": "D8",
    "optim.eta_factor": "D9",
    "optim.order": "D10",
    "optim.cross_terms": "D11",
}


@dataclass(frozen=True)
class Promise:
    """What a name in results/runs says of its runs, all else being the recipe of 1998: loss, distortions, and whether
    their training sets are of other sizes."""

    loss: str = "eq8"
    distorted: bool = False
    sizes: bool = False


# The names to which tables and figures give a meaning of their own.
PROMISES = {
    **{"fig5": Promise(), "fig6": Promise(sizes=True), "distorted": Promise(distorted=True), "noise": Promise()},
    **{"eq9": Promise("eq9"), "eq9-fig6": Promise("eq9", sizes=True), "eq9-distorted": Promise("eq9", True)},
}
VERDICT_RULE = "Verdict: reproduced if the paper's value lies within the 95 % prediction interval for one run."


class TableError(Exception):
    """Results that cannot become a table, or a file that cannot take one; the message is one line."""


# Cells that every row of results/runs has, and those that it has if its run did not diverge.
IN_EVERY_RUN = (
    *("name", "dataset", "split", "fingerprint", "seed", "engine", "precision", "passes", "status"),
    *("commit", "dirty", "cpu", "torch", "numba", "date"),
)
IN_FINISHED_RUNS = ("train_error_percent", "test_size", "train_size", "seconds")
NUMBERS = (
    *("seed", "passes", "train_error_percent", "test_error_percent", "test_errors", "test_size", "train_size"),
    *("training_set_error_percent", "rate_min_pass1", "rate_max_pass1", "seconds", "microseconds_per_update"),
)
RUN = ["fingerprint", "seed"]


def read_results(path: Path) -> pd.DataFrame:
    """A CSV file of results, whole rows only. Raises TableError if it cannot be read, was cut off, or has no rows."""
    frame = _read_csv(path)
    if frame.empty or "fingerprint" not in frame:
        raise TableError(f"{path}: no results in it")
    return frame


def read_runs(results: Path, name: str) -> pd.DataFrame:
    """results/runs/<name>.csv, with all of its columns, each row checked, as many as results/env counts.

    Raises TableError, which names file and row.
    """
    path = results / "runs" / f"{name}.csv"
    runs = read_results(path)
    _need_columns(path, runs, RUN_COLUMNS)
    _need_numbers(path, runs, NUMBERS)
    for column in IN_EVERY_RUN:
        _need(path, runs, runs[column].notna(), f"no {column}")
    _need(path, runs, runs["status"].isin(["ok", "diverged"]), "status is neither ok nor diverged")
    _need(path, runs, runs["dirty"].astype(str).isin(["True", "False"]), "dirty is neither True nor False")
    ended = runs["status"] == "ok"
    for column in IN_FINISHED_RUNS:
        _need(path, runs, ~ended | runs[column].notna(), f"no {column}")
    for column in ("test_error_percent", "test_errors"):
        _need(path, runs, ~(ended & (runs["test_size"] > 0)) | runs[column].notna(), f"no {column}")
    _need(path, runs, ~runs.duplicated(RUN), "a run that an earlier row has")
    counted = _runs_counted(results / "env" / f"{name}.json")
    if counted != len(runs):
        raise TableError(f"{path}: {len(runs)} rows, but env/{name}.json counts {counted} runs")
    return runs


def read_curves(results: Path, name: str, runs: pd.DataFrame) -> pd.DataFrame:
    """results/curves/<name>.csv, a row for each pass of each of the runs. Raises TableError, which names file and row.

    runs: all of results/runs/<name>.csv, those that diverged among them.
    """
    path = results / "curves" / f"{name}.csv"
    curves = read_results(path)
    _need_columns(path, curves, (*RUN, *PASS_COLUMNS))
    _need_numbers(path, curves, ("seed", *PASS_COLUMNS))
    for column in (*RUN, "pass", "train_error_percent"):
        _need(path, curves, curves[column].notna(), f"no {column}")
    passes: dict[Any, list[int]] = {run: sorted(of_run) for run, of_run in curves.groupby(RUN)["pass"]}
    for fingerprint, seed, expected in runs[[*RUN, "passes"]].itertuples(index=False):
        found = passes.pop((fingerprint, seed), [])
        if found != list(range(1, int(expected) + 1)):
            raise TableError(f"{path}: {fingerprint} seed {seed}: {len(found)} passes, in runs/{name}.csv {expected}")
    _refuse_others(path, name, passes)
    return curves


def read_errors(results: Path, name: str, runs: pd.DataFrame) -> pd.DataFrame:
    """The wrong images of the runs that did not diverge, from results/errors/<name>.csv, all of each run's.

    runs: all of results/runs/<name>.csv, those that diverged among them. Raises TableError, which names file and row,
    also where a run has not as many wrong images as its row of results/runs counts.
    """
    path = results / "errors" / f"{name}.csv"
    errors = _read_csv(path)
    _need_columns(path, errors, (*RUN, *ERROR_COLUMNS))
    _need_numbers(path, errors, ("seed", *ERROR_COLUMNS))
    for column in (*RUN, *ERROR_COLUMNS):
        _need(path, errors, errors[column].notna(), f"no {column}")
    _need(path, errors, ~errors.duplicated([*RUN, "index"]), "an image that an earlier row has")
    listed: dict[Any, int] = {run: len(of_run) for run, of_run in errors.groupby(RUN)}
    for fingerprint, seed, expected in runs[[*RUN, "test_errors"]].fillna(0).itertuples(index=False):
        found = listed.pop((fingerprint, seed), 0)
        if found != expected:
            raise TableError(f"{path}: {fingerprint} seed {seed}: {found} errors, in runs/{name}.csv {expected:.0f}")
    _refuse_others(path, name, listed)
    return errors.merge(finished(runs)[RUN], on=RUN)


def _read_csv(path: Path) -> pd.DataFrame:
    """A CSV file that ends with its last row, all rows as long as its header; it may have none. Raises TableError."""
    # Hexadecimal digits may look like a number, even like 12e456789012.
    text = {"fingerprint": str, "commit": str, "diverged_at": str, "label": str}
    try:
        read_table(path)
        # an empty cell is missing, a label "None" is not
        return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
    except RecordError as error:
        raise TableError(str(error)) from error
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: cannot be read: {one_line(error)}") from error


def _need_columns(path: Path, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in frame]
    if missing:
        raise TableError(f"{path}: no column {', '.join(missing)}")


def _need_numbers(path: Path, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    for column in columns:
        values = pd.to_numeric(frame[column], errors="coerce")
        _need(path, frame, values.notna() | frame[column].isna(), f"{column} is not a number")


def _need(path: Path, frame: pd.DataFrame, holds: pd.Series[bool], otherwise: str) -> None:
    """Raises TableError that names the first row, counted from 1, for which something does not hold."""
    wrong = [number for number, of_row in enumerate(holds, 1) if not of_row]
    if wrong:
        row = frame.iloc[wrong[0] - 1]
        whose = f" ({row['fingerprint']} seed {row['seed']})" if row[RUN].notna().all() else ""
        raise TableError(f"{path}: row {wrong[0]}{whose}: {otherwise}")


def _refuse_others(path: Path, name: str, left: Mapping[Any, object]) -> None:
    for fingerprint, seed in left:
        raise TableError(f"{path}: {fingerprint} seed {seed}: not in runs/{name}.csv")


def _runs_counted(path: Path) -> int:
    """How many runs a file of results/env counts. Raises TableError."""
    try:
        return sum(int(environment["runs"]) for environment in json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise TableError(f"{path}: cannot be read: {one_line(error)}") from error


def available(results: Path) -> list[str]:
    """The names of all tables that the files in results/runs give, those of special.py among them."""
    from paper_lenet.reporting.tables.special import SPECIAL  # here, because that module is made of this one's parts

    names = {path.stem for path in (results / "runs").glob("*.csv")}
    special = {name for name, about in SPECIAL.items() if names.issuperset(about.sources)}
    return sorted((names - set(SPECIAL)) | special)


def build(results: Path, names: Sequence[str], documents: Path | None) -> dict[Path, str]:
    """The text of every file that the named tables give: tables/<name>.{md,tex,csv} and the documents that show one.

    names: of files in results/runs, or of tables in special.py. documents: the folder of README.md and the
    other documents, of which one that is not there is left out; None for no documents. Nothing is written. Raises
    TableError.
    """
    from paper_lenet.reporting.tables.special import SPECIAL  # here, because that module is made of this one's parts

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
    whole = with_paper and trained(name, runs).optim.passes == paper.PASSES
    if "optim.name" in runs:
        quantities = quantities[:2]  # its rate is not one a parameter
    rows = []
    for label, column, paper_value, text in quantities:
        values = numbers(done, column)
        ours = [*statistics_cells(values, len(runs), text), str(len(values))]
        if with_paper and (whole or column not in FINAL):
            rows.append([label, f"{paper_value:g}", *ours, verdict_cell(values, paper_value, len(runs))])
        elif with_paper:
            rows.append([label, "-", *ours, "-"])
        else:
            rows.append([label, *ours])
    header = ["", "ours, mean ± std", "95 % interval of the mean", "n seeds"]
    notes = [*diverged_note(runs), provenance(name, runs)]
    if with_paper:
        header = ["", "paper", *header[1:], "verdict"]
        notes.insert(0, VERDICT_RULE)
        if not whole:
            notes.insert(1, f"The paper's errors are those after {paper.PASSES} passes.")
    return Table(name, _caption(name, runs), header, rows, notes, intervals_note([len(done)]))


def sweep(name: str, runs: pd.DataFrame) -> Table:
    """A row a configuration, told apart by the fields that differ between them."""
    varied = varied_columns(runs)
    error = _error_name(runs)
    header = [*varied, f"{error}, %", "95 % interval of the mean", "training error on the fly, %", "n seeds"]
    rows, counts = [], []
    means: dict[str, list[float]] = {"test_error_percent": [], "train_error_percent": []}
    for _, group in configurations(runs):
        done = finished(group)
        counts.append(len(done))
        for column, of_column in means.items():
            # A mean over those that did not diverge is not the best of anything.
            of_column.append(statistics.mean(numbers(group, column) if len(done) == len(group) else []))
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


def configurations(runs: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Fingerprint and runs of each configuration, in order of the fields that differ: numbers by size, text by name."""
    varied = varied_columns(runs)
    groups = [(str(fingerprint), group) for fingerprint, group in runs.groupby("fingerprint", sort=False)]
    return sorted(groups, key=lambda of: [_place(of[1][column].iloc[0]) for column in varied])


def _place(value: Any) -> tuple[int, list[Any]]:
    """A key to sort the values of a field by: nothing, numbers, lists of numbers, and text with numbers in it."""
    text = str(value)
    if pd.isna(value):
        return 0, []
    with suppress(ValueError):
        return 1, [float(text)]
    with suppress(ValueError):
        return 2, [float(item) for item in text.strip("[]").split(",")]
    parts = re.split(r"([0-9]+)", text)
    return 3, [int(part) if part.isdecimal() else part for part in parts]


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
    low, high = statistics.t_interval(values)
    return [f"{text(statistics.mean(values))} ± {text(statistics.std(values))}", f"{text(low)} to {text(high)}"]


def verdict_cell(values: list[float], paper_value: float, n_runs: int) -> str:
    """VERDICT_RULE for the values of the runs that did not diverge, of n_runs."""
    if not values:
        return "not reproduced"
    diverged = n_runs - len(values)
    return statistics.verdict(values, paper_value) + (f" ({diverged} diverged)" if diverged else "")


def of_fig5(name: str, runs: pd.DataFrame) -> bool:
    """Whether one configuration is a training that Fig. 5 is about, of however many passes.

    That is the network and the recipe of 1998, undistorted, on the paper's images; where the paper leaves a choice
    (TAGS), whatever was chosen. Raises TableError where the columns do not tell what was trained.
    """
    config = trained(name, runs)
    if {config.fingerprint()} != set(runs["fingerprint"]):
        raise TableError(
            f"{name}: its columns do not tell what was trained: their fingerprint is {config.fingerprint()}, that of "
            f"the runs {runs['fingerprint'].iloc[0]}"
        )
    return _comparable(runs) and departures(config) <= {"optim.passes"}


def trained(name: str, runs: pd.DataFrame) -> Config:
    """The configuration of runs of one, from the columns of results/runs; `name` is for the message of TableError."""
    try:
        return configuration({str(key): value for key, value in runs.iloc[0].items()})
    except ConfigError as error:
        raise TableError(f"{name}: {error}") from error


def departures(config: Config) -> set[str]:
    """The fields in which a configuration departs from the paper: neither at the default nor left open by the paper.

    The label and the engine are no departures.
    """
    usual, fields = flat(Config().to_dict()), flat(config.to_dict())
    left_open = set() if config.is_modern() else set(TAGS)
    return {
        key
        for key in usual
        if fields[key] != usual[key] and key not in {"label", *NOT_METHOD, *left_open} and not key.startswith("engine.")
    }


def check_promise(name: str, runs: pd.DataFrame) -> None:
    """Raises TableError unless runs of a name in PROMISES are what it says; of other names nothing is known."""
    promise = PROMISES.get(name)
    if promise is None:
        return
    for _, group in runs.groupby("fingerprint", sort=False):
        config = trained(name, group)
        fields = flat(config.to_dict())
        for key in sorted(departures(config)):
            if not (promise.sizes if key == "data.train_size" else promise.distorted and key.startswith("distort.")):
                raise TableError(f"{name}: {key}={fields[key]}, which is not what that name stands for")
        if config.loss.name != promise.loss:
            raise TableError(f"{name}: loss.name={config.loss.name}, but that name stands for {promise.loss}")
        if promise.distorted and not config.distort.variants:
            raise TableError(f"{name}: distort.variants=0, but that name stands for distorted images")


def _comparable(runs: pd.DataFrame) -> bool:
    """Whether the runs trained and tested on the paper's images, all of them."""
    sizes = (runs["train_size"].dropna() == paper.TRAIN_SIZE) & (runs["test_size"].dropna() == paper.TEST_SIZE)
    return bool((runs["dataset"] == "mnist").all() and (runs["split"] == "test").all() and sizes.all())


def _error_name(runs: pd.DataFrame) -> str:
    return " and ".join(sorted(runs["split"].unique())) + " error"


def _caption(name: str, runs: pd.DataFrame) -> str:
    (dataset,) = runs["dataset"].unique()
    how_long = _how_long(runs)
    if dataset != "mnist":
        about = f"{name}: the data set {dataset}, not MNIST; these numbers say nothing about the paper's"
    elif (runs["split"] == "validation").all():
        held_out = _joined(runs["test_size"].dropna().astype(int).astype(str))
        about = (
            f"{name} on MNIST: errors on {held_out} images held out of the training set (validation), not test errors"
        )
    elif not _comparable(runs):
        about = f"{name}: MNIST, but not the paper's 60,000 training and 10,000 test images"
    else:
        return f"{name} on MNIST: {how_long}." if how_long else f"{name} on MNIST."
    return f"{about}. {how_long}." if how_long else f"{about}."


def _how_long(runs: pd.DataFrame) -> str:
    """Training images and passes of the runs, several of each joined by "or"; what no run tells is left out."""
    sizes, passes = runs["train_size"].dropna().astype(int), finished(runs)["passes"]
    told = [("training images", [f"{size:,}" for size in sorted(sizes.unique())])]
    told.append(("pass" if set(passes) == {1} else "passes", [str(number) for number in sorted(passes.unique())]))
    return ", ".join(f"{' or '.join(values)} {what}" for what, values in told if values)


def intervals_note(counts: Sequence[int]) -> str:
    """What the intervals of a table are; counts: the seeds of its rows."""
    return f"Mean ± standard deviation over {n_of(counts)}; intervals are Student's t over seeds."


def diverged_note(runs: pd.DataFrame) -> list[str]:
    """One note if any run diverged, with how each ended and at what error; else none."""
    lost = runs[runs["status"] != "ok"]
    ends: dict[str, list[str]] = {}
    for _, run in lost.iterrows():
        how, where = _end(run)
        ends.setdefault(how, []).append(where)
    if not ends:
        return []
    told = []
    for how, places in sorted(ends.items()):
        counted = [place + (f" ({places.count(place)} runs)" if places.count(place) > 1 else "") for place in places]
        told.append(how.format(", ".join(dict.fromkeys(sorted(counted)))))
    return [f"{len(lost)} of {len(runs)} runs diverged and are in no mean: {'; '.join(told)}."]


def _end(run: pd.Series[Any]) -> tuple[str, str]:
    """How a run that diverged ended, with a place for what comes second: the pass, or the error."""
    if not pd.isna(run["diverged_at"]):
        return "not finite in {}", str(run["diverged_at"]).partition(" update ")[0]
    if pd.isna(run["training_set_error_percent"]):
        return "{}", "without a final error"
    what, error = f"{run['split']} error", run["test_error_percent"]
    if pd.isna(error):
        what, error = "training error", run["training_set_error_percent"]
    if run["training_set_error_percent"] >= GUESSING_PERCENT:
        return f"ended at guessing: {what} {{}}", f"{error:.2f} %"
    return f"ended better than guessing (an earlier rule, results/ERRATA.md): {what} {{}}", f"{error:.2f} %"


def provenance(name: str, runs: pd.DataFrame, sources: Sequence[str] = ()) -> str:
    """Code, date, hardware and versions of the runs, and what made the table. sources: its files, if not one `name`."""
    files = ", ".join(f"results/runs/{source}.csv" for source in sources or [name])
    return f"{origin(runs)}; {files}, by experiments/tables.py."


def origin(made: pd.DataFrame, what: str = "runs") -> str:
    """Code, date, hardware and versions of rows that have them as results/runs does."""
    known = made["commit"] != UNKNOWN
    commits = _joined(made["commit"].str[:12].where(known, "unknown (no git repository)"))
    dirty = " with uncommitted changes" if made["dirty"][known].any() else ""
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
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror}") from error
