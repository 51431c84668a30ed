"""python experiments/train.py experiment=lenet5 seeds=[0,1,2]: see paper_lenet/commands/train.py."""

import _start

if __name__ == "__main__":
    _start.command("train")
