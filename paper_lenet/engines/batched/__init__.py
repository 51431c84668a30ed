"""The batched engine: many networks trained together along a leading axis, on a CPU or a GPU."""

from paper_lenet.engines.batched.trainer import train, train_many

__all__ = ["train", "train_many"]
