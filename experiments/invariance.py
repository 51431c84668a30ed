"""python experiments/invariance.py [--publish]: see paper_lenet/commands/invariance.py."""

import _start

if __name__ == "__main__":
    _start.command("invariance")
