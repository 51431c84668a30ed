"""python experiments/collect.py outputs/lenet5 [--publish [--allow-dirty]]: see paper_lenet/commands/collect.py."""

import _start

if __name__ == "__main__":
    _start.command("collect")
