"""A finished run -> weights to take away.

paper-lenet release outputs/lenet5/<fingerprint>/seed-0 lenet5-1998

A name of pretrained.RELEASED must be the first seed of its experiment. Networks of one's own go to a folder of their
own: paper-lenet release outputs/mine/<fingerprint>/seed-0 mine --into .
"""

from __future__ import annotations

import argparse
from pathlib import Path

from paper_lenet.commands.composition import compose
from paper_lenet.errors import PaperLenetError
from paper_lenet.network.pretrained import RELEASED, WEIGHTS
from paper_lenet.release.cards import release


def main() -> int:
    parser = argparse.ArgumentParser(description="Check a finished run and write its weights with a model card.")
    parser.add_argument("folder", type=Path, help="outputs/<name>/<fingerprint>/seed-<k>")
    parser.add_argument("name", help=f"{', '.join(RELEASED)}; or any other with --into")
    parser.add_argument("--into", type=Path, help="write there instead of paper_lenet/weights")
    parser.add_argument("--results", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    name: str = arguments.name
    experiment = None
    if name in RELEASED:
        experiment = compose([f"experiment={RELEASED[name]}"])
    elif arguments.into is None:
        raise PaperLenetError(f"{name}: not one of {', '.join(RELEASED)}; --into FOLDER takes any name")
    elif not name.replace("-", "").replace("_", "").isalnum():
        raise PaperLenetError(f"{name}: a name has letters, digits, '-' and '_'")
    written = release(arguments.folder, name, arguments.into or WEIGHTS, arguments.results, experiment)
    print("wrote " + ", ".join(map(str, written)))
    return 0
