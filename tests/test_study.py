"""The tables of the study and of the claims, from files whose numbers are worked out by hand."""

from __future__ import annotations

import csv
import importlib
import math
from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from synthetic_runs import ROOT, call, write_rows

from paper_lenet import paper
from paper_lenet.commands import entry
from paper_lenet.config import Config, ConfigError, DistortConfig
from paper_lenet.config.schema import defaults, first_defaults
from paper_lenet.config.studies import studies, with_guesses
from paper_lenet.files import csv_text, write_atomic
from paper_lenet.reporting.formats import Table
from paper_lenet.reporting.results import TableError
from paper_lenet.reporting.tables import deviations, readings
from paper_lenet.reporting.tables.build import available, build
from paper_lenet.reporting.tables.claims import claims, overlap
from paper_lenet.reporting.tables.common import TAGS
from paper_lenet.reporting.tables.readings import curve_distance, rate_distance
from paper_lenet.runs.records import ERROR_COLUMNS, PASS_COLUMNS

FIG5 = paper.fig5()["train_error_percent"].tolist()[:20]
Row = dict[str, Any]
DISTORTED: Row = {"distort.variants": 9}
# The columns that tell of the recipe of today's defaults.
BY_DEFAULT: Row = {key: value for key, value in defaults().items() if value != first_defaults()[key]}


def run(fingerprint: str, seed: int, test_error: float | None = None, **other: Any) -> Row:
    return {"fingerprint": fingerprint, "seed": seed, "test_error_percent": test_error, **other}


def write_runs(
    results: Path, name: str, rows: Sequence[Row], curves: Mapping[tuple[str, int], Sequence[float]]
) -> None:
    """results/runs/<name>.csv, and its curves: the training error of each pass, by fingerprint and seed."""
    write_rows(results, name, rows)
    passes = [
        {"fingerprint": fingerprint, "seed": seed, "pass": i, "train_error_percent": error}
        for (fingerprint, seed), errors in curves.items()
        for i, error in enumerate(errors, 1)
    ]
    columns = ("name", "fingerprint", "seed", *PASS_COLUMNS)
    write_atomic(results / "curves" / f"{name}.csv", csv_text(columns, passes))


def write_errors(results: Path, name: str, wrong: Mapping[int, Sequence[int]], fingerprint: str = "a") -> None:
    rows = [
        {"fingerprint": fingerprint, "seed": seed, "index": i, "true_label": i % 10, "predicted_label": (i + 1) % 10}
        for seed, images in wrong.items()
        for i in images
    ]
    write_atomic(results / "errors" / f"{name}.csv", csv_text(("fingerprint", "seed", *ERROR_COLUMNS), rows))


def write_tests(results: Path, name: str, errors: Sequence[float], fingerprint: str = "a", **other: Any) -> None:
    """One configuration, seeds from 100 on, whose training curves are Fig. 5's."""
    rows = [run(fingerprint, 100 + i, error, **other) for i, error in enumerate(errors)]
    write_runs(results, name, rows, {(fingerprint, 100 + i): FIG5 for i in range(len(errors))})


def rows_of(table: Table) -> dict[str, dict[str, str]]:
    """The cells of each row by column, the rows by their first cell."""
    return {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}


def study(results: Path) -> None:
    """Base (a, four seeds) with D = 0.2, its first two seeds D = 0.1; gain (b) with D = 0; eta (c), one seed lost."""
    no_test: Row = {"split": "none", "test_size": 0}
    base: Row = {**no_test, "model.init.gain": 1.1, "optim.eta_factor": 0.25}
    # Factors on Fig. 5: their means are e^0.1 over two seeds and e^0.2 over four.
    factors = [math.exp(0.1) * 0.5, math.exp(0.1) * 1.5, *[2 * math.exp(0.2) - math.exp(0.1)] * 2]
    rows = [run("a", 1000 + i, **base) for i in range(4)]
    rows += [run("b", seed, **{**base, "model.init.gain": 0.9}) for seed in (1000, 1001)]
    lost = {"status": "diverged", "passes": 0, "train_error_percent": None, "rate_min_pass1": None, "train_size": None}
    eta: Row = {**base, "optim.eta_factor": 1.0}
    rates = {"rate_min_pass1": 7e-5 * math.exp(0.1), "rate_max_pass1": 0.016 * math.exp(-0.1)}
    rows += [run("c", 1000, **{**eta, **rates}), run("c", 1001, **{**eta, **lost, "rate_max_pass1": None})]
    curves: dict[tuple[str, int], list[float]] = {
        ("a", 1000 + i): [f * error for error in FIG5] for i, f in enumerate(factors)
    }
    curves |= {("b", 1000): [0.5 * error for error in FIG5], ("b", 1001): [1.5 * error for error in FIG5]}
    # Up in every other pass, down in the rest: D is 0.3 although the mean is nearly right.
    curves["c", 1000] = [error * math.exp(0.3 * (-1) ** i) for i, error in enumerate(FIG5)]
    write_runs(results, "readings", rows, curves)


def test_distances() -> None:
    published = {1: 4.0, 2: 2.0}
    assert curve_distance({1: 4.0, 2: 2.0}, published) == 0
    assert curve_distance({1: 8.0, 2: 1.0}, published) == pytest.approx(math.log(2))
    assert curve_distance({1: 8.0, 2: 2.0}, published) == pytest.approx(math.log(2) / math.sqrt(2))
    assert curve_distance({1: 4.0, 2: 0.0}, published) == math.inf
    assert math.isnan(curve_distance({1: 4.0}, published))
    assert rate_distance(7e-5, 0.016 * math.e) == pytest.approx(1 / math.sqrt(2))


def test_readings(tmp_path: Path) -> None:
    study(tmp_path)
    table = readings.table(tmp_path, studies()["readings"])
    # By D, the one with a diverged run last.
    assert [row[0] for row in table.rows] == ["the paper", "model.init.gain=0.9", "base", "optim.eta_factor=1"]
    rows = rows_of(table)
    assert [row["D"] for row in rows.values()] == ["-", "0.000", "0.200", "0.300"]
    # Pass 2 is 3.04 in Fig. 5: 3.04 (e^0.2 - 1), and 3.04 (e^-0.3 - 1).
    largest = "largest difference from pass 2 on, points"
    assert [row[largest] for row in rows.values()] == ["-", "+0.000", "+0.673", "-0.788"]
    assert rows["model.init.gain=0.9"]["training error, pass 20, %"] == "0.36"
    assert (rows["base"]["smallest rate"], rows["base"]["largest rate"], rows["base"]["R"]) == (
        "7e-05",
        "0.016",
        "0.000",
    )
    assert rows["optim.eta_factor=1"]["R"] == "0.100"
    assert [row["n seeds"] for row in rows.values()] == ["1", "2", "4", "1"]
    assert rows["optim.eta_factor=1"]["diverged"] == "1 of 2"
    # ln 0.5 + 0.1, ln 1.5 + 0.1
    assert any("single seeds of the base reading: 0.593 (1000), 0.505 (1001)," in note for note in table.notes)
    assert "D of the base reading over the 2 seeds that every reading has: 0.100." in table.notes


def test_readings_refuse_test_errors(tmp_path: Path) -> None:
    write_tests(tmp_path, "readings", [0.9, 1.0])
    with pytest.raises(TableError, match="without the test set"):
        readings.table(tmp_path, studies()["readings"])


def test_j_of_eq9_is_always_said(tmp_path: Path) -> None:
    eq8: Row = {"split": "none", "test_size": 0, "loss.name": "eq8", "loss.j": 1.0, "optim.order": "constant"}
    changes: list[Row] = [{}, {"optim.order": "reshuffled"}, {"loss.name": "eq9"}, {"loss.name": "eq9", "loss.j": 10.0}]
    rows = [run(f"f{i}", 1000, **{**eq8, **change}) for i, change in enumerate(changes)]
    write_runs(tmp_path, "readings", rows, {(row["fingerprint"], 1000): FIG5 for row in rows})
    assert [row[0] for row in readings.table(tmp_path, studies()["readings"]).rows[1:]] == [
        "base",
        "loss.j=1, loss.name=eq9",
        "loss.j=10, loss.name=eq9",
        "optim.order=reshuffled",
    ]


def test_deviations(tmp_path: Path) -> None:
    write_tests(tmp_path, "quarter-fig5", [0.9, 1.0, 1.1])
    frozen: Row = {"model.pooling": "sum", "model.init.coefficient_value": 0.55, "optim.order": "constant"}
    frozen |= {"optim.hessian_samples": 500, "model.init.coefficient": "fixed"}
    order: Row = {**frozen, "optim.order": "reshuffled"}
    pooling: Row = {**frozen, "model.pooling": "average", "model.init.coefficient_value": 2.2}
    rows = [run("c", seed, 1.0, **{**frozen, "optim.hessian_samples": 100}) for seed in (100, 101)]
    # Random coefficients do not read the value that they would all have, so that it is not told.
    drawn: Row = {**frozen, "model.init.coefficient": "random", "model.init.coefficient_value": 0.25}
    rows += [run("d", seed, 1.0, **drawn) for seed in (100, 101)]
    # Seed 109 is not among quarter-fig5's.
    rows += [run("b", seed, error, **order) for seed, error in ((100, 1.0), (101, 1.2), (102, 1.4), (109, 5.0))]
    rows += [run("a", 100, 0.8, **pooling), run("a", 101, None, **{**pooling, "status": "diverged", "passes": 0})]
    write_runs(tmp_path, "quarter-deviations", rows, {})
    table = deviations.table(tmp_path, studies()["quarter-deviations"])
    assert [row[:2] for row in table.rows] == [
        ["D3", "model.init.coefficient=random"],
        ["D3, D4", "model.init.coefficient_value=2.2, model.pooling=average"],
        ["D10", "optim.order=reshuffled"],
        ["-", "optim.hessian_samples=100"],
    ]
    # Differences 0.1, 0.2, 0.3: half-width 4.303 * 0.1 / sqrt(3) = 0.248; 2 of the 8 signs are as extreme.
    assert table.rows[2][3:] == ["+0.200", "-0.048 to +0.448", "3", "0.25", "0 of 4"]
    assert table.rows[1][2:] == ["0.800", "-0.100", "-", "1", "-", "1 of 2"]
    assert table.rows[3][3] == "+0.050"
    write_tests(tmp_path, "quarter-distorted", [0.8, 0.9, 1.0], **DISTORTED)
    added = deviations.table(tmp_path, studies()["quarter-deviations"]).rows[3]
    assert (added[0], added[3], added[5]) == ("D12", "-0.100", "3")


def test_claims(tmp_path: Path) -> None:
    write_tests(tmp_path, "quarter-fig5", [0.9, 1.0, 1.1])
    test, train = "test error, 60,000 patterns, %", "training error on the fly, pass 20, %"
    curve = "training curve, farthest from Fig. 5 at pass 2, points"
    rows = rows_of(claims(tmp_path, "quarter-claims"))
    assert list(rows) == [train, curve, test]
    # Half-width 4.303 * 0.1 / sqrt(3); z = -0.05 / (0.1 * sqrt(4 / 3)).
    assert list(rows[test].values())[1:] == [
        "0.95",
        "1.000 ± 0.100",
        "0.752 to 1.248",
        "3",
        "-0.4",
        "-",
        "no verdict",
    ]
    assert rows[curve]["ours, mean ± std"] == "0.000 ± 0.000"
    assert rows[curve]["verdict"] == "reproduced at 0 of 19 passes"
    write_tests(tmp_path, "quarter-fig5", [0.9, 1.0, 1.1, 1.0, 1.0])
    rows = rows_of(claims(tmp_path, "quarter-claims"))
    assert rows[test]["verdict"] == "reproduced (n < 10)" and rows[test]["equal within 0.1 points"] == "open"
    assert rows[curve]["verdict"] == "reproduced at 19 of 19 passes"

    write_tests(tmp_path, "quarter-distorted", [0.8, 0.8, 1.0], **DISTORTED)
    write_tests(tmp_path, "quarter-eq9", [0.7, 0.8], **{"loss.name": "eq9"})
    sizes = [
        run(str(size), seed, 1.7, train_size=size, **{"data.train_size": size})
        for size in (15_000, 30_000)
        for seed in range(5)
    ]
    write_runs(tmp_path, "quarter-fig6", sizes, {})
    table = claims(tmp_path, "quarter-claims")
    rows = rows_of(table)
    labels = list(rows)
    assert labels.index(test + ", Eq. 9") == labels.index(test) + 1
    assert rows["test error, 15,000 patterns, %"]["paper"] == "1.68"
    assert rows["training error on the fly, 30,000 patterns, %"]["paper"] == "0.31"
    assert rows["test error, 30,000 patterns, %"]["verdict"] == "not reproduced (n < 10)"
    assert rows["test error with distortions, %"]["paper"] == "0.8"
    # Gains 0.1, 0.2, 0.1: mean 0.1333, deviation 0.0577, half-width 4.303 * 0.0577 / sqrt(3) = 0.1434.
    gain = list(rows["gain from distortions, points"].values())
    assert gain[1:] == ["0.15", "0.133 ± 0.058", "-0.010 to 0.277", "3", "+0.3", "-", "no verdict"]
    assert any("paired by seed; p = 0.25 " in note for note in table.notes)
    assert "results/runs/quarter-distorted.csv" in table.notes[-1]


def test_claims_are_about_whole_runs_and_test_images(tmp_path: Path) -> None:
    for other in ({"passes": 19}, {"test_size": 1000}, {"split": "validation"}, {"dataset": "digits"}):
        write_tests(tmp_path, "quarter-fig5", [0.9, 1.0], **other)
        with pytest.raises(TableError, match="quarter-fig5: not 20 passes and the 10000 test images"):
            claims(tmp_path, "quarter-claims")
    write_runs(tmp_path, "quarter-fig5", [run("a", 1, 0.9), run("b", 1, 0.9)], {})
    with pytest.raises(TableError, match="several configurations"):
        claims(tmp_path, "quarter-claims")


@pytest.mark.parametrize(
    ("name", "columns", "culprit"),
    [
        ("quarter-fig5", DISTORTED, "distort.variants=9, which is not what that name stands for"),
        ("quarter-fig5", {"model.name": "lenet4"}, "model.name=lenet4, which is not"),
        ("quarter-fig5", {"optim.mu": 0.1}, "optim.mu=0.1, which is not"),
        ("quarter-fig5", {"loss.name": "eq9"}, "loss.name=eq9, but that name stands for eq8"),
        ("quarter-eq9", {}, "loss.name=eq8, but that name stands for eq9"),
        ("quarter-distorted", {}, "distort.variants=0, but that name stands for distorted images"),
        ("quarter-eq9-distorted", {"loss.name": "eq9"}, "distort.variants=0, but"),
        ("quarter-fig6", {"data.skip": 5}, "data.skip=5, which is not"),
    ],
)
def test_runs_that_are_not_what_their_name_says(tmp_path: Path, name: str, columns: Row, culprit: str) -> None:
    write_tests(tmp_path, "quarter-fig5", [0.9, 1.0])
    write_tests(tmp_path, name, [0.9, 1.0], **columns)
    with pytest.raises(TableError, match=f"^{name}: {culprit}"):
        claims(tmp_path, "quarter-claims")


def test_overlap(tmp_path: Path) -> None:
    theirs = paper.fig8()["mnist_test_index"].tolist()
    others = sorted(set(range(100)) - set(theirs))
    write_tests(tmp_path, "fig5", [0.04, 0.02], **BY_DEFAULT)
    first, second = [*theirs[:3], others[0]], [theirs[0], others[0]]
    write_errors(tmp_path, "fig5", {100: first, 101: second})
    table = overlap(tmp_path)
    assert [row[0] for row in table.rows][:2] == ["n seeds", "errors of a seed"]
    # 4 and 2 errors, 3 and 1 of them Fig. 8's. Chance: 82 * 3 / 10,000. Pairs: both of the second's are among the
    # first's, two of the first's four among the second's: 82 * (1 + 1/2) / 2.
    assert [row[1] for row in table.rows] == ["2", "3.0 ± 1.4", "2.0 ± 1.4", "0.02", "61.5", "1", "79"]
    assert any(f"without distortions (index from 0): {theirs[0]}." in note for note in table.notes)
    write_tests(tmp_path, "distorted", [0.01], **DISTORTED, **BY_DEFAULT)
    write_errors(tmp_path, "distorted", {100: [theirs[5]]})
    table = overlap(tmp_path)
    assert table.header == ["", "without distortions", "with distortions"]
    assert [row[2] for row in table.rows] == ["1", "1.0", "1.0", "0.01", "-", "1", "81"]


def test_guesses_of_a_study() -> None:
    """Each is one change of the configurations that it names, with values of their own where it has a mapping."""
    plain = [{"label": "a", "model": "mlp", "optim.eta_factor": 0.5}, {"label": "b"}]
    guesses: dict[str, dict[str, Any]] = {
        "longer": {"of": ["b", "a"], "optim.passes": 60},
        "other": {"data.version": {"a": "small"}, "seeds": [0]},
    }
    assert with_guesses(plain, guesses) == [
        *plain,
        {"label": "b, longer", "optim.passes": 60},
        {"label": "a, longer", "model": "mlp", "optim.eta_factor": 0.5, "optim.passes": 60},
        {"label": "a, other", "model": "mlp", "optim.eta_factor": 0.5, "data.version": "small", "seeds": [0]},
    ]
    wrong: dict[str, dict[str, Any]] = {
        "longer: c: no configuration of this label": {"longer": {"of": ["c"], "optim.passes": 60}},
        "longer.loss: b: no value of this label": {"longer": {"of": ["b"], "loss": {"a": "eq8"}}},
    }
    for line, guess in wrong.items():
        with pytest.raises(ConfigError, match=f"^study.guesses.{line}$"):
            with_guesses(plain, guess)


def test_command_covers_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    results, page = Path("results"), Path("experiments", "readings.md")
    study(results)
    assert available(results) == ["readings"]
    write_atomic(page, "# Readings\n\n<!-- readings:begin -->\n<!-- readings:end -->\n\nVerdict.\n")
    assert call(monkeypatch, "tables", "--publish") == 0
    assert "| model.init.gain=0.9 | 2 | 0.000 |" in page.read_text(encoding="utf-8")
    assert page.read_text(encoding="utf-8").endswith("\n\nVerdict.\n")
    assert sorted(path.name for path in (results / "tables").iterdir()) == [
        f"readings.{s}" for s in ("csv", "md", "tex")
    ]

    write_tests(results, "fig5", [0.9, 1.0], fingerprint=Config().fingerprint(), **BY_DEFAULT)
    write_errors(results, "fig5", {100: range(90), 101: range(100)}, Config().fingerprint())
    distorted = Config(distort=DistortConfig(variants=9)).fingerprint()
    write_tests(results, "distorted", [0.8, 0.9], fingerprint=distorted, **DISTORTED, **BY_DEFAULT)
    write_errors(results, "distorted", {100: range(80), 101: range(90)}, distorted)
    assert available(results) == ["claims", "classes", "distorted", "fig5", "overlap", "readings"]
    assert call(monkeypatch, "tables", "--publish") == 0
    # The paper's 0.95 % is not that of a network trained with distortions.
    assert "0.95 |" not in (results / "tables" / "distorted.md").read_text(encoding="utf-8")
    assert call(monkeypatch, "tables", "--check") == 0
    page.write_text(page.read_text(encoding="utf-8").replace("0.200", "0.100"), encoding="utf-8")
    capsys.readouterr()
    assert call(monkeypatch, "tables", "--check") == 1
    assert capsys.readouterr().err == f"tables: not what the results give: {page}\n"
    rows = list(csv.reader((results / "tables" / "claims.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0][:2] == ["row", "paper"] and len(rows) == 1 + 5


def test_validation_is_named(tmp_path: Path) -> None:
    split: Row = {"split": "validation", "test_size": 5000, "train_size": 55_000}
    rows = [run(f"s{k}", seed, k, **{**split, "distort.strength": k}) for k in (0.5, 1.0) for seed in (2000, 2001)]
    write_runs(tmp_path, "strength", rows, {})
    text = build(tmp_path, ["strength"], None)[tmp_path / "tables" / "strength.md"]
    assert "errors on 5000 images held out of the training set (validation)" in text
    assert "| distort.strength | validation error, % |" in text
    assert "| 0.5 | 0.500 ± 0.000 |" in text


def test_further_commands_wait_for_all_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The strings are read by networks of two studies, and either of them may come last."""
    study = importlib.import_module("paper_lenet.commands.study")
    steps: list[tuple[str, ...]] = []
    monkeypatch.setattr(study, "step", lambda *words: steps.append(words))
    monkeypatch.setattr(study, "check_sweep", lambda *_: [(Config(), [])])
    monkeypatch.setattr("sys.argv", ["study", "strings"])
    assert entry.run("study") == 0
    assert [step[0] for step in steps[:4]] == ["train", "collect"] * 2
    assert [step[:3] for step in steps[4:6]] == [
        ("strings", "windows", "windows-modern"),
        ("amounts", "windows", "--results"),
    ]


def test_tags_are_there() -> None:
    page = (ROOT / "DEVIATIONS.md").read_text(encoding="utf-8")
    for field, tag in TAGS.items():
        assert attrgetter(field)(Config()) is not None
        assert f"\n| {tag} |" in page
