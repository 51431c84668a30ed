"""results/ -> results/figures: python experiments/figures.py [names ...].

With names, Fig. 5 of each. Without, whatever the results at hand allow: Fig. 5 for lenet5 and fig5, Fig. 6 from fig6
and, as far as they are there, fig5, distorted and eq9; the ablations and the tutorials; Fig. 7 and, for fig5 and
distorted, Fig. 8, which need MNIST.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from paper_lenet.ablations import STUDIES
from paper_lenet.data import DataError
from paper_lenet.fig7 import mnist_at_hand
from paper_lenet.figures import DISTORTED, FULL, SIZES, fig5, fig6, write
from paper_lenet.figures_ablations import ablation, confusion, curves
from paper_lenet.figures_images import fig7, fig8
from paper_lenet.files import RecordError
from paper_lenet.tables import HEADLINE, TableError
from paper_lenet.tutorials import NAMES as TUTORIALS


def main() -> int:
    parser = argparse.ArgumentParser(description="Redraw Fig. 5 for the named results, or all figures that can be.")
    parser.add_argument("names", nargs="*", help="names in results/curves, without .csv")
    parser.add_argument("--results", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    results: Path = arguments.results

    def there(*names: str) -> list[str]:
        return [name for name in names if (results / "runs" / f"{name}.csv").exists()]

    try:
        for name in arguments.names or there(HEADLINE, FULL) or [HEADLINE]:
            show(fig5(results, name))
        if arguments.names:
            return 0
        if there(SIZES):
            show(fig6(results))
        else:
            print(f"fig6: skipped, no {results / 'runs' / SIZES}.csv")
        for name in there(*STUDIES):
            show(ablation(results, name))
        if there(*TUTORIALS) == list(TUTORIALS):
            show(curves(results))
        for name in there(*TUTORIALS):
            show(confusion(results, name))
        data = mnist_at_hand()
        if data is None:
            print("fig7, fig8: skipped, MNIST is not at hand")
            return 0
        show(fig7(results, data))
        for name in there(FULL, DISTORTED):
            show(fig8(results, name, data))
    except (DataError, RecordError, TableError) as error:
        print(f"figures: {error}", file=sys.stderr)
        return 1
    return 0


def show(files: dict[Path, bytes]) -> None:
    write(files)
    print("wrote " + ", ".join(map(str, files)))


if __name__ == "__main__":
    sys.exit(main())
