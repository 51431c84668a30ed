"""One thread per process: pytest has one process per core, and threads that wait for each other would slow them all."""

import os
from typing import Any

# before torch is imported, here or in a process that a test starts
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Below the tests, what some of them recorded to be read."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", []):
                if getattr(report, "when", "") == "call" and isinstance(value, str):
                    terminalreporter.write_line(f"{name}: {value}")
