"""Pictures in MNIST's form: whatever the size, the colours and the polarity; and what is not a picture of a digit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from synthetic_runs import call

from paper_lenet.config import DataConfig, ModelConfig
from paper_lenet.data import levels, load, pictures
from paper_lenet.data.pictures import ImageError, as_mnist, read
from paper_lenet.files import write_atomic
from paper_lenet.network import pretrained
from paper_lenet.network.lenet5 import build
from paper_lenet.network.pretrained import VALUES, file_of, recogniser
from paper_lenet.strings.pictures import Reading, read_pictures

# An r by hand: 7 rows, 5 columns, 0 to 9 for faint to full ink.
SMALL = np.array(
    [[int(c) * 28 for c in row] for row in ("00000", "07990", "09300", "09000", "08000", "06000", "00000")]
)
SMALL = SMALL.astype(np.uint8)


def plain(ink: NDArray[np.integer], height: int, width: int) -> NDArray[np.integer]:
    """Steps 6 and 7 in another way: every pixel repeated until both grids fit, then sums of blocks."""
    fine = np.kron(ink.astype(np.int64), np.ones((height, width), np.int64))
    summed = fine.reshape(height, ink.shape[0], width, ink.shape[1]).sum((1, 3))
    return (510 * summed + summed.max()) // (2 * summed.max())


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (20, 20), (47, 33), (1, 30), (200, 9)])
def test_area_averages_in_the_right_place(shape: tuple[int, int]) -> None:
    ink = np.random.default_rng(0).integers(100, 256, shape)
    grey = np.pad(ink, ((3, 9), (31, 4))).astype(np.uint8)
    result = as_mnist(grey)
    longer = max(shape)
    height, width = (max(1, int(np.floor(20 * n / longer + 0.5))) for n in shape)
    expected = plain(ink, height, width)
    rows, columns = np.flatnonzero(result.any(1)), np.flatnonzero(result.any(0))
    np.testing.assert_array_equal(result[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], expected)
    mass = result / result.sum()
    for axis, extent in ((1, height), (0, width)):
        centre = mass.sum(axis) @ np.arange(28)
        assert 13.5 <= centre <= 14.5 or extent == 20  # a box of 20 may have no room to move


def test_digit_at_an_edge_of_its_box_stays_inside() -> None:
    grey = np.zeros((40, 40), np.uint8)
    grey[5:8, 5:35] = 255
    grey[5:35, 32:35] = 70  # most of the mass is in the first rows
    result = as_mnist(grey)
    assert np.flatnonzero(result.any(1))[[0, -1]].tolist() == [8, 27]


def test_same_picture_in_other_clothes() -> None:
    grey = np.pad(SMALL, 6)
    expected = as_mnist(grey)
    assert expected.max() == 255
    for other in (
        255 - grey,
        np.kron(grey, np.ones((7, 7), np.uint8)),
        np.pad(grey, ((0, 50), (9, 0))),
        grey // 2 + 100,
        200 - grey // 2,
    ):
        np.testing.assert_array_equal(as_mnist(other), expected)


def test_faint_specks_are_not_ink() -> None:
    grey = np.pad(SMALL, 30)
    dirty = grey.copy()
    dirty[1, 1] = dirty[-2, 5] = grey.max() // 4 - 1
    np.testing.assert_array_equal(as_mnist(dirty), as_mnist(grey))


def test_mnist_s_own_form_is_taken_as_it_is() -> None:
    for image in load(DataConfig(name="digits")).test_images[:50]:
        np.testing.assert_array_equal(as_mnist(image), image)
    # The long way changes nothing either where the ink fills its 20 pixels and has no faint edge.
    image = as_mnist(np.kron(np.pad(SMALL, 3) > 0, np.full((4, 4), 255, np.uint8)))
    np.testing.assert_array_equal(as_mnist(255 - image), image)


def test_every_bit_is_fixed() -> None:
    """Programs in other languages do the same; a change here breaks them."""
    r, c = np.mgrid[:90, :70]
    grey = np.minimum(230, 40 + abs((r - 40) ** 2 + (c - 30) ** 2 - 400)).astype(np.uint8)  # a ring
    digest = hashlib.sha256(as_mnist(grey).tobytes()).hexdigest()
    assert digest == "68dae00109e0a22de924a22c9eb7d923cb978ab2d1f13a4b51ecf58774be379d"


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_files_of_many_kinds(tmp_path: Path) -> None:
    grey = np.kron(np.pad(SMALL, 4), np.ones((6, 6), np.uint8))
    expected = as_mnist(grey)
    dark = Image.fromarray(255 - grey)
    black = Image.new("L", dark.size, 0)
    clear = [Image.merge("LA", (layer, Image.fromarray(grey))) for layer in (black, Image.new("L", dark.size, 255))]
    deep = Image.fromarray(grey.astype(np.uint16) * 200 + 300)
    sideways = Image.Exif()
    sideways[0x0112] = 6  # turn a quarter to the right
    kinds = {
        "rgb.png": dark.convert("RGB"),
        "palette.gif": dark.convert("P"),
        "cmyk.tif": dark.convert("RGB").convert("CMYK"),
        "ink-on-nothing.png": clear[0],
        "light-ink-on-nothing.png": clear[1],
        "rgba.webp": clear[0].convert("RGBA"),
        "deep.png": deep,
        "float.tif": Image.fromarray(grey.astype(np.float32) / 7),
    }
    for name, image in kinds.items():
        options = {"lossless": True} if name.endswith("webp") else {}
        result = read(saved(tmp_path / name, image, **options))
        assert abs(result.astype(int) - expected).max() <= 2, name
    turned = saved(tmp_path / "turned.png", Image.fromarray(np.rot90(255 - grey)), exif=sideways)
    np.testing.assert_array_equal(read(turned), expected)
    jpeg = read(saved(tmp_path / "photo.jpg", dark.convert("RGB"), quality=90))
    moved = [np.roll(jpeg.astype(int), (r, c), (0, 1)) for r in (-1, 0, 1) for c in (-1, 0, 1)]
    assert min(abs(image - expected).mean() for image in moved) < 6


def test_colours_and_transparency_to_grey() -> None:
    image = Image.new("RGBA", (2, 1))
    image.putdata([(255, 0, 0, 255), (0, 0, 255, 100)])
    red = (19595 * 255 + 32768) // 65536
    blue = (7471 * 255 + 32768) // 65536
    assert pictures.grey_of(image).tolist() == [[red, (100 * blue + 155 * 255 + 127) // 255]]


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing.png": (lambda path: None, "No such file"),
    "folder.png": (lambda path: path.mkdir(), "Is a directory"),
    "text.png": (lambda path: path.write_text("seven", encoding="utf-8"), "not an image"),
    "empty.png": (lambda path: path.write_bytes(b""), "not an image"),
    "blank.png": (lambda path: Image.new("L", (50, 50), 240).save(path), "no ink in it"),
    "faint.png": (lambda path: Image.fromarray(np.pad(SMALL // 10, 9)).save(path), "no ink in it"),
    "clear.png": (lambda path: Image.new("RGBA", (50, 50)).save(path), "no ink in it"),
    "flat.tif": (lambda path: Image.new("F", (50, 50), 0.5).save(path), "no ink in it"),
    "program.eps": (lambda path: Image.new("L", (20, 20), 90).save(path), "PostScript is a program"),
    "large.png": (lambda path: Image.new("1", (500, 400)).save(path), "too large: 500x400 pixels, 100000 at most"),
    "bomb.png": (lambda path: Image.new("1", (500, 900)).save(path), "too large: more than 100000 pixels"),
}


def bad_file(folder: Path, name: str) -> Path:
    path = folder / name
    UNREADABLE[name][0](path)
    return path


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "LARGEST", 100_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 150_000)
    path = bad_file(tmp_path, name)
    with pytest.raises(ImageError, match=UNREADABLE[name][1]) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_truncated_at_any_byte(tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole.png", Image.fromarray(np.pad(SMALL, 6))).read_bytes()
    path = tmp_path / "part.png"
    for size in range(0, len(whole) - 20, 3):
        path.write_bytes(whole[:size])
        with pytest.raises(ImageError, match=r"part\.png: "):
            read(path)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    model = ModelConfig()
    state = {name: values.detach().numpy() for name, values in build(model, 0).named_parameters()}
    about = {"name": "mine", "seed": 0, "model": {**vars(model), "init": vars(model.init)}, "input": "paper"}
    net = recogniser(about, {**state, VALUES: levels(np.float32)})
    weights = tmp_path / "mine.safetensors"
    write_atomic(weights, file_of(net))
    good = [
        saved(tmp_path / name, Image.fromarray(255 - np.kron(np.pad(SMALL, edge), np.ones((6, 6), np.uint8))))
        for name, edge in (("a.png", 5), ("b.png", 9))
    ]
    bad = [bad_file(tmp_path, name) for name in ("text.png", "missing.png")]

    assert call(monkeypatch, "predict", *good, "--weights", weights) == 0
    lines = capsys.readouterr().out.splitlines()
    for path, line, reading in zip(good, lines, read_pictures(good, str(weights)), strict=True):
        assert isinstance(reading, Reading) and reading.answer is not None
        answer = reading.answer
        text = f"{answer.label}, penalty {answer.score:.2f}, margin {answer.margin:.2f} to {answer.runner_up}"
        assert line == f"{path}: {text}; not sure: {reading.doubt}" and "another network" in reading.doubt

    assert call(monkeypatch, "predict", bad[0], good[0], bad[1], good[1], "--weights", weights) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == lines
    assert [line.split(": ")[:2] for line in err.splitlines()] == [["predict", str(path)] for path in bad]

    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path / "weights")
    for name, message in (("seven", "no such network; there are lenet5-1998"), (good[0], "a.png: cannot be read")):
        assert call(monkeypatch, "predict", good[0], "--weights", name) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("predict: ") and message in line
