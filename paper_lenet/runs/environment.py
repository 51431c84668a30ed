"""The code, the libraries and the machine at hand, as every record has them."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
# Released weights lie in the package, but no run reads them: releasing one network must not make the next run dirty.
# Nor does a file of one's own in conf/: a run records all that it says.
CODE = (
    *("paper_lenet", "experiments", "hydra_plugins", "pyproject.toml", "requirements.lock"),
    ":(exclude)paper_lenet/weights",
)
# Where git cannot tell the commit, as of an archive of the code.
UNKNOWN = "unknown"
# The widest vectors of a processor, by the flag that says so, the widest first.
VECTORS = {"avx512f": 512, "avx2": 256, "sse2": 128}
# What a row of results/ has that is no run of its own, but was computed by the code at hand.
ORIGIN = ("commit", "dirty", "cpu", "torch", "numba", "date")


def environment() -> dict[str, Any]:
    """Versions, machine and state of the code: what is written to environment.json.

    Keys python, numpy, torch, numba, platform, cpu (name, model, width of vectors), gpu (name or None), threads (of
    torch), commit, dirty. Without a repository around the package the commit is UNKNOWN and dirty is true.
    """
    import torch  # here, since it takes seconds and what only reads records does without

    commit, dirty = code_state(ROOT)
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "numba": version("numba"),
        "platform": f"{platform.system()} {platform.machine()} {' '.join(platform.libc_ver())}".strip(),
        "cpu": _cpu_model(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "commit": commit,
        "dirty": dirty,
    }


def doubt(commit: str, dirty: bool) -> str:
    """Why nobody could run this state of the code again, in a few words; nothing where one could."""
    if commit == UNKNOWN:
        return "the commit of its code is unknown (no git repository, or no git)"
    return "uncommitted changes in the code" if dirty else ""


def code_state(root: Path) -> tuple[str, bool]:
    """Commit of the repository at `root`, and whether its code differs from that commit."""

    def git(*arguments: str) -> str:
        # No optional locks: seeds that start together would meet at the lock of git's index.
        command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=True)
        return done.stdout.strip()

    try:
        # A package installed somewhere below another project must not be given that project's commit.
        if not Path(git("rev-parse", "--show-toplevel")).samefile(root):
            return UNKNOWN, True
        return git("rev-parse", "--verify", "HEAD"), bool(git("status", "--porcelain", "--", *CODE))
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN, True


def commit_here() -> str:
    """The commit of the code at hand, or UNKNOWN."""
    return code_state(ROOT)[0]


def _cpu_model() -> str:
    """The processor's name, and what decides on the last bits of a sum: its model and the width of its vectors.

    One name stands for processors of many years, such as AMD EPYC.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = told.get("model name") or platform.processor() or platform.machine()
    details = [f"{key.removeprefix('cpu ')} {told[key]}" for key in ("cpu family", "model") if told.get(key)]
    flags = told.get("flags", "").split()
    details += next(([f"{bits}-bit vectors"] for flag, bits in VECTORS.items() if flag in flags), [])
    return f"{name} ({' '.join(details)})" if details else name


def origin() -> dict[str, Any]:
    """The state of the code, machine, versions and time, of the keys ORIGIN."""
    here = environment()
    return {**{key: here[key] for key in ORIGIN[:-1]}, "date": now()}


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
