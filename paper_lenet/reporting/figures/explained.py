"""How a picture is read, step by step: what was cut out, what the network saw, F6 beside the codes, the penalties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from paper_lenet.network.layers import EuclideanRBF
from paper_lenet.network.pretrained import Recogniser
from paper_lenet.reporting.figures.common import COLOURS, OTHERS, drawn, framed, grid
from paper_lenet.strings.pictures import Reading, Seen

CODE = (12, 7)
WINNER = COLOURS[0]
NAMES = {
    **{"picture": "the picture", "paper": "the paper without ink", "contrast": "contrast to the paper"},
    **{"ink": "what is ink", "strokes": "strokes as wide as MNIST's"},
}


def explained(picture: Seen, net: Recogniser, reading: Reading, kind: str) -> bytes:
    """The bytes of a figure, png or svg, of how a picture is read."""

    @drawn
    def one(folder: Path) -> tuple[str, Figure]:
        steps = [(NAMES[name], values) for name, values in (picture.found.steps if picture.found else {}).items()]
        if picture.image is not None:
            steps.append(("what the network sees", picture.image))
        below = reading.answer is not None
        figure = Figure(figsize=(1.35 * max(4, len(steps)), 3.1 if below else 1.7), layout="constrained")
        rows = figure.add_gridspec(2 if below else 1, 1)
        above = rows[0].subgridspec(1, max(1, len(steps)))
        for k, (name, values) in enumerate(steps):
            axes = figure.add_subplot(above[k])
            if values.ndim == 3:
                axes.imshow(values)
                axes.set_xticks([])
                axes.set_yticks([])
            else:
                framed(axes, values, 0, 255)
            axes.set_xlabel(name, wrap=True)
        told = reading.digits or "no digit"
        figure.suptitle(f"{told}; {reading.doubt}" if reading.doubt else told)
        if reading.answer is not None and picture.image is not None:
            with torch.no_grad():
                states = net.layers(torch.from_numpy(picture.image[None]))
            parts = rows[1].subgridspec(1, 3, width_ratios=(1, 1, 3))
            if isinstance(net.network.output, EuclideanRBF):
                code = net.network.output.centres[reading.answer.label]
                for k, (units, name) in enumerate([(states["f6"][0], "F6"), (code, f"the code of {told}")]):
                    axes = figure.add_subplot(parts[k])
                    framed(axes, units.numpy().reshape(CODE), -1, 1)
                    axes.set_xlabel(name)
            axes = figure.add_subplot(parts[2])
            colours = [OTHERS] * len(net.classes)
            colours[reading.answer.label] = WINNER
            axes.bar(np.arange(len(net.classes)), states["output"][0].numpy(), color=colours)
            axes.set_xticks(np.arange(len(net.classes)), list(net.classes))
            axes.set_ylabel("penalty (Eq. 7)" if net.has_penalties else "weighted sum")
            grid(axes, "y")
        return "explained", figure

    return one(Path())[Path(f"figures/explained.{kind}")]
