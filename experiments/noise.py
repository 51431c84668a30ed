"""What rounding alone changes in the final error, beside what the seed changes: results/tables/noise.md.

The same seeds are trained with C5's units in ten orders: the same network, whose sums are rounded otherwise.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from experiments.reproduce import step


def main() -> int:
    step("train.py", "experiment=noise", *sys.argv[1:])
    step("collect.py", "outputs/noise")
    step("tables.py", "noise")
    return 0


if __name__ == "__main__":
    sys.exit(main())
