"""Results -> report/index.html beside them: one page with every table and figure, and LeNet-5 to try.

paper-lenet report [--publish]: of one's own results, or of the committed ones. Trains nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from paper_lenet.commands.places import add_place, place_of
from paper_lenet.commands.replay import FILE
from paper_lenet.data import Data, mnist_at_hand
from paper_lenet.files import write_atomic
from paper_lenet.reporting.page.build import page
from paper_lenet.reporting.page.live import REPLAY, STRINGS, nets, replay_script, strings
from paper_lenet.reporting.tables.build import available, made


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the report page of the results at hand.")
    add_place(parser)
    results = place_of(parser.parse_args()).results
    data = mnist_at_hand()
    if data is None:
        print("report: MNIST is not at hand; the page goes without its images")
    path = write(results, results / "report", data)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB); open it in a browser")
    return 0


def write(results: Path, folder: Path, data: Data | None) -> Path:
    """The page of a folder of results, with what it loads later beside it; returns where it is."""
    recorded, path = results / FILE, folder / "index.html"
    html = page(made(results, available(results)), results, data, nets(), strings(), recorded.exists())
    if recorded.exists():
        write_atomic(path.with_name(REPLAY), replay_script(recorded))
    write_atomic(path.with_name(STRINGS), strings().script())
    write_atomic(path, html)
    return path
