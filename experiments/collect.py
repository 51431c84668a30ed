"""Run folders -> results/: python experiments/collect.py outputs/lenet5 [--allow-dirty]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from paper_lenet.collect import CollectError, collect
from paper_lenet.files import RecordError


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the runs of one job name and write them into results/.")
    parser.add_argument("folder", type=Path, help="outputs/<name>")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--allow-dirty", action="store_true", help="take runs of code that differs from its commit")
    parser.add_argument("--fingerprint", help="only this configuration, where the folder holds several")
    arguments = parser.parse_args()
    try:
        written, unfinished = collect(
            arguments.folder,
            arguments.results,
            allow_dirty=arguments.allow_dirty,
            fingerprint=arguments.fingerprint,
        )
    except (CollectError, RecordError) as error:
        print(f"collect: {error}", file=sys.stderr)
        return 1
    if unfinished:
        print(f"collect: left out, not finished: {', '.join(unfinished)}", file=sys.stderr)
    print("wrote " + ", ".join(map(str, written)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
