"""The reference engine, the specification: autograd, plain PyTorch, no tricks."""

from paper_lenet.engines.reference.net import ReferenceNet, inputs, train

__all__ = ["ReferenceNet", "inputs", "train"]
