"""A small results folder and untrained networks for the report page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from synthetic_runs import write_rows
from torch import nn

from paper_lenet.config import DataConfig, InitConfig, ModelConfig
from paper_lenet.config.studies import Shown
from paper_lenet.data import load
from paper_lenet.network.lenet5 import build
from paper_lenet.reporting.formats import Table
from paper_lenet.reporting.page.live import Net

MODELS = {
    "1998": (ModelConfig(), (-0.1, 1.175)),
    "modern": (
        ModelConfig(activation="relu", pooling="max_pool", table="full", output="linear",
                    init=InitConfig(scheme="kaiming")),
        (-0.5, 2.8),
    ),
    "average": (ModelConfig(pooling="average", rbf_factor=0.5, init=InitConfig(coefficient="random")), (0.0, 1.0)),
}  # fmt: skip


def networks(*names: str) -> list[Net]:
    found = []
    for seed, name in enumerate(names):
        model, ends = MODELS[name]
        state = {key: values.detach().numpy() for key, values in build(model, seed).named_parameters()}
        found.append(Net(name, f"net <{name}>", model, ends, state))
    return found


def images(count: int = 20) -> NDArray[np.uint8]:
    """The images that the page embeds first where there is no MNIST."""
    return load(DataConfig(name="digits")).test_images[:count]


@torch.no_grad()
def outputs(net: Net, shown: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What PyTorch makes of the images, in double precision."""
    module: nn.Module = build(net.model, 0)
    module.load_state_dict({key: torch.as_tensor(values) for key, values in net.state.items()}, strict=False)
    low, high = net.ends
    frames = np.full((len(shown), 1, 32, 32), low)
    frames[:, 0, 2:30, 2:30] = low + (high - low) * shown / 255
    result: NDArray[np.float64] = module.double()(torch.from_numpy(frames)).numpy()
    return result


def tables() -> list[tuple[Table, Shown]]:
    """Tables for all sections, one hostile."""
    claims = [["test error, 60,000 patterns, %", "0.95", "1.006 ± 0.086", "reproduced"],
              ["gain from distortions, points", "0.15", "0.9", "not reproduced"]]  # fmt: skip
    rows = [["10", "<b>&", "-"], ["9", "b", "1.5"], ["-1", "c", "+0.5"]]
    made = [
        (_table("claims", "The claims.", ["", "paper", "ours", "verdict"], claims), Shown("headline")),
        (_table("other", "By `code` & <i>.", ["a", "b", "c"], rows), Shown()),
    ]
    sections = {"fig5": "figures", "deviations": "deviations", "ablation-ladder": "today", "noise": "noise"}
    made += [(_table(name, f"{name}.", ["", "n"], [["a", "1"]]), Shown(key)) for name, key in sections.items()]
    return made


def _table(name: str, caption: str, header: list[str], rows: list[list[str]]) -> Table:
    return Table(name, caption, header, rows, ["Made of results/runs/fig5.csv."], "n = 2.")


def write_results(results: Path) -> None:
    """The files of one table; two figures; three seeds, of which two get Fig. 8's first image wrong."""
    for folder in ("tables", "figures", "runs", "errors"):
        (results / folder).mkdir(parents=True)
    for kind in ("md", "csv"):
        (results / "tables" / f"other.{kind}").touch()
    Image.new("RGB", (40, 30), "white").save(results / "figures" / "fig5-x.png")
    (results / "figures" / "fig5-x.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="3"/>', encoding="utf-8"
    )
    Image.new("RGB", (40, 30), "white").save(results / "figures" / "unheard-of.png")
    errors = {0: 0.01, 1: 0.02, 2: 0.0}
    fixed = {"fingerprint": "abc", "seconds": 90.0, "loss.name": "eq9"}
    write_rows(results, "fig5", [{**fixed, "seed": seed, "test_error_percent": of} for seed, of in errors.items()])
    wrong = [("abc", 0, 247, 4, 6), ("abc", 1, 247, 4, 2), ("abc", 1, 5, 1, 2)]
    columns = ["fingerprint", "seed", "index", "true_label", "predicted_label"]
    pd.DataFrame(wrong, columns=columns).to_csv(results / "errors" / "fig5.csv", index=False)
