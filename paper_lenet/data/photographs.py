"""A photograph or scan of handwriting -> the ink of its digits, without paper, light, lines, dust and table.

`found` goes through the steps one by one and keeps what each of them saw. What comes out is white ink on black, as a
picture drawn on a screen would be, which `pictures.as_mnist` and `pictures.as_strip` bring into a network's form.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from paper_lenet.data.pictures import BOX, Grey, ImageError

Colours = NDArray[np.uint8]
Contrast = NDArray[np.float32]
Mask = NDArray[np.bool_]

WORKING = 480  # pixels of the longer side, to which larger pictures are brought
SMALL = 120  # of the longer side, for the light of the paper
# Contrast is in grey levels. What is fainter is no ink, whatever the noise.
FAINTEST = 14.0
# What comes in from the edge of the picture has at least so much, or is no ink: light often changes there.
AT_EDGE = 40.0
# Ink that is fainter than this part of the darkest is taken for something else: printed lines, shadows, smears.
PART_OF_DARKEST = 0.45
# Widths of strokes in MNIST's box of 20 pixels; thinner and thicker ones are brought to the nearer of them.
STROKES = (2.2, 3.6)
# A digit is at most so much wider than high, in so many parts, and at least this part of the picture's longer side.
WIDEST, PARTS, SMALLEST = 1.8, 5, 0.035
# Parts of a digit are at least so large, beside the largest one: area, or the longer side.
PART_AREA, PART_SIDE = 0.06, 0.3


@dataclass(frozen=True)
class Box:
    """Rows and columns of a character, the ends not included."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def with_(self, other: Box) -> Box:
        """The smallest box around both."""
        return Box(min(self.top, other.top), max(self.bottom, other.bottom), min(self.left, other.left),
                   max(self.right, other.right))  # fmt: skip


@dataclass
class Found:
    """What a picture shows.

    ink: (H, W) uint8, white ink on black with a margin, of all characters together.
    characters: the box of each in `ink`, from left to right.
    steps: what each step saw, by its name, in order: pictures to be looked at.
    """

    ink: Grey
    characters: list[Box]
    steps: dict[str, NDArray[np.uint8]] = field(default_factory=dict)


def found(colours: Colours) -> Found:
    """The characters of a picture (H, W, 3) of bytes. Raises ImageError where there is no ink.

    1. A picture of more than 480 pixels a side is made smaller, by means over areas.
    2. A light sheet with something darker all around it is cut out (`sheet`).
    3. The paper is what is left where strokes are closed, colour by colour, so that light may change over it (`paper`).
    4. Contrast is how far a pixel is from the paper in the direction of the ink's colour (`contrast`): dark or light
       ink, or ink of another colour of the same brightness.
    5. Ink has more contrast than the noise has, and almost half of that of the darkest ink.
    6. Printed lines from edge to edge go, where no stroke crosses them; of a printed box only the inside is kept.
    7. Specks go. Parts that lie above each other or touch, almost, are one character (`grouped`).
    8. Strokes are made as wide as MNIST's, beside the size of their character.
    """
    steps: dict[str, NDArray[np.uint8]] = {}
    small = _smaller(colours, WORKING)
    steps["picture"] = small
    small, on_sheet = sheet(small)
    light = paper(small)
    steps["paper"] = light
    values = contrast(small, light)
    values[~on_sheet] = 0
    steps["contrast"] = np.clip(values, 0, 255).astype(np.uint8)
    level, mask = inked(values, on_sheet)
    mask = without_lines(mask)
    mask = inside_of_box(mask)
    boxes, mask = grouped(mask, level)
    steps["ink"] = (255 * mask).astype(np.uint8)
    require_digit(mask, boxes)
    ink, boxes = _as_ink(values, mask, boxes, level)
    steps["strokes"] = ink
    return Found(ink, boxes, steps)


def _smaller(image: NDArray[Any], side: int) -> NDArray[Any]:
    factor = side / max(image.shape[:2])
    if factor >= 1:
        return image
    size = [max(1, round(n * factor)) for n in image.shape[1::-1]]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def sheet(colours: Colours) -> tuple[Colours, Mask]:
    """A light sheet on a darker table, cut out, and where in it there is paper; else the picture as it is.

    The sheet is light all over, of the shape of its convex hull, and touches little of the picture's edge.
    """
    everywhere = np.ones(colours.shape[:2], bool)
    if min(colours.shape[:2]) < 64:
        return colours, everywhere
    grey = cv2.GaussianBlur(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY), (0, 0), 2)
    threshold, light = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(light, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return colours, everywhere
    largest = max(contours, key=cv2.contourArea)
    hull = cv2.convexHull(largest)
    whole = np.zeros_like(light)
    cv2.fillConvexPoly(whole, hull, 1)
    share = whole.mean()
    solid = cv2.contourArea(largest) / max(1.0, cv2.contourArea(hull))
    edge = np.concatenate([whole[0], whole[-1], whole[:, 0], whole[:, -1]]).mean()
    if not (0.15 < share < 0.92 and solid > 0.9 and edge < 0.4):
        return colours, everywhere
    inside, outside = grey[whole > 0], grey[whole == 0]
    if float(np.median(inside)) - float(np.median(outside)) < 40 or np.percentile(outside, 90) > threshold + 10:
        return colours, everywhere
    margin = max(3, round(0.025 * max(colours.shape[:2])))
    on_sheet = cv2.erode(whole, np.ones((2 * margin + 1,) * 2, np.uint8)) > 0
    rows, columns = np.flatnonzero(on_sheet.any(1)), np.flatnonzero(on_sheet.any(0))
    if len(rows) < 32 or len(columns) < 32:
        return colours, everywhere
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return continued(colours[part], on_sheet[part]), on_sheet[part]


def continued(colours: Colours, there: Mask) -> Colours:
    """The paper that is there, and beyond its edge as it is near the edge, or where nothing is near as in the mean."""
    whole = colours.astype(np.float32)
    for side in (2 * len(colours) // 3, 31):
        weights = cv2.blur(there.astype(np.float32), (side, side))
        means = cv2.blur(np.where(there[:, :, None], colours, 0).astype(np.float32), (side, side))
        near = ~there & (weights > 0.02)
        whole[near] = means[near] / weights[near][:, None]
    return whole.clip(0, 255).astype(np.uint8)


def paper(colours: Colours) -> Colours:
    """What the picture would be without ink, colour by colour.

    Strokes narrower than a quarter of the picture are closed (dark ones; light ones opened), and the median is taken of
    neighbourhoods of a fifth of its side, which leaves the edge of a shadow where it is.
    """
    small = np.ascontiguousarray(_smaller(colours, SMALL))
    least = min(small.shape[:2])
    window, across = max(3, int(0.2 * least) | 1), max(3, int(0.25 * least) | 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (across, across))
    light = small.copy()
    for colour in range(3):
        plane = np.ascontiguousarray(small[:, :, colour])
        light[:, :, colour] = cv2.morphologyEx(plane, cv2.MORPH_CLOSE if is_dark(plane) else cv2.MORPH_OPEN, disc)
    edge = min(window // 2, least - 1)
    padded = cv2.copyMakeBorder(light, edge, edge, edge, edge, cv2.BORDER_REFLECT_101)
    rows, columns = small.shape[:2]
    median = cv2.medianBlur(padded, window)[edge : edge + rows, edge : edge + columns]
    return np.asarray(cv2.resize(median, colours.shape[1::-1], interpolation=cv2.INTER_LINEAR))


def is_dark(plane: Grey) -> bool:
    """Whether ink is darker than the paper, by what there is less of; where light and shadow are alike, beside them."""
    low, middle, high = np.quantile(plane, [0.005, 0.5, 0.995])
    darker, lighter = middle - low, high - middle
    if max(darker, lighter) < 2 * min(darker, lighter):
        window = max(3, int(0.45 * min(plane.shape)) | 1)
        beside = plane.astype(np.int16) - cv2.medianBlur(plane, window)
        low, high = np.quantile(beside, [0.005, 0.995])
        darker, lighter = -low, high
    return bool(darker >= lighter)


def contrast(colours: Colours, light: Colours) -> Contrast:
    """(H, W) how far each pixel is from the paper, in grey levels, along the colour in which most of the ink is."""
    # The paper of a neighbourhood is a range: at the edge of a shadow both sides are paper.
    around = np.ones((9, 9), np.uint8)
    darkest, lightest = (function(light, around).astype(np.float32) for function in (cv2.erode, cv2.dilate))
    # Ink takes away a part of the light: as much of it in the shadow as elsewhere.
    shade = np.clip(light.mean(2, keepdims=True) / max(1.0, float(np.quantile(light.mean(2), 0.95))), 0.2, 1)
    difference = np.maximum(darkest - colours, 0) / shade + np.minimum(lightest - colours, 0)
    difference = cv2.GaussianBlur(difference, (0, 0), 0.7)
    size = np.sqrt(np.square(difference).mean(2))
    most = min(size.size, max(40, size.size // 1500))
    strong = difference[size >= max(1e-6, 0.5 * float(np.median(np.partition(size.reshape(-1), -most)[-most:])))]
    if not len(strong):
        return np.zeros(size.shape, np.float32)
    # of two directions, as of ink and of a highlight, that of more pixels
    first = strong[np.argmax(np.square(strong).sum(1))]
    same = strong @ first > 0
    direction = strong[same if same.mean() >= 0.5 else ~same].mean(0)
    length = max(1e-6, float(np.linalg.norm(direction)))
    return np.asarray(difference @ (direction / length) / np.sqrt(3), np.float32)


def inked(values: Contrast, on_sheet: Mask) -> tuple[float, Mask]:
    """The contrast of the ink, and where it is. Raises ImageError where nothing stands out."""
    seen = values[on_sheet]
    noise = 1.4826 * float(np.median(np.abs(seen - np.median(seen))))
    least = max(FAINTEST, 5 * noise)
    candidates = seen[seen > least]
    if len(candidates) < 8:
        raise ImageError("no ink in it")
    # printed lines may have more pixels than the ink, but not the darkest
    darkest = np.sort(candidates)[-max(40, len(seen) // 1500) :]
    level = float(np.median(darkest))
    return level, values > max(least, PART_OF_DARKEST * level)


def without_lines(mask: Mask) -> Mask:
    """Without thin straight lines from one edge to the other; pixels of strokes that cross them stay."""
    height, width = mask.shape
    if min(height, width) < 48:
        return mask
    left = mask.copy()
    for across in (False, True):
        image = mask.T if across else mask
        rows, columns = image.shape
        lines = cv2.HoughLines(np.ascontiguousarray(image, np.uint8), 1, np.pi / 360, int(0.6 * columns),
                               min_theta=np.pi / 2 - 0.12, max_theta=np.pi / 2 + 0.12)  # fmt: skip
        if lines is None:
            continue
        runs = _runs(image)
        thickest = max(3, round(0.02 * min(height, width)))
        x = np.arange(columns)
        for rho, theta in lines.reshape(-1, 2)[:200]:
            y = np.rint((rho - x * np.cos(theta)) / np.sin(theta)).astype(int)
            inside = (y >= 1) & (y < rows - 1)
            if inside.mean() < 0.9:
                continue
            near = np.stack([image[np.clip(y + d, 0, rows - 1), x] for d in (-1, 0, 1)]).any(0)
            if np.min([part.mean() for part in np.array_split(near, 8)]) < 0.7:
                continue
            for d in range(-thickest, thickest + 1):
                at = np.clip(y + d, 0, rows - 1)
                thin = image[at, x] & (runs[at, x] <= thickest)
                (left.T if across else left)[at[thin], x[thin]] = False
    return left if left.sum() > 0.1 * mask.sum() else mask


def _runs(mask: Mask) -> NDArray[np.int32]:
    """For each pixel the length of the vertical run of ink that it is in."""
    found = np.zeros(mask.shape, np.int32)
    count = np.zeros(mask.shape[1], np.int32)
    for row in range(len(mask)):
        count = np.where(mask[row], count + 1, 0)
        found[row] = count
    for row in range(len(mask) - 2, -1, -1):
        found[row] = np.where(mask[row] & mask[row + 1], found[row + 1], found[row])
    return found


def inside_of_box(mask: Mask) -> Mask:
    """Of a printed box around other ink only what is inside."""
    contours, hierarchy = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if hierarchy is None:
        return mask
    best: Mask | None = None
    for contour, (_, _, _, parent) in zip(contours, hierarchy[0], strict=True):
        area = cv2.contourArea(contour)
        if parent < 0 or area < 0.04 * mask.size:
            continue
        _, (w, h), _ = cv2.minAreaRect(contour)
        if area < 0.8 * w * h or min(w, h) < 0.25 * max(w, h):
            continue
        hole = np.zeros(mask.shape, np.uint8)
        cv2.fillPoly(hole, [contour], 1)
        edge = max(2, round(0.03 * min(w, h)))
        inside = mask & (cv2.erode(hole, np.ones((2 * edge + 1,) * 2, np.uint8)) > 0)
        if inside.sum() > 0.003 * area and (best is None or inside.sum() > best.sum()):
            best = inside
    return mask if best is None else best


def grouped(mask: Mask, level: float) -> tuple[list[Box], Mask]:
    """The boxes of the characters from left to right, and the ink without specks. Raises ImageError without ink."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        raise ImageError("no ink in it")
    height, width = mask.shape
    areas = stats[1:, cv2.CC_STAT_AREA].astype(float)
    sides = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(1)
    touching = (stats[1:, 0] == 0) | (stats[1:, 1] == 0)
    touching |= (stats[1:, 0] + stats[1:, 2] == width) | (stats[1:, 1] + stats[1:, 3] == height)
    # what comes in from the edge is a part of something else, unless it is all there is, and dark
    alone = areas[~touching].max(initial=0) < 0.2 * areas.max()
    if alone and level < AT_EDGE:
        raise ImageError("no ink in it")
    of_digits = np.ones(count - 1, bool) if alone else ~touching
    largest = int(np.argmax(np.where(of_digits, areas, 0)))
    kept = of_digits & (areas >= PART_AREA * areas[largest]) | of_digits & (sides >= PART_SIDE * sides[largest])
    kept &= areas >= 4
    if sides[kept].max(initial=0) < max(8, SMALLEST * max(mask.shape)):
        raise ImageError("no ink in it")
    parts = [Box(int(y), int(y + h), int(x), int(x + w)) for x, y, w, h in stats[1:, :4][kept]]
    tallest = max(part.height for part in parts)
    characters: list[Box] = []
    for part in sorted(parts, key=lambda box: box.left):
        for k, other in enumerate(characters):
            overlap = min(part.right, other.right) - max(part.left, other.left)
            apart = max(0, max(part.top, other.top) - min(part.bottom, other.bottom))
            narrower = min(part.width, other.width)
            beside = overlap > 0.35 * narrower
            small = min(part.height, other.height) < 0.5 * tallest and overlap > -0.1 * tallest
            if (beside or small) and apart < 0.35 * tallest:
                characters[k] = other.with_(part)
                break
        else:
            characters.append(part)
    return characters, np.isin(labels, 1 + np.flatnonzero(kept))


def require_digit(mask: Mask, boxes: list[Box]) -> None:
    """Raise ImageError for what is no digit by its shape: too wide, too many parts or holes, something in a hole."""
    for box in boxes:
        if box.width > WIDEST * box.height:
            raise ImageError(f"no digit: {box.width / box.height:.1f} times as wide as high")
        part = mask[box.top : box.bottom, box.left : box.right]
        pieces = cv2.connectedComponents(part.astype(np.uint8), connectivity=8)[0] - 1
        if pieces > PARTS:
            raise ImageError(f"no digit: in {pieces} pieces")
        contours, hierarchy = cv2.findContours(part.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
        if hierarchy is None:
            continue
        large = [cv2.contourArea(contour) > 0.008 * part.size for contour in contours]
        holes = [k for k, (_, _, _, parent) in enumerate(hierarchy[0]) if parent >= 0 and hierarchy[0][parent][3] < 0]
        if any(hierarchy[0][k][2] >= 0 and large[hierarchy[0][k][2]] for k in holes):
            raise ImageError("no digit: there is something in a hole of it")
        if sum(large[k] for k in holes) > 2:
            raise ImageError(f"no digit: {sum(large[k] for k in holes)} holes")


def _as_ink(values: Contrast, mask: Mask, boxes: list[Box], level: float) -> tuple[Grey, list[Box]]:
    """White ink on black, its strokes as wide as MNIST's, cut to the characters with a margin; and their boxes."""
    around = boxes[0]
    for box in boxes[1:]:
        around = around.with_(box)
    tallest = max(max(box.height, box.width) for box in boxes) if len(boxes) == 1 else max(b.height for b in boxes)
    margin = max(4, tallest // 4)
    near = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    soft = np.where(near, np.clip(values / level, 0, 1), 0).astype(np.float32)
    part = slice(around.top, around.bottom), slice(around.left, around.right)
    cut = cv2.copyMakeBorder(soft[part], margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
    solid = np.pad(mask[part], margin)
    factor = max(1, -(-120 // tallest))
    if factor > 1:
        cut = cv2.resize(cut, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC).clip(0, 1)
        solid = cut > 0.5
    in_box = BOX / (factor * tallest)
    wanted = float(np.clip(stroke_width(solid) * in_box, *STROKES)) / in_box
    change = wanted - stroke_width(solid)
    size = 2 * round(abs(change) / 2) + 1
    if size > 1:
        round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        changed = cv2.dilate(cut, round_) if change > 0 else cv2.erode(cut, round_)
        if (changed > 0.5).sum() > 0.1 * solid.sum():
            cut = changed
    moved = [
        Box(*(factor * (n + margin) for n in (b.top - around.top, b.bottom - around.top, b.left - around.left,
                                              b.right - around.left)))
        for b in boxes
    ]  # fmt: skip
    return np.rint(255 * cut / max(float(cut.max()), 1e-6)).astype(np.uint8), moved


def stroke_width(mask: Mask) -> float:
    """Pixels across a stroke: twice the median distance to the paper along the middle of the strokes."""
    distance = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)
    middle = (distance >= cv2.dilate(distance, np.ones((3, 3), np.uint8))) & (distance > 0)
    return max(1.0, 2 * float(np.median(distance[middle])) - 1) if middle.any() else 1.0
