"""Test errors on images that are scaled, shifted, turned or noisy -> invariance.csv (Sec. III-E, Fig. 13).

paper-lenet invariance [--publish]: of LeNet-5 and today's network as released, and of the three nearest
neighbours. What is there already is not measured again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch

from paper_lenet.classifiers.fitted import Values
from paper_lenet.classifiers.invariance import AMOUNTS, COLUMNS, INVARIANCE, changed, padded, released
from paper_lenet.classifiers.neighbours import euclidean
from paper_lenet.commands.places import add_place, place_of
from paper_lenet.config import DataConfig
from paper_lenet.data import Data, Images, Labels, load
from paper_lenet.files import add_rows, read_rows
from paper_lenet.runs.environment import origin

NETWORKS = {"LeNet-5 of 1998": "lenet5-1998", "LeNet-5 of today": "lenet5-modern"}
NEIGHBOURS = "3 nearest neighbours"


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure errors on scaled, shifted, turned and noisy test images.")
    add_place(parser)
    path = place_of(parser.parse_args()).results / f"{INVARIANCE}.csv"
    torch.set_num_threads(1)
    data = load(DataConfig())
    rows = read_rows(path, COLUMNS, {"amount": float})
    images, answers, here = padded(data.test_images), classifiers(data), origin()
    there = {(row["kind"], float(row["amount"]), row["classifier"]) for row in rows}
    for kind, amounts in AMOUNTS.items():
        for amount in amounts:
            missing = [name for name in answers if (kind, float(amount), name) not in there]
            shown = changed(images, kind, amount) if missing else images
            for name in missing:
                errors = int(np.sum(answers[name](shown) != data.test_labels))
                row = {
                    "kind": kind, "amount": float(amount), "classifier": name, "dataset": data.name,
                    "errors": errors, "test_size": len(shown), "error_percent": 100 * errors / len(shown), **here,
                }  # fmt: skip
                rows = add_rows(path, COLUMNS, ("kind", "amount", "classifier"), [row], in_order)
                print(f"{kind} {amount:g}: {name} {100 * errors / len(shown):.2f} %", flush=True)
    print(f"{path}: {len(rows)} rows")
    return 0


def in_order(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """By the order of AMOUNTS, so that the file does not depend on what came when."""
    kinds = list(AMOUNTS)
    return sorted(rows, key=lambda row: (kinds.index(row["kind"]) if row["kind"] in AMOUNTS else len(kinds),
                                         float(row["amount"])))  # fmt: skip


def classifiers(data: Data) -> dict[str, Callable[[Images], Labels]]:
    """What each classifier answers to images (N, 32, 32) of bytes."""
    train = padded(data.train_images)
    inked = train.any(0)  # other pixels are as far from all training images: they change no order

    def flat(images: Images) -> Values:
        return (images[:, inked] / np.float32(255)).astype(np.float32)

    neighbours = euclidean(flat(train), data.train_labels, 0, k=3)
    by_neighbours: dict[str, Callable[[Images], Labels]] = {
        NEIGHBOURS: lambda images: neighbours.scores(flat(images)).argmax(1)
    }
    return {name: released(network) for name, network in NETWORKS.items()} | by_neighbours
