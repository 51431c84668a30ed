"""python experiments/measure.py [NETWORK ...]: see paper_lenet/commands/measure.py."""

import _start

if __name__ == "__main__":
    _start.command("measure")
