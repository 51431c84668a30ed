"""Networks, one file each."""

from paper_lenet.models.lenet5 import LeNet5

__all__ = ["LeNet5"]
