"""python experiments/reproduce.py [overrides ...] [--publish]: see paper_lenet/commands/reproduce.py."""

import _start

if __name__ == "__main__":
    _start.command("reproduce")
