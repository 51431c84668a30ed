"""The ablations and tutorials: configurations that differ in what they say, and tables worked out by hand."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from synthetic_runs import ROOT, begun, clean_tree, data, write_rows, write_runs

from paper_lenet import paper
from paper_lenet.commands import composition
from paper_lenet.config import Config, DataConfig, EngineConfig, InitConfig, LossConfig, ModelConfig, OptimConfig
from paper_lenet.config.studies import studies
from paper_lenet.engines import NonFiniteError
from paper_lenet.files import csv_text, write_atomic
from paper_lenet.network.lenet5 import build
from paper_lenet.reporting.figures import ablations, classes, common
from paper_lenet.reporting.formats import Table
from paper_lenet.reporting.results import TableError, read_runs
from paper_lenet.reporting.tables import tutorials
from paper_lenet.reporting.tables.ablations import costs, table
from paper_lenet.reporting.tables.build import available
from paper_lenet.reporting.tables.build import build as build_tables
from paper_lenet.reporting.tables.common import trained
from paper_lenet.runs.collect import collect
from paper_lenet.runs.records import ERROR_COLUMNS, PASS_COLUMNS, write_job

CONF = ROOT / "conf"
# What each change changes.
FIELDS: dict[str, set[str]] = {
    "none": set(),
    **{key: {"model.activation"} for key in ("relu", "tanh", "scaled_tanh")},
    **{key: {"model.pooling"} for key in ("avg_pool", "max_pool", "average")},
    **{key: {"model.table"} for key in ("full_table", "random_table", "table_paper")},
    **{key: {"data.input"} for key in ("standard", "unit", "input_paper")},
    **{key: {"model.geometry"} for key in ("resized", "unpadded")},
    **{key: {"model.init.scheme"} for key in ("kaiming", "torch")},
    "init_paper": {"model.init.scheme", "model.init.gain"},
    **{key: {"optim.order"} for key in ("reshuffled", "constant_order")},
    "cross_entropy": {"model.output", "loss.name", "optim.eta_factor"},
    "eq9": {"loss.name", "loss.j", "loss.curvature", "optim.eta_factor"},
    "rbf": {"model.output", "model.rbf_factor", "loss.name", "loss.j"},
    "adamw": {f"optim.{key}" for key in ("name", "batch", "schedule", "rate", "weight_decay", "order", "eta_factor")},
    "sgd": {f"optim.{key}" for key in ("name", "rate", "momentum", "weight_decay")},
    "constant_rate": {"optim.schedule", "optim.rate"},
    "distorted": {"distort.variants", "distort.strength"},
}
FIELDS["adamw-1998"] = FIELDS["eq9"] | FIELDS["adamw"]
FIELDS["best"] = FIELDS["sgd"] | {"loss.smoothing", "model.init.scheme"}
FIELDS["best"] |= {f"model.{key}" for key in ("activation", "pooling", "batch_norm", "dropout")}
FIELDS["best"] |= {f"optim.{key}" for key in ("nesterov", "batch", "schedule", "average", "order", "passes")}
FIELDS["best-distorted"] = FIELDS["best"] | FIELDS["distorted"] | {"distort.rotation", "distort.elastic"}
FIELDS["best-distorted"] |= {"distort.elastic_sigma"}


@functools.cache
def configurations(name: str) -> list[Config]:
    """Every configuration of a study."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(composition, "_check_data", lambda jobs: None)
        return [config for config, _ in composition.check_sweep([f"study={name}"], False)]


@functools.cache
def composed(*overrides: str) -> Config:
    return composition.compose(list(overrides))


def flat(config: Config) -> dict[str, Any]:
    return pd.json_normalize(config.to_dict()).iloc[0].to_dict()


def differing(a: Config, b: Config) -> set[str]:
    one, other = flat(a), flat(b)
    return {key for key in one if one[key] != other[key]} - {"name", "label"}


def ablation(results: Path, name: str) -> Table:
    return table(results, studies()[name])


# Configurations


@pytest.mark.parametrize("change", FIELDS)
def test_change_sets_what_it_names_and_nothing_else(change: str) -> None:
    """As the keys in its file, and in those that it includes, whatever the values in a base are."""
    keys, label = set(), ""
    todo = [CONF / "change" / f"{change}.yaml"]
    while todo:
        node = OmegaConf.load(todo.pop())
        content = OmegaConf.to_container(node) or {}
        todo += [CONF / f"{entry[1:]}.yaml" for entry in content.pop("defaults", []) if entry != "_self_"]
        label = label or content.get("label", "")
        keys |= {key for key in pd.json_normalize(content).columns if key != "label"}
    assert keys == FIELDS[change]
    assert bool(label) == (change != "none")


@pytest.mark.parametrize(("name", "base"), [("from-1998", "quarter"), ("from-modern", "modern")])
def test_one_detail_at_a_time(name: str, base: str) -> None:
    found = configurations(f"ablation-{name}")
    reference = composed(f"experiment={base}")
    assert differing(found[0], reference) <= {"seeds"}
    assert found[0].label == studies()[f"ablation-{name}"].table["base"]
    for config in found[1:]:
        assert any(differing(config, found[0]) <= fields for fields in FIELDS.values()), config.label
    prints = {config.fingerprint() for config in found}
    assert len(prints) == len({config.label for config in found}) == len(found)


def test_ladder_goes_from_1998_to_the_modern_recipe() -> None:
    rungs = configurations("ablation-ladder")
    assert [int(rung.label.split()[0]) for rung in rungs] == list(range(len(rungs)))
    assert rungs[0].fingerprint() == composed("experiment=quarter").fingerprint()
    assert rungs[-1].fingerprint() == composed("experiment=modern").fingerprint()
    seen: set[str] = set()
    for before, rung in itertools.pairwise(rungs):
        step = differing(rung, before)
        assert step and any(step <= fields for fields in FIELDS.values()), rung.label
        # nothing that an earlier rung changed is taken back, but for the rate that the last optimiser does not read
        assert not (step & seen) - {"optim.eta_factor", "optim.order"}, rung.label
        seen |= step


def test_augmented_differs_by_the_distortions_alone() -> None:
    modern, modern_distorted, old, old_distorted = configurations("ablation-augmented")
    assert modern.fingerprint() == composed("experiment=modern").fingerprint()
    assert old.fingerprint() == composed("experiment=quarter", "change=adamw-1998").fingerprint()
    for plain, distorted in ((modern, modern_distorted), (old, old_distorted)):
        assert differing(distorted, plain) == {"distort.variants", "distort.strength"}
        assert distorted.label == f"{plain.label}, distorted"


FOUR_SEEDS = ("choice-comparison", "choice-printed")
CHOSEN = {name for study in studies().values() for name in study.chosen.values()}


@pytest.mark.parametrize("name", sorted(CHOSEN))
def test_choice_is_made_without_the_test_set(name: str) -> None:
    """And on seeds of its own, which no table of test errors has."""
    own = {"strength": [2300, 2301, 2302, 2303], "quarter-strength": [2000, 2001, 2002, 2003]}
    own |= {"quarter-eq9-choice": [2000, 2001]} | {key: [9000, 9001, 9002, 9003] for key in FOUR_SEEDS}
    held_out = 10_000 if name in FOUR_SEEDS else 5000
    for config in configurations(name):
        assert (config.data.validation, config.seeds, config.name) == (held_out, own.get(name, [9000, 9001]), name)


def best_rates(study: str) -> dict[str, float]:
    """The rate of each label with the lowest mean error of those at which no seed diverges; none is at an end."""
    runs = pd.read_csv(ROOT / "results" / "runs" / f"{study}.csv")
    found = {}
    for label, of_label in runs.groupby("label"):
        errors = {float(rate): group["test_error_percent"].mean() for rate, group in of_label.groupby(RATE)
                  if (group["status"] == "ok").all() and len(group) == 4}  # fmt: skip
        best = min(errors, key=lambda rate: errors[rate])
        rates = sorted(of_label[RATE])
        assert best > rates[0] and (best < rates[-1] or len(errors) < len(set(rates))), (label, errors)
        found[str(label)] = best
    return found


RATE = "optim.eta_factor"


@pytest.mark.parametrize(
    ("choice", "guess"), [("choice-comparison", ""), ("choice-printed", "initial weights as printed")]
)
def test_networks_of_the_comparison_have_the_rates_that_were_best(choice: str, guess: str) -> None:
    chosen = best_rates(choice)
    for config in configurations("comparison-nets"):
        name, _, variant = config.label.removeprefix("dist ").partition(", ")
        other = variant == "initial weights as printed" and not guess
        if name != "lenet-5" and (not guess or variant == guess) and not other:
            assert config.optim.eta_factor == chosen[name], config.label


def test_every_choice_is_one_of_a_study() -> None:
    assert {name for name in studies() if "choice" in name} <= CHOSEN


def test_tutorials_have_the_sizes_that_their_pages_give() -> None:
    shapes = {"t1": (10, 64, 32, 400, 1e-8), "t2": (5, 32, 32, 400, 1e-7), "t3": (10, 64, 28, 256, 1e-7)}
    for name, (epochs, batch, side, flattened, epsilon) in shapes.items():
        config = composed(f"study=tutorial-{name}")
        net = build(config.model, 0)
        assert (config.optim.passes, config.optim.batch, config.optim.epsilon) == (epochs, batch, epsilon)
        assert (config.optim.name, config.optim.rate, config.optim.schedule) == ("adam", 1e-3, "constant")
        assert (net.side, net.c5.weight[0].numel(), config.seeds) == (side, flattened, list(range(10)))


# Tables


@pytest.fixture
def committed(monkeypatch: pytest.MonkeyPatch) -> None:
    clean_tree(monkeypatch)


def study(results: Path, name: str, errors: dict[str, list[float | None]], **columns: dict[str, Any]) -> None:
    """results/runs/<name>.csv: by label the test error in % of seeds 0, 1, ..., None for a run that diverged.

    columns: by column the value of each label that has another than ''.
    """
    rows = []
    for number, (label, of_label) in enumerate(errors.items()):
        for seed, error in enumerate(of_label):
            row = {"cpu": "a CPU", "fingerprint": f"{number:012}", "seed": seed, "seconds": 40 + seed}
            row |= {"label": label, "status": "ok" if error is not None else "diverged", "test_error_percent": error}
            rows.append(row | {column: of.get(label) for column, of in columns.items()})
    write_rows(results, name, rows)


def lines(table: Table) -> dict[str, dict[str, str]]:
    return {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}


def test_from_1998(tmp_path: Path) -> None:
    study(
        tmp_path,
        "ablation-from-1998",
        {"1998": [1.0, 1.1, 0.9], "ReLU": [0.9, 0.9, 0.9], "max pooling": [1.2, 1.3, 1.4], "tanh": [1.0, None, 0.8]},
        **{
            "model.activation": {"1998": "scaled_tanh", "ReLU": "relu", "max pooling": "scaled_tanh", "tanh": "tanh"},
            "model.pooling": {"1998": "sum", "ReLU": "sum", "max pooling": "max_pool", "tanh": "sum"},
        },
    )
    table = ablation(tmp_path, "ablation-from-1998")
    by_label = lines(table)
    assert list(by_label) == ["1998", "ReLU", "max pooling", "tanh"]
    relu, tanh, pooling = (by_label[label] for label in ("ReLU", "tanh", "max pooling"))
    # Welch: -0.1, whose error is 0.1 / sqrt(3); of 2 degrees of freedom, since the other does not vary. t = -1.7321,
    # p = 1 - t / sqrt(t² + 2) = 1 - sqrt(0.6) = 0.2254; half of the interval 4.3027 * 0.1 / sqrt(3) = 0.2484.
    assert relu["minus 1998, points"] == "-0.100"
    assert relu["its 95 % interval"] == "-0.348 to +0.148"
    assert relu["p"] == "0.23"
    # 0.3, whose error is 0.1 * sqrt(2 / 3), of 4 degrees: t = 3.674, p = 0.0213: the smaller of two, times 2.
    assert (pooling["minus 1998, points"], pooling["p"], pooling["p by Holm"]) == ("+0.300", "0.021", "0.043")
    assert relu["p by Holm"] == "0.23"
    # what is left of runs of which some diverged is not compared
    assert (tanh["n seeds"], tanh["test error, %"]) == ("2 of 3", "0.900 ± 0.141")
    assert [tanh[column] for column in table.header[-4:]] == ["-"] * 4
    assert by_label["1998"]["p"] == "-" and by_label["1998"]["seconds a run"] == "41"
    assert (by_label["1998"]["parameters"], by_label["1998"]["multiply-adds"]) == ("60,000", "328,096")
    assert pooling["parameters"] == "59,956"  # without the 44 of S2 and S4
    assert any("1 of 12 runs diverged" in note for note in table.notes)
    # 1.0, 1.1, 0.9 with 1.2, 1.3, 1.4: -0.5; with 1.0 and 0.8 of seeds 0 and 2: 1; with what does not vary: nothing
    assert any("correlate at 0.25 in the mean" in note for note in table.notes)


def test_ladder_has_the_step_from_the_rung_before(tmp_path: Path) -> None:
    rungs: dict[str, list[float | None]] = {"10 + c": [0.6, 0.7], "0 1998": [1.0, 1.1], "2 + b": [0.8, 0.9]}
    study(tmp_path, "ablation-ladder", rungs)
    by_label = lines(ablation(tmp_path, "ablation-ladder"))
    assert list(by_label) == ["0 1998", "2 + b", "10 + c"]
    last = by_label["10 + c"]
    assert (last["minus 1998, points"], last["minus the rung before, points"]) == ("-0.400", "-0.200")
    assert by_label["0 1998"]["minus the rung before, points"] == "-"


def test_augmented_has_the_same_without(tmp_path: Path) -> None:
    errors: dict[str, list[float | None]] = {
        **{"modern": [0.8, 0.9], "modern, distorted": [0.5, 0.5]},
        **{"1998 network, AdamW": [1.0, 1.0], "1998 network, AdamW, distorted": [0.7, 0.8]},
    }
    study(tmp_path, "ablation-augmented", errors)
    by_label = lines(ablation(tmp_path, "ablation-augmented"))
    step = "minus the same without distortions, points"
    assert by_label["1998 network, AdamW, distorted"][step] == "-0.250"
    assert by_label["modern, distorted"][step] == "-0.350"
    assert by_label["1998 network, AdamW"][step] == "-"


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    name = "ablation-from-1998"
    for errors, message in (
        ({"ReLU": [1.0, 1.1]}, "no runs of '1998'"),
        ({"1998": [1.0], None: [1.0]}, "without a label"),
    ):
        study(tmp_path, name, errors)  # type: ignore[arg-type]
        with pytest.raises(TableError, match=message):
            ablation(tmp_path, name)
    study(tmp_path, "ablation-augmented", {"modern": [1.0, 1.1], "1998 network, AdamW, distorted": [1.0, 1.2]})
    with pytest.raises(TableError, match="no runs of '1998 network, AdamW'"):
        ablation(tmp_path, "ablation-augmented")


def test_all_of_a_configuration_diverged(tmp_path: Path) -> None:
    study(tmp_path, "ablation-from-modern", {"modern": [0.8, 0.9], "SGD": [None, None], "b": [1.0, 1.2]})
    table = ablation(tmp_path, "ablation-from-modern")
    assert [row[0] for row in table.rows] == ["modern", "b", "SGD"]
    assert lines(table)["SGD"]["test error, %"] == "2 of 2 diverged"
    assert table.rows[-1][-4:] == ["-"] * 4


def test_from_run_folders(tmp_path: Path, committed: None) -> None:
    """What the runs of a job have that 1998 had not is in results, even where no run differs in it."""
    model = ModelConfig(output="linear", pooling="max_pool", batch_norm=True, init=InitConfig(scheme="torch"))
    for label, activation in (("modern", "relu"), ("tanh", "tanh")):
        job = Config(name="ablation-from-modern", label=label, seeds=[0, 1], output=str(tmp_path / "outputs"))
        job.model, job.loss = ModelConfig(**{**vars(model), "activation": activation}), LossConfig("cross_entropy")
        job.optim, job.engine = OptimConfig(name="adam", batch=8, passes=2), EngineConfig("batched")
        write_runs(job, [90, 100] if label == "modern" else [95, 110])
    job.seeds = [2]
    write_job(job)
    begun(job, 2).diverged(NonFiniteError(2, 1, 9))
    results = tmp_path / "results"
    collect(tmp_path / "outputs" / "ablation-from-modern", results)
    runs = read_runs(results, "ablation-from-modern")
    for label, activation in (("modern", "relu"), ("tanh", "tanh")):
        found = trained("ablation-from-modern", runs[runs["label"] == label])
        asked = replace(found, model=ModelConfig(**{**vars(model), "activation": activation}))
        assert found.as_first() == asked.as_first()
    with pytest.raises(TableError, match="not 20 passes"):
        ablation(results, "ablation-from-modern")


def test_costs_of_both_networks_agree() -> None:
    """The paper's own network, and the same one built of choices."""
    plain, modern = build(ModelConfig(), 0), build(ModelConfig(activation="tanh"), 0)
    assert plain.multiply_adds() == modern.multiply_adds()
    # c1 150 * 28², c3 1500 * 10², s2 and s4 one a unit, c5, f6 and the ten bitmaps
    by_hand = 150 * 784 + 1500 * 100 + 6 * 196 + 16 * 25 + 48_000 + 10_080 + 840
    assert plain.multiply_adds() == by_hand
    runs = pd.DataFrame({"model.geometry": ["unpadded"], "model.pooling": ["avg_pool"]})
    # 28x28: C1 24x24, C3 8x8, and C5 sees 16 maps of 4x4
    assert costs("a name", runs)[1] == 150 * 576 + 1500 * 64 + 120 * 256 + 10_080 + 840


# Tutorials


def write_tutorials(results: Path) -> None:
    """Three tutorials of two seeds; seed 0 of the first calls two of the 980 zeros six, and three sixes zero."""
    wrong = {"tutorial-t1": [(0, 0, 6)] * 2 + [(0, 6, 0)] * 3 + [(1, 9, 4)] * 9}
    for name in tutorials.TUTORIALS:
        errors = wrong.get(name, [(0, 4, 9)] * 4)
        counts: list[float | None] = [sum(seed == k for k, *_ in errors) / 100 for seed in (0, 1)]
        study(results, name, {"": counts})
        rows = [
            dict(zip(("fingerprint", "seed", *ERROR_COLUMNS), ("0" * 12, seed, k, true, called), strict=True))
            for k, (seed, true, called) in enumerate(errors)
        ]
        (results / "errors").mkdir(exist_ok=True)
        pd.DataFrame(rows).to_csv(results / "errors" / f"{name}.csv", index=False)


def test_tutorials(tmp_path: Path) -> None:
    write_tutorials(tmp_path)
    table = tutorials.tutorials(tmp_path)
    first, second, third = table.rows
    # 99.95 and 99.91: deviation 0.0283, 12.706 * 0.0283 * sqrt(1.5) = 0.440 for one run
    assert first[1:5] == ["98.97", "99.930 ± 0.028", "99.676 to 100.184", "99.490 to 100.370"]
    assert first[-3:] == ["-27.7", "-", "no verdict"] and second[1] == "98.59"
    assert (third[1], third[-1]) == ("not given", "-")


def test_scores_by_class(tmp_path: Path) -> None:
    write_tutorials(tmp_path)
    matrix = tutorials.confusions(tmp_path, "tutorial-t1")[0]
    assert matrix.sum() == 10_000 and matrix.sum(axis=1).tolist() == list(paper.MNIST_TEST_LABELS)
    assert (matrix[0, 0], matrix[0, 6], matrix[6, 0], matrix[6, 6]) == (978, 2, 3, 955)
    zero = lines(tutorials.by_class(tmp_path))["0"]
    # 978 of 981 called zero, 978 of 980 zeros; seed 1 has no mistake there: the means of these and of 1
    assert zero["T1 precision, %"] == f"{50 * (978 / 981 + 1):.2f}"
    assert zero["T1 recall, %"] == f"{50 * (978 / 980 + 1):.2f}"
    assert zero["T1 F1, %"] == f"{50 * (2 * 978 / (981 + 980) + 1):.2f}"
    assert zero["T2 F1, %"] == "100.00"


def test_tutorial_refused(tmp_path: Path) -> None:
    write_tutorials(tmp_path)
    path = tmp_path / "runs" / "tutorial-t2.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",test,", ",validation,"), encoding="utf-8")
    with pytest.raises(TableError, match="tutorial-t2: not the 10000 test images"):
        tutorials.tutorials(tmp_path)


def test_single_tutorial_is_not_set_beside_the_paper(tmp_path: Path, committed: None) -> None:
    job = Config(name="tutorial-t2", seeds=[0, 1], output=str(tmp_path / "outputs"), data=DataConfig(input="unit"))
    job.model, job.loss = ModelConfig(activation="tanh", output="linear"), LossConfig("cross_entropy")
    job.optim = OptimConfig(name="adam", passes=2, batch=32, schedule="constant")
    write_runs(job, [150, 160])
    results = tmp_path / "results"
    collect(tmp_path / "outputs" / "tutorial-t2", results)
    text = build_tables(results, ["tutorial-t2"], None)[results / "tables" / "tutorial-t2.md"]
    assert "1.550 ± 0.071" in text
    assert "paper" not in text and "rate" not in text


def test_tables_by_name(tmp_path: Path) -> None:
    write_tutorials(tmp_path)
    study(tmp_path, "ablation-ladder", {"0 1998": [1.0, 1.1], "1 + ReLU": [0.9, 1.2]})
    names = ["ablation-ladder", *tutorials.TUTORIALS, "tutorials", "tutorials-classes"]
    assert available(tmp_path) == sorted(names)
    files = build_tables(tmp_path, ["ablation-ladder", "tutorials", "tutorials-classes"], None)
    assert len(files) == 9


def test_labels_of_mnist() -> None:
    assert sum(paper.MNIST_TEST_LABELS) == paper.TEST_SIZE and len(paper.MNIST_TEST_LABELS) == paper.CLASSES
    assert math.isclose(float(np.bincount(data().test_labels).sum()), paper.TEST_SIZE)


# Figures


def test_figures_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes each time, with what diverged in words."""
    monkeypatch.setitem(common.STYLE, "svg.fonttype", "none")
    some: list[float | None] = [1.0, 1.1]
    study(tmp_path, "ablation-from-1998", {"1998": some, "ReLU": [0.9, None], "max pooling": [None, None]})
    study(tmp_path, "ablation-ladder", {"0 1998": some, "1 + ReLU": [None, None], "2 + b": [0.9, 0.8]})
    write_tutorials(tmp_path)
    for name in tutorials.TUTORIALS:
        rows = [
            {"fingerprint": "0" * 12, "seed": seed, "pass": epoch, "train_error_percent": 5 / epoch}
            | {"test_error_percent": 2 / epoch}
            for seed in (0, 1)
            for epoch in range(1, 21)
        ]
        write_atomic(tmp_path / "curves" / f"{name}.csv", csv_text(("fingerprint", "seed", *PASS_COLUMNS), rows))
    files = {
        **ablations.figure(tmp_path, studies()["ablation-from-1998"]),
        **ablations.figure(tmp_path, studies()["ablation-ladder"]),
        **ablations.curves(tmp_path),
        **classes.confusion(tmp_path, "tutorial-t1"),
    }
    stems = ("ablation-from-1998", "ablation-ladder", "tutorials", "confusion-tutorial-t1")
    assert {path.name for path in files} == {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png")}
    differences, ladder, curves, confused = (files[tmp_path / "figures" / f"{stem}.svg"].decode() for stem in stems)
    assert "ReLU (1 diverged)" in differences and "not compared" in differences
    assert "1 + ReLU (2 diverged)" in ladder and "test error, %" in ladder
    assert "T2 training" in curves and ">979<" in confused and ">1.5<" in confused
    assert classes.confusion(tmp_path, "tutorial-t1").items() <= files.items()
    study(tmp_path, "ablation-ladder", {"0 1998": [None, None], "1 + ReLU": [None, None]})
    with pytest.raises(TableError, match="all runs diverged"):
        ablations.figure(tmp_path, studies()["ablation-ladder"])
