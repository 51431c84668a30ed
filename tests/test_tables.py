"""Tables say what the CSV says, count what diverged, and notice an edited number."""

from __future__ import annotations

import csv
import math
import re
import shutil
import subprocess
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_runs import ROOT, begun, call, clean_tree, config, data, record, write_rows, write_runs

from paper_lenet.config import DistortConfig, EngineConfig, LossConfig, ModelConfig
from paper_lenet.engines import NonFiniteError
from paper_lenet.files import csv_text
from paper_lenet.reporting.formats import Table, cells_of, lowest, markdown_row
from paper_lenet.reporting.results import TableError, read_curves, read_errors, read_runs
from paper_lenet.reporting.tables.build import build, splice
from paper_lenet.reporting.tables.common import configurations, diverged_note, setting
from paper_lenet.runs.collect import collect, configuration
from paper_lenet.runs.records import GUESSING_PERCENT, write_job

README = "# Title\n\n<!-- headline:begin -->\nold\n<!-- headline:end -->\n\nMore.\n"


@pytest.fixture(autouse=True)
def committed(monkeypatch: pytest.MonkeyPatch) -> None:
    clean_tree(monkeypatch)


def collected(tmp_path: Path) -> Path:
    collect(tmp_path / "outputs" / "lenet5", tmp_path / "results")
    return tmp_path / "results"


def text(results: Path, name: str, suffix: str = "md") -> str:
    return build(results, [name], None)[results / "tables" / f"{name}.{suffix}"]


def test_headline(tmp_path: Path) -> None:
    write_runs(config(tmp_path / "outputs", [0, 1, 2], passes=20), [90, 95, 100])
    results = collected(tmp_path)
    markdown = text(results, "lenet5")
    # Half-width of the interval: 4.303 * 0.05 / sqrt(3) = 0.124.
    assert "| test error, % | 0.95 | 0.950 ± 0.050 | 0.826 to 1.074 | 3 | +0.0 | - | no verdict |" in markdown
    assert "| training error on the fly, last pass, % | 0.35 | 0.350 ± 0.000 |" in markdown
    assert "| largest effective rate, first pass | 0.016 | 0.016 ± 0 |" in markdown
    assert "n = 3 seeds" in markdown
    assert "Commit c0ffeec0ffee; runs of 20" in markdown
    rows = list(csv.reader(text(results, "lenet5", "csv").splitlines()))
    interval = "95 % interval of the mean"
    assert rows[0] == ["row", "paper", "ours, mean", "ours, std", f"{interval}, low", f"{interval}, high", "n seeds",
                       "z", "equal within 0.1 points", "verdict"]  # fmt: skip
    assert rows[1] == ["test error, %", "0.95", "0.950", "0.050", "0.826", "1.074", "3", "0.0", "", "no verdict"]
    latex = text(results, "lenet5", "tex")
    assert r"test error, \% & 0.95 & 0.950 $\pm$ 0.050" in latex
    assert r"\toprule" in latex and "n = 3 seeds; intervals are Student's t" in latex.split(r"\label")[0]
    assert r"\textbf" not in latex


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    write_runs(config(tmp_path / "outputs", [0], passes=20), [90])
    assert "| test error, % | 0.95 | 0.900 | - | 1 | - | - | no verdict |" in text(collected(tmp_path), "lenet5")


def test_diverged_runs_are_stated_not_averaged(tmp_path: Path) -> None:
    write_runs(config(tmp_path / "outputs", [0, 1], passes=20), [90, 100])
    job, held_out = config(tmp_path / "outputs", [2], passes=20), data()
    write_job(job)
    writer = begun(job, 2)
    writer.add(record(2, 1, held_out, 9026, 54_000, on_all=54_100))
    writer.finish()
    markdown = text(collected(tmp_path), "lenet5")
    assert "0.950 ± 0.071" in markdown
    assert "| 2 | +0.0 | - | no verdict (1 diverged) |" in markdown
    assert "1 of 3 runs diverged and are in no mean: ended at guessing: test error 90.26 %.\n" in markdown


def test_how_each_run_diverged_is_told() -> None:
    def lost(test_error: float | None, on_all: float | None, at: str | None = None) -> dict[str, Any]:
        about = {"status": "diverged", "split": "test", "diverged_at": at}
        return about | {"test_error_percent": test_error, "training_set_error_percent": on_all}

    rows = [lost(90.26, 90.2), lost(90.26, 90.3), lost(51.6, 51.5), lost(None, None, "pass 3 update 7")]
    assert diverged_note(pd.DataFrame([*rows, lost(None, 88.7), {"status": "ok"}])) == [
        "5 of 6 runs diverged and are in no mean: ended at guessing: test error 90.26 % (2 runs); ended at guessing: "
        "training error 88.70 %; ended better than guessing (an earlier rule, results/ERRATA.md): test error 51.60 %; "
        "not finite in pass 3."
    ]
    assert diverged_note(pd.DataFrame([{"status": "ok"}])) == []


def test_errata_name_all_runs_of_the_earlier_rule() -> None:
    errata = (ROOT / "results" / "ERRATA.md").read_text(encoding="utf-8")
    (of_rule,) = (part for part in errata.split("\n## ") if part.startswith("Runs called diverged"))
    lines = of_rule.splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][2:]
    found = []
    for path in sorted((ROOT / "results" / "env").glob("*.json")):
        runs = read_runs(ROOT / "results", path.stem)
        old = runs[runs["diverged_at"].isna() & (runs["status"] == "diverged")]
        for _, run in old[old["training_set_error_percent"] < GUESSING_PERCENT].iterrows():
            error = run["training_set_error_percent" if pd.isna(run["test_error_percent"]) else "test_error_percent"]
            found.append((path.stem, str(run["seed"]), f"{error:.2f}"))
    assert sorted(found) == sorted((name, seed, error) for name, _, seed, _, error in cells)


def test_all_diverged(tmp_path: Path) -> None:
    job = config(tmp_path / "outputs", [0, 1, 2], passes=20)
    write_job(job)
    for seed in job.seeds:
        begun(job, seed).diverged(NonFiniteError(seed, 1, 9))
    results = collected(tmp_path)
    assert "| test error, % | 0.95 | 3 of 3 diverged | - | 0 | - | - | not reproduced |" in text(results, "lenet5")
    assert list(csv.reader(text(results, "lenet5", "csv").splitlines()))[1][2:5] == ["", "", "0"]


def test_other_data_are_not_compared_with_the_paper(tmp_path: Path) -> None:
    write_runs(config(tmp_path / "outputs", [0, 1], dataset="digits"), [5, 7], data("digits", 297))
    results = collected(tmp_path)
    markdown = text(results, "lenet5-digits")
    assert "not MNIST" in markdown
    assert "paper |" not in markdown and "verdict" not in markdown and "0.95 |" not in markdown
    readme = tmp_path / "README.md"
    assert readme not in build(results, ["lenet5-digits"], tmp_path)


def test_part_of_mnist_is_not_compared_with_the_paper(tmp_path: Path) -> None:
    write_runs(config(tmp_path / "outputs", [0, 1]), [5, 7], data("mnist", 1000))
    markdown = text(collected(tmp_path), "lenet5")
    assert "not the paper's 60,000" in markdown
    assert "verdict" not in markdown


@pytest.mark.parametrize(
    "other",
    [
        {"model": ModelConfig(name="lenet4")},
        {"model": ModelConfig(pooling="max_pool")},
        {"model": ModelConfig(activation="relu")},
        {"distort": DistortConfig(variants=9)},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["lenet5", "fig5", "mine"])
def test_only_the_network_of_1998_is_compared_with_the_paper(tmp_path: Path, name: str, other: dict[str, Any]) -> None:
    write_runs(config(tmp_path / "outputs", [0, 1], passes=20, name=name, **other), [90, 100])
    collect(tmp_path / "outputs" / name, tmp_path / "results")
    markdown = text(tmp_path / "results", name)
    assert "0.950 ± 0.071" in markdown and "paper |" not in markdown and "erdict" not in markdown


@pytest.mark.parametrize(
    "other", [{"label": "mine"}, {"loss": LossConfig("eq9")}, {"engine": EngineConfig("reference")}]
)
def test_what_the_paper_leaves_open_is_compared_with_it_whatever_the_name(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    write_runs(config(tmp_path / "outputs", [0, 1], passes=20, name="distorted", **other), [90, 100])
    collect(tmp_path / "outputs" / "distorted", tmp_path / "results")
    assert "| test error, % | 0.95 | 0.950 ± 0.071 |" in text(tmp_path / "results", "distorted")


def test_errors_after_other_than_the_papers_passes_have_no_verdict(tmp_path: Path) -> None:
    write_runs(config(tmp_path / "outputs", [0, 1], passes=3), [90, 100])
    markdown = text(collected(tmp_path), "lenet5")
    assert re.search(r"\| test error, % \| - \| 0.950 .* \| - \|\n", markdown)
    assert re.search(r"first pass \| 0.016 \| .* - \| no verdict \|\n", markdown)
    assert "The paper's errors are those after 20 passes." in markdown


def test_columns_that_do_not_tell_what_was_trained(tmp_path: Path) -> None:
    write_runs(config(tmp_path / "outputs", [0, 1], passes=20, distort=DistortConfig(variants=9)), [90, 100])
    path = collected(tmp_path) / "runs" / "lenet5.csv"
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    path.write_text(csv_text([column for column in rows[0] if column != "distort.variants"], rows), encoding="utf-8")
    with pytest.raises(TableError, match="lenet5: its columns do not tell what was trained"):
        build(tmp_path / "results", ["lenet5"], None)


def test_committed_rows_tell_all_of_what_was_trained() -> None:
    for path in sorted((ROOT / "results" / "env").glob("*.json")):
        rows = csv.DictReader((ROOT / "results" / "runs" / f"{path.stem}.csv").open(newline="", encoding="utf-8"))
        for row in {row["fingerprint"]: row for row in rows}.values():
            assert configuration(row).fingerprint() == row["fingerprint"], path.stem


def test_sweep(tmp_path: Path) -> None:
    write_runs(config(tmp_path / "outputs", [0, 1], eta_factor=0.25), [90, 100])
    write_runs(config(tmp_path / "outputs", [0, 1], eta_factor=1.0), [200, 200])
    results = collected(tmp_path)
    markdown = text(results, "lenet5")
    assert "| 0.25 | 0.950 ± 0.071 |" in markdown
    assert "| 1.0 | 2.000 ± 0.000 |" in markdown
    latex = text(results, "lenet5", "tex")
    assert r"optim.\\eta\_factor" in latex  # a header in two lines
    # the lower test error; both training errors, since they are equal
    assert latex.count(r"\bfseries") == 3 and r"\bfseries 0.950 \pm 0.071 " in latex
    rows = list(csv.DictReader(text(results, "lenet5", "csv").splitlines()))
    assert {row["optim.eta_factor"]: row["test error, %, mean"] for row in rows} == {"0.25": "0.950", "1.0": "2.000"}
    assert [(row["n seeds"], row["n seeds, of"]) for row in rows] == [("2", "2")] * 2
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    with pytest.raises(TableError, match="several configurations"):
        build(results, ["lenet5"], tmp_path)


def test_rows_of_a_sweep_are_in_order_of_what_differs(tmp_path: Path) -> None:
    fields = [
        ("b", 10.0, "[300, 100]"),
        ("b", 2.0, "[1000]"),
        ("2 b", 0.5, "[300]"),
        ("b", 2.0, "[300]"),
        ("10 a", 4, "[]"),
    ]
    rows = [
        {"fingerprint": f"{k:012}", "seed": 0, "label": label, "optim.eta_factor": eta, "model.hidden": hidden}
        for k, (label, eta, hidden) in enumerate(fields)
    ]
    write_rows(tmp_path, "mine", [{**row, "test_error_percent": 1.0} for row in rows])
    runs = read_runs(tmp_path, "mine")[["fingerprint", "label", "model.hidden", "optim.eta_factor"]]
    assert [int(fingerprint) for fingerprint, _ in configurations(runs)] == [2, 4, 3, 0, 1]
    runs = runs[["fingerprint", "optim.eta_factor", "model.hidden"]]
    assert [int(fingerprint) for fingerprint, _ in configurations(runs)] == [2, 3, 1, 4, 0]


@pytest.mark.parametrize(
    ("sizes", "passes", "caption"),
    [
        ((60_000, 60_000), (20, 20), "mine on MNIST: 60,000 training images, 20 passes."),
        ((60_000, 60_000), (60, 20), "mine on MNIST: 60,000 training images, 20 or 60 passes."),
        ((15_000, 5000), (1, 1), "10,000 test images. 5,000 or 15,000 training images, 1 pass."),
    ],
)
def test_caption(tmp_path: Path, sizes: tuple[int, int], passes: tuple[int, int], caption: str) -> None:
    rows = [
        {"fingerprint": f"{k:012}", "seed": 0, "test_error_percent": 1.0, "passes": of, "train_size": size}
        for k, (size, of) in enumerate(zip(sizes, passes, strict=True))
    ]
    write_rows(tmp_path, "mine", [{**row, "optim.passes": row["passes"]} for row in rows])
    assert text(tmp_path, "mine").splitlines()[0].strip("*").endswith(caption)


def test_lists_among_settings() -> None:
    assert setting("[0.0005, 5e-05, 5e-05, 1e-05]") == "[0.0005, 5e-05 ×2, 1e-05]"
    assert setting("[300, 100]") == "[300, 100]"
    assert setting("regular") == "regular"


def test_splice(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(README, encoding="utf-8")
    splice(path, "headline", "new\n")
    splice(path, "headline", "newer\n")
    assert path.read_text(encoding="utf-8") == README.replace("old", "newer")
    for wrong in ("", README + README, "<!-- headline:end --><!-- headline:begin -->"):
        path.write_text(wrong, encoding="utf-8")
        with pytest.raises(TableError, match="needs one"):
            splice(path, "headline", "new")
        assert path.read_text(encoding="utf-8") == wrong


def test_command_and_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    results, readme = Path("results"), Path("README.md")
    assert call(monkeypatch, "tables", "--publish") == 1
    assert "no results" in capsys.readouterr().err
    write_runs(config(tmp_path / "outputs", [0, 1, 2]), [90, 95, 100])
    collected(tmp_path)
    readme.write_text(README, encoding="utf-8")
    assert call(monkeypatch, "tables", "--check") == 1
    assert readme.read_text(encoding="utf-8") == README
    assert call(monkeypatch, "tables", "--publish") == 0
    assert "0.950 ± 0.050" in readme.read_text(encoding="utf-8")
    assert readme.read_text(encoding="utf-8").endswith("\n\nMore.\n")
    assert call(monkeypatch, "tables", "--check") == 0
    for edited in (readme, results / "tables" / "lenet5.tex"):
        good = edited.read_text(encoding="utf-8")
        edited.write_text(good.replace("0.050", "0.040"), encoding="utf-8")
        capsys.readouterr()
        assert call(monkeypatch, "tables", "--check") == 1
        assert capsys.readouterr().err == f"tables: not what the results give: {edited}\n"
        edited.write_text(good, encoding="utf-8")


def test_only_what_is_published_goes_into_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text(README, encoding="utf-8")
    write_runs(config(Path("outputs"), [0, 1, 2]), [90, 95, 100])
    # one's own runs may be of changed code, and their table says so; published ones may not
    clean_tree(monkeypatch, dirty=True)
    write_runs(config(Path("outputs"), [3]), [95])
    assert call(monkeypatch, "collect", "outputs/lenet5", "--publish") == 1
    assert "uncommitted changes" in capsys.readouterr().err
    for place, folder in (((), "outputs/results"), (("--results", "mine"), "mine")):
        assert call(monkeypatch, "collect", "outputs/lenet5", *place) == 0
        assert call(monkeypatch, "tables", *place) == 0
        shown = capsys.readouterr().out
        assert "| test error, % |" in shown and "with uncommitted changes" in shown
        assert {path.name for path in Path(folder, "tables").iterdir()} == {f"lenet5.{x}" for x in ("md", "tex", "csv")}
    assert Path("README.md").read_text(encoding="utf-8") == README and not Path("results").exists()


def test_damaged_results(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "lenet5.csv"
    path.parent.mkdir()
    for content, message in (
        ("", "cannot be read"),
        ("a,b\n1,2\n", "no results"),
        ("fingerprint\nab\n", "column"),
    ):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(TableError, match=message):
            build(tmp_path, ["lenet5"], None)


def readable(results: Path) -> None:
    """Read all that the tables and figures read of lenet5."""
    runs = read_runs(results, "lenet5")
    read_curves(results, "lenet5", runs)
    read_errors(results, "lenet5", runs)


@pytest.mark.parametrize("folder", ["runs", "curves", "errors"])
def test_wherever_a_file_of_results_is_cut(tmp_path: Path, folder: str) -> None:
    write_runs(config(tmp_path / "outputs", [0, 1]), [3, 4])
    results = collected(tmp_path)
    readable(results)
    path = results / folder / "lenet5.csv"
    whole = path.read_text(encoding="utf-8")
    for end in range(len(whole)):
        path.write_text(whole[:end], encoding="utf-8")
        with pytest.raises(TableError) as error:
            readable(results)
        assert str(path) in str(error.value) and "\n" not in str(error.value), end


@pytest.mark.parametrize(
    ("folder", "column", "value", "culprit"),
    [
        ("runs", "seed", "x", "seed is not a number"),
        ("runs", "test_error_percent", "", "no test_error_percent"),
        ("runs", "status", "fine", "status is neither"),
        ("runs", "commit", "", "no commit"),
        ("runs", "seed", "0", "a run that an earlier row has"),
        ("curves", "train_error_percent", "-", "train_error_percent is not a number"),
        ("curves", "pass", "3", "seed 1: 2 passes, in runs/lenet5.csv 2"),
        ("errors", "true_label", "", "no true_label"),
        ("errors", "index", "0", "an image that an earlier row has"),
        ("errors", "seed", "5", "seed 1: 3 errors, in runs/lenet5.csv 4"),
    ],
)
def test_damaged_cell(tmp_path: Path, folder: str, column: str, value: str, culprit: str) -> None:
    write_runs(config(tmp_path / "outputs", [0, 1]), [3, 4])
    results = collected(tmp_path)
    path = results / folder / "lenet5.csv"
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    rows[-1][column] = value
    path.write_text(csv_text(list(rows[0]), rows), encoding="utf-8")
    with pytest.raises(TableError, match=culprit) as error:
        readable(results)
    assert str(path) in str(error.value) and (
        f"row {len(rows)} " in str(error.value) or " seed 1: " in str(error.value)
    )


def test_committed_results_are_whole() -> None:
    results = ROOT / "results"
    for path in sorted((results / "env").glob("*.json")):
        runs = read_runs(results, path.stem)
        read_curves(results, path.stem, runs)
        read_errors(results, path.stem, runs)


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("-0.05 to +0.1", "$-$0.05 to +0.1"),
        ("-", "--"),
        ("1.81e-05", r"$1.81\times10^{-5}$"),
        ("Adam-W, 20-fold, commit 12e456789012", "Adam-W, 20-fold, commit 12e456789012"),
        ('"a_b" & 5 %', r"``a\_b'' \& 5 \%"),
        ("a/b, not a / b", r"a/\allowbreak{}b, not a / b"),
        ("x < y", "x $<$ y"),
        ("input −0.1", "input $-$0.1"),
        ("[500] of `a` \\ ~^ {}", r"{}[500] of \`{}a\`{} \textbackslash{} \~{}\^{} \{\}"),
        ("a--b'' η Ω Ο é ø ß", r"a-{}-b'{}' $\eta$ $\Omega$ O \'{e} \o{} \ss{}"),
        ("\N{GRINNING FACE}\N{VARIATION SELECTOR-16}", "{}[grinning face]"),
    ],
)
def test_text_for_latex(text: str, latex: str) -> None:
    made = Table("t", "c", ["h"], [[text]], [], "s").latex()
    assert f"\n{latex} \\\\\n" in made


def test_numbers_for_latex() -> None:
    """Below each other at their points; what has none, a range or an exponent stands to the right as it is."""
    rows = [["a", "+1,234.5", "0.98 ± 0.06", "1 to 2", "1e-05", "10"], ["b", "-0.25", "-", "3 to 4", "0.5", "9"]]
    made = Table("t", "c", ["h", *"vwxyz"], rows, [], "s", {(0, 1)}).latex()
    assert "lS[table-format=+4.2]S[table-format=1.2(1)]rrr" in made
    assert r"a & \bfseries +1234.5 & 0.98 \pm 0.06 & 1 to 2 & $1\times10^{-5}$ & 10 \\" in made
    assert r"b & -0.25 & {--} & 3 to 4 & 0.5 & 9 \\" in made and r"h & {v} & {w} & x" in made


def test_code_in_notes_for_latex() -> None:
    made = Table("t", "c", ["h"], [["a"]], ["Made by `tables.py x_y`."], "s").latex()
    assert r"\raggedright Made by \texttt{tables.py x\_y}.\end{minipage}" in made


HOSTILE = [
    'a | b % _ & # $ \\ ~ ^ < > " * {} ` −0.1 η é \N{GRINNING FACE}',
    *("|", "\\", "\\|", "a\\|b", "`", "`a`", "*a*", "_a_", "<b>", "&amp;", "[500] x", "[a](b)", "* a", "$a$", "1 to 2"),
]


def test_labels_in_markdown_and_csv() -> None:
    table = Table("t", "c", ["|", "n"], [[label, "1 of 2"] for label in HOSTILE], [], "s")
    header, _, *rows = [cells_of(line) for line in table.markdown().splitlines() if line.startswith("|")]
    assert header == table.header and rows == table.rows
    assert list(csv.reader(table.csv().splitlines())) == [["|", "n", "n, of"], *([x, "1", "2"] for x in HOSTILE)]
    # what Markdown would take as markup, and what it would not
    assert markdown_row(["*a*", "<b>", "a_b _c", "< 5", "[500]"]) == r"| \*a\* | \<b> | a_b \_c | < 5 | [500] |"


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_any_cells_are_read_again(cells: list[str]) -> None:
    assert cells_of(markdown_row(cells)) == [re.sub(r"\s", " ", cell).strip(" ") for cell in cells]


def test_what_no_page_has_room_for_is_divided() -> None:
    made = Table("t", "c", ["h"], [[f"row {k}"] for k in range(120)], ["A note."], "s").latex()
    assert [made.count(text) for text in (r"\begin{table}", "Part 3 of 3", r"\label", "A note.")] == [3, 1, 1, 1]
    made = Table("t", "c", ["h", *["x"] * 30], [["row", *["1.000 ± 0.100"] * 30]], [], "s").latex()
    assert made.count("\nrow & ") == made.count(r"\toprule") == 3 and made.count(r"0.100") == 30


def test_wide_tables_are_turned() -> None:
    for columns, kind in ((3, "{table}"), (7, "{table*}"), (12, "{sidewaystable*}")):
        made = Table("t", "c", ["h"] * columns, [["1.000 ± 0.100"] * columns], [], "s").latex()
        assert rf"\begin{kind}" in made and rf"\end{kind}" in made


def test_best_of_those_that_did_not_diverge() -> None:
    assert lowest([0.9, math.nan, 0.80001, 0.8], 2) == {(2, 2), (3, 2)}
    assert lowest([math.nan, math.nan], 2) == set()


COLUMNS = (
    "\\documentclass[twocolumn]{article}\\usepackage[margin=1in]{geometry}"
    "\\usepackage{booktabs,tabularx,rotating,siunitx}"
)
MISSING = [tool for tool in ("pdflatex", "pdftotext") if shutil.which(tool) is None] or [
    name for name in ("siunitx.sty",) if subprocess.run(["kpsewhich", name], capture_output=True).returncode
]
NEEDS_TEX = pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}")


def pdflatex(folder: Path, name: str) -> Counter[str]:
    """The words on the pages of a file; nothing may be wider or longer than its page has room for."""
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    log = (folder / name).with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    assert not re.findall(r"^Overfull|^LaTeX Warning: Float too large", log, re.MULTILINE), log
    pdf = str((folder / name).with_suffix(".pdf"))
    shown = subprocess.run(["pdftotext", pdf, "-"], capture_output=True, text=True, check=True).stdout
    return Counter(unicodedata.normalize("NFKC", shown).replace("±", " ± ").split())


def numbers_of(rows: Iterable[list[str]]) -> Counter[str]:
    """The numbers without an exponent, as LaTeX prints them: a row that runs off the page takes its numbers along."""
    words = (word for row in rows for cell in row for word in cell.split())
    return Counter(re.sub("^-", "−", word) for word in words if re.fullmatch(r"[+-]?[\d,]*\d(\.\d+)?", word))


def compile_all(folder: Path, files: list[Path]) -> None:
    r"""Each alone, and all of them \input in one article of two columns; no number of a row may be missing."""
    whole: Counter[str] = Counter()
    for path in files:
        shutil.copy(path, folder / path.name)
        grid = [
            line for line in path.with_suffix(".md").read_text(encoding="utf-8").splitlines() if line.startswith("|")
        ]
        expected = numbers_of(map(cells_of, grid[2:]))
        assert expected and not expected - pdflatex(folder, path.name), path
        whole += expected
    inputs = "\n".join(rf"\input{{{path.name}}}\clearpage" for path in files)
    (folder / "together.tex").write_text(
        f"{COLUMNS}\\begin{{document}}\n{inputs}\n\\end{{document}}\n", encoding="utf-8"
    )
    assert not whole - pdflatex(folder, "together.tex")


@NEEDS_TEX
def test_latex_compiles(tmp_path: Path) -> None:
    write_runs(config(tmp_path / "outputs", [0, 1]), [90, 100])
    files = build(collected(tmp_path), ["lenet5"], None)
    hostile = Table("hostile", "c", ["", "n"], [[label, "12"] for label in HOSTILE * 5], ["[A] note."], "s")
    (tmp_path / "hostile.tex").write_text(hostile.latex(), encoding="utf-8")
    (tmp_path / "hostile.md").write_text(hostile.markdown(), encoding="utf-8")
    for path, text in files.items():
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    (tmp_path / "tex").mkdir()
    compile_all(tmp_path / "tex", [tmp_path / "lenet5.tex", tmp_path / "hostile.tex"])


@NEEDS_TEX
@pytest.mark.slow
def test_committed_latex_compiles(tmp_path: Path) -> None:
    compile_all(tmp_path, sorted((ROOT / "results" / "tables").glob("*.tex")))


def test_readme_has_the_bibliography() -> None:
    assert f"```bibtex\n{(ROOT / 'references.bib').read_text(encoding='utf-8').strip()}\n```" in (
        ROOT / "README.md"
    ).read_text(encoding="utf-8")


def test_committed_tables_say_where_they_come_from() -> None:
    tables = ROOT / "results" / "tables"
    names = {path.stem for path in tables.iterdir()}
    assert names
    for name in names:
        assert list(csv.DictReader((tables / f"{name}.csv").open(encoding="utf-8"))), name
        markdown, latex = (
            (tables / f"{name}.md").read_text(encoding="utf-8"),
            (tables / f"{name}.tex").read_text(encoding="utf-8"),
        )
        footer = r"Commit [0-9a-f]{12}.*; (runs|fits) of \d{4}-\d\d-\d\d on .*, by experiments/"
        for text in (markdown, latex.replace(r"\allowbreak{}", "")):
            assert re.search(footer, text), name
        caption = latex.split(r"\caption{")[1].split(r"\label")[0]
        assert "n = " in caption and "interval" in caption, name


@pytest.mark.parametrize("label", ["None", "NA", "null"])
def test_label_that_looks_like_a_missing_cell(label: str, tmp_path: Path) -> None:
    for kind, suffix in (("runs", "csv"), ("env", "json")):
        (tmp_path / kind).mkdir()
        text = (ROOT / "results" / kind / f"ablation-ladder.{suffix}").read_text(encoding="utf-8")
        (tmp_path / kind / f"mine.{suffix}").write_text(text.replace(",0 1998,", f",{label},"), encoding="utf-8")
    runs = read_runs(tmp_path, "mine")
    assert label in set(runs["label"]) and "0 1998" not in set(runs["label"]) and runs["label"].notna().all()
