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

KEY = ("system", "training", "level", "split", "seed", "run", "rate", "longest", "apart")
COLUMNS = (*KEY, "strings", "wrong_strings", "characters", "wrong_characters", "closest_codes", *ORIGIN)
PRINTED = ("system", "training", "seed", "run", "figure", "of")
PRINTED_COLUMNS = (*PRINTED, "positions", "read", "longest", "apart", *ORIGIN)
WRONG = (0.1, 0.2, 0.5, 1, 2, 3, 5, 10)  # %, of all strings
REJECTION = ("system", "training", "level", "seed", "run", "by")
REJECTION_COLUMNS = (*REJECTION, *(f"read_at_{wrong:g}" for wrong in WRONG), *ORIGIN)
SDNN = "SDNN"
FRONT = "SDNN, front of 1998"
HOS = "HOS"
TODAY = "LeNet of today"
SIGMOIDS = "LeNet of today, sigmoids"
CRNN_TODAY = "CRNN"


def codes_learn(system: str) -> str:
    """What a system is called whose codes learn, too."""
    return f"{system}, codes learn"


SYSTEMS = (HOS, codes_learn(HOS), SDNN, codes_learn(SDNN), FRONT, TODAY, SIGMOIDS, CRNN_TODAY)
CHARACTERS = "characters"
DISCRIMINATIVE = "E_dforw"
SDLM = f"{DISCRIMINATIVE}, SDLM"
CTC = "CTC"
TRAININGS = (CHARACTERS, "E_vit", "E_dvit", "E_forw", DISCRIMINATIVE, SDLM, CTC)
DOCUMENT = "docs/strings.md"
MEASURES = ("penalty", "probability")
UNLEARNED = {HOS: "noisy"}  # a level that a system does not learn from
HOS_LEARNS = " HOS learns from as many, less those with noise, and its changes are of the other three levels."
# Which differences are tested: one, other; each a system and a training.
AGAINST = (
    ((SDNN, CHARACTERS), (HOS, CHARACTERS)),
    ((SDNN, DISCRIMINATIVE), (HOS, DISCRIMINATIVE)),
    ((SDNN, DISCRIMINATIVE), (SDNN, SDLM)),
    ((FRONT, CHARACTERS), (SDNN, CHARACTERS)),
    ((TODAY, CHARACTERS), (SDNN, CHARACTERS)),
    ((TODAY, CTC), (SDNN, DISCRIMINATIVE)),
    ((CRNN_TODAY, CTC), (SDNN, DISCRIMINATIVE)),
)


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
        "moves over the string, as does the LeNet of today; CRNN: convolutions and an LSTM. Training: on characters "
        "alone, then on whole strings by one of four losses or CTC.",
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


def short(results: Path) -> Table:
    """The wrong characters of what is compared most: networks of characters, and of whole strings by E_dforw or CTC."""
    made = tested(results)
    levels = list(dict.fromkeys(made["level"]))
    rows, counts = [], []
    for system, how, group in kinds(made):
        if not _is_main(system, how):
            continue
        of_level = [list(_wrong(group[group["level"] == level], "characters").values()) for level in levels]
        cells = [f"{statistics.mean(errors):.1f} ± {statistics.std(errors):.1f}" for errors in of_level]
        rows.append([system, how, *cells, str(group["seed"].nunique())])
        counts.append(group["seed"].nunique())
    header = ["system", "training", *(f"{level}, %" for level in levels), "n"]
    notes = [
        "Wrong characters: how many must be inserted, deleted or exchanged, of all. With intervals and all trainings: "
        "results/tables/strings.md.",
        f"{origin(made, 'fits')}; results/strings.csv, by experiments/strings.py.",
    ]
    note = f"Mean ± standard deviation over {n_of(counts, 'networks')}; no intervals."
    caption = "How many characters are read wrong, before and after training on whole strings."
    return Table("strings-short", caption, header, rows, notes, note)


def _is_main(system: str, how: str) -> bool:
    """Whether a training is of characters alone, or on strings with fixed codes by what a system does best with."""
    return how in (CHARACTERS, DISCRIMINATIVE, CTC) and system not in (*map(codes_learn, (SDNN, HOS)), SIGMOIDS)


def training(results: Path) -> Table:
    """What training on whole strings changes in the wrong characters of all levels together, paired by seed."""
    made = tested(results)
    rows, counts = [], []
    for system, how, group in kinds(made):
        if how == CHARACTERS or system == CRNN_TODAY:  # which knows strings only
            continue
        start = system.partition(",")[0]
        known = made[made["level"] != UNLEARNED.get(start)]
        before = _wrong(known[(known["system"] == start) & (known["training"] == CHARACTERS)], "characters")
        after = _wrong(group[group["level"] != UNLEARNED.get(start)], "characters")
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
                number(codes.mean(), ".2f"),
            ]
        )
    closest = float(made.loc[(made["system"] == SDNN) & (made["training"] == CHARACTERS), "closest_codes"].iloc[0])
    notes = [
        "Change: of the wrong characters of all levels, relative to the same network before it learned whole strings, "
        "paired by seed; p is that of the two-sided paired permutation test, which with five pairs is at least 0.0625. "
        f"Codes: the distance of the two that are nearest to each other; of Fig. 3's {closest:.2f}. SDLM: by "
        "Appendix C, one string an update, from a third of the 12,000 strings that AdamW has."
        + HOS_LEARNS
        * any(row[0] == HOS for row in rows),
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
    for system in SYSTEMS:
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
    """A row for each string of Figs. 25 and 26: how many networks of each kind read it, and what SDNNs read."""
    made = read_csv(results / "strings-printed.csv", PRINTED_COLUMNS)
    made = made.fillna({"read": "", "positions": ""})
    shown = [(_called(system, how), group) for system, how, group in kinds(made) if _is_main(system, how)]
    sdnn = [(name, group) for name, group in shown if name.split(",")[0] == SDNN and FRONT not in name]
    rows = []
    for of, figure in dict(zip(made["of"], made["figure"], strict=True)).items():
        cells = [f"Fig. {figure}: {of}"]
        for _, group in shown:
            own = group[group["of"] == of]
            cells.append(f"{int((own['read'] == of).sum())} of {len(own)}")
        cells += [_most_common(group[group["of"] == of]["read"]) for _, group in sdnn]
        positions = made[(made["system"] == SDNN) & (made["training"] == CHARACTERS) & (made["of"] == of)]["positions"]
        rows.append([*cells, _most_common(positions)])
    header = ["string", *(name for name, _ in shown), *(f"{name}: reads" for name, _ in sdnn), "positions"]
    notes = [
        "How many of the networks read the string; what SDNNs read most often; and their most common row of nearest "
        "codes at nine positions before they learned whole strings, _ is the blank.",
        f"{origin(made, 'fits')}; results/strings-printed.csv, by experiments/strings.py.",
    ]
    note = f"Counts over {n_of([group['seed'].nunique() for _, group in shown], 'networks')}; no intervals."
    caption = "What is read in the strings of Figs. 25 and 26."
    return Table("strings-printed", caption, header, rows, notes, note)


def against(results: Path) -> Table:
    """Differences between systems in wrong characters on each level, paired by seed; below 0 the first is better."""
    made = tested(results)
    levels = list(dict.fromkeys(made["level"]))
    rows, counts = [], []
    known = {(system, how): group for system, how, group in kinds(made)}
    for one, other in AGAINST:
        if one not in known or other not in known:
            continue
        cells = [_called(*one), _called(*other)]
        for level in levels:
            first, second = (_wrong(known[each][known[each]["level"] == level], "characters") for each in (one, other))
            paired = [seed for seed in first if seed in second]
            if len(paired) < 2:
                raise TableError(f"{results / 'strings.csv'}: {_called(*one)}, {_called(*other)}: no pairs")
            differences = [first[seed] - second[seed] for seed in paired]
            low, high = statistics.t_interval(differences)
            p = statistics.permutation_p([first[s] for s in paired], [second[s] for s in paired])
            cells += [f"{statistics.mean(differences):+.2f}", f"{low:+.2f} to {high:+.2f}", number(p, ".2g")]
            counts.append(len(paired))
        rows.append([*cells, str(counts[-1])])
    header = ["one", "other", *(f"{level}{what}" for level in levels for what in ("", ": interval", ": p")), "n"]
    notes = [
        "Wrong characters of the one less those of the other, points; p is that of the two-sided paired permutation "
        "test, at least 0.0625 of five pairs and 0.002 of ten.",
        f"{origin(made, 'fits')}; results/strings.csv, by experiments/strings.py.",
    ]
    note = f"Differences paired by seed, with Student's 95 % interval over {n_of(counts, 'pairs')}."
    return Table("strings-against", "One system against another on strings of digits.", header, rows, notes, note)


def rejection(results: Path) -> Table:
    """How much is read where at most 1 % of all strings may be read wrong, by either measure of sureness."""
    made = read_csv(results / "strings-rejection.csv", REJECTION_COLUMNS)
    levels = list(dict.fromkeys(made["level"]))
    rows, counts = [], []
    for system, how, group in kinds(made):
        cells = [system, how]
        for level in levels:
            own = group[group["level"] == level]
            shares = {by: own[own["by"] == by].set_index("seed")["read_at_1"].astype(float) for by in MEASURES}
            differences = (shares["probability"] - shares["penalty"]).tolist()
            if len(differences) < 2:
                raise TableError(f"{results / 'strings-rejection.csv'}: {system}, {how}: one network has no interval")
            low, high = statistics.t_interval(differences)
            cells += [f"{shares[by].mean():.1f}" for by in MEASURES] + [f"{low:+.1f} to {high:+.1f}"]
            counts.append(len(differences))
        rows.append(cells)
    header = ["system", "training"]
    header += [f"{level}: {what}" for level in levels for what in (*MEASURES, "difference")]
    notes = [
        "Strings that are read right, % of all, where the least sure ones are rejected until at most 1 % of all are "
        "read wrong. By the penalty of Viterbi's path, or by the probability of its labels, exp(-E_dforw) "
        "(Section X-C); the paper's economic line is 50 %.",
        f"{origin(made, 'fits')}; results/strings-rejection.csv, by experiments/strings.py.",
    ]
    note = f"Means; the interval of the paired difference is Student's t, 95 %, over {n_of(counts, 'networks')}."
    caption = "How many strings are read where 1 % may be wrong."
    return Table("strings-rejection", caption, header, rows, notes, note)


def _chosen(group: pd.DataFrame) -> list[str]:
    """The one character model of a group."""
    (longest,), (apart,) = group["longest"].unique(), group["apart"].unique()
    return ["-", "-"] if pd.isna(longest) else [str(longest).removesuffix(".0"), f"{float(apart):g}"]


def _called(system: str, how: str) -> str:
    return system if how == CHARACTERS else f"{system}, {how}"


def _most_common(answers: pd.Series[str]) -> str:
    return str(answers.value_counts().index[0])


TABLES = {
    "strings-short": Generated(short, ("strings.csv",), Shown("strings", 0, DOCUMENT)),
    "strings": Generated(lambda results: by_level(results, "characters"), ("strings.csv",), Shown("strings", 1)),
    "strings-whole": Generated(lambda results: by_level(results, "strings"), ("strings.csv",), Shown("strings", 2)),
    "strings-training": Generated(training, ("strings.csv",), Shown("strings", 3)),
    "strings-against": Generated(against, ("strings.csv",), Shown("strings", 4)),
    "strings-rejection": Generated(rejection, ("strings-rejection.csv",), Shown("strings", 5)),
    "strings-printed": Generated(printed, ("strings-printed.csv",), Shown("strings", 6, DOCUMENT)),
}
