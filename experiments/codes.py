"""python experiments/codes.py [--runs FOLDER] [--publish]: see paper_lenet/commands/codes.py."""

import _start

if __name__ == "__main__":
    _start.command("codes")
