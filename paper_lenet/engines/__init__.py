"""Engines: the same training, carried out in different ways."""

from paper_lenet.engines.engine import Checkpoint, NonFiniteError, PassRecord, records

__all__ = ["Checkpoint", "NonFiniteError", "PassRecord", "records"]
