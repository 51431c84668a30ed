"""python experiments/search.py FILE [--publish]: see paper_lenet/commands/search.py."""

import _start

if __name__ == "__main__":
    _start.command("search")
