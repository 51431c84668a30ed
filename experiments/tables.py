"""results/runs -> results/tables and the documents with tables: python experiments/tables.py [names ...] [--check]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from paper_lenet.files import RecordError
from paper_lenet.tables import TableError, available, build, differing, write


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the tables of the named results, or of all.")
    parser.add_argument("names", nargs="*", help="names in results/runs without .csv, or claims, overlap")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--readme", type=Path, help="gets the headline table; default: README.md beside results")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    arguments = parser.parse_args()
    results: Path = arguments.results
    readme: Path = arguments.readme or results.parent / "README.md"
    names = arguments.names or available(results)
    try:
        if not names:
            raise TableError(f"{results / 'runs'}: no results to make tables of")
        files = build(results, names, readme if arguments.readme or readme.exists() else None)
        wrong = differing(files) if arguments.check else []
        if wrong:
            raise TableError(f"not what the results give: {', '.join(map(str, wrong))}")
        if not arguments.check:
            write(files)
    except (TableError, RecordError) as error:
        print(f"tables: {error}", file=sys.stderr)
        return 1
    print(f"{len(files)} files " + ("agree with the results" if arguments.check else "written"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
