"""results/recompute.py agrees with the committed tables, and notices a changed cell in a table of each kind."""

from __future__ import annotations

import ast
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "results" / "recompute.py"
sys.path.insert(0, str(SCRIPT.parent))

import recompute  # noqa: E402

KINDS = [*recompute.TABLES, "ablation-ladder", "recipe", "recipe-windows", "lenet5", "choice-modern"]


def copied(folder: Path, name: str) -> Path:
    """The committed results with one table, which may be changed."""
    for path in (ROOT / "results").iterdir():
        if path.name != "tables":
            (folder / path.name).symlink_to(path)
    (folder / "tables").mkdir()
    for suffix in ("md", "csv"):
        shutil.copy(ROOT / "results" / "tables" / f"{name}.{suffix}", folder / "tables")
    return folder


def change(path: Path) -> None:
    """Another first digit of the last number in the last row."""
    text = path.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if path.suffix == ".csv" or line.startswith("|")]
    *_, number = re.finditer(r"\d[\d.]*", rows[-1])
    at = number.start()
    changed = rows[-1][:at] + str((int(rows[-1][at]) + 1) % 10) + rows[-1][at + 1 :]
    path.write_text(text.replace(rows[-1], changed), encoding="utf-8")


def test_committed_tables_are_what_the_runs_give():
    """All of them, more than 95 % of their cells, in less than 20 s of one core."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 20
    total = done.stdout.splitlines()[-1]
    assert ", 0 differ," in total
    assert float(re.findall(r"([\d.]+) % covered", total)[0]) > 95


@pytest.mark.parametrize("name", KINDS)
def test_changed_cell_is_noticed(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    results = copied(tmp_path, name)
    assert recompute.main(results) == 0
    capsys.readouterr()
    for suffix in ("md", "csv"):
        change(results / "tables" / f"{name}.{suffix}")
    recompute.read.cache_clear()
    assert recompute.main(results) == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{name}: "))
    assert ", 0 differ," not in line


def test_csv_that_has_another_number_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    results = copied(tmp_path, "fig5")
    change(results / "tables" / "fig5.csv")
    assert recompute.main(results) == 1
    assert "CSV, row 4" in capsys.readouterr().out


def test_missing_row_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    results = copied(tmp_path, "choice-modern")
    for suffix in ("md", "csv"):
        path = results / "tables" / f"choice-modern.{suffix}"
        lines = path.read_text(encoding="utf-8").splitlines()
        last = max(k for k, line in enumerate(lines) if suffix == "csv" or line.startswith("|"))
        path.write_text("\n".join(lines[:last] + lines[last + 1 :]) + "\n", encoding="utf-8")
    assert recompute.main(results) == 1
    assert "a row that the table lacks" in capsys.readouterr().out


def test_changed_run_is_noticed(tmp_path: Path):
    results = copied(tmp_path, "choice-modern")
    (results / "runs").unlink()
    shutil.copytree(ROOT / "results" / "runs", results / "runs")
    path = results / "runs" / "choice-modern.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",0.68,34,", ",0.78,39,", 1), encoding="utf-8")
    assert recompute.main(results) == 1


def test_unknown_table_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    results = copied(tmp_path, "fig5")
    (results / "tables" / "fig5.md").rename(results / "tables" / "unheard.md")
    assert recompute.main(results) == 1
    assert "unheard: nothing here recomputes it" in capsys.readouterr().out


def test_it_shares_no_code_with_the_package():
    """Its imports are pandas, NumPy, SciPy, the standard library and its own modules."""
    for path in (SCRIPT, *(SCRIPT.parent / "recomputing").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                first = str(name).split(".")[0]
                assert first in {"pandas", "numpy", "scipy", "recomputing", *sys.stdlib_module_names}, f"{path}: {name}"
