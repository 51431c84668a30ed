"""python experiments/rates.py [overrides ...] [--publish]: see paper_lenet/commands/rates.py."""

import _start

if __name__ == "__main__":
    _start.command("rates")
