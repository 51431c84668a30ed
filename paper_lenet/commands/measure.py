"""The error of networks on images that are at hand: paper-lenet measure [NETWORK ...] [data=idx data.dir=FOLDER ...].

NETWORK: released ones (the default: all), a file that release wrote, or outputs/<name>/<fingerprint>/seed-<k>. The
images are those of the configuration's group data, MNIST's test images if nothing is said. Of QMNIST's 60,000 test
digits the first 10,000 are MNIST's; the others were not seen by anybody before 2019, and are told apart.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import binomtest

from paper_lenet import paper
from paper_lenet.commands.composition import compose
from paper_lenet.config import ConfigError
from paper_lenet.data import check_classes, load, own
from paper_lenet.network.pretrained import RELEASED
from paper_lenet.runs.trained import load_network


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the error of networks on images that are at hand.")
    parser.add_argument("arguments", nargs="*", metavar="NETWORK | data.KEY=VALUE")
    given = parser.parse_args().arguments
    overrides = [each for each in given if each.startswith(("data=", "data."))]
    if wrong := [each for each in given if "=" in each and each not in overrides]:
        raise ConfigError(f"{wrong[0]}: only keys of data are read here")
    data = load(compose(overrides).data)
    parts = {"": slice(0, None)}
    if data.name.startswith("idx-") and (len(data.train_labels), len(data.test_labels)) == own.QMNIST:
        parts = {"MNIST's own, ": slice(0, paper.TEST_SIZE), "unseen, ": slice(paper.TEST_SIZE, None)}
    for name in [each for each in given if each not in overrides] or RELEASED:
        net = load_network(name)
        check_classes(net.classes, data)
        wrong_images = np.array([answer.label for answer in net.answers(data.test_images)]) != data.test_labels
        for what, part in parts.items():
            count, size = int(wrong_images[part].sum()), len(wrong_images[part])
            interval = binomtest(count, size).proportion_ci(method="wilson")
            print(
                f"{name} on {data.name} ({data.split}): {what}{100 * count / size:.3f} % wrong, {count:,} of {size:,}; "
                f"95 % interval {100 * interval.low:.3f} to {100 * interval.high:.3f}"
            )
    return 0
