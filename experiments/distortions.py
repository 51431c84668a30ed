"""python experiments/distortions.py [--publish]: see paper_lenet/commands/distortions.py."""

import _start

if __name__ == "__main__":
    _start.command("distortions")
