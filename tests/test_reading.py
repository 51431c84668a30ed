"""Rows of digits in pictures: the strip that is read, the reader to take away, amounts and their grammar, a page."""

from __future__ import annotations

import dataclasses
import importlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from synthetic_runs import ROOT, clean_tree, train_here

from paper_lenet.commands import entry
from paper_lenet.data.pictures import ImageError, as_strip, read
from paper_lenet.files import RecordError, read_rows, read_tensors, sha256
from paper_lenet.network.lenet5 import LeNet5
from paper_lenet.paper.bitmaps import WITH_BLANK
from paper_lenet.recovery.codes import printed_strings, strip_of
from paper_lenet.reporting.tables.amounts import COLUMNS
from paper_lenet.reporting.tables.strings import COLUMNS as STRINGS
from paper_lenet.strings import amounts
from paper_lenet.strings.characters import CharacterModel
from paper_lenet.strings.crnn import CRNN
from paper_lenet.strings.digits import LEVELS, draw
from paper_lenet.strings.graphs import GraphError, compose, linear
from paper_lenet.strings.lattices import Transducer, rows
from paper_lenet.strings.reader import FILE, WINDOWS_FILE, file_of, load_reader
from paper_lenet.strings.reading import answers, pieces_of
from paper_lenet.strings.spotting import spots


def a_row_of_bars(height: int, width: int) -> np.ndarray:
    """Three dark bars on light paper, the middle one higher."""
    grey = np.full((height, width), 230, np.uint8)
    for k, top in enumerate((0.4, 0.2, 0.4)):
        left = int(width * (0.2 + 0.25 * k))
        grey[int(top * height) : int(0.8 * height), left : left + max(2, width // 20)] = 40
    return grey


# --- the strip ---


@pytest.mark.parametrize(("height", "width"), [(32, 82), (60, 150), (300, 1000)])
def test_a_strip_has_the_ink_at_its_height(height: int, width: int) -> None:
    strip = as_strip(a_row_of_bars(height, width))
    rows, columns = np.flatnonzero(strip.any(1)), np.flatnonzero(strip.any(0))
    assert strip.shape[0] == 32 and (strip.shape[1] - 32) % 4 == 0 and strip.max() == 255
    assert (rows[0], rows[-1], columns[0]) == (6, 25, 14) and 14 <= strip.shape[1] - columns[-1] - 1 <= 17
    assert (np.diff((strip[24] > 0).astype(int), prepend=0) == 1).sum() == 3
    # light on dark is the same
    assert np.array_equal(as_strip(255 - a_row_of_bars(height, width)), strip)


def test_a_strip_that_is_one_stays_and_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    strip = as_strip(a_row_of_bars(60, 150))
    assert np.array_equal(as_strip(strip), strip)
    line = np.full((40, 60_000), 255, np.uint8)
    line[20:22, 5:-5] = 0
    for grey, message in (
        (strip[:20], "20 pixels high; a row of digits needs 32 or more"),
        (np.zeros((40, 100), np.uint8), "no ink in it"),
        (line, "59990 pixels wide and 2 high: too long for a row of digits"),
    ):
        with pytest.raises(ImageError, match=f"^{message}$"):
            as_strip(grey)
    Image.fromarray(strip[:20]).save(tmp_path / "low.png")
    with pytest.raises(ImageError, match=r"low\.png: 20 pixels high"):
        read(tmp_path / "low.png", as_strip)


# --- the reader and its command ---


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of digits, the figure, and what cannot be read: one line each."""
    monkeypatch.chdir(tmp_path)
    net = LeNet5(blank=True, generator=torch.Generator().manual_seed(0))
    tensors = {name: w.numpy() for name, w in net.state_dict().items()}
    Path("w.safetensors").write_bytes(file_of(tensors, CharacterModel(2, 1), {"rbf_factor": 1.0}))
    found = load_reader(Path("w.safetensors"))
    assert found.model == CharacterModel(2, 1) and torch.equal(found.network.c1.weight, net.c1.weight)
    Image.fromarray(a_row_of_bars(60, 150)).save("a.png")
    Path("b.png").write_text("no image", encoding="utf-8")

    def read_(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["read", *arguments])
        code = entry.run("read")
        return code, *capsys.readouterr()

    code, out, error = read_("a.png", "b.png", "--weights", "w.safetensors", "--figure", "f.png")
    assert code == 1 and error == "read: b.png: not an image that can be read\n"
    line, wrote = out.splitlines()
    assert line.startswith("a.png: ") and ", penalty " in line and ", probability " in line and wrote == "wrote f.png"
    assert Image.open("f.png").width > 500
    for arguments, message in (
        (("a.png", "--weights", "none"), "none: cannot be read"),
        (("a.png", "--weights", "b.png"), "b.png: "),
        (("a.png", "--weights", "w.safetensors", "--figure", "f.gif"), "f.gif: a figure is a .png or .svg"),
    ):
        code, _, error = read_(*arguments)
        assert code == 1 and message in error and error.count("\n") == 1
    Path("x.safetensors").write_bytes(file_of(tensors, CharacterModel(), {}))
    with pytest.raises(RecordError, match=r"x\.safetensors: not a reader of strings: 'rbf_factor'"):
        load_reader(Path("x.safetensors"))


def test_the_released_reader_reads_a_string_of_the_paper() -> None:
    """Fig. 26's 540, which each network of ours reads after training on whole strings."""
    (picture,) = (string.picture for string in printed_strings() if string.of == "540")
    answer = load_reader(FILE).read(strip_of(picture))
    assert answer.digits == (5, 4, 0) and answer.probability > 0.5
    assert list(answer.places) == sorted(answer.places)
    # before whole strings, F6 is the codes that the network has learned
    f6, penalties = load_reader("windows-1998").states(strip_of(picture))
    assert f6.shape == (9, 84) and penalties.shape == (9, 11) and penalties[0].argmin() == 5
    assert np.corrcoef(f6[0], WITH_BLANK[5])[0, 1] > 0.9


@pytest.mark.parametrize("path", [FILE, WINDOWS_FILE], ids=lambda path: path.stem)
def test_what_a_card_says_is_so(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its Python runs, its digest is the file's, and its row is in the committed results."""
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert sha256(path.read_bytes()) in card
    monkeypatch.chdir(tmp_path)
    Image.fromarray(a_row_of_bars(60, 150)).save("photo.png")
    (block,) = re.findall(r"^```python\n(.*?)^```$", card, re.DOTALL | re.MULTILINE)
    exec(block, {})
    assert capsys.readouterr().out.startswith("(")
    about, _ = read_tensors(path)
    rows = read_rows(ROOT / "results" / "strings.csv", STRINGS)
    of_run = [row for row in rows if row["run"] == about["run"] and row["system"] == "SDNN"]
    assert any(row["seed"] == about["seed"] and row["commit"] == about["commit"] for row in of_run)
    assert about["seed"] == min(row["seed"] for row in of_run)


# --- a network of today ---


def test_crnn_does_not_see_beside_a_string() -> None:
    """Alone or with a wider one, a string has the same probabilities, but for the last columns' edge."""
    images = np.zeros((4, 28, 28), np.uint8)
    images[:, 6:22, 10:18] = 200
    strings = draw(images, np.arange(4), LEVELS["touching"], 12, seed=0)
    widths = [picture.shape[1] for picture in strings.pixels]
    narrow, wide = int(np.argmin(widths)), int(np.argmax(widths))
    net = CRNN(0).eval()
    alone, _ = pieces_of(net, strings, np.array([narrow]), CharacterModel(None, 0))
    together, both = pieces_of(net, strings, np.array([narrow, wide]), CharacterModel(None, 0))
    own = together[: both.first[1]]
    assert len(alone) == len(own) == widths[narrow] // 4
    assert torch.allclose(torch.exp(-alone).sum(1), torch.ones(len(alone)), atol=1e-5)
    assert torch.allclose(own, alone, atol=0.05)


# --- amounts ---


def as_classes(text: str) -> list[int]:
    return [amounts.CHARACTERS.index(character) for character in text]


def test_grammar_of_amounts() -> None:
    random = np.random.default_rng(0)
    texts = {amounts.text(random) for _ in range(300)}
    assert all(compose(linear(as_classes(text)), amounts.grammar()).ends for text in texts)
    assert {"$" in text for text in texts} == {"," in text for text in texts} == {"/" in text for text in texts}
    for wrong in (
        "",
        "$",
        "**",
        "12,34",
        "1,2345",
        "5/100",
        "1234/1",
        "$1.2",
        "12.345",
        "123456",
        "1$2",
        ".50",
        "1,234,5",
    ):
        assert not compose(linear(as_classes(wrong)), amounts.grammar()).ends, wrong


def test_the_grammar_rules_out_what_no_amount_is() -> None:
    """Penalties that prefer 1 * 5 are read as the cheapest amount."""
    cheap = as_classes("1*5")
    of = torch.full((3, len(amounts.CHARACTERS) + 1), 9.0)
    for place, c in enumerate(cheap):
        of[place, c] = 0.0
    of[1, amounts.CHARACTERS.index("7")] = 1.0
    pieces = rows([3])
    graph = CharacterModel(1, 0).transducer(len(amounts.CHARACTERS))
    (free,) = answers(of, pieces, Transducer.of(graph))
    (ruled,) = answers(of, pieces, Transducer.of(compose(graph, amounts.grammar())))
    assert list(free.digits) == cheap and list(ruled.digits) == as_classes("175")
    with pytest.raises(GraphError, match=r"^a string without a path"):
        none = compose(graph, linear(as_classes("1234")))
        answers(of, pieces, Transducer.of(none))


def test_pictures_of_amounts() -> None:
    images = np.zeros((20, 28, 28), np.uint8)
    images[:, 4:24, 8:20] = 255
    labels = np.arange(20) % 10
    made, again = (amounts.draw(images, labels, 40, seed=1) for _ in range(2))
    assert made.digest() == again.digest()
    assert all(picture.shape[0] == 32 and picture.shape[1] % 4 == 0 for picture in made.pixels)
    raised = [k for k, of in enumerate(made.labels) if amounts.CHARACTERS.index("/") in of]
    assert raised and amounts.codes().shape == (16, 84)
    net = amounts.with_symbols(LeNet5(blank=True))
    of, _ = pieces_of(net, made, np.array(raised[:1]), CharacterModel())
    assert of.shape[1] == 16


def test_amounts_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clean_tree(monkeypatch)
    monkeypatch.chdir(tmp_path)
    few = ["data=digits", "data.train_size=30", "data.test_size=40", "data.validation=40", "optim.passes=1"]
    few.append("optim.hessian_samples=5")
    assert train_here(monkeypatch, *few, "windows=paper", "seeds=[0,1]", "name=a") == 0
    assert train_here(monkeypatch, *few, "seeds=[0]", "name=b") == 0
    command = importlib.import_module("paper_lenet.commands.amounts")
    monkeypatch.setattr(command, "processes", lambda: ThreadPoolExecutor(1))
    monkeypatch.setattr(command, "COUNTS", {"test": 6, "validation": 4})
    short = [dataclasses.replace(how, passes=1, strings=8, batch=4) for how in command.TRIES]
    monkeypatch.setattr(command, "TRIES", short)
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["amounts", "a", "--results", "r"])
    assert entry.run("amounts") == 0
    made = read_rows(Path("r/amounts.csv"), COLUMNS)
    assert len(made) == 2 * (2 * len(short) + 2)
    assert "| amounts | " in Path("r/tables/amounts.md").read_text(encoding="utf-8")
    before = Path("r/amounts.csv").read_bytes()
    assert entry.run("amounts") == 0 and Path("r/amounts.csv").read_bytes() == before
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["amounts", "b", "--results", "r"])
    assert entry.run("amounts") == 1
    assert capsys.readouterr().err == "amounts: outputs/b: no runs that learned windows (windows=paper)\n"


# --- a page ---


def test_spots_are_where_a_digit_is_nearer_than_the_blank() -> None:
    net = LeNet5(blank=True, generator=torch.Generator().manual_seed(0))
    page = np.random.default_rng(0).integers(0, 256, (64, 96)).astype(np.uint8)
    found = spots(net, page, apart=2)
    with torch.no_grad():
        for spot in found:
            window = page[spot.row - 16 : spot.row + 16, spot.column - 16 : spot.column + 16]
            grey = torch.from_numpy(-0.1 + 1.275 * window.astype(np.float32) / 255)
            penalties = net(grey[None, None])[0]
            assert spot.penalty == pytest.approx(float(penalties[spot.digit]), rel=1e-4)
            assert penalties.argmin() == spot.digit
    assert all(
        max(abs(one.row - other.row), abs(one.column - other.column)) > 8
        for k, one in enumerate(found)
        for other in found[:k]
    )
