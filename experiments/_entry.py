"""What every entry point does before it imports a library, and around its main()."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

# EX_TEMPFAIL of sysexits.h: interrupted, and the same command goes on.
INTERRUPTED = 75
OURS = ("experiments", "paper_lenet")


def begin(name: str) -> None:
    """What comes first in a script whose __name__ is `name`; nothing where it is imported.

    A Python without a library, or too old, ends in one line. Until main() runs an interrupt ends the process at once:
    in the midst of an import it would raise anything.
    """
    if name != "__main__":
        return
    sys.excepthook = _explained
    if sys.version_info < (3, 11):  # noqa: UP036, since that is what it says
        sys.exit(f"{_script()}: {sys.executable} is older than Python 3.11; {_remedy()}")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    print_anything()


def print_anything() -> None:
    """From now on, a character that a terminal does not have, or a file's name in no encoding, is printed escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run(main: Callable[[], int]) -> int:
    """The exit code of `main`; interrupted, it ends in one line, whatever a library makes of a KeyboardInterrupt."""
    came: list[int] = []

    def interrupt(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    # One that is ignored, as by nohup, stays so.
    if signal.getsignal(signal.SIGINT) in (signal.SIG_DFL, signal.default_int_handler):
        signal.signal(signal.SIGINT, interrupt)
    try:
        return main()
    except BaseException:
        if not came:
            raise
        print(f"interrupted: {_script()}: what was written is whole; the same command does the rest", file=sys.stderr)
        return INTERRUPTED
    finally:
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _script() -> str:
    return Path(sys.argv[0]).stem


def _remedy() -> str:
    return f"make setup makes an environment: .venv/bin/python experiments/{_script()}.py"


def _explained(kind: type[BaseException], error: BaseException, trace: TracebackType | Any) -> None:
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing and missing not in OURS:
        print(f"{_script()}: {sys.executable} has no module {missing}; {_remedy()}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
