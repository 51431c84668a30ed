"""python experiments/recover.py [--coverage] [--publish]: see paper_lenet/commands/recover.py."""

import _start

if __name__ == "__main__":
    _start.command("recover")
