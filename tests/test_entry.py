"""What all entry points have in common: a Python without the libraries, and an interrupt, end in one line."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from synthetic_runs import ROOT, call

import paper_lenet
from paper_lenet.commands import entry
from paper_lenet.runs import collect

OURS = ("paper_lenet", "experiments", "tests")
# Each script with the command that it runs.
SCRIPTS = {
    path.name: re.findall(r'command\("(\w+)"\)', path.read_text(encoding="utf-8"))[0]
    for path in (ROOT / "experiments").glob("[a-z]*.py")
}


def python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60)


def test_every_command_has_a_script() -> None:
    assert sorted(SCRIPTS.values()) == list(entry.commands())


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_python_without_the_libraries(script: str, tmp_path: Path) -> None:
    done = python("-S", str(ROOT / "experiments" / script), "a.png", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith(f"{SCRIPTS[script]}: {sys.executable} has no module ")
    assert done.stderr.endswith(f"; make setup makes an environment: .venv/bin/python experiments/{script}\n")
    done = python("-S", "-m", "paper_lenet", SCRIPTS[script], "a.png")
    assert done.stderr.endswith(f": .venv/bin/python -m paper_lenet {SCRIPTS[script]}\n"), done.stderr


def test_commands_are_listed_without_the_libraries() -> None:
    for arguments in ((), ("--help",)):
        done = python("-S", "-m", "paper_lenet", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        usage, nothing, *lines = done.stdout.splitlines()
        assert usage.startswith("usage: python -m paper_lenet COMMAND") and nothing == ""
        assert [line.split()[0] for line in lines] == sorted(SCRIPTS.values())
        assert all(len(line) <= 134 and line.endswith(".") for line in lines)


def test_version() -> None:
    """The same in Python and on the command line, installed or not."""
    done = subprocess.run(
        [sys.executable, "-m", "paper_lenet", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == paper_lenet.__version__
    assert re.match(r"\d+\.\d+\.\d+", paper_lenet.__version__)


def test_command_that_there_is_not() -> None:
    done = python("-m", "paper_lenet", "places")
    line = "python -m paper_lenet: places: no such command; python -m paper_lenet --help lists them\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


def test_usage_is_of_the_way_it_was_called() -> None:
    for called, shown in ((["-m", "paper_lenet", "tables"],) * 2, (["experiments/tables.py"], ["tables.py"])):
        assert f"usage: {'python ' * (called == shown)}{' '.join(shown)} [-h]" in python(*called, "--help").stdout


def test_module_of_ours_that_is_missing_is_no_matter_of_the_environment() -> None:
    done = python("-c", "from paper_lenet.commands import entry; entry.run('no_such_module')")
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


FILES = [ROOT / "hubconf.py", *(path for name in OURS for path in sorted((ROOT / name).rglob("*.py")))]


def without_encoding(tree: ast.AST) -> Iterator[int]:
    """The lines where a text file is opened, read or written in whatever encoding the terminal has."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(keyword.arg in ("encoding", None) for keyword in node.keywords):
            continue
        name, at = ast.unparse(node.func), isinstance(node.func, ast.Name)
        mode = ast.unparse(node.args[at]) if len(node.args) > at else "'r'"
        reads = name.endswith(".read_text") and not node.args
        writes = name.endswith(".write_text") and len(node.args) < 2
        opens = name.split(".")[-1] == "open" and name not in ("os.open", "Image.open") and "b" not in mode
        if reads or writes or opens:
            yield node.lineno


def test_text_is_read_and_written_as_utf8() -> None:
    wrong = "open(a)\npath.open('w')\np.read_text()\np.write_text('é')"
    assert list(without_encoding(ast.parse(wrong))) == [1, 2, 3, 4]
    assert not list(without_encoding(ast.parse("open(a, 'rb')\npath.open('wb')\np.read_text(encoding='utf-8')")))
    found = {str(path.relative_to(ROOT)): [*without_encoding(ast.parse(path.read_bytes()))] for path in FILES}
    assert {path: lines for path, lines in found.items() if lines} == {}


def in_ascii(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Python, where the terminal has no other characters than those of ASCII."""
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=os.environ | locale, capture_output=True, timeout=300
    )


def test_terminal_of_ascii() -> None:
    program = "from paper_lenet.commands import entry; entry.print_anything(); print('9\\u201312: \\xb1 \\udcff')"
    done = in_ascii("-c", program)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"9\\u201312: \\xb1 \\udcff\n", b"")
    done = in_ascii("experiments/collect.py", "\xe9")
    assert (done.returncode, done.stderr) == (1, b"collect: \\udcc3\\udca9: no runs here\n")
    done = in_ascii("experiments/tables.py", "--check")  # has ± and the like to compare
    assert (done.returncode, done.stderr) == (0, b"")


def test_bash_completes() -> None:
    """Commands, groups, keys and choices; of files what bash itself has."""
    script = python("-m", "paper_lenet", "completion").stdout
    ask = 'COMP_LINE="$1"; COMP_POINT=${#1}; _paper_lenet; echo "${COMPREPLY[@]}"'

    def completed(line: str) -> list[str]:
        done = subprocess.run(["bash", "-c", f"{script}\n{ask}", "bash", line], capture_output=True, text=True)
        assert done.stderr == ""
        return done.stdout.split()

    assert completed("paper-lenet tr") == ["train"]
    assert completed("paper-lenet ") == list(entry.commands())
    assert completed("paper-lenet train loss=e") == ["eq8", "eq9"]
    assert completed("paper-lenet train name=x optim.ra") == ["optim.rate="]
    assert set(completed("paper-lenet reproduce model.pooling=a")) == {"average", "avg_pool"}
    assert completed("paper-lenet predict tr") == []
