"""python experiments/strings.py windows: see paper_lenet/commands/strings.py."""

import _start

if __name__ == "__main__":
    _start.command("strings")
