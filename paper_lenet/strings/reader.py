"""Trained space displacement networks to take away, and what they read in a picture.

weights/windows-1998.safetensors has learned windows of three characters, as that of Figs. 25 and 26 had;
weights/strings-1998.safetensors then learned whole strings, and reads better. experiments/strings.py writes these files
and their cards; nothing else does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from paper_lenet.data import levels, pictures
from paper_lenet.files import RecordError, Tensors, one_line, read_tensors, sha256, tensor_bytes
from paper_lenet.network.lenet5 import LeNet5
from paper_lenet.network.pretrained import WEIGHTS
from paper_lenet.strings.characters import CharacterModel
from paper_lenet.strings.digits import STEP, Strings
from paper_lenet.strings.reading import Answer, read
from paper_lenet.strings.sdnn import penalties

FILE, WINDOWS_FILE = (WEIGHTS / f"{name}-1998.safetensors" for name in ("strings", "windows"))
CARD = """\
# {name}

Written by `experiments/strings.py`: LeNet-5 with an eleventh code, the blank of Fig. 3, moved over a row of digits
(Section VII). {learned}

| | |
| --- | --- |
| network | LeNet-5, 60,000 trainable parameters, eleven RBF codes |
| trained on | MNIST's training images (docs/strings.md) |
| seed | {seed}, the first; not picked by its result |
| wrong characters | of all networks trained so: results/tables/strings.md |
| character model | a character is seen at {longest} positions at most; blanks before the next: {apart} |
| code | commit {commit}, configuration {run} |
| made with | torch {torch}; {cpu}, {date} |
| file | {size} bytes, SHA-256 {digest} |

```python
from pathlib import Path

from paper_lenet.strings.reader import load_reader

answer = load_reader("{name}").read_file(Path("photo.png"))
print(answer.digits, answer.probability)
```

## Limits

- A row of digits on an even background. Letters and blots are read as digits; a low probability is a hint.
- A reproduction for study: not for documents, cheques or anything else whose misreading would do harm.

The file is under the MIT licence, as the code. No image is in it. Please cite the article and this software
(CITATION.cff).
"""


@dataclass(frozen=True)
class Reader:
    """A space displacement network and the character model that it was trained with."""

    network: LeNet5
    model: CharacterModel

    def read(self, strip: NDArray[np.uint8]) -> Answer:
        """What is read in a strip, bytes (32, 32 + 4 k), ink 255 on 0."""
        (answer,) = read(self.network, Strings([strip], [()]), self.model)
        return answer

    def read_file(self, path: Path) -> Answer:
        """What is read in an image file, of any size from 32 pixels high on. Raises ImageError that names it."""
        return self.read(pictures.read(path, pictures.as_strip))

    @torch.no_grad()
    def alone(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 11) penalties of images (N, 28, 28), each in a window of its own."""
        padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
        return penalties(self.network, torch.from_numpy(levels(np.float32)[padded])[:, None])[:, 0].numpy()

    @torch.no_grad()
    def states(self, strip: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """F6 (T, 84) and the penalties (T, 11) at the positions of a strip, as `read` takes it."""
        image = torch.from_numpy(levels(np.float32)[strip])[None, None]
        count = (strip.shape[1] - strip.shape[0]) // STEP + 1
        f6 = self.network.features(image)["f6"].reshape(84, count)
        return f6.T.numpy(), penalties(self.network, image)[0].numpy()


def load_reader(of: str | Path = FILE) -> Reader:
    """A released reader, `strings-1998` or `windows-1998`, or that of another file that experiments/strings.py wrote.

    Raises RecordError.
    """
    path = of if isinstance(of, Path) else WEIGHTS / f"{of}.safetensors"
    about, tensors = read_tensors(path)
    try:
        network = LeNet5(blank=True, rbf_factor=float(about["rbf_factor"]))
        network.load_state_dict({name: torch.from_numpy(w) for name, w in tensors.items()})
        model = CharacterModel(**about["model"])
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise RecordError(f"{path}: not a reader of strings: {one_line(error)}") from error
    return Reader(network.eval(), model)


def file_of(tensors: Tensors, model: CharacterModel, about: Mapping[str, Any]) -> bytes:
    """The file of a network's state_dict and its character model."""
    return tensor_bytes({**about, "model": asdict(model)}, tensors)


def card(content: bytes, model: CharacterModel, about: Mapping[str, Any]) -> str:
    """What the file is and how to use it, as Markdown; about: name, learned, seed, commit, run, torch, cpu, date."""
    return CARD.format(**about, **asdict(model), size=f"{len(content):,}", digest=sha256(content))
