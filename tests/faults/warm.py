"""Imported once by the fork server: everything a run needs is there before a forked process asks for it.

The reference engine is imported and not run, because autograd cannot go on in a fork of a process that has used it.
"""

from __future__ import annotations

import hydra  # noqa: F401
import torch
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper  # noqa: F401
from small import config

from paper_lenet.data import sets
from paper_lenet.engines import fused, reference  # noqa: F401
from paper_lenet.runs import collect  # noqa: F401

torch.set_num_threads(1)
_arrays = sets.read_digits()
sets.read_digits = lambda: _arrays
DIGITS = sets.load(config("unused").data)
for _ in fused.train(config("unused"), DIGITS, 0, None):
    pass
