"""What a picture shows: a digit, a row of digits, or neither; and whether that is sure.

A digit is read by a released network or one of one's own (network/pretrained.py), a row of digits by the space
displacement network (reader.py).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paper_lenet import paper
from paper_lenet.data import photographs, pictures
from paper_lenet.data.pictures import Grey, ImageError
from paper_lenet.network.pretrained import Answer, Limits, Recogniser
from paper_lenet.network.pretrained import limits as limits_of
from paper_lenet.runs.trained import load_network
from paper_lenet.strings.reader import WINDOWS_FILE, Reader, load_reader

AT_ONCE = 500  # pictures, for the memory that they take
# Rows are read with a probability of these digits of at least so much, or said not to be sure.
LEAST_PROBABILITY = 0.5


@dataclass(frozen=True)
class Reading:
    """What is read in a picture.

    digits: one, or several in a row; empty where there is no digit. Of a network of other classes their characters.
    doubt: why it is not sure, or why there is no digit; empty where it is sure.
    answer: what the network says, of one digit.  probability: that of a row of digits.
    """

    digits: str
    doubt: str = ""
    answer: Answer | None = None
    probability: float | None = None

    @property
    def sure(self) -> bool:
        return not self.doubt


@dataclass(frozen=True)
class Seen:
    """A picture on its way to the network.

    image: (28, 28), as MNIST's; None where it shows no single digit.
    found: the steps to it; None where the picture is taken as it is.  problem: what stands in the way.
    """

    image: Grey | None
    found: photographs.Found | None = None
    problem: str = ""


def seen(source: Path | bytes) -> Seen:
    """A picture, brought into MNIST's form. Raises ImageError where it is no picture."""
    colours = pictures.colours_of(io.BytesIO(source) if isinstance(source, bytes) else source)
    size = paper.IMAGE_SIZE
    if colours.shape[:2] == (size, size) and is_as_mnist(colours[:, :, 0]):
        return Seen(np.ascontiguousarray(colours[:, :, 0]))
    try:
        found = photographs.found(colours)
        if len(found.characters) > 1:
            return Seen(None, found, f"{len(found.characters)} characters")
        return Seen(pictures.as_mnist(found.ink), found)
    except ImageError as error:
        return Seen(None, None, str(error))


def is_as_mnist(grey: NDArray[np.uint8]) -> bool:
    """Whether an image of 28x28 is light on black, as MNIST's are."""
    frame = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    return bool(np.median(frame) < pictures.FAINT <= int(grey.max()) - int(grey.min()))


@dataclass(frozen=True)
class Second:
    """A second opinion on a photograph: of the network that learned windows, which knows more of what is no digit.

    limit: of its penalty.
    """

    reader: Reader
    limit: float

    def doubts(self, images: NDArray[np.uint8], answers: list[Answer]) -> list[str]:
        """Why each answer is not sure, or an empty text; images: (N, 28, 28)."""
        given = self.reader.alone(images)[:, : paper.CLASSES]
        found = []
        for answer, label, penalty in zip(answers, given.argmin(1), given.min(1), strict=True):
            other = f"another network reads {label}" if label != answer.label else ""
            found.append(other or (f"another network's penalty above {self.limit:.2f}" if penalty > self.limit else ""))
        return found


@dataclass(frozen=True)
class Readers:
    """Who reads.

    net: a digit.  limits: beyond them its answer is not sure; None where it has none.
    rows: digits in a row; None where the network has other classes, which nothing reads in a row.
    second: is asked about photographs, not about images that are as MNIST's.
    """

    net: Recogniser
    limits: Limits | None
    rows: Reader | None
    second: Second | None


def readers_of(weights: str = "lenet5-1998") -> Readers:
    """The readers with the network of `load_network`, which says what it raises."""
    net = load_network(weights)
    if net.classes != paper.CHARACTERS:
        return Readers(net, None, None, None)
    of_windows = limits_of(WINDOWS_FILE.stem)
    second = Second(load_reader(WINDOWS_FILE), of_windows.score) if of_windows else None
    return Readers(net, limits_of(weights), load_reader(), second)


def read_pictures(pictures: Iterable[str | Path | bytes], weights: str = "lenet5-1998") -> list[Reading | ImageError]:
    """What is read in each picture, a file or its bytes; an ImageError says why one is no picture.

    weights: a released network, a file that experiments/release.py wrote, or the folder of a run. Raises ConfigError,
    RecordError, CollectError or DataError.
    """
    sources = (picture if isinstance(picture, bytes) else Path(picture) for picture in pictures)
    return list(readings(sources, readers_of(weights)))


def readings(sources: Iterable[Path | bytes], readers: Readers) -> Iterator[Reading | ImageError]:
    """What is read in each picture, or why it is no picture; some hundred at once."""
    net, limits, second = readers.net, readers.limits, readers.second
    left = iter(sources)
    while some := list(islice(left, AT_ONCE)):
        found: list[Seen | ImageError] = []
        for source in some:
            try:
                found.append(seen(source))
            except ImageError as error:
                found.append(error)
        images = [each.image for each in found if isinstance(each, Seen) and each.image is not None]
        given = net.answers(np.stack(images)) if images else []
        others = second.doubts(np.stack(images), given) if second and images else [""] * len(given)
        answers = zip(given, others, strict=True)
        for each in found:
            if isinstance(each, ImageError):
                yield each
            elif each.image is not None:
                answer, other = next(answers)
                doubt = limits.doubt(answer, net.has_penalties) if limits else ""
                yield Reading(net.classes[answer.label], doubt or (other if each.found else ""), answer)
            else:
                yield row(each, readers.rows)


def row(picture: Seen, reader: Reader | None) -> Reading:
    """What is read in a picture of more than one character, or of none."""
    if picture.found is None or not is_row(picture.found.characters):
        return Reading("", picture.problem if picture.found is None else f"no digit: {picture.problem}")
    if reader is None:
        return Reading("", f"{picture.problem}, and this network reads one")
    try:
        answer = reader.read(pictures.as_strip(picture.found.ink))
    except ImageError as error:
        return Reading("", str(error))
    digits = "".join(map(str, answer.digits))
    doubt = "" if answer.probability >= LEAST_PROBABILITY else f"probability below {LEAST_PROBABILITY}"
    if len(digits) != len(picture.found.characters):
        doubt = f"{picture.problem} in it"
    return Reading(digits, doubt, None, float(answer.probability))


def is_row(characters: list[photographs.Box]) -> bool:
    """Whether characters stand side by side, about equally high."""
    tallest = max(box.height for box in characters)
    top, bottom = max(box.top for box in characters), min(box.bottom for box in characters)
    return min(box.height for box in characters) > 0.45 * tallest and bottom - top > 0.2 * tallest
