"""python experiments/amounts.py NAME: see paper_lenet/commands/amounts.py."""

import _start

if __name__ == "__main__":
    _start.command("amounts")
