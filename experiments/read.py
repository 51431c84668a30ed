"""python experiments/read.py IMAGE... [--figure FILE]: see paper_lenet/commands/read.py."""

import _start

if __name__ == "__main__":
    _start.command("read")
