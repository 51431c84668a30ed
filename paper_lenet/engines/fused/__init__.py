"""The fused engine: the reference's arithmetic, compiled for one core."""

from paper_lenet.engines.fused.net import FusedNet, train

__all__ = ["FusedNet", "train"]
