"""python experiments/report.py [--publish]: see paper_lenet/commands/report.py."""

import _start

if __name__ == "__main__":
    _start.command("report")
