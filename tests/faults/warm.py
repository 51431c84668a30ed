"""Imported once by the fork server: everything a run needs is there before a forked process asks for it.

The reference engine is imported and not run, because autograd cannot go on in a fork of a process that has used it.
"""

from __future__ import annotations

import torch
from hydra.core.plugins import Plugins
from small import config

from paper_lenet.data import sets
from paper_lenet.engines import fused, reference  # noqa: F401
from paper_lenet.runs import collect  # noqa: F401

torch.set_num_threads(1)
Plugins.instance()  # which imports Hydra's launchers and sweepers
_arrays = sets.read_digits()
sets.read_digits = lambda: _arrays
DIGITS = sets.load(config("unused").data)
for _ in fused.train(config("unused"), DIGITS, 0, None):
    pass
