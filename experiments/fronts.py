"""python experiments/fronts.py --runs outputs/NAME/FINGERPRINT [--publish]: see paper_lenet/commands/fronts.py."""

import _start

if __name__ == "__main__":
    _start.command("fronts")
