"""Where every command begins: as experiments/<command>.py, paper-lenet <command> or python -m paper_lenet <command>.

Only the standard library is imported here, so that a Python without any other is told what to do.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from pathlib import Path

from paper_lenet.errors import PaperLenetError

# What the package lies in: the repository, or where packages are installed.
ROOT = Path(__file__).resolve().parents[2]
# EX_TEMPFAIL of sysexits.h: interrupted, and the same command goes on.
INTERRUPTED = 75


def commands() -> dict[str, str]:
    """The first line of what each command's module says of itself, by the command's name."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py"))}
    return {name: text.split("\n")[0].strip('"') for name, text in texts.items() if "\ndef main()" in text}


def version() -> str:
    """That of the package that is installed, or of the checkout that this is."""
    from importlib import metadata

    try:
        return metadata.version("paper-lenet")
    except metadata.PackageNotFoundError:
        import tomllib  # here, since an older Python is to be told that it is too old

        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return f"{project['version']}+checkout"


def choose() -> int:
    """The exit code of the command that the first argument names; --help, or no argument, lists all of them."""
    print_anything()
    name, *arguments = sys.argv[1:] or ["--help"]
    called, there = Path(sys.argv[0]).stem.replace("__main__", "python -m paper_lenet"), commands()
    if name in ("-h", "--help"):
        print(f"usage: {called} COMMAND ...; {called} COMMAND --help tells the rest\n")
        print("\n".join(f"{command:12} {does}" for command, does in there.items()))
        return 0
    if name == "--version":
        print(version())
        return 0
    if name not in there:
        print(f"{called}: {name}: no such command; {called} --help lists them", file=sys.stderr)
        return 1
    sys.argv = [f"{called} {name}", *arguments]
    return run(name)


def run(name: str) -> int:
    """The exit code of a command, whose arguments are those of sys.argv.

    What the user can mend ends in one line: wrong input, a full disk, a Python without a library or too old. So does an
    interrupt, whatever a library makes of a KeyboardInterrupt. In the midst of an import it would raise anything: until
    main() runs it ends the process at once.
    """
    if sys.version_info < (3, 11):  # noqa: UP036, since that is what it says
        print(f"{name}: {sys.executable} is older than Python 3.11; {_remedy(name)}", file=sys.stderr)
        return 1
    print_anything()
    # Other commands and a launcher's processes may start elsewhere.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    came: list[int] = []

    def interrupt(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    usual = before in (signal.SIG_DFL, signal.default_int_handler)  # one that is ignored, as by nohup, stays so
    try:
        if usual:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        command = importlib.import_module(f"paper_lenet.commands.{name}")
        if usual:
            signal.signal(signal.SIGINT, interrupt)
        return int(command.main())
    except BaseException as error:
        if came:
            print(f"interrupted: {name}: what was written is whole; the same command does the rest", file=sys.stderr)
            return INTERRUPTED
        if isinstance(error, PaperLenetError | OSError | MemoryError):
            print(f"{name}: {str(error) or type(error).__name__}", file=sys.stderr)
            return 1
        missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if missing in ("", "paper_lenet"):
            raise
        print(f"{name}: {sys.executable} has no module {missing}; {_remedy(name)}", file=sys.stderr)
        return 1
    finally:
        if usual:
            signal.signal(signal.SIGINT, before)


def print_anything() -> None:
    """From now on, a character that a terminal does not have, or a file's name in no encoding, is printed escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _remedy(name: str) -> str:
    if not (ROOT / "Makefile").exists():
        return "install paper-lenet again, with what it depends on"
    script = sys.argv[0].endswith(".py")
    called = f"experiments/{Path(sys.argv[0]).name}" if script else f"-m paper_lenet {name}"
    return f"make setup makes an environment: .venv/bin/python {called}"
