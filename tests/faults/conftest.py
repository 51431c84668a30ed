"""`--full` tries more and writes the table of what was tried to outputs/results; `--publish` to docs/reliability.md."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tally import COUNTS, Tally

ROOT = Path(__file__).resolve().parents[2]
PROPERTY = "fault"
# The files of tests in the order of the table.
ORDER = ("killed_runs", "signals", "together", "disk", "damaged_records", "idx", "configurations")
sys.path.append(str(ROOT / "tests"))  # for synthetic_runs


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults", "the fault suite")
    group.addoption("--full", action="store_true", help="as many tries as the table of docs/reliability.md has")
    group.addoption("--publish", action="store_true", help="write the table into docs/reliability.md")


@pytest.fixture
def fault(record_property: Callable[[str, object], None]) -> Callable[[str], Tally]:
    """A tally by the name of its fault."""

    def begin(name: str) -> Tally:
        tally = Tally(name)
        record_property(PROPERTY, tally.counts)  # the report takes what it holds when the test is over
        return tally

    return begin


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("--full", False))


@pytest.fixture(scope="session")
def tries(full: bool) -> Callable[[int, int], int]:
    """How many tries, of the short form's and the full form's number."""
    return lambda short, long: long if full else short


def _rank(path: str) -> int:
    name = Path(path).stem.removeprefix("test_")
    return ORDER.index(name) if name in ORDER else len(ORDER)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not config.getoption("--full", False):
        return
    reports = [report for kind in ("passed", "failed", "skipped") for report in terminalreporter.stats.get(kind, [])]
    reports.sort(key=lambda report: (_rank(report.location[0]), report.location[1] or 0, report.nodeid))
    total: dict[str, dict[str, int]] = {}
    for report in reports:
        for key, counts in report.user_properties:
            if key == PROPERTY and report.when == "call":
                row = total.setdefault(counts["name"], dict.fromkeys(COUNTS, 0))
                for column in COUNTS:
                    row[column] += counts[column]
    lines = [f"| fault | {' | '.join(COUNTS)} |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {' | '.join(f'{row[key]:,}' for key in COUNTS)} |" for name, row in total.items()]
    terminalreporter.section("faults")
    terminalreporter.write_line("\n".join(lines))
    from paper_lenet.commands.places import OWN
    from paper_lenet.files import write_atomic
    from paper_lenet.reporting.tables.build import splice
    from paper_lenet.runs.environment import UNKNOWN, environment

    here = environment()
    changed = here["dirty"] and here["commit"] != UNKNOWN
    state = here["commit"][:12] + (", with uncommitted changes" if changed else "")
    lines += ["", f"Commit {state}; {datetime.now(UTC).date()} on {here['cpu']}; by `make test-faults`."]
    if config.getoption("--publish", False):
        splice(ROOT / "docs" / "reliability.md", "faults", "\n".join(lines))
    else:
        write_atomic(ROOT / OWN / "faults.md", "\n".join(lines) + "\n")
