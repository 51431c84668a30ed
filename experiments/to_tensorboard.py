"""python experiments/to_tensorboard.py [folder] [--to FOLDER]: see paper_lenet/commands/tensorboard.py."""

import _start

if __name__ == "__main__":
    _start.command("tensorboard")
