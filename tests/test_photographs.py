"""Photographs and scans: what is read in them and what is refused, by pictures that tests/pictures/draw.py drew.

The pictures of tests/pictures/seed-7 were drawn once and committed; the way to read them was made with other seeds.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from synthetic_runs import ROOT, call

from paper_lenet.commands.limits import limits_of
from paper_lenet.config import DataConfig
from paper_lenet.data import load, photographs
from paper_lenet.data.photographs import Box, found, inside_of_box, stroke_width, without_lines
from paper_lenet.data.pictures import ImageError
from paper_lenet.network.pretrained import Answer, Limits, load_pretrained
from paper_lenet.strings.pictures import Reading, is_row, read_pictures

PICTURES = ROOT / "tests" / "pictures" / "seed-7"
NONE = "none"


def labels() -> list[tuple[Path, str, str]]:
    """File, kind and label of each picture; the label is what a person reads, or `none`."""
    with (PICTURES / "labels.csv").open(encoding="utf-8", newline="") as file:
        return [(PICTURES / row["file"], row["kind"], row["label"]) for row in csv.DictReader(file)]


def read(sources: list[Path | bytes], weights: str = "lenet5-1998") -> list[Reading]:
    given = read_pictures(sources, weights)
    assert all(isinstance(each, Reading) for each in given)
    return given  # type: ignore[return-value]


def test_committed_pictures() -> None:
    """At least 90 % are read right or refused, at most 3 % wrong without a warning; of the digits 90 % are read."""
    pictures = labels()
    outcomes: Counter[str] = Counter()
    wrong = []
    for (path, kind, label), reading in zip(pictures, read([path for path, _, _ in pictures]), strict=True):
        right = reading.digits == label
        outcome = "refused" if not reading.sure else "right" if right else "wrong"
        outcomes[outcome] += 1
        outcomes["digits"] += label != NONE
        outcomes["digits read"] += label != NONE and right
        if outcome == "wrong":
            wrong.append((path.name, kind, label, reading.digits))
    print(f"pictures: {dict(outcomes)}; wrong: {wrong}")
    assert len(pictures) >= 60
    assert outcomes["right"] + outcomes["refused"] >= 0.9 * len(pictures)
    assert outcomes["wrong"] <= 0.03 * len(pictures), wrong
    assert outcomes["digits read"] >= 0.9 * outcomes["digits"]


def drawing(height: int = 200, width: int = 160) -> np.ndarray[Any, Any]:
    """A seven, dark on light, in colours."""
    image = np.full((height, width, 3), 230, np.uint8)
    corners = np.array([[40, 50], [110, 50], [70, 150]], np.int32)
    cv2.polylines(image, [corners], False, (40, 40, 60), 9)
    return image


def test_light_colour_and_lines_change_nothing() -> None:
    """The same strokes under a gradient, in light ink on dark, in colours of one brightness, and on ruled paper."""
    plain = drawing()
    expected = photographs.found(plain)
    mask = plain[:, :, 0] < 100
    slope = np.linspace(0.45, 1, plain.shape[1])[None, :, None]
    coloured = np.where(mask[:, :, None], np.array([90, 150, 200]), np.array([200, 130, 60])).astype(np.uint8)
    ruled = plain.copy()
    ruled[20::35] = 150
    others = {"gradient": (plain * slope).astype(np.uint8), "light": 255 - plain, "colours": coloured, "ruled": ruled}
    for name, other in others.items():
        given = found(other)
        (box,), (right,) = given.characters, expected.characters
        assert (box.height, box.width) == pytest.approx((right.height, right.width), abs=6), name
        overlap = (given.ink > 127)[: len(expected.ink), : expected.ink.shape[1]]
        same = (expected.ink > 127)[: overlap.shape[0], : overlap.shape[1]]
        assert (overlap & same).sum() > 0.8 * (overlap | same).sum(), name


def test_no_ink_and_no_digit() -> None:
    random = np.random.default_rng(0)
    noise = np.clip(200 + random.normal(0, 12, (150, 150, 3)), 0, 255).astype(np.uint8)
    shade = np.repeat(np.linspace(80, 240, 200)[None, :, None], 150, 0).repeat(3, 2).astype(np.uint8)
    for empty in (np.full((90, 120, 3), 200, np.uint8), noise, shade):
        with pytest.raises(ImageError, match=r"^no ink in it$"):
            found(empty)
    bar = np.full((100, 200, 3), 240, np.uint8)
    bar[45:55, 30:170] = 20
    face = np.full((200, 200, 3), 240, np.uint8)
    for radius, place in ((70, (100, 100)), (12, (75, 80)), (12, (125, 80))):
        cv2.circle(face, place, radius, (20, 20, 20), 6)
    for image, reason in ((bar, "times as wide as high"), (face, "something in a hole")):
        with pytest.raises(ImageError, match=f"^no digit: .*{reason}"):
            found(image)


def test_lines_go_and_crossing_strokes_stay() -> None:
    mask = np.zeros((120, 160), bool)
    mask[60:62] = True
    mask[20:100, 70:78] = True
    left = without_lines(mask)
    assert not left[60:62, :60].any() and not left[60:62, 90:].any()
    assert left[20:100, 71:77].all()
    short = np.zeros((120, 160), bool)
    short[60:62, 40:120] = True
    assert (without_lines(short) == short).all()


def test_inside_of_a_printed_box() -> None:
    mask = np.zeros((120, 160), bool)
    cv2_mask = mask.astype(np.uint8)
    cv2.rectangle(cv2_mask, (30, 20), (130, 100), 1, 2)
    cv2.line(cv2_mask, (80, 40), (80, 80), 1, 5)
    inside = inside_of_box(cv2_mask > 0)
    assert inside[40:80, 79:82].all() and not inside[:30].any() and not inside[:, :40].any()
    ring = np.zeros((120, 160), np.uint8)
    cv2.circle(ring, (80, 60), 40, 1, 5)
    assert (inside_of_box(ring > 0) == (ring > 0)).all()


@pytest.mark.parametrize("width", [3, 8, 15])
def test_stroke_width(width: int) -> None:
    mask = np.zeros((100, 100), bool)
    mask[10:90, 40 : 40 + width] = True
    assert stroke_width(mask) == pytest.approx(width, abs=1.5)


def test_rows_of_characters() -> None:
    boxes = [Box(10, 50, 5, 30), Box(12, 55, 40, 60), Box(8, 48, 70, 95)]
    assert is_row(boxes)
    assert not is_row([*boxes, Box(100, 140, 5, 30)])
    assert not is_row([*boxes, Box(30, 38, 100, 105)])


def test_limits() -> None:
    """Up to either limit at most so many percent are wrong, and one answer more would be too many."""

    class Net:
        has_penalties = True

        def answers(self, images: np.ndarray[Any, Any]) -> list[Answer]:
            return [Answer(int(label), penalty, 0, margin) for label, penalty, margin in images]

    rows = [(1, 0.1 * k, 50.0 - k) for k in range(40)]
    truth = np.array([1] * 36 + [2, 1, 2, 2])
    assert limits_of(Net(), np.array(rows), truth, 3) == Limits(pytest.approx(3.7), 13.0, 3, 5.0)  # type: ignore[arg-type]
    known = Limits(9.0, 12.0, 0.5, 1.6)
    assert known.doubt(Answer(3, 8.9, 5, 12.1), True) == ""
    assert known.doubt(Answer(3, 9.1, 5, 40.0), True) == "penalty above 9.00"
    assert known.doubt(Answer(3, 1.0, 5, 11.0), True) == "margin below 12"
    assert Limits(0.8, 0.6, 0.5, 1.0).doubt(Answer(3, 0.7, 5, 0.65), False) == "probability below 0.8000"


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder, standard input, an object a line, a table, and a figure; what is no picture is named."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(drawing()).save(folder / "b.png")
    (folder / "a.txt").write_text("no picture", encoding="utf-8")
    (folder / ".hidden").write_text("", encoding="utf-8")
    figure = tmp_path / "how.svg"
    assert call(monkeypatch, "predict", folder, "--json", "--explain", figure) == 1
    out, err = capsys.readouterr()
    row = json.loads(out)
    assert (row["picture"], row["digits"], row["sure"]) == (str(folder / "b.png"), "7", True)
    assert err.splitlines()[0] == f"predict: {folder / 'a.txt'}: not an image that can be read"
    content = io.BytesIO()
    Image.fromarray(drawing()).save(content, "PNG")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.getvalue())))
    assert call(monkeypatch, "predict", "-", "--csv", "--explain", figure) == 0
    (table,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (table["picture"], table["digits"], table["doubt"]) == ("-", "7", "")
    assert figure.read_text(encoding="utf-8").count("<image") >= 7
    empty = tmp_path / "empty"
    empty.mkdir()
    for wrong, line in (((empty,), f"{empty}: a folder without files"), ((folder, "--explain", "x.gif"), "x.gif: an ")):
        assert call(monkeypatch, "predict", *wrong) == 1
        assert line in capsys.readouterr().err


def test_pictures_of_telephones(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "photo.heic"
    heif.register_heif_opener()
    Image.fromarray(drawing()).save(path)
    assert read([path])[0].digits == "7"


@pytest.mark.slow
def test_mnist_as_pictures_loses_nothing() -> None:
    """The released networks err on MNIST's test images as files as they do on them as arrays; 10,000 in a minute."""
    data = load(DataConfig())
    files = []
    for image in data.test_images:
        content = io.BytesIO()
        Image.fromarray(image).save(content, "PNG")
        files.append(content.getvalue())
    for weights in ("lenet5-1998", "lenet5-modern"):
        began = time.perf_counter()
        given = read(files, weights)
        seconds = time.perf_counter() - began
        direct = [answer.label for answer in load_pretrained(weights).answers(data.test_images)]
        assert [int(reading.digits) for reading in given] == direct
        print(f"{weights}: {seconds:.1f} s, {sum(not reading.sure for reading in given)} not sure")
        assert seconds < 60
