"""The recovered front as a file, weights/fig13.safetensors: parameters, their errors, the nine images; and its card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from paper_lenet.files import Tensors, read_tensors, sha256, tensor_bytes
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.network.pretrained import WEIGHTS
from paper_lenet.recovery.fit import Fit
from paper_lenet.recovery.front import LAYERS, PLACES, from_tensors, maps_of, to_tensors

FILE = WEIGHTS / "fig13.safetensors"
# Of the file: far below the smallest standard error.
DECIMALS = 6
ERROR = ".error"
SOURCE = "Fig. 13, p. 17 of the preprint"
CARD = """\
# fig13

Written by `experiments/recover.py`: the first four layers of a LeNet-5 that was trained in 1998, 1,716 parameters,
found in the states that the paper prints of it ({source}).
The layers above, C5 and F6, cannot be found: nine images are too few.

| layer | parameters | their standard deviation | standard error, median | largest |
| --- | --- | --- | --- | --- |
{rows}
Standard errors are those of rounding: the states are printed in 64 greys. docs/1998.md says how they were checked, and
how well the parameters explain each map. Map 15 of C3 is saturated nearly everywhere and is known least. What the
states cannot tell is taken as the paper has it: A and S of f, and the ends of the input's range. Half the display's
range of greys is {display}.

Commit {commit}, torch {torch}, {date};
{size} bytes, SHA-256 {digest}.

```python
import torch

from paper_lenet.network.lenet5 import LeNet5
from paper_lenet.recovery.recovered import load, put_into

net = LeNet5()
put_into(net, load())
s4 = net.features(torch.full((1, 1, 32, 32), -0.1))["s4"]
```

The network learned Section VII's task: a digit between two others, or none, with one pixel in ten inverted. Numbers
that are read off a printed page are facts; the file is under the MIT licence, as the code. Please cite the article and
this software (CITATION.cff).
"""


def file_of(fit: Fit, about: Mapping[str, Any]) -> bytes:
    """The file of a fit: parameters by their names in a LeNet-5, `<name>.error`, `images` and `display` (r, white)."""
    tensors = to_tensors(fit.theta)
    tensors |= {f"{name}{ERROR}": errors for name, errors in to_tensors(fit.errors).items()}
    tensors |= {"images": fit.images.numpy(), "display": fit.display.numpy()}
    # + 0.0 makes a zero of a negative zero
    rounded = {name: (values.round(DECIMALS) + 0.0).astype(np.float32) for name, values in tensors.items()}
    return tensor_bytes({"source": SOURCE, **about}, rounded)


def card(fit: Fit, content: bytes, about: Mapping[str, Any]) -> str:
    """What the file is, how sure it is and how to use it, as Markdown."""
    rows = ""
    for layer in LAYERS:
        of_layer = torch.cat([torch.arange(fit.theta.numel())[PLACES[key]] for key in maps_of(layer)])
        theta, errors = fit.theta[of_layer], fit.errors[of_layer]
        spread = f"{theta.std():.3f} | {errors.median():.4f} | {errors.max():.4f}"
        rows += f"| {layer.upper()} | {len(theta):,} | {spread} |\n"
    display = f"{float(fit.display[0]):.4f} ± {float(fit.covariance[-2, -2].sqrt()):.4f}"
    sizes = {"size": f"{len(content):,}", "digest": sha256(content)}
    return CARD.format(source=SOURCE, rows=rows, display=display, **sizes, **about)


def load(path: Path = FILE) -> Tensors:
    """The tensors of `file_of`. Raises RecordError for a file that is missing or damaged."""
    return read_tensors(path)[1]


def put_into(net: PaperNet, tensors: Tensors) -> None:
    """Give a LeNet-5 the recovered parameters of C1, S2, C3 and S4; the rest stays as it is."""
    own = net.state()
    with torch.no_grad():
        for name, values in to_tensors(from_tensors(tensors)).items():
            own[name].copy_(torch.from_numpy(values))
