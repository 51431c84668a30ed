"""What all entry points have in common: a Python without the libraries, and an interrupt, end in one line."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from synthetic_runs import ROOT, call

from paper_lenet import collect

SCRIPTS = sorted(path.name for path in (ROOT / "experiments").glob("[!_]*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_python_without_the_libraries(script: str, tmp_path: Path) -> None:
    command = [sys.executable, "-S", str(ROOT / "experiments" / script), "a.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith(f"{script.removesuffix('.py')}: {sys.executable} has no module ")
    assert done.stderr.endswith(f"; make setup makes an environment: .venv/bin/python experiments/{script}\n")


def test_module_of_ours_that_is_missing_is_no_matter_of_the_environment(tmp_path: Path) -> None:
    program = "from experiments import _entry; _entry.begin('__main__'); import paper_lenet.no_such_module"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.startswith("Traceback")


def test_interrupt_that_a_library_makes_an_error_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def library(*_: object, **__: object) -> None:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise RuntimeError("two lines\nof a library")

    monkeypatch.setattr(collect, "collect", library)
    assert call(monkeypatch, "collect", "outputs/lenet5") == 75
    line = "interrupted: collect: what was written is whole; the same command does the rest\n"
    assert capsys.readouterr().err == line
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
