"""Trained networks to take away: what predicting needs, in one file.

The folder weights/ has of each released network <name>.safetensors and <name>.md, its model card, and of all of them
digests.json, sealed. experiments/release.py and experiments/fronts.py write these files; nothing else does.
limits.json, by experiments/limits.py, has beyond which an answer of theirs is not sure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from paper_lenet import paper
from paper_lenet.config import ConfigError, InitConfig, ModelConfig
from paper_lenet.files import RecordError, Tensors, one_line, read_sealed, read_tensors, sha256, tensor_bytes
from paper_lenet.network.lenet5 import build
from paper_lenet.network.paper_net import LayeredNet

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
DIGESTS, LIMITS = "digests.json", "limits.json"
# Each with the experiment of conf/experiment whose first seed it is.
RELEASED = {"lenet5-1998": "lenet5", "lenet5-modern": "modern"}
FRONT = "front-1998"  # the layers recovered from Fig. 13 with upper ones of ours, by experiments/fronts.py
VALUES = "input.values"
AT_ONCE = 500  # images, for the memory that their states take


@dataclass(frozen=True)
class Answer:
    """What a network says of one image.

    label: 0, 1, ...  score: its penalty, 0 or more, or its probability, 0 to 1.
    runner_up: the second best label.  margin: how far its score is from the winner's, 0 or more.
    """

    label: int
    score: float
    runner_up: int
    margin: float


@dataclass(frozen=True)
class Limits:
    """Beyond which an answer is not sure; chosen on images that a network of the same recipe had not seen.

    score: the largest penalty, or the smallest probability.  margin: the smallest one.
    error_percent: so many of the digits that either of them alone leaves are wrong.
    rejected_percent: so many of all digits are not sure by both.
    """

    score: float
    margin: float
    error_percent: float
    rejected_percent: float

    def doubt(self, answer: Answer, has_penalties: bool) -> str:
        """Why an answer is not sure; empty where it is."""
        if has_penalties and answer.score > self.score:
            return f"penalty above {self.score:.2f}"
        if not has_penalties and answer.score < self.score:
            return f"probability below {self.score:.4f}"
        return f"margin below {self.margin:.4g}" if answer.margin < self.margin else ""


class Recogniser(nn.Module):
    """A trained network and its input: bytes in, the network's output out.

    network: PaperNet or ModernNet.
    classes: the character that each label stands for.
    values: (256,) float32, what each byte becomes; the first one is also put around the image, where the network is
        larger (p. 7).
    about: name, fingerprint, seed, commit, `model` (the fields of ModelConfig) and `input` (as DataConfig.input).

    Called on images (N, 28, 28) of uint8, 0 for the background and 255 for full ink, digits in MNIST's size and place,
    it gives (N, classes): penalties of an RBF output, of which the smallest wins, or the weighted sums of a linear one,
    of which the largest wins. Raises ValueError for images of another type or shape.
    """

    values: Tensor

    def __init__(self, network: LayeredNet, values: Tensor, about: dict[str, Any]) -> None:
        super().__init__()
        self.network = network
        self.about = about
        self.register_buffer("values", values)
        self.background = float(values[0])
        model = about["model"]
        self.has_penalties = model["output"] == "rbf"
        # files of before there was a choice have none
        self.classes: str = model.get("classes", paper.CHARACTERS)
        self.edge = 0 if model["geometry"] == "unpadded" else (paper.INPUT_SIZE - paper.IMAGE_SIZE) // 2

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.network(self._input(images))
        return output

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        """The states of every layer by name, input, c1, s2, c3, s4, c5, f6 and output; images: as it is called on."""
        return self.network.features(self._input(images))

    def _input(self, images: Tensor) -> Tensor:
        size = paper.IMAGE_SIZE
        if images.dtype != torch.uint8 or images.dim() != 3 or images.shape[1:] != (size, size):
            raise ValueError(f"images are {images.dtype} {tuple(images.shape)}, not torch.uint8 (N, {size}, {size})")
        return F.pad(self.values[images.long()], (self.edge,) * 4, value=self.background)[:, None]

    @property
    def score_name(self) -> str:
        """What the scores of `answers` are: penalty or probability."""
        return "penalty" if self.has_penalties else "probability"

    @torch.no_grad()
    def answers(self, images: NDArray[np.uint8]) -> list[Answer]:
        """Label, score and margin of each image; images: as the module is called on, as an array."""
        output = torch.cat([self(part) for part in torch.split(torch.from_numpy(images), AT_ONCE)])
        scores = output if self.has_penalties else output.softmax(1)
        found = []
        for row, order in zip(scores.tolist(), scores.argsort(1, descending=not self.has_penalties), strict=True):
            best, second = int(order[0]), int(order[1])
            found.append(Answer(best, row[best], second, abs(row[best] - row[second])))
        return found


def load_pretrained(name: str) -> Recogniser:
    """A released network, in evaluation mode. names: those of RELEASED, and FRONT.

    Raises ConfigError for another name, and RecordError for a file that is missing, damaged or not the released one.
    """
    if name not in (*RELEASED, FRONT):
        raise ConfigError(f"{name}: no such network; there are {', '.join((*RELEASED, FRONT))}")
    return released(name, WEIGHTS)


def released(name: str, folder: Path) -> Recogniser:
    """A network that experiments/release.py put into a folder. Raises RecordError as `load_pretrained` does."""
    path = folder / f"{name}.safetensors"
    expected = digests(folder).get(name)
    if expected is None:
        raise RecordError(f"{name}: not released yet; experiments/release.py does it, from a run")
    try:
        found = sha256(path.read_bytes())
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    if found != expected:
        raise RecordError(f"{path}: damaged, or not the released file: SHA-256 is {found}, must be {expected}")
    return load_file(path)


def limits(name: str) -> Limits | None:
    """The limits of a released network; None where it has none. Raises RecordError."""
    path = WEIGHTS / LIMITS
    found = read_sealed(path).get(name) if path.exists() else None
    return Limits(**{key: found[key] for key in Limits.__dataclass_fields__}) if found else None


def digests(folder: Path) -> dict[str, Any]:
    """The SHA-256 of each released file of a folder, by name; none before the first. Raises RecordError."""
    path = folder / DIGESTS
    return read_sealed(path) if path.exists() else {}


def load_file(path: Path) -> Recogniser:
    """The network of a file that experiments/release.py made, in evaluation mode.

    Raises RecordError for a file that is missing, damaged, or anything else.
    """
    about, tensors = read_tensors(path)
    try:
        return recogniser(about, tensors)
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        reason = one_line(error)
        raise RecordError(f"{path}: not a network that experiments/release.py released: {reason}") from error


def recogniser(about: Mapping[str, Any], tensors: Tensors) -> Recogniser:
    """The network with these parameters, in evaluation mode; about, tensors: as in the file.

    Raises LookupError, TypeError, ValueError or RuntimeError where they do not fit each other.
    """
    model = model_of(about)
    if model.geometry == "resized":
        raise ValueError("model.geometry=resized: only images that are padded or taken as they are can be predicted")
    if model.blank:
        raise ValueError("model.blank=true: only networks whose answers are single characters are released")
    if model.name in ("lenet1", "mlp"):
        raise ValueError(f"model.name={model.name}: only networks of 28x28 images are released")
    # A random connection table is drawn with the initial weights, and from the same seed.
    network = build(model, int(about["seed"]))
    state = {name: values for name, values in tensors.items() if name != VALUES}
    expected = network.state()
    if wrong := sorted(set(state) ^ set(expected)):
        raise ValueError(f"{', '.join(wrong)}: missing, or not a parameter of the network")
    for name, tensor in {**expected, VALUES: torch.empty(256)}.items():
        if tensors[name].shape != tuple(tensor.shape) or not np.isfinite(tensors[name]).all():
            raise ValueError(f"{name}: not {tuple(tensor.shape)} finite numbers")
    network.set_state(state)
    return Recogniser(network, torch.from_numpy(tensors[VALUES].astype(np.float32)), dict(about)).eval()


def model_of(about: Mapping[str, Any]) -> ModelConfig:
    """The details of a network from `about`. Raises LookupError, TypeError or ValueError where they are not there."""
    fields = dict(about["model"])
    return ModelConfig(**{**fields, "init": InitConfig(**fields["init"])})


def state_of(net: Recogniser) -> Tensors:
    """The parameters of a network, and the statistics of its batch normalisation, by name."""
    return {name: values.detach().numpy() for name, values in net.network.state().items()}


def file_of(net: Recogniser) -> bytes:
    """The file of a network, to the same bytes each time."""
    return tensor_bytes(net.about, {**state_of(net), VALUES: net.values.numpy()})
