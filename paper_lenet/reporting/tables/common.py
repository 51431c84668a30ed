"""What the tables have in common: what the runs of a name are, and cells, notes and captions made of them.

Runs that diverged are counted and stated, never averaged.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from paper_lenet import paper
from paper_lenet.config import NOT_METHOD, Config, ConfigError
from paper_lenet.config.rules import dotted, unread
from paper_lenet.config.schema import first_defaults
from paper_lenet.config.studies import Shown
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, n_of
from paper_lenet.reporting.results import TableError
from paper_lenet.runs.collect import RUN_COLUMNS, configuration
from paper_lenet.runs.environment import UNKNOWN
from paper_lenet.runs.records import GUESSING_PERCENT, flat

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
    "optim.hessian": "D22",
}


@dataclass(frozen=True)
class Generated:
    """A table that code makes of results/.

    make: what gives it, from the folder of results.  needs: the files in that folder without which there is none.
    shown: where it stands.  A module of this folder names its own in `TABLES`, by the name of their files; the tables
    that are those of a study it names nowhere: its `table(results, study)` makes them, and the study says which it is.
    """

    make: Callable[[Path], Table]
    needs: tuple[str, ...]
    shown: Shown = field(default_factory=Shown)


def runs_of(*names: str) -> tuple[str, ...]:
    """The files of results/runs of these names, as `Generated.needs` has them."""
    return tuple(f"runs/{name}.csv" for name in names)


@dataclass(frozen=True)
class Promise:
    """What a name in results/runs says of its runs, all else being the recipe of 1998: loss, distortions, whether their
    training sets are of other sizes, and whether these have as many updates as the whole set."""

    loss: str
    distorted: bool = False
    sizes: bool = False
    updates: bool = False


# The names to which tables and figures give a meaning of their own.
PROMISES = {
    **{"fig5": Promise("eq9"), "fig6": Promise("eq9", sizes=True), "eq8": Promise("eq8")},
    **{"fig6-updates": Promise("eq9", sizes=True, updates=True), "distorted": Promise("eq9", distorted=True)},
    # The reading of the first study, at a quarter of the printed rates.
    **{"quarter-fig5": Promise("eq8"), "quarter-fig6": Promise("eq8", sizes=True), "noise": Promise("eq8")},
    **{"quarter-distorted": Promise("eq8", distorted=True), "quarter-eq9": Promise("eq9")},
    "quarter-eq9-distorted": Promise("eq9", distorted=True),
}
JUDGED = ("z", f"equal within {statistics.MARGIN} points", "verdict")
VERDICT_RULE = (
    "Verdict: reproduced if the published value lies within the 95 % prediction interval for one run; z is how far "
    f"above our mean it is, in standard deviations of one run. Of fewer than {statistics.ENOUGH} runs the verdict says "
    f"so, of fewer than {statistics.FEWEST} there is none. Equal within {statistics.MARGIN} points: yes or no where "
    "two one-sided t tests at 5 % tell, else open."
)


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


def statistics_cells(values: list[float], n_runs: int, text: Callable[[float], str]) -> list[str]:
    """Two cells: mean ± standard deviation, and the interval of the mean."""
    if not values:
        return [f"{n_runs} of {n_runs} diverged", "-"]
    if len(values) == 1:
        return [text(values[0]), "-"]
    low, high = statistics.t_interval(values)
    return [f"{text(statistics.mean(values))} ± {text(statistics.std(values))}", f"{text(low)} to {text(high)}"]


def judged(values: list[float], paper_value: float, n_runs: int, points: bool = True) -> list[str]:
    """The cells JUDGED of the values of the runs that did not diverge, of n_runs; points: whether they are per cent."""
    if not values:
        return ["-", "-", statistics.NOT_REPRODUCED]
    diverged = n_runs - len(values)
    verdict = statistics.verdict(values, paper_value) + (f" ({diverged} diverged)" if diverged else "")
    equal = statistics.equal_within(values, paper_value) if points else "-"
    return [number(round(statistics.z(values, paper_value), 1) + 0.0, "+.1f"), equal, verdict]  # no "-0.0"


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
    return comparable(runs) and departures(config) <= {"optim.passes"}


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
    usual, fields = flat(first_defaults()), flat(config.as_first())
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
            allowed = {"data.train_size": promise.sizes, "optim.passes": promise.updates, "optim.eta": promise.updates}
            if not allowed.get(key, promise.distorted and key.startswith("distort.")):
                raise TableError(f"{name}: {key}={fields[key]}, which is not what that name stands for")
        if config.loss.name != promise.loss:
            raise TableError(f"{name}: loss.name={config.loss.name}, but that name stands for {promise.loss}")
        if promise.distorted and not config.distort.variants:
            raise TableError(f"{name}: distort.variants=0, but that name stands for distorted images")
        size = config.data.train_size or paper.TRAIN_SIZE
        if promise.updates and size * config.optim.passes != paper.TRAIN_SIZE * paper.PASSES:
            raise TableError(f"{name}: {size} patterns, {config.optim.passes} passes: other than as many updates")


def comparable(runs: pd.DataFrame) -> bool:
    """Whether the runs trained and tested on the paper's images, all of them."""
    sizes = (runs["train_size"].dropna() == paper.TRAIN_SIZE) & (runs["test_size"].dropna() == paper.TEST_SIZE)
    return bool((runs["dataset"] == "mnist").all() and (runs["split"] == "test").all() and sizes.all())


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
    commits = joined(made["commit"].str[:12].where(known, "unknown (no git repository)"))
    dirty = " with uncommitted changes" if made["dirty"][known].any() else ""
    date, cpu = made["date"].max()[:10], joined(made["cpu"])
    return f"Commit {commits}{dirty}; {what} of {date} on {cpu}; torch {joined(made['torch'])}"


def joined(values: pd.Series[str]) -> str:
    """The values, each once and in order, with commas between them."""
    return ", ".join(str(value) for value in sorted(values.unique()))


def percent(value: float) -> str:
    """A percentage, or a difference of two, with three decimals."""
    return f"{value:.3f}"


def rate(value: float) -> str:
    """An effective learning rate with three digits."""
    return f"{value:.3g}"


def usual(runs: pd.DataFrame, among: pd.DataFrame | None = None) -> dict[str, str]:
    """The most common value of each varied field over configurations; of equally common ones its first default.

    That is the reading from which a study departs, one point at a time, and stays so when defaults change.
    among: those of the runs that are counted; all by default.
    """
    configurations = (runs if among is None else among).drop_duplicates("fingerprint")
    values = {}
    for column in varied_columns(runs):
        counts = configurations[column].map(_text).value_counts()
        common = sorted(counts.index[counts == counts.max()])
        default = _default(column)
        values[column] = default if default in common else common[0]
    return values


def differing_fields(group: pd.DataFrame, base: Mapping[str, str]) -> dict[str, str]:
    """The fields of one configuration that differ from `base` and are read; with a change to Eq. 9 also j."""
    read = dotted(configuration({str(key): cell for key, cell in group.iloc[0].items()}).to_dict())
    fields = {column: _text(group[column].iloc[0]) for column in base if not unread(read, column)}
    with_j = fields.get("loss.name") == "eq9" != base.get("loss.name")
    return {key: text for key, text in fields.items() if text != base[key] or (key == "loss.j" and with_j)}


def settings(fields: Mapping[str, str]) -> str:
    """Fields as the command line has them, with commas between them."""
    return ", ".join(f"{key}={value}" for key, value in fields.items())


def _default(field: str) -> str:
    try:
        return _text(first_defaults()[field])
    except KeyError:
        return ""


def _text(value: Any) -> str:
    """A field's value as results/runs has it, whether it was read as an integer or as a float."""
    if isinstance(value, list):
        return json.dumps(value)
    if value is None or value != value:
        return "null"
    return f"{value:.8g}" if isinstance(value, float) else str(value)


def number(value: float, format_: str = ".3f") -> str:
    """A number as a cell; `-` for none."""
    return format(value, format_) if math.isfinite(value) else "-"
