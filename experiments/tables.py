"""python experiments/tables.py [names ...] [--publish | --check]: see paper_lenet/commands/tables.py."""

import _start

if __name__ == "__main__":
    _start.command("tables")
