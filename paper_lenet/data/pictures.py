"""An image of a handwritten digit -> MNIST's form (p. 9-10): 28x28 bytes, its size and place as MNIST's have them; or
an image of a row of digits -> a strip 32 pixels high.

Both are in whole numbers throughout, so that another program can do the same to the last bit.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from paper_lenet import paper
from paper_lenet.errors import PaperLenetError

Grey = NDArray[np.uint8]

BOX = 20  # MNIST's digits fit into so many pixels (p. 9-10)
# Columns beside the digits of a strip, so that a narrow one still stands in the middle of a window; and most in all.
MARGIN, WIDEST = 14, 4000
LARGEST = 50_000_000  # pixels: what a camera makes; more needs gigabytes
HEIC = (".heic", ".heif")
FAINT = 32  # of 255: differences below are noise or compression, not ink


class ImageError(PaperLenetError, ValueError):
    """An image in which there is no digit to read; one line, without the image's name in `as_mnist`."""


def read(path: Path, form: Callable[[Grey], Grey] | None = None) -> Grey:
    """What an image file shows that Pillow can read, as `as_mnist` or another form gives it.

    Raises ImageError that names the file. Of an animation the first frame is taken. A picture that says that it lies
    on its side (EXIF) is set upright.
    """
    try:
        return (form or as_mnist)(_opened(path, grey_of))
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def colours_of(file: Path | BinaryIO) -> NDArray[np.uint8]:
    """(H, W, 3) what an image file shows, as `read` opens it; of a grey one three times the same. Raises ImageError."""
    return _opened(file, _colours)


def _opened(file: Path | BinaryIO, seen: Callable[[Image.Image], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """What `seen` makes of an image file. Raises ImageError, without the file's name."""
    heic = _read_heic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused just below
            with Image.open(file) as image:
                if image.format == "EPS":  # the only one that Pillow has another program run
                    raise ImageError("PostScript is a program, not an image")
                if image.width * image.height > LARGEST:
                    raise ImageError(f"too large: {image.width}x{image.height} pixels, {LARGEST} at most")
                return seen(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        raise ImageError(f"too large: more than {LARGEST} pixels") from error
    except UnidentifiedImageError as error:
        needs = "" if heic or Path(str(file)).suffix.lower() not in HEIC else ": needs paper-lenet[heic]"
        raise ImageError(f"not an image that can be read{needs}") from error
    except ImageError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file makes them raise
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
        raise ImageError(reason) from error


@functools.cache
def _read_heic() -> bool:
    """Whether pictures of telephones can be read, which takes a package of its own."""
    if find_spec("pillow_heif") is None:
        return False
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return True


def _colours(image: Image.Image) -> NDArray[np.uint8]:
    """Red, green and blue; of a transparent or a deep image its grey values, as `grey_of` has them."""
    flat = image.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and "transparency" not in image.info
    if flat and image.mode != "F" and not image.mode.startswith("I"):
        return np.asarray(image.convert("RGB"))
    return np.repeat(grey_of(image)[:, :, None], 3, 2)


def grey_of(image: Image.Image) -> Grey:
    """Grey values (H, W), 0 for black and 255 for white, of any image of Pillow's.

    Colours: (19595 R + 38470 G + 7471 B + 32768) // 65536. What is transparent lies on white: alpha a of grey g gives
    (a g + (255 - a) 255 + 127) // 255; or on black, (a g + 127) // 255, if on white the largest and the smallest
    value are less than 32 apart. More than 8 bits a pixel: the smallest value becomes 0, the largest 255.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.float64)
        low, high = float(deep.min()), float(deep.max())
        if not low < high < np.inf:
            raise ImageError("no ink in it")
        return np.rint((deep - low) * (255 / (high - low))).astype(np.uint8)
    if image.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and "transparency" not in image.info:
        opaque: Grey = np.asarray(image.convert("RGB").convert("L"))
        return opaque
    layers = image.convert("RGBA")
    alpha = np.asarray(layers.getchannel("A")).astype(np.uint16)
    ink = alpha * np.asarray(layers.convert("RGB").convert("L")) + np.uint16(127)
    on_white = (ink + (255 - alpha) * np.uint16(255)) // 255
    on_black = ink // 255
    faint = int(on_white.max()) - int(on_white.min()) < FAINT
    seen: Grey = (on_black if faint else on_white).astype(np.uint8)
    return seen


def as_mnist(grey: Grey) -> Grey:
    """Grey values (H, W) of 0 to 255, one digit, dark on light or light on dark -> (28, 28), ink up to 255 on 0.

    In this order, all in whole numbers; // rounds down:

    1. The largest and the smallest value, high and low, must be at least 32 apart; else ImageError: no ink.
    2. The frame is the outermost row or column of pixels on each side, each pixel once. The background b is the
       frame's lower median: of its n values in rising order the one at (n - 1) // 2, from 0.
    3. An image of 28x28 with b < 32 and 2 b <= high + low is taken as it is: here this function ends.
    4. Ink is b - g where 2 b > high + low (dark on light), else g - b; what is below 0 becomes 0. The peak is its
       largest value. Where 4 ink < peak it becomes 0.
    5. The box is the smallest rectangle with all that is not 0: h rows, w columns.
    6. It is scaled so that its longer side m = max(h, w) becomes 20 pixels and the other one keeps its proportion,
       n' = max(1, (40 n + m) // (2 m)). A pixel of the scaled box is the mean over the area that it covers, whether
       that is many pixels or a part of one: source pixel k has in target pixel i of n' the weight
       max(0, min((i + 1) n, (k + 1) n') - max(i n, k n')), of rows times of columns. S is the weighted sum, not
       divided by anything.
    7. The largest S becomes 255: (510 S + S_max) // (2 S_max). So thin strokes do not become faint ones.
    8. The scaled box is put where its centre of mass comes nearest to row 14 and column 14, from 0: with mass
       M = sum of values and T = sum of values times row, its first row is (29 M - 2 T) // (2 M), but not below 0 nor
       above 28 - h', so that it lies inside; columns alike. All else is 0.
    """
    size = paper.IMAGE_SIZE
    b, dark_on_light = _background(grey)
    if grey.shape == (size, size) and b < FAINT and not dark_on_light:
        return grey.copy()
    ink = _ink(grey, b, dark_on_light)
    longer = max(ink.shape)
    height, width = (max(1, (2 * BOX * n + longer) // (2 * longer)) for n in ink.shape)
    box = _scaled(ink, height, width)

    mass = int(box.sum())
    top = (29 * mass - 2 * int(box.sum(1) @ np.arange(height))) // (2 * mass)
    left = (29 * mass - 2 * int(box.sum(0) @ np.arange(width))) // (2 * mass)
    top, left = min(max(top, 0), size - height), min(max(left, 0), size - width)
    result = np.zeros((size, size), np.uint8)
    result[top : top + height, left : left + width] = box
    return result


def as_strip(grey: Grey) -> Grey:
    """Grey values (H, W) of 0 to 255, digits in a row, dark on light or light on dark -> (32, 32 + 4 k), ink on 0.

    Steps 1 and 2 are those of `as_mnist`. An image that is 32 pixels high and 32 + 4 k wide, with b < 32 and
    2 b <= high + low, is taken as it is. So are steps 4 and 5. Then:

    6. The box is scaled so that its height becomes 20 pixels, n' = max(1, (40 n + h) // (2 h)) of its width, and the
       largest value 255, as in steps 6 and 7.
    7. It is put with its first row at 6, 14 columns from the left; as many or up to 3 more stay on its right.

    Raises ImageError for an image lower than 32 pixels, for one without ink, and for a strip of more than 4,000 pixels.
    """
    side = paper.INPUT_SIZE
    if len(grey) < side:
        raise ImageError(f"{len(grey)} pixels high; a row of digits needs {side} or more")
    b, dark_on_light = _background(grey)
    as_it_is = grey.shape[1] >= side and (grey.shape[1] - side) % 4 == 0
    if len(grey) == side and as_it_is and b < FAINT and not dark_on_light:
        return grey.copy()
    ink = _ink(grey, b, dark_on_light)
    height, width = ink.shape
    wide = max(1, (2 * BOX * width + height) // (2 * height))
    if wide > WIDEST:
        raise ImageError(f"{width} pixels wide and {height} high: too long for a row of digits")
    whole = max(side, wide + 2 * MARGIN)
    result = np.zeros((side, whole + -(whole - side) % 4), np.uint8)
    top = (side - BOX) // 2
    result[top : top + BOX, MARGIN : MARGIN + wide] = _scaled(ink, BOX, wide)
    return result


def _background(grey: Grey) -> tuple[int, bool]:
    """Steps 1 and 2 of `as_mnist`: the value of the background, and whether it is light. Raises ImageError."""
    low, high = int(grey.min()), int(grey.max())
    if high - low < FAINT:
        raise ImageError("no ink in it")
    frame = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    if 1 in grey.shape:
        frame = grey.reshape(-1)
    b = int(np.sort(frame)[(len(frame) - 1) // 2])
    return b, 2 * b > high + low


def _ink(grey: Grey, b: int, dark_on_light: bool) -> NDArray[np.int16]:
    """Steps 4 and 5 of `as_mnist`: the ink in its box."""
    signed = b - grey.astype(np.int16) if dark_on_light else grey.astype(np.int16) - b
    ink = np.maximum(signed, 0)
    ink[4 * ink < ink.max()] = 0
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _scaled(ink: NDArray[np.int16], height: int, width: int) -> NDArray[np.int64]:
    """Steps 6 and 7 of `as_mnist`: area means, the largest of which becomes 255."""
    summed = _area_sums(_area_sums(ink, height).T, width).T
    peak = int(summed.max())
    return np.asarray((510 * summed + peak) // (2 * peak))


def _area_sums(values: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Rows (n, ...) -> (count, ...): sums over equal parts of the n rows, each row counted `count` times in all."""
    n = len(values)
    result = np.empty((count, values.shape[1]), np.int64)
    for i in range(count):
        first, end = i * n // count, -(-(i + 1) * n // count)
        k = np.arange(first, end)
        weights = np.minimum((i + 1) * n, (k + 1) * count) - np.maximum(i * n, k * count)
        result[i] = weights @ values[first:end].astype(np.int64)
    return result
