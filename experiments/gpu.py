"""python experiments/gpu.py [--seconds N]: see paper_lenet/commands/gpu.py."""

import _start

if __name__ == "__main__":
    _start.command("gpu")
