"""What the report page shows at work: networks, images to show them, and our seeds' answers to the paper's errors."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from paper_lenet import paper
from paper_lenet.config import DataConfig, ModelConfig
from paper_lenet.data import Data, Images, load
from paper_lenet.files import read_tensors
from paper_lenet.network.modern import table_of
from paper_lenet.network.pretrained import WEIGHTS, digests, limits, model_of, released, state_of
from paper_lenet.paper import bitmaps
from paper_lenet.paper.connections import pairs
from paper_lenet.recovery.codes import printed_strings, strip_of
from paper_lenet.reporting.results import TableError, finished, read_errors
from paper_lenet.reporting.tables.claims import SYSTEMS, published_test
from paper_lenet.strings.reader import Reader, load_reader

TITLES = {
    **{"lenet5-1998": "LeNet-5, trained again", "lenet5-modern": "its layers, trained as today"},
    "front-1998": "layers of 1998, out of Fig. 13",
}
STRINGS, REPLAY = "strings.js", "replay.js"  # beside the page
# The first test images that the page offers beside those of Fig. 8; all digits are among them.
FIRST_IMAGES = 64
# What lenet.js calls the two kinds of pooling, and what a trainable one multiplies the sum of its inputs by.
POOLING = {"sum": ("trainable", 1.0), "average": ("trainable", 0.25), "max_pool": ("max", 1.0)}
# Activations without a form in lenet.js.
LACKS = ("tanh", "gelu", "silu")


@dataclass(frozen=True)
class Net:
    """A trained network that the page can run.

    name: short, unique.  title: what people read.  model: its details.
    ends: what the background and full ink become at its input.
    state: parameters by name, as in the state_dict of the network that models.lenet5.build makes.
    limit: the largest penalty, or the smallest probability, of an answer that is sure; None where it is not known.
    """

    name: str
    title: str
    model: ModelConfig
    ends: tuple[float, float]
    state: Mapping[str, NDArray[Any]]
    limit: float | None = None

    def for_page(self) -> dict[str, Any]:
        """The network as lenet.js loads it. Raises TableError for details that lenet.js does not have."""
        model = self.model
        known = (
            model.activation not in LACKS
            and (model.pooling in POOLING and model.geometry == "padded")
            and not (model.table == "random" or model.batch_norm)
        )
        if not known:
            raise TableError(f"{self.name}: a network with details that the report page cannot compute")
        pooling, scale = POOLING[model.pooling]
        arrays = {name: np.asarray(values, np.float32) for name, values in sorted(self.state.items())}
        arrays |= {name: scale * values for name, values in arrays.items() if name.endswith(".coefficient")}
        if model.output == "rbf":
            arrays["output.centres"] = bitmaps.codes(model.characters()).numpy()
        maps = len(arrays["c1.bias"])
        return {
            "name": self.name,
            "title": self.title,
            "activation": model.activation,
            "pooling": pooling,
            "output": model.output,
            "factor": model.rbf_factor,
            "limit": self.limit,
            "ends": self.ends,
            "pairs1": [[map_, 0] for map_ in range(maps)],
            "pairs3": pairs(table_of(model.table, None)),
            "layout": [[name, values.size] for name, values in arrays.items()],
            "weights": base64_of(b"".join(values.astype("<f4").tobytes() for values in arrays.values())),
        }


@dataclass(frozen=True)
class Tile:
    """An image on the page: its place among the embedded bytes (None where there is none) and what is said about it."""

    image: int | None
    png: str | None
    title: str
    caption: str
    lines: list[str]
    label: int
    share: float | None = None


def nets(folder: Path = WEIGHTS) -> list[Net]:
    """The released networks of a folder in the order of TITLES, none where there is none.

    Raises RecordError for a damaged or foreign file.
    """
    found, order = [], list(TITLES)
    for name in sorted(digests(folder), key=lambda name: order.index(name) if name in order else len(order)):
        net = released(name, folder)
        ends = float(net.values[0]), float(net.values[-1])
        known = limits(name) if folder == WEIGHTS else None
        limit = known.score if known else None
        found.append(Net(name, TITLES.get(name, name), model_of(net.about), ends, state_of(net), limit))
    return found


@dataclass(frozen=True)
class Strings:
    """What reads strings of digits on the page, and strings to be read.

    readers: by what they have learned.  examples: strips, bytes (32, 32 + 4 k), by what is said of them.
    """

    readers: Mapping[str, Reader]
    examples: Mapping[str, Images]

    def script(self) -> str:
        """What the page loads: as JavaScript, all of it. Raises TableError as `Net.for_page` does."""
        found = []
        for reader in self.readers.values():
            network = reader.network
            model = ModelConfig(rbf_factor=network.output.factor, blank=True)
            state = {name: values.numpy() for name, values in network.state_dict().items()}
            ends = (paper.BACKGROUND, paper.FOREGROUND)
            found.append({"net": Net("strings", "", model, ends, state).for_page(), "model": asdict(reader.model)})
        examples = [
            {"width": strip.shape[1], "pixels": base64_of(np.ascontiguousarray(strip).tobytes())}
            for strip in self.examples.values()
        ]
        return f"LeNet.strings = {json.dumps({'nets': found, 'examples': examples}, separators=(',', ':'))};\n"


def strings() -> Strings:
    """The released readers, and the strings that the paper prints."""
    examples = {string.of: strip_of(string.picture) for string in printed_strings()}
    learned = {"windows of three characters": "windows-1998", "then whole strings": "strings-1998"}
    return Strings({what: load_reader(name) for what, name in learned.items()}, examples)


def replay_script(path: Path) -> str:
    """A recorded training (experiments/replay.py) as the page loads it. Raises RecordError."""
    about, tensors = read_tensors(path)
    parts = {
        name: {"shape": values.shape, "values": base64_of(values.tobytes())} for name, values in sorted(tensors.items())
    }
    return f"LeNet.replay = {json.dumps({'seed': about['seed'], **parts}, separators=(',', ':'))};\n"


def gallery(data: Data | None) -> tuple[Images, list[Tile], str]:
    """Images to pick from, as bytes (N, 28, 28), their tiles, and where they come from.

    Without MNIST they are scikit-learn's digits, so that there is always something to show.
    """
    source = "The first images of MNIST's test set."
    if data is None:
        data = load(DataConfig(name="digits"))
        source = "MNIST is not at hand: these are scikit-learn's small digits, enlarged."
    images = data.test_images[:FIRST_IMAGES]
    tiles = [
        Tile(k, png(image), f"test image {k}, a {label}", str(label), [], int(label))
        for k, (image, label) in enumerate(zip(images, data.test_labels, strict=False))
    ]
    return images, tiles, source


def wall(results: Path, data: Data | None, first: int) -> tuple[Images, list[Tile]]:
    """The paper's 82 errors (Fig. 8) with what our seeds answer, as bytes (82 or 0, 28, 28) and tiles.

    first: the place of the first of these images among the embedded ones.  Raises TableError for results/errors that
    do not belong to results/runs.
    """
    theirs = paper.fig8()
    answers = {system: _wrong(results, system) for system in SYSTEMS if (results / "errors" / f"{system}.csv").exists()}
    images = np.zeros((0, paper.IMAGE_SIZE, paper.IMAGE_SIZE), np.uint8)
    if data is not None:
        images = data.test_images[theirs["mnist_test_index"].to_numpy()]
    tiles = []
    for k, (index, true, predicted) in enumerate(theirs.itertuples(index=False)):
        lines, share = [], None
        for system, (errors, seeds) in answers.items():
            given = errors.get(index, [])
            lines.append(f"{SYSTEMS[system]}: {_told(given, seeds)}")
            if system == "distorted":
                share = len(given) / seeds
        title = f"Test image {index}: a {true}; the paper's network took it for a {predicted}."
        place, picture = (None, None) if data is None else (first + k, png(images[k]))
        tiles.append(Tile(place, picture, title, f"{true}→{predicted}", lines, int(true), share))
    return images, tiles


def png(image: NDArray[np.uint8]) -> str:
    """A data URI of an image of bytes, ink drawn black."""
    out = io.BytesIO()
    Image.fromarray(255 - image).save(out, "PNG", optimize=True)
    return f"data:image/png;base64,{base64_of(out.getvalue())}"


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _wrong(results: Path, name: str) -> tuple[dict[int, list[int]], int]:
    """The wrong answers to each image, of the runs that did not diverge, and how many runs these are."""
    runs = published_test(results, name)
    done = finished(runs)
    if done.empty or done["fingerprint"].nunique() > 1:
        raise TableError(f"{name}: the errors of one configuration are needed, and of a run that did not diverge")
    errors = read_errors(results, name, runs)
    answers: dict[int, list[int]] = {}
    for index, answer in zip(errors["index"], errors["predicted_label"], strict=True):
        answers.setdefault(int(index), []).append(int(answer))
    return answers, len(done)


def _told(given: Sequence[int], seeds: int) -> str:
    """How often seeds are wrong, and what they answer then; given: their wrong answers."""
    if not given:
        return f"right in all {seeds} seeds"
    answers = sorted(Counter(given).items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{digit} ({count}×)" for digit, count in answers)
    return f"wrong in {len(given)} of {seeds} seeds, with answers {listed}"
