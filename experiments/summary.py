"""python experiments/summary.py [folder]: see paper_lenet/commands/summary.py."""

import _start

if __name__ == "__main__":
    _start.command("summary")
