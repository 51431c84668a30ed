"""Networks ready to read images: released ones, those of files, and those of finished runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from paper_lenet.config import OWN
from paper_lenet.data import Data, load, values_of
from paper_lenet.files import read_tensors
from paper_lenet.network.pretrained import FRONT, RELEASED, VALUES, Recogniser, load_file, load_pretrained, recogniser
from paper_lenet.runs.collect import CollectError, Run


def load_network(name: str) -> Recogniser:
    """A released network by its name, else that of a file that experiments/release.py wrote, or of a run's folder.

    Raises ConfigError, RecordError, CollectError or DataError.
    """
    path = Path(name)
    if name in (*RELEASED, FRONT) or not path.exists():
        return load_pretrained(name)
    return load_run(path) if path.is_dir() else load_file(path)


def load_run(folder: Path) -> Recogniser:
    """That of outputs/<name>/<fingerprint>/seed-<k>, in evaluation mode, whatever code trained it.

    Raises CollectError, and DataError where its input needs the training images and they are not there.
    """
    run = Run(folder)
    images = run.config.data
    if images.dir is not None and not Path(images.dir).expanduser().exists() and images.name not in OWN:
        images = dataclasses.replace(images, dir=None)
    data = load(images) if images.input.startswith("standard") else None
    return network_of(run, run.metrics["name"], data)


def network_of(run: Run, name: str, data: Data | None) -> Recogniser:
    """The network of a run, to be called by that name. Raises CollectError.

    data: it was trained on; None where its input does not depend on them.
    """
    path = run.folder / "weights.safetensors"
    about = {
        "name": name,
        "fingerprint": run.metrics["fingerprint"],
        "seed": run.seed,
        "commit": run.metrics["commit"],
        "model": dataclasses.asdict(run.config.model),
        "input": run.config.data.input,
    }
    stated, state = read_tensors(path)
    if [stated.get("fingerprint"), stated.get("seed")] != [about["fingerprint"], about["seed"]]:
        raise CollectError(f"{path}: of another run: {stated.get('fingerprint')}, seed {stated.get('seed')}")
    values, _ = values_of(run.config.data.input, data)
    try:
        return recogniser(about, {**state, VALUES: values.astype(np.float32)})
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise CollectError(f"{path}: not the weights of its configuration: {error}") from error
