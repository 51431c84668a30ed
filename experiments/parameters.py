"""python experiments/parameters.py NAME [--publish]: see paper_lenet/commands/parameters.py."""

import _start

if __name__ == "__main__":
    _start.command("parameters")
