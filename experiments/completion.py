"""python experiments/completion.py: see paper_lenet/commands/completion.py."""

import _start

if __name__ == "__main__":
    _start.command("completion")
