"""What `make reproduce` does: train LeNet-5 on MNIST as the paper did, and show its error beside the paper's.

Without MNIST it says so and does the same on scikit-learn's embedded digits, into results named after them.
Further arguments go to experiments/train.py, for a quick look: python experiments/reproduce.py optim.passes=1
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import hydra

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from experiments.train import CONF, FAILURES, one_line, to_config
from paper_lenet.config import DataConfig
from paper_lenet.data import DataError, DataUnavailable, load
from paper_lenet.records import job_folder

NO_MNIST = """
!!! MNIST cannot be had: {reason}
!!! Running the same job on scikit-learn's embedded 8x8 digits instead. Its numbers are NOT MNIST's and say nothing
!!! about the paper's; they go to results named lenet5-digits.
"""


def step(script: str, *arguments: str) -> None:
    """Run one of the other entry points; ends this one with its exit code if it fails or is interrupted."""
    child = subprocess.Popen([sys.executable, str(ROOT / "experiments" / script), *arguments])
    signal.signal(signal.SIGINT, lambda *_: None)  # a terminal sends it to both, and the child knows what to do
    signal.signal(signal.SIGTERM, lambda number, _: child.send_signal(number))
    if code := child.wait():
        sys.exit(code)


def main() -> int:
    started = time.perf_counter()
    overrides = ["experiment=lenet5", *sys.argv[1:]]
    name = "lenet5"
    try:
        try:
            load(DataConfig())
        except DataUnavailable as error:
            print(NO_MNIST.format(reason=error), file=sys.stderr, flush=True)
            overrides.append("data=digits")
            name = "lenet5-digits"
        with hydra.initialize_config_dir(CONF, version_base="1.3"):
            config = to_config(hydra.compose("config", overrides))
    except (*FAILURES, DataError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    step("train.py", *overrides)
    # Trials with other settings may lie beside these runs, and a changed tree is the reader's own business here: the
    # rows say so.
    step("collect.py", str(job_folder(config).parent), "--fingerprint", config.fingerprint(), "--allow-dirty")
    step("tables.py", name)
    step("figures.py", name)
    print()
    print((Path("results") / "tables" / f"{name}.md").read_text())
    print(f"results/tables/{name}.md, results/figures/fig5-{name}.png; {time.perf_counter() - started:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
