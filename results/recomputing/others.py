"""Tables of the network of 1998, of distortions, and of strings of digits."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd
from recomputing.basics import (
    AMOUNTS_READ,
    NUMBER,
    PAPER,
    ROOT,
    TEST,
    Digits,
    Key,
    OneOf,
    Row,
    Table,
    by_seed,
    numbers,
    paired,
    read,
    sign_flips,
    spread,
    t_interval,
)
from scipy import stats

# The network of 1998


def common(rows: pd.DataFrame, column: str) -> OneOf:
    """The most common answer at each place, in order; of equally common ones any."""
    places = [each[column].mode().tolist() for _, each in rows.groupby(numbers(rows["place"]))]
    return OneOf(tuple(map("".join, itertools.product(*places))))


def codes(results: Path, table: Table) -> list[Row]:
    """What networks read in printed images, how often as printed, and the correlation of F6."""
    made = read(results / "codes.csv")
    nine, strings = made[made["figure"] == "13"], made[made["figure"] != "13"]
    images = enumerate((group for _, group in nine.groupby(numbers(nine["place"]))), 1)
    groups = [(f"Fig. 13, {k}: {group['of'].iloc[0]}", group) for k, group in images]
    groups += [(f"Fig. {figure}: {of}", group) for (figure, of), group in strings.groupby(["figure", "of"])]
    rows = []
    for label, group in groups:
        row: Row = {"shown": Key(label), "F6 as printed": common(group, "printed")}
        for network, own in group.groupby("network"):
            correlations = [float(numbers(each["correlation"]).mean()) for _, each in own.groupby("seed")]
            row[f"{network}: reads"] = common(own, "answer")
            row[f"{network}: as printed, %"] = 100 * float((own["answer"] == own["printed"]).mean())
            row[f"{network}: r"] = spread(correlations)
        rows.append(row)
    return rows


def fronts(results: Path, table: Table) -> list[Row]:
    """Test errors of heads on each front, by their training images."""
    rows = []
    for (front, method), own in read(results / "fronts.csv").groupby(["front", "method"]):
        row: Row = {"front": Key(str(front)), "recipe": Key(str(method))}
        for images in ("plain", "distorted", "noisy"):
            errors = numbers(own[own["images"] == images][TEST])
            row[f"{images}: test error, %"] = spread(errors) if len(errors) else None
            row[f"{images}: interval"] = t_interval(errors)
        rows.append(row)
    return rows


def search(results: Path, table: Table) -> list[Row]:
    """The finals of each search, or where there are none yet its best trials."""
    rows: list[Row] = []
    for name, own in read(results / "search.csv").groupby("search"):
        trials, finals = own[own["part"] == "trials"], own[own["part"] == "finals"]
        first = trials.assign(error=numbers(trials["validation_error_percent"]), number=numbers(trials["trial"]))
        if finals.empty:
            best = first[first["state"] == "complete"].sort_values(["error", "number"]).head(6)["trial"]
        else:
            best = finals["trial"].drop_duplicates()
        for trial in best:
            errors = numbers(finals[finals["trial"] == trial]["validation_error_percent"])
            own_trial = first[first["trial"] == trial].iloc[0]
            rows.append({
                "trial": Key(f"{name} {trial}"),
                "error of the trial, %": float(own_trial["error"]),
                "error in the finals, %": spread(errors) if len(errors) else None,
                "95 % interval": t_interval(errors) if len(errors) else None,
                "settings": str(own_trial["settings"]),
            })  # fmt: skip
    return rows


def recovered(results: Path, table: Table) -> list[Row]:
    """R² of each map, and errors on Fig. 25, as they were measured."""
    maps, checks = read(results / "recovery.csv"), read(results / "recovery-checks.csv")
    errors = checks[checks["about"] == "Fig. 25, error"]
    rows = []
    for k in sorted({int(k) for k in maps["map"]}):
        row: Row = {"map": Key(str(k))}
        for layer in ("c1", "s2", "c3", "s4"):
            own = maps[(maps["layer"] == layer) & (maps["map"] == str(k))]["r_squared"]
            held_out = errors[(errors["layer"] == layer) & (numbers(errors["map"]) == k)]["value"]
            row[f"{layer.upper()}, R²"] = float(own.iloc[0]) if len(own) else None
            row[f"{layer.upper()} of Fig. 25"] = float(held_out.iloc[0]) if len(held_out) else None
        rows.append(row)
    return rows


def recovered_statements(results: Path, table: Table) -> list[Row]:
    """Errors of the printed states under each form, as they were measured."""
    checks = read(results / "recovery-checks.csv")
    rows = []
    for (about, case), own in checks[checks["about"].isin(["subsampling", "squashing"])].groupby(["about", "case"]):
        values = dict(zip(own["layer"], own["value"].astype(float), strict=True))
        cells = {layer.upper(): values.get(layer) for layer in ("c1", "s2", "s4")}
        rows.append({"of": Key(str(about)), "form": Key(str(case)), **cells})
    return rows


def distortions(results: Path, table: Table) -> list[Row]:
    """The maps fitted to Fig. 7 in the parameters of our generator, and whether they are uniform in its ranges."""
    fitted = read(PAPER / "fig7_distortions.csv").astype(float)
    conf = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "conf" / "distort").glob("*.yaml"))
    settings = re.findall(r"^(\w+): ([^#\n]+)", conf, re.M)
    given = {name: [float(number) for number in re.findall(NUMBER, value)] for name, value in settings}
    sx, sy, (centre,) = fitted["xx"], fitted["yy"], given["centre"]
    down = fitted["ty"] - centre * (1 - sy)
    found = {
        "inverse scale, 1 / sqrt(sx sy)": ((sx * sy) ** -0.5, given["inverse_scale"]),
        "squeeze, sqrt(sy / sx)": ((sy / sx) ** 0.5, given["squeeze"]),
        "horizontal shear, h": (fitted["xy"] / sx, given["shear"]),
        "horizontal translation, px": (fitted["tx"] / sx, given["translation"]),
        "vertical translation, px": (down / sy, given["translation"]),
        "horizontal translation after scaling, px": (fitted["tx"], given["translation"]),
        "vertical translation after scaling, px": (down, given["translation"]),
    }
    rows = []
    for label, (values, ends) in found.items():
        low, high = ends if len(ends) == 2 else (-ends[0], ends[0])
        rows.append({
            "": Key(label),
            "fitted to Fig. 7, range": (values.min(), values.max()),
            "ours, uniform in": (low, high),
            f"outside ours, of {len(fitted)}": int((values < low).sum() + (values > high).sum()),
            "KS p": float(stats.ks_1samp((values - low) / (high - low), stats.uniform.cdf).pvalue),
        })  # fmt: skip
    return rows


# Strings


def systems(made: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """The rows of each system and training."""
    return {(str(system), str(how)): group for (system, how), group in made.groupby(["system", "training"])}


def called(made: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The same, by one name; that of a system alone is of training on characters."""
    return {system if how == "characters" else f"{system}, {how}": of for (system, how), of in systems(made).items()}


def tested(results: Path) -> pd.DataFrame:
    """The rows of strings.csv that are of test strings."""
    made = read(results / "strings.csv")
    return made[made["split"] == "test"]


def wrong_share(rows: pd.DataFrame, of: str) -> dict[str, float]:
    """How many characters or strings each seed reads wrong, % of all of its rows."""
    shares = {}
    for seed, own in rows.groupby("seed"):
        shares[str(seed)] = 100 * float(numbers(own[f"wrong_{of}"]).sum() / numbers(own[of]).sum())
    return shares


def strings(results: Path, table: Table, of: str) -> list[Row]:
    """How many characters or strings each system reads wrong, by level."""
    rows = []
    for (system, training), group in systems(tested(results)).items():
        row: Row = {"system": Key(system), "training": Key(training), "n": group["seed"].nunique()}
        for name in ("longest", "apart"):
            (value,) = group[name].unique()
            row[name] = (float(value) if re.fullmatch(NUMBER, value) else value) if value else None
        for level, own in group.groupby("level"):
            shares = list(wrong_share(own, of).values())
            row |= {f"{level}, %": spread(shares), f"{level}: interval": t_interval(shares)}
        rows.append(row)
    return rows


def strings_short(results: Path, table: Table) -> list[Row]:
    """Wrong characters by level of the rows that this table has of `strings`."""
    shown = set(zip(table.column("system"), table.column("training"), strict=True))
    return [row for row in strings(results, table, "characters") if (row["system"].text, row["training"].text) in shown]


def strings_training(results: Path, table: Table) -> list[Row]:
    """What training on whole strings changes in all wrong characters, relative to the same network before it."""
    groups, rows = systems(tested(results)), []
    for (system, training), group in groups.items():
        start = groups.get((system.split(",")[0], "characters"))
        if training == "characters" or start is None:
            continue
        if system.startswith("HOS"):  # it does not learn from strings with noise
            start, group = (each[each["level"] != "noisy"] for each in (start, group))
        before, after = wrong_share(start, "characters"), wrong_share(group, "characters")
        changes = [100 * (after[seed] / before[seed] - 1) for seed in after if seed in before]
        codes = numbers(group.drop_duplicates("seed")["closest_codes"])
        rows.append({
            "system": Key(system),
            "loss": Key(training),
            "rate": Digits(float(group["rate"].iloc[0]), 6),
            "wrong characters, %": spread(list(after.values())),
            "change, %": float(np.mean(changes)),
            "95 % interval": t_interval(changes),
            "permutation p": sign_flips(paired(after, before)),
            "codes": float(np.mean(codes)),
        })  # fmt: skip
    return rows


def strings_against(results: Path, table: Table) -> list[Row]:
    """Differences between two systems in wrong characters, by level, paired by seed."""
    named, rows = called(tested(results)), []
    for one, other in zip(table.column("one"), table.column("other"), strict=True):
        row: Row = {"one": Key(one), "other": Key(other)}
        for level in named[one]["level"].unique():
            shares = (wrong_share(named[of][named[of]["level"] == level], "characters") for of in (one, other))
            differences = paired(*shares)
            row |= {level: float(np.mean(differences)), f"{level}: interval": t_interval(differences)}
            row |= {f"{level}: p": sign_flips(differences), "n": len(differences)}
        rows.append(row)
    return rows


def strings_rejection(results: Path, table: Table) -> list[Row]:
    """How much is read at 1 % wrong, by penalty and by probability, and their difference paired by seed."""
    rows = []
    for (system, training), group in systems(read(results / "strings-rejection.csv")).items():
        row: Row = {"system": Key(system), "training": Key(training)}
        for level, own in group.groupby("level"):
            by = {name: by_seed(of, "read_at_1") for name, of in own.groupby("by")}
            row |= {f"{level}: {name!s}": float(np.mean(list(shares.values()))) for name, shares in by.items()}
            row[f"{level}: difference"] = t_interval(paired(by["probability"], by["penalty"]))
        rows.append(row)
    return rows


def strings_printed(results: Path, table: Table) -> list[Row]:
    """How many networks read each printed string, and what they read most often."""
    rows: dict[str, Row] = {}
    for name, group in called(read(results / "strings-printed.csv")).items():
        for (figure, of), own in group.groupby(["figure", "of"]):
            row = rows.setdefault(str(of), {"string": Key(f"Fig. {figure}: {of}")})
            row[name] = (int((own["read"] == of).sum()), len(own))
            row[f"{name}: reads"] = OneOf(tuple(own["read"].mode()))
            if name == "SDNN":
                row["positions"] = OneOf(tuple(own["positions"].mode()))
    return list(rows.values())


def amounts(results: Path, table: Table) -> list[Row]:
    """How many amounts are read, without rejection and with some, over the networks."""
    made = read(results / "amounts.csv")
    paper: Row = {"grammar": Key("the paper's, real cheques"), **dict.fromkeys(table.header[1:])}
    rows = [paper | {"read at 1 % wrong, %": AMOUNTS_READ}]
    for grammar, own in made[made["split"] == "test"].groupby("grammar"):
        right = 100 * numbers(own["right"]) / numbers(own["strings"])
        row: Row = {"grammar": Key(str(grammar)), "read, %": spread(right), "interval": t_interval(right)}
        for wrong in re.findall(r"read_at_(\S+)", " ".join(map(str, own.columns))):
            shares = numbers(own[f"read_at_{wrong}"])
            row |= {f"read at {wrong} % wrong, %": spread(shares), f"interval at {wrong}": t_interval(shares)}
        rows.append(row)
    return rows
