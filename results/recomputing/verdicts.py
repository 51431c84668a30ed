"""Tables that judge or compare: the headline, claims, classifiers, tutorials and ablations."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recomputing.basics import (
    DISTORTED_ERROR,
    EQUAL,
    PAPER,
    RATES,
    ROOT,
    TEST,
    TEST_ERROR,
    TRAIN,
    TRAIN_ERROR,
    TRAIN_SIZE,
    Digits,
    Floats,
    Key,
    Row,
    Skip,
    Table,
    by_seed,
    curves_of,
    fig5,
    finished,
    holm,
    judged,
    log_rms,
    numbers,
    paired,
    read,
    spread,
    t_interval,
)
from scipy import stats

# The headline


def one_configuration(results: Path, table: Table) -> list[Row]:
    """Errors and rates of one configuration from its runs, beside the paper's."""
    runs = read(results / "runs" / f"{table.name}.csv")
    columns: dict[str, tuple[str, float, int]] = {
        "test error, %": (TEST, TEST_ERROR, 0),
        "validation error, %": (TEST, TEST_ERROR, 0),
        "training error on the fly, last pass, %": (TRAIN, TRAIN_ERROR, 0),
        "smallest effective rate, first pass": ("rate_min_pass1", RATES[0], 3),
        "largest effective rate, first pass": ("rate_max_pass1", RATES[1], 3),
    }
    rows = []
    for label in table.column(""):
        column, theirs, digits = columns[label]
        values = numbers(finished(runs)[column])
        rows.append({
            "": Key(label),
            "paper": Digits(theirs, 6),
            "ours, mean ± std": spread(values, len(runs), digits),
            "95 % interval of the mean": t_interval(values, digits),
            "n seeds": len(values),
            **judged(values, theirs, len(runs), points=column in (TEST, TRAIN)),
        })  # fmt: skip
    return rows


# Claims


# By what a row's label ends with: the runs of the whole training set, of the smaller ones, with distortions.
CLAIMS = {
    "claims": {
        ", as many updates": ("", "fig6-updates", ""),
        ", Eq. 8": ("eq8", "", ""),
        "": ("fig5", "fig6", "distorted"),
    },
    "quarter-claims": {
        ", Eq. 9": ("quarter-eq9", "", "quarter-eq9-distorted"),
        "": ("quarter-fig5", "quarter-fig6", "quarter-distorted"),
    },
}


def claims(results: Path, table: Table) -> list[Row]:
    """The paper's numbers and ours, each from the runs that its label tells."""
    rows = []
    for label in table.column(""):
        end, names = next((end, names) for end, names in CLAIMS[table.name].items() if label.endswith(end))
        rows.append({"": Key(label), **claim(results, label.removesuffix(end), *names)})
    return rows


def claim(results: Path, label: str, plain: str, sizes: str, distorted: str) -> Row:
    """One row: of the curve, of what distortions gain, or of an error of one training set."""
    if label.startswith("training curve"):
        return claim_of_curve(results, label, plain)
    whole = read(results / "runs" / f"{plain or sizes}.csv")
    if label.startswith("gain"):
        gains = paired(by_seed(finished(whole)), by_seed(finished(read(results / "runs" / f"{distorted}.csv"))))
        return claim_cells(gains, TEST_ERROR - DISTORTED_ERROR, len(gains))
    column = TRAIN if label.startswith("training error") else TEST
    if "with distortions" in label:
        runs, theirs = read(results / "runs" / f"{distorted}.csv"), DISTORTED_ERROR
    elif (size := re.search(r"([\d,]+) patterns", label)) and size[1] != f"{TRAIN_SIZE:,}":
        patterns = size[1].replace(",", "")
        runs = read(results / "runs" / f"{sizes}.csv")
        runs = runs[runs["train_size"] == patterns]
        published = read(PAPER / "fig6_training_size.csv")
        theirs = float(published[published["training_set"] == patterns][column].iloc[0])
    else:
        runs, theirs = whole, TRAIN_ERROR if column == TRAIN else TEST_ERROR
    values = numbers(finished(runs)[column])
    return claim_cells(values, theirs, len(runs))


def claim_of_curve(results: Path, label: str, name: str) -> Row:
    """Our curve minus Fig. 5's where the mean differs most from pass 2 on, and at how many passes Fig. 5 is within."""
    runs = read(results / "runs" / f"{name}.csv")
    differences = (curves_of(results, name, finished(runs)) - fig5())[:, 1:]
    farthest = int(np.argmax(np.abs(differences.mean(0))))
    within = sum(judged(at_pass, 0)["verdict"].startswith("reproduced") for at_pass in differences.T)
    row = claim_cells(differences[:, farthest], 0, len(runs))
    if f"at pass {farthest + 2}," not in label:
        row["ours, mean ± std"] = f"(farthest at pass {farthest + 2})"
    return row | {"verdict": f"reproduced at {within} of {differences.shape[1]} passes"}


def claim_cells(values: Sequence[float] | Floats, theirs: float, runs: int) -> Row:
    """The cells of one claim."""
    return {
        "paper": Digits(round(theirs, 6), 6),
        "ours, mean ± std": spread(values, runs),
        "95 % interval of the mean": t_interval(values),
        "n seeds": len(values),
        **judged(values, round(theirs, 6), runs),
    }


# Classifiers


ERROR, REJECT = "fig9_test_error_percent", "fig10_reject_percent_for_half_percent_error"
JUDGED = ("z", EQUAL, "verdict")


def of_line(label: str, errors: Floats, theirs: float) -> Row:
    """The verdict on a classifier: where nothing is left to chance, by a difference of at most 0.1."""
    if len(errors) > 1 or label.startswith("1000 rbf"):
        return judged(errors, theirs)
    return {"z": None, EQUAL: None, "verdict": "reproduced" if abs(errors[0] - theirs) < 0.1005 else "not reproduced"}


def of_classifiers(results: Path) -> Iterator[tuple[str, pd.DataFrame, pd.Series[Any] | None, pd.Series[Any] | None]]:
    """Each classifier that was run: its runs, the paper's numbers, and those of what it is a variant of."""
    published = read(PAPER / "fig9_to_12_classifiers.csv").set_index("classifier")
    paper = {str(name): row for name, row in published.iterrows()}
    for label, runs in read(results / "runs" / "comparison.csv").groupby("classifier", sort=False):
        yield str(label), runs, paper.get(str(label)), paper.get(str(label).split(",")[0])


def published_cell(published: pd.Series[Any] | None, column: str) -> Any:
    """A number of the paper; None where it has none."""
    return None if published is None or not published[column] else Digits(float(published[column]), 6)


def comparison(results: Path, table: Table) -> list[Row]:
    """Errors, rejects and verdict of each classifier, and its difference from LeNet-5, p by Holm over all."""
    found = [each for each in of_classifiers(results) if each[3] is None or each[2] is not None]
    reference = by_seed(next(runs for label, runs, *_ in found if label == "lenet-5"), "error_percent")
    rows, ps = [], []
    for label, runs, published, _ in found:
        errors, own = numbers(runs["error_percent"]), by_seed(runs, "error_percent")
        # what is fitted once is held against each seed
        beside = dict.fromkeys(reference, errors[0]) if len(errors) == 1 else own
        differences = [] if label == "lenet-5" else paired(beside, reference)
        ps.append(float(stats.ttest_1samp(differences, 0).pvalue) if differences else math.nan)
        rows.append({
            "": Key(label),
            "paper, %": published_cell(published, ERROR),
            "test error, mean ± std, %": spread(errors),
            "n": len(errors),
            **(dict.fromkeys(JUDGED) if published is None else of_line(label, errors, float(published[ERROR]))),
            "minus lenet-5, points": float(np.mean(differences)) if differences else None,
            "its 95 % interval": t_interval(differences),
            "paper, % rejected": published_cell(published, REJECT),
            "% rejected, mean ± std": spread(numbers(runs["reject_percent"])),
        })  # fmt: skip
    for row, p in zip(rows, holm(ps), strict=True):
        row["p by Holm"] = Digits(p, 2)
    return rows


def comparison_variants(results: Path, table: Table) -> list[Row]:
    """Errors and rejects of each variant; which ones are guesses, and so have a verdict, the table says."""
    printed = dict(zip(table.column(""), table.column("paper, %"), strict=True))
    rows = []
    for label, runs, published, main in of_classifiers(results):
        if published is not None or main is None:
            continue
        errors, is_guess = numbers(runs["error_percent"]), printed.get(label) != "-"
        rows.append({
            "": Key(label),
            "paper, %": published_cell(main, ERROR) if is_guess else None,
            "test error, mean ± std, %": spread(errors),
            "n": len(errors),
            **(of_line(label, errors, float(main[ERROR])) if is_guess else dict.fromkeys(JUDGED)),
            "% rejected, mean ± std": spread(numbers(runs["reject_percent"])),
        })  # fmt: skip
    return rows


def comparison_guesses(results: Path, table: Table) -> list[Row]:
    """Each guess over all classifiers that it was tried on: which come nearer, root mean squares, verdicts."""
    errors = {label: numbers(runs["error_percent"]) for label, runs, *_ in of_classifiers(results)}
    paper = {label: float(main[ERROR]) for label, _, _, main in of_classifiers(results) if main is not None}
    rows = []
    for guess in table.column("guess"):
        tried = [label for label in errors if label.partition(", ")[2] == guess]
        both = [[errors[label.partition(", ")[0]] for label in tried], [errors[label] for label in tried]]
        theirs = np.array([paper[label] for label in tried])
        means = [np.array([each.mean() for each in some]) for some in both]
        near = [
            sum(of_line(*each)["verdict"].startswith("rep") for each in zip(tried, some, theirs, strict=True))
            for some in both
        ]
        rows.append({
            "guess": Key(guess),
            "classifiers": len(tried),
            "nearer to the paper": int((abs(means[1] - theirs) < abs(means[0] - theirs)).sum()),
            "distance without": log_rms(means[0], theirs),
            "distance with": log_rms(means[1], theirs),
            "reproduced without": near[0],
            "reproduced with": near[1],
        })  # fmt: skip
    return rows


def comparison_costs(results: Path, table: Table) -> list[Row]:
    """Multiply-adds and variables of each classifier, in thousands, and median times."""
    adds, variables = "fig11_kilo_multiply_accumulates", "fig12_kilo_variables"
    return [
        {
            "": Key(label),
            "paper, thousand multiply-adds": published_cell(published, adds),
            "ours, thousand": numbers(runs["multiply_adds"])[0] / 1000,
            "paper, thousand variables": published_cell(published, variables),
            "ours, thousand#2": numbers(runs["variables"])[0] / 1000,
            "microseconds a recognition": Digits(float(np.median(numbers(runs["microseconds"]))), 3),
            "seconds of training": Digits(float(np.median(numbers(runs["train_seconds"]))), 3),
        }
        for label, runs, published, _ in of_classifiers(results)
    ]


def comparison_choice(results: Path, table: Table) -> list[Row]:
    """The error of each setting on hold-out images, and which is the lowest of a classifier."""
    rows = []
    for label, runs in read(results / "runs" / "comparison-choice.csv").groupby("classifier"):
        errors = numbers(runs["error_percent"])
        for settings, error in zip(runs["settings"], errors, strict=True):
            lowest = "yes" if error == errors.min() else None
            rows.append({
                "": Key(str(label)),
                "settings": Key(settings),
                "validation error, %": float(error),
                "lowest": lowest,
            })  # fmt: skip
    return rows


# Tutorials


def tutorials(results: Path, table: Table) -> list[Row]:
    """Accuracy of each tutorial from its runs, and what it reports from its study's file."""
    rows = []
    for label in table.column(""):
        name = f"tutorial-{label.split(',')[0].lower()}"
        runs = read(results / "runs" / f"{name}.csv")
        text = (ROOT / "conf" / "study" / f"{name}.yaml").read_text(encoding="utf-8")
        reported = re.search(r"published:.*value: ([\d.]+)", text)
        values = 100 - numbers(finished(runs)[TEST])
        rows.append({
            "": Key(label),
            "reported accuracy, %": Digits(float(reported[1]), 6) if reported else "not given",
            "ours, mean ± std": spread(values, len(runs)),
            "95 % interval of the mean": t_interval(values),
            "95 % interval of one run": t_interval(values, further=True),
            "n seeds": len(values),
            **(judged(values, float(reported[1]), len(runs)) if reported else dict.fromkeys(JUDGED)),
        })  # fmt: skip
    return rows


# Ablations


def ablation(results: Path, table: Table) -> list[Row]:
    """Each configuration of a study, and its differences from those that the headers name."""
    groups = {str(label): group for label, group in read(results / "runs" / f"{table.name}.csv").groupby("label")}
    rows: dict[str, Row] = {}
    for label, group in groups.items():
        done = finished(group)
        rows[label] = {
            "": Key(label),
            "parameters": Skip("counted from the network, which the runs do not have"),
            "multiply-adds": Skip("counted from the network, which the runs do not have"),
            "passes": int(numbers(group["passes"]).max()),
            "seconds a run": float(np.median(numbers(done["seconds"]))) if len(done) else None,
            "test error, %": spread(numbers(done[TEST]), len(group)),
            "n seeds": (len(done), len(group)),
        }
    for k, header in enumerate(table.header):
        if against := re.fullmatch(r"minus (.+), points", header):
            pairs = {label: compared_with(label, against[1], groups) for label in groups}
            ablation_columns(rows, table.header[k : k + 4], groups, pairs)
    return list(rows.values())


def compared_with(label: str, what: str, groups: dict[str, pd.DataFrame]) -> str | None:
    """The label that a row is compared with, by the words of the header."""
    if what == "the rung before":
        return next((other for other in groups if other.startswith(f"{int(label.split()[0]) - 1} ")), None)
    if what == "the same without distortions":
        return label.removesuffix(", distorted") if label.endswith(", distorted") else None
    base = what if what in groups else f"0 {what}"
    return None if label == base else base


def ablation_columns(
    rows: dict[str, Row], names: Sequence[str], groups: dict[str, pd.DataFrame], pairs: dict[str, str | None]
) -> None:
    """Fill four columns: difference of means, interval and p by Welch, p by Holm; nothing where a run diverged."""
    errors = {label: numbers(group[TEST]) for label, group in groups.items()}
    whole = {label for label, group in groups.items() if (group["status"] == "ok").all()}
    compared = {label: other if other in whole and label in whole else None for label, other in pairs.items()}
    tests = {
        label: stats.ttest_ind(errors[label], errors[other], equal_var=False) if other else None
        for label, other in compared.items()
    }
    ps = [math.nan if test is None else float(test.pvalue) for test in tests.values()]
    for (label, test), corrected in zip(tests.items(), holm(ps), strict=True):
        values: tuple[Any, ...] = (None,) * 4
        if test is not None:
            difference = float(errors[label].mean() - errors[compared[label] or ""].mean())
            values = (
                difference,
                tuple(test.confidence_interval()),
                Digits(float(test.pvalue), 2),
                Digits(corrected, 2),
            )
        rows[label] |= dict(zip(names, values, strict=True))
