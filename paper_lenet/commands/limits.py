"""When an answer of a released network is not sure: paper-lenet limits NAME RUN [--error 0.5].

RUN is a finished run of the same recipe that left images out (data.validation). On these a limit of the penalty and one
of the margin are found, by each of which so many percent of the answers that are left are wrong, as in Fig. 10 (p. 15).
-> paper_lenet/weights/limits.json
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from paper_lenet.commands.composition import compose
from paper_lenet.config import ConfigError
from paper_lenet.data import load, values_of
from paper_lenet.files import json_text, read_sealed, read_tensors, sealed, write_atomic
from paper_lenet.network.lenet5 import build
from paper_lenet.network.pretrained import LIMITS, RELEASED, WEIGHTS, Limits, Recogniser
from paper_lenet.runs.collect import Run
from paper_lenet.runs.environment import origin
from paper_lenet.strings.reader import WINDOWS_FILE

# What trains each released network.
RECIPES = {
    **{name: f"experiment={experiment}" for name, experiment in RELEASED.items()},
    WINDOWS_FILE.stem: "windows=paper",
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Find beyond which penalty and margin answers are not sure.")
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("run", type=Path, help="outputs/<name>/<fingerprint>/seed-<k>, of images left out")
    parser.add_argument("--error", type=float, default=0.5, help="percent wrong of what is left (%(default)s)")
    arguments = parser.parse_args()
    run = Run(arguments.run)
    config, seed = run.config, run.seed
    if run.doubt:
        raise ConfigError(f"{arguments.run}: {run.doubt}")
    same = compose([RECIPES[arguments.name], f"data.validation={config.data.validation}"])
    if not config.data.validation or config.fingerprint() != same.fingerprint():
        raise ConfigError(f"{arguments.run}: not a run of {arguments.name}'s recipe that left images out")
    data = load(config.data)
    network = build(config.model, seed).eval()
    network.set_state(read_tensors(arguments.run / "weights.safetensors")[1])
    values = torch.from_numpy(values_of(config.data.input, data)[0].astype(np.float32))
    net = Recogniser(network, values, {"model": asdict(config.model)})
    found = limits_of(net, data.test_images, data.test_labels, arguments.error)
    path = WEIGHTS / LIMITS
    kept: dict[str, Any] = read_sealed(path) if path.exists() else {}
    kept.pop("sha256", None)
    kept[arguments.name] = {**asdict(found), "images": len(data.test_labels), **origin()}
    write_atomic(path, json_text(sealed(kept)))
    print(f"{path}: {arguments.name}: {net.score_name} {found.score:.4g}, margin {found.margin:.4g}; "
          f"{found.rejected_percent:.2f} % not sure")  # fmt: skip
    return 0


def limits_of(net: Recogniser, images: NDArray[np.uint8], labels: NDArray[np.int64], error_percent: float) -> Limits:
    """The widest limits by which at most so many percent of the answers that are left are wrong."""
    answers = net.answers(images)
    wrong = np.array([answer.label for answer in answers]) != labels
    sign = 1 if net.has_penalties else -1
    scores, margins = (np.array([getattr(answer, key) for answer in answers]) for key in ("score", "margin"))
    score = sign * widest(sign * scores, wrong, error_percent)
    margin = -widest(-margins, wrong, error_percent)
    beyond = (sign * scores > sign * score) | (margins < margin)
    return Limits(score, margin, error_percent, 100 * float(beyond.mean()))


def widest(doubts: NDArray[np.floating], wrong: NDArray[np.bool_], error_percent: float) -> float:
    """The largest doubt up to which at most so many percent are wrong."""
    order = np.argsort(doubts)
    share = 100 * np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
    fits = np.flatnonzero(share <= error_percent)
    return float(doubts[order][fits[-1]]) if len(fits) else float(doubts.min())
