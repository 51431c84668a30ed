"""Tables of studies: sweeps, readings of the recipe, deviations, noise, and what is read off wrong images."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recomputing.basics import (
    DIGITS,
    PAPER,
    PASSES,
    RATES,
    TEST,
    TEST_SIZE,
    TRAIN,
    Digits,
    Floats,
    Key,
    Near,
    OneOf,
    Row,
    Skip,
    Table,
    by_seed,
    canonical,
    configurations,
    curves_of,
    fig5,
    finished,
    log_rms,
    numbers,
    paired,
    read,
    sign_flips,
    spread,
    t_interval,
    wrong_images,
)
from scipy import stats


def sweep(results: Path, table: Table) -> list[Row]:
    """Errors of each configuration of a name, found by the fields that the table has of it."""
    runs, rows = read(results / "runs" / f"{table.name}.csv"), []
    for group in configurations(runs):
        done = finished(group)
        errors, n = numbers(done[TEST]), len(group)
        rows.append({
            **{name: Key(group[name].iloc[0]) for name in table.header if name in group},
            f"{group['split'].iloc[0]} error, %": spread(errors, n),
            "95 % interval of the mean": t_interval(errors),
            "training error on the fly, %": spread(numbers(done[TRAIN]), n),
            "n seeds": (len(done), n),
        })  # fmt: skip
    return rows


# Readings, deviations: configurations that are told apart by what differs from a base


def told_apart(runs: pd.DataFrame, changes: Iterable[str]) -> dict[str, pd.DataFrame]:
    """The runs that each text `a=b, c=d` means: with these values, and else as most configurations are."""
    groups = configurations(runs)
    fields = [name for name in map(str, runs.columns) if "." in name]
    values = [{name: canonical(group[name].iloc[0]) for name in fields} for group in groups]
    common: dict[str, set[str]] = {}
    for name in fields:
        counts = Counter(each[name] for each in values)
        common[name] = {value for value, count in counts.items() if count == max(counts.values())}
    found: dict[str, pd.DataFrame] = {}
    left = list(range(len(groups)))
    wanted = {text: dict(re.findall(r"([\w.]+)=([^,]+)", text)) for text in changes}
    for text, given in sorted(wanted.items(), key=lambda of: -len(of[1])):
        fits = [k for k in left if all(values[k].get(name) == canonical(value) for name, value in given.items())]
        others = {k: sum(values[k][name] not in common[name] for name in fields if name not in given) for k in fits}
        if fits:
            left.remove(best := min(fits, key=lambda k: others[k]))
            found[text] = groups[best]
    return found | {f"(not in the table: {groups[k]['fingerprint'].iloc[0]})": groups[k] for k in left}


def deviations(results: Path, table: Table, beside: str, own: dict[str, str]) -> list[Row]:
    """Test error with each change, minus that of the runs `beside`, paired by seed."""
    reference = by_seed(finished(read(results / "runs" / f"{beside}.csv")))
    changes = table.column("change")
    named = {text: name for text in changes for start, name in own.items() if text.startswith(start)}
    groups = told_apart(read(results / "runs" / f"{table.name}.csv"), [text for text in changes if text not in named])
    groups |= {text: read(results / "runs" / f"{name}.csv") for text, name in named.items()}
    rows = []
    for text, group in groups.items():
        errors = by_seed(finished(group))
        differences = paired(errors, reference)
        rows.append({
            "change": Key(text),
            "tag": Skip("a tag, which is no number of the runs"),
            "test error, %": spread(list(errors.values()), len(group)),
            "difference, points": float(np.mean(differences)) if differences else None,
            "95 % interval of the difference": t_interval(differences),
            "n pairs": len(differences),
            "permutation p": sign_flips(differences),
            "diverged": (len(group) - len(errors), len(group)),
        })  # fmt: skip
    return rows


def training_errors(curves: Floats) -> Row:
    """The mean training error at each pass, % (a table shows some of them)."""
    means = curves.mean(0) if len(curves) else np.full(PASSES, np.nan)
    return {f"training error, pass {k + 1}, %": float(mean) for k, mean in enumerate(means)}


def readings(results: Path, table: Table) -> list[Row]:
    """Distance of each reading to Fig. 5 and to the published rates, from curves and runs."""
    key, published = "differs from the base reading in", fig5()
    labels = [label for label in table.column(key) if label != "the paper"]
    rows: list[Row] = [{key: Key("the paper"), "n seeds": 1, **training_errors(published[None]), **rate_cells(*RATES)}]
    rows[0] |= dict.fromkeys(("D", "largest difference from pass 2 on, points", "R", "diverged"))
    for label, group in told_apart(read(results / "runs" / f"{table.name}.csv"), labels).items():
        done = finished(group)
        mean = curves_of(results, table.name, done).mean(0) if len(done) else np.full(PASSES, np.nan)
        differences = (mean - published)[1:]
        factor = numbers(group["optim.eta_factor"])
        rates = [float(np.nanmean(numbers(group[f"rate_{end}_pass1"]) / factor)) for end in ("min", "max")]
        rows.append({
            key: Key(label),
            "n seeds": len(done),
            "D": log_rms(mean, published),
            "largest difference from pass 2 on, points": float(differences[np.argmax(np.abs(differences))]),
            **training_errors(mean[None]),
            **rate_cells(*rates),
            "R": log_rms(np.array(rates), np.array(RATES)),
            "diverged": (len(group) - len(done), len(group)),
        })  # fmt: skip
    return rows


def rate_cells(smallest: float, largest: float) -> Row:
    """The two columns of rates."""
    return {"smallest rate": Digits(smallest, 3), "largest rate": Digits(largest, 3)}


def recipe(results: Path, table: Table) -> list[Row]:
    """Readings by their training curves, or by the sizes of their weights where they learned windows."""
    runs = read(results / "runs" / f"{table.name}.csv")
    parameters = read(results / "parameters" / f"{table.name}.csv")
    key = "differs from the lead in"
    labels = [label for label in table.column(key) if label not in ("the paper", "the network of Fig. 13")]
    groups = told_apart(runs, labels)
    own = {label: parameters[parameters["fingerprint"] == of["fingerprint"].iloc[0]] for label, of in groups.items()}
    curves = {label: curves_of(results, table.name, finished(group)) for label, group in groups.items()}
    if "W" in table.header:
        done = {label: of[of["seed"].isin(finished(groups[label])["seed"])] for label, of in own.items()}
        return by_weights(read(results / "parameters" / "fig13.csv"), done, curves, key)
    return by_curve(groups, own, curves, key)


def first_rates(parameters: pd.DataFrame, factor: float, without: Sequence[str] = ()) -> Floats:
    """Smallest and largest rate of the first pass, means over seeds, at the printed eta, without some layers."""
    parameters = parameters[~parameters["layer"].isin(without)]
    low, high = ([f"{of}_rate_{end}" for of in ("weight", "bias")] for end in ("min", "max"))
    smallest = [min(np.nanmin(numbers(seed[name])) for name in low) for _, seed in parameters.groupby("seed")]
    largest = [max(np.nanmax(numbers(seed[name])) for name in high) for _, seed in parameters.groupby("seed")]
    return np.array([np.mean(smallest) / factor, np.mean(largest) / factor])


def from_others(values: Floats) -> list[float]:
    """The distance of each run to the mean of the others."""
    return [log_rms(value, np.delete(values, k, 0).mean(0)) for k, value in enumerate(values)]


def at_most(values: Floats) -> Any:
    """The upper end of the one-sided 95 % prediction interval for one more of these distances; from five runs on."""
    return t_interval(from_others(values), further=True, level=0.9)[1] if len(values) >= 5 else None


def drawn(curves: Floats, batches: int = 20, draws: int = 1000) -> Floats:
    """(batches, draws) D of seeds drawn with replacement, Fig. 5 read off up to 0.03 points wrong."""
    random, n = np.random.default_rng(1998), len(curves)
    counts = random.multinomial(n, np.full(n, 1 / n), size=batches * draws)
    off = random.uniform(-0.03, 0.03, (batches * draws, PASSES))
    squares = np.log(counts @ curves / n / (fig5() + off)) ** 2
    found: Floats = np.sqrt(squares.mean(1)).reshape(batches, draws)
    return found


def quantile(draws: Floats, share: float) -> Near:
    """A quantile of draws, give or take what a thousand other draws may give."""
    found = np.quantile(draws, share, axis=1)
    return Near(float(found.mean()), 5 * float(found.std(ddof=1)) + 0.0005)


def by_curve(
    groups: dict[str, pd.DataFrame], own: dict[str, pd.DataFrame], curves: dict[str, Floats], key: str
) -> list[Row]:
    """D, its interval and bound, R and rates, from curves and parameters."""
    factors = {label: float(of["optim.eta_factor"].iloc[0]) for label, of in groups.items()}
    without = {label: first_rates(of, factors[label], ("s2", "s4")) for label, of in own.items()}
    distances = {label: log_rms(of.mean(0), fig5()) if len(of) else math.inf for label, of in curves.items()}
    whole = [label for label, of in groups.items() if factors[label] == 1 and len(finished(of)) == len(of)]
    fit = [label for label in whole if log_rms(without[label], np.array(RATES)) <= 0.2]
    nearest = min(fit or whole, key=lambda label: distances[label])
    draws = {label: drawn(of) for label, of in curves.items() if len(of)}
    none = dict.fromkeys(("D", "D, 95 %", "one run's D at most", "R", "R without S2, S4", "further than the nearest"))
    names = ("smallest rate without S2, S4", "largest rate")
    paper = {name: Digits(rate, 3) for name, rate in zip(names, RATES, strict=True)}
    rows: list[Row] = [{key: Key("the paper"), "n seeds": 1, **none, **paper, **training_errors(fig5()[None])}]
    for label, of in curves.items():
        row: Row = {key: Key(label), "n seeds": len(of), **none, **training_errors(of)}
        if len(of):
            row |= {"D": distances[label], "D, 95 %": tuple(quantile(draws[label], q) for q in (0.025, 0.975))}
            row |= {"one run's D at most": at_most(of)}
        if len(of) and label != nearest:
            ends = np.quantile(draws[label] - draws[nearest], 0.025, axis=1)
            row["further than the nearest"] = OneOf(tuple({"yes" if end > 0 else "no" for end in ends}))
        row["R"] = log_rms(first_rates(own[label], factors[label]), np.array(RATES))
        row["R without S2, S4"] = log_rms(without[label], np.array(RATES))
        row |= {name: Digits(float(rate), 3) for name, rate in zip(names, without[label], strict=True)}
        rows.append(row)
    return rows


def by_weights(of_1998: pd.DataFrame, own: dict[str, pd.DataFrame], curves: dict[str, Floats], key: str) -> list[Row]:
    """W, its spread and bound, sizes of layers and matches of maps, from parameters."""
    layers = ("c1", "s2", "c3", "s4")

    def sizes(parameters: pd.DataFrame) -> Floats:
        of_layer = [parameters[parameters["layer"] == layer] for layer in layers]
        return np.stack([numbers(of[name]) for of in of_layer for name in ("size", "unlike")], axis=1)

    names = [f"{layer.upper()}, {of}" for layer in layers for of in ("size", "unlike")]
    matches = {
        "maps match 1998's": "match_1998",
        "other seeds'": "match_others",
        "1998's before training": "match_1998_initial",
    }
    last = "training error on the fly, pass 20, %"
    none = dict.fromkeys(("W", "std of one run's W", "one run's W at most", *matches, last))
    printed = sizes(of_1998)[0]
    rows: list[Row] = [
        {key: Key("the network of Fig. 13"), "n seeds": 1, **none, **dict(zip(names, printed, strict=True))}
    ]
    for label, of in own.items():
        found, inner = sizes(of), of[of["layer"].isin(layers)]
        rows.append({
            key: Key(label),
            "n seeds": len(found),
            "W": log_rms(found.mean(0), printed),
            "std of one run's W": float(np.std(from_others(found), ddof=1)) if len(found) > 2 else None,
            "one run's W at most": at_most(found),
            **dict(zip(names, found.mean(0), strict=True)),
            **{name: float(numbers(inner[column]).mean()) for name, column in matches.items()},
            last: float(curves[label][:, -1].mean()),
        })  # fmt: skip
    return rows


# Noise, overlap, classes


def noise(results: Path, table: Table) -> list[Row]:
    """Errors of runs that differ in order of summation or seed, and how many images two of them differ in."""
    runs = read(results / "runs" / "noise.csv")
    groups = [(f"order of summation, seed {seed}", "noise", group) for seed, group in runs.groupby("seed")]
    rows = []
    for label, name, group in [*groups, ("seed", "quarter-fig5", read(results / "runs" / "quarter-fig5.csv"))]:
        done = finished(group)
        apart = [len(a ^ b) for a, b in itertools.combinations(wrong_images(results, name, done), 2)]
        rows.append({
            "what differs": Key(label),
            "n runs": len(done),
            "test error, %": spread(numbers(done[TEST]), len(group)),
            "training error on the fly, %": spread(numbers(done[TRAIN]), len(group)),
            "images, wrong in one of two": float(np.mean(apart)),
            "spread, of that of the seeds": None,
            "its 95 % interval": None,
        })  # fmt: skip
        if name == "noise":
            a, b = numbers(done[TEST]), numbers(read(results / "runs" / "quarter-fig5.csv")[TEST])
            ratio = float(np.var(a, ddof=1) / np.var(b, ddof=1))
            ends = (ratio / float(stats.f.isf(tail, len(a) - 1, len(b) - 1)) for tail in (0.025, 0.975))
            rows[-1] |= {
                "spread, of that of the seeds": math.sqrt(ratio),
                "its 95 % interval": tuple(math.sqrt(end) for end in ends),
            }
    return rows


def overlap(results: Path, table: Table) -> list[Row]:
    """How many of Fig. 8's errors our runs make, from the wrong images of each."""
    theirs = set(read(PAPER / "fig8_errors.csv")["mnist_test_index"])
    names = {"": "fig5", "without distortions": "fig5", "with distortions": "distorted"}
    names |= {"a quarter of the rates": "quarter-fig5", "with distortions, a quarter of the rates": "quarter-distorted"}
    n = len(theirs)
    labels = ["n seeds", "errors of a seed", f"of these, among the {n} of Fig. 8", "expected by chance"]
    labels += ["expected by equal difficulty", f"of the {n}, wrong in every seed", f"of the {n}, wrong in no seed"]
    rows: list[Row] = [{"": Key(label)} for label in labels]
    for name in table.header[1:]:
        wrong = wrong_images(results, names[name], finished(read(results / "runs" / f"{names[name]}.csv")))
        sizes = [len(images) for images in wrong]
        values = [
            len(wrong),
            spread(sizes),
            spread([len(images & theirs) for images in wrong]),
            n * float(np.mean(sizes)) / TEST_SIZE,
            n * float(np.mean([len(a & b) / len(b) for a, b in itertools.permutations(wrong, 2)])),
            len(set.intersection(*wrong) & theirs),
            len(theirs - set(itertools.chain(*wrong))),
        ]
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return rows


def digit_scores(results: Path, name: str) -> dict[str, Floats]:
    """(n, 11) precision, recall and F1, %, of each digit and their mean, for each run."""
    found: dict[str, list[Floats]] = {"precision": [], "recall": [], "F1": []}
    errors = read(results / "errors" / f"{name}.csv")
    for seed in finished(read(results / "runs" / f"{name}.csv"))["seed"]:
        own = errors[errors["seed"] == seed]
        missed, taken = (
            np.bincount(numbers(own[of]).astype(int), minlength=10) for of in ("true_label", "predicted_label")
        )
        right = DIGITS - missed
        for score, values in zip(
            found, (right / (right + taken), right / DIGITS, 2 * right / (right + taken + DIGITS)), strict=True
        ):
            found[score].append(100 * np.append(values, values.mean()))
    return {score: np.stack(values) for score, values in found.items()}


def classes(results: Path, table: Table) -> list[Row]:
    """Precision, recall and F1 of each digit over the seeds of fig5."""
    scores = digit_scores(results, "fig5")
    labels = [*map(str, range(10)), "mean of the digits"]
    return [
        {"digit": Key(label), **{f"{score}, %": spread(of[:, k]) for score, of in scores.items()}}
        for k, label in enumerate(labels)
    ]


def tutorial_classes(results: Path, table: Table) -> list[Row]:
    """The means of these over the seeds of each tutorial."""
    rows: list[Row] = [{"digit": Key(label)} for label in [*map(str, range(10)), "mean of the digits"]]
    for short in dict.fromkeys(name.split()[0] for name in table.header[1:]):
        for score, of in digit_scores(results, f"tutorial-{short.lower()}").items():
            for row, mean in zip(rows, of.mean(0), strict=True):
                row[f"{short} {score}, %"] = float(mean)
    return rows
