"""python experiments/predict.py IMAGE... [--weights NAME_OR_FILE]: see paper_lenet/commands/predict.py."""

import _start

if __name__ == "__main__":
    _start.command("predict")
