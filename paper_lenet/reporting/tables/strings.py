"""Strings of digits: how many are read wrong, what training on them changes, what is read in Figs. 25 and 26."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from paper_lenet.config.studies import Shown
from paper_lenet.reporting import statistics
from paper_lenet.reporting.formats import Table, n_of
from paper_lenet.reporting.results import TableError, read_csv
from paper_lenet.reporting.tables.common import Generated, number, origin, percent
from paper_lenet.runs.environment import ORIGIN

KEY = ("system", "training", "level", "split", "seed", "rate", "longest", "apart")
COLUMNS = (*KEY, "strings", "wrong_strings", "characters", "wrong_characters", "closest_codes", *ORIGIN)
PRINTED = ("system", "training", "seed", "figure", "of")
PRINTED_COLUMNS = (*PRINTED, "positions", "read", "longest", "apart", *ORIGIN)
SDNN = "SDNN"
FRONT = "SDNN, front of 1998"
HOS = "HOS"
CODES_LEARN = {HOS: "HOS, codes learn", SDNN: "SDNN, codes learn"}
CHARACTERS = "characters"
DOCUMENT = "docs/strings.md"
TRAININGS = (CHARACTERS, "E_vit", "E_dvit", "E_forw", "E_dforw")


def by_level(results: Path, of: str) -> Table:
    """A row for each system and training, columns for each level; of: strings or characters that are read wrong.

    Raises TableError where one has fewer than two networks.
    """
    made = tested(results)
    levels = list(dict.fromkeys(made["level"]))
    rows, counts = [], []
    for system, training, group in kinds(made):
        cells = [system, training, *_chosen(group), str(group["seed"].nunique())]
        for level in levels:
            errors = list(_wrong(group[group["level"] == level], of).values())
            if len(errors) < 2:
                raise TableError(
                    f"{results / 'strings.csv'}: {system}, {training}, {level}: one network has no interval"
                )
            low, high = statistics.t_interval(errors)
            cells.append(f"{percent(statistics.mean(errors))} ± {percent(statistics.std(errors))}")
            cells.append(f"{percent(low)} to {percent(high)}")
            counts.append(len(errors))
        rows.append(cells)
    what = "strings" if of == "strings" else "characters: how many must be inserted, deleted or exchanged, of all"
    notes = [
        f"Wrong {what}. Each level has {int(made['strings'].iloc[0]):,} strings of 1 to 8 digits, made of test images "
        "(paper_lenet/strings/digits.py). HOS: pieces between candidate cuts are read one by one; SDNN: the network "
        "moves over the string. Training: on characters alone, or then on whole strings by one of four losses.",
        "Chosen for each training on strings of hold-out images: at how many neighbouring positions a character may be "
        "seen (longest), how many blanks are before the next (apart), and the rate.",
        f"{origin(made, 'fits')}; results/strings.csv, by experiments/strings.py.",
    ]
    header = [
        "system",
        "training",
        "longest",
        "apart",
        "n",
        *(f"{level}{each}" for level in levels for each in (", %", ": interval")),
    ]
    note = f"Mean ± standard deviation, Student's 95 % interval of the mean; {n_of(counts, 'networks')}."
    name = "strings" if of == "characters" else "strings-whole"
    return Table(name, f"How many {of} of strings of digits are read wrong.", header, rows, notes, note)


def training(results: Path) -> Table:
    """What training on whole strings changes in the wrong characters of all levels together, paired by seed."""
    made = tested(results)
    rows, counts = [], []
    for system, how, group in kinds(made):
        if how == CHARACTERS:
            continue
        start = (made["system"] == system.partition(",")[0]) & (made["training"] == CHARACTERS)
        before, after = _wrong(made[start], "characters"), _wrong(group, "characters")
        paired = [seed for seed in after if seed in before]
        if len(paired) < 2:
            raise TableError(f"{results / 'strings.csv'}: {system}, {how}: no pairs with networks before this training")
        changes = [100 * (after[seed] / before[seed] - 1) for seed in paired]
        low, high = statistics.t_interval(changes)
        counts.append(len(paired))
        codes = group.drop_duplicates("seed")["closest_codes"].astype(float)
        rows.append(
            [
                *(system, how, f"{group['rate'].iloc[0]:g}"),
                f"{percent(statistics.mean(list(after.values())))} ± {percent(statistics.std(list(after.values())))}",
                f"{statistics.mean(changes):+.1f}",
                f"{low:+.1f} to {high:+.1f}",
                number(statistics.permutation_p([after[s] for s in paired], [before[s] for s in paired]), ".2g"),
                f"{codes.mean():.2f}",
            ]
        )
    closest = float(made.loc[made["training"] == CHARACTERS, "closest_codes"].iloc[0])
    notes = [
        "Change: of the wrong characters of all levels, relative to the same network before it learned whole strings, "
        "paired by seed; p is that of the two-sided paired permutation test, which with five pairs is at least 0.0625. "
        f"Codes: the distance of the two that are nearest to each other; of Fig. 3's {closest:.2f}.",
        f"{origin(made, 'fits')}; results/strings.csv, by experiments/strings.py.",
    ]
    header = ["system", "loss", "rate", "wrong characters, %", "change, %", "95 % interval", "permutation p", "codes"]
    note = f"Mean ± standard deviation; the interval of the change is Student's t over {n_of(counts, 'pairs')}."
    return Table("strings-training", "What training on whole strings changes.", header, rows, notes, note)


def tested(results: Path) -> pd.DataFrame:
    """The rows of the test strings."""
    made = read_csv(results / "strings.csv", COLUMNS)
    return made[made["split"] == "test"]


def kinds(made: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """System, training and rows, in the order of the tables."""
    for system in (HOS, CODES_LEARN[HOS], SDNN, CODES_LEARN[SDNN], FRONT):
        for how in TRAININGS:
            group = made[(made["system"] == system) & (made["training"] == how)]
            if len(group):
                yield system, how, group


def _wrong(group: pd.DataFrame, of: str) -> dict[int, float]:
    """The part of characters or strings that each seed reads wrong, %, over all of its rows."""
    by_seed = group.astype({"seed": int, of: int, f"wrong_{of}": int}).groupby("seed")
    shares = 100 * by_seed[f"wrong_{of}"].sum() / by_seed[of].sum()
    return dict(zip(shares.index.tolist(), shares.tolist(), strict=True))


def printed(results: Path) -> Table:
    """A row for each string of Figs. 25 and 26, columns for each system and training of which the codes are fixed."""
    made = read_csv(results / "strings-printed.csv", PRINTED_COLUMNS)
    made = made.fillna({"read": "", "positions": ""})
    shown = [(system, how, group) for system, how, group in kinds(made) if how in (CHARACTERS, "E_dforw")]
    rows = []
    for of, figure in dict(zip(made["of"], made["figure"], strict=True)).items():
        cells = [f"Fig. {figure}: {of}"]
        for _, _, group in shown:
            own = group[group["of"] == of]
            cells += [f"{int((own['read'] == of).sum())} of {len(own)}", _most_common(own["read"])]
        rows.append([*cells, _most_common(made[(made["of"] == of) & (made["positions"] != "")]["positions"])])
    header = ["string", *(f"{_called(system, how)}: {what}" for system, how, _ in shown for what in ("right", "reads"))]
    notes = [
        "Right: how many of the networks read the string. Reads: the most common answer. Positions: the most common "
        "row of nearest codes at nine positions, over all networks of SDNN; _ is the blank.",
        f"{origin(made, 'fits')}; results/strings-printed.csv, by experiments/strings.py.",
    ]
    note = f"Counts over {n_of([group['seed'].nunique() for _, _, group in shown], 'networks')}; no intervals."
    caption = "What is read in the strings of Figs. 25 and 26."
    return Table("strings-printed", caption, [*header, "positions"], rows, notes, note)


def _chosen(group: pd.DataFrame) -> list[str]:
    """The one character model of a group."""
    (longest,), (apart,) = group["longest"].unique(), group["apart"].unique()
    return ["-", "-"] if pd.isna(longest) else [f"{longest:g}", f"{apart:g}"]


def _called(system: str, how: str) -> str:
    return system if how == CHARACTERS else f"{system}, {how}"


def _most_common(answers: pd.Series[str]) -> str:
    return str(answers.value_counts().index[0])


TABLES = {
    "strings": Generated(
        lambda results: by_level(results, "characters"), ("strings.csv",), Shown("strings", 1, DOCUMENT)
    ),
    "strings-whole": Generated(lambda results: by_level(results, "strings"), ("strings.csv",), Shown("strings", 2)),
    "strings-training": Generated(training, ("strings.csv",), Shown("strings", 3, DOCUMENT)),
    "strings-printed": Generated(printed, ("strings-printed.csv",), Shown("strings", 4, DOCUMENT)),
}
