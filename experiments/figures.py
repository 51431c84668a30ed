"""results/curves -> results/figures: python experiments/figures.py [names ...]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from paper_lenet.figures import fig5, write
from paper_lenet.records import RecordError
from paper_lenet.tables import TableError


def main() -> int:
    parser = argparse.ArgumentParser(description="Redraw Fig. 5 for the named results, by default lenet5.")
    parser.add_argument("names", nargs="*", default=["lenet5"], help="names in results/curves, without .csv")
    parser.add_argument("--results", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    try:
        for name in arguments.names:
            files = fig5(arguments.results, name)
            write(files)
            print("wrote " + ", ".join(map(str, files)))
    except (TableError, RecordError) as error:
        print(f"figures: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
