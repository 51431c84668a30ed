"""Images of one's own: the forms and names that people have, and what is wrong with a file, in one line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from synthetic_runs import call
from test_engines import made_images

from paper_lenet.config import Config, ConfigError, DataConfig
from paper_lenet.data import DataError, load
from paper_lenet.network.pretrained import load_pretrained
from paper_lenet.paper import bitmaps
from paper_lenet.runs.trained import load_network

Four = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]
CODES = {"uint8": 8, "int32": 12}


def made() -> Four:
    return (*made_images(60, seed=1), *made_images(30, seed=2))


def idx(values: NDArray[Any]) -> bytes:
    sizes = b"".join(n.to_bytes(4, "big") for n in values.shape)
    return (
        bytes((0, 0, CODES[values.dtype.name], values.ndim))
        + sizes
        + values.astype(values.dtype.newbyteorder(">")).tobytes()
    )


def write_idx(folder: Path, names: tuple[str, str, str, str], data: Four, packed: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in zip(names, data, strict=True):
        content = idx(values if values.ndim > 1 else values.astype(np.uint8))
        (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)
    return folder


USUAL = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
DOTTED = ("train-images.idx3-ubyte", "train-labels.idx1-ubyte", "t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte")
EMNIST = tuple(
    f"emnist-digits-{part}-{what}" for part in ("train", "test") for what in ("images-idx3-ubyte", "labels-idx1-ubyte")
)
QMNIST = ("qmnist-train-images-idx3-ubyte", "qmnist-train-labels-idx2-int", "qmnist-test-images-idx3-ubyte",
          "qmnist-test-labels-idx2-int")  # fmt: skip


def loaded(kind: str, folder: Path) -> Four:
    data = load(DataConfig(name=kind, dir=str(folder)))
    assert data.name.startswith(f"{kind}-") and data.split == "test"
    return data.train_images, data.train_labels, data.test_images, data.test_labels


def qmnist(data: Four) -> Four:
    columns = [np.stack([labels, *[labels * 0 + k for k in range(7)]], 1).astype(np.int32) for labels in data[1::2]]
    return data[0], columns[0], data[2], columns[1]


def test_idx_files(tmp_path: Path) -> None:
    data = made()
    forms: dict[str, tuple[str, tuple[Any, ...], Four, bool]] = {
        "plain": ("", USUAL, data, False),
        "torchvision": ("FashionMNIST/raw", USUAL, data, False),
        "packed": ("", DOTTED, data, True),
        "emnist": ("", EMNIST, tuple(v.swapaxes(1, 2) if v.ndim == 3 else v for v in data), True),  # type: ignore[dict-item]
        "qmnist": ("", QMNIST, qmnist(data), True),
    }
    names = set()
    for name, (inner, files, values, packed) in forms.items():
        write_idx(tmp_path / name / inner, files, values, packed)
        for given, right in zip(loaded("idx", tmp_path / name), data, strict=True):
            np.testing.assert_array_equal(given, right)
        names.add(load(DataConfig(name="idx", dir=str(tmp_path / name))).name)
    assert len(names) == 1
    write_idx(tmp_path / "plain", USUAL, data, True)  # packed as well
    loaded("idx", tmp_path / "plain")


def test_archives(tmp_path: Path) -> None:
    data = made()
    one = tmp_path / "mnist.npz"
    np.savez(one, x_train=data[0], y_train=data[1], x_test=data[2], y_test=data[3])
    folder = tmp_path / "kmnist"
    folder.mkdir()
    for name, values in zip(("train-imgs", "train-labels", "test-imgs", "test-labels"), data, strict=True):
        np.savez(folder / f"kmnist-{name}.npz", values)
    for place in (one, folder):
        for given, right in zip(loaded("npz", place), data, strict=True):
            np.testing.assert_array_equal(given, right)


def write_folders(folder: Path, data: Four) -> None:
    for part, images, labels in (("train", *data[:2]), ("test", *data[2:])):
        for k, (image, label) in enumerate(zip(images, labels, strict=True)):
            place = folder / part / f"class {label}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{k:03}.png")


def test_folders(tmp_path: Path) -> None:
    images, labels, *_ = data = made()
    write_folders(tmp_path, data)
    given = loaded("folder", tmp_path)
    order = np.argsort(labels, kind="stable")
    np.testing.assert_array_equal(given[1], labels[order])
    np.testing.assert_array_equal(given[0], images[order])


def wrong_shape(folder: Path) -> None:
    data = made()
    write_idx(folder, USUAL, (data[0][:, :20], *data[1:]))


def wrong_label(folder: Path) -> None:
    data = made()
    labels = idx(np.where(data[1] == 3, -1, data[1]).astype(np.int32))
    write_idx(folder, USUAL, data)
    (folder / USUAL[1]).write_bytes(labels)


def truncated(folder: Path) -> None:
    path = write_idx(folder, USUAL, made(), True) / f"{USUAL[0]}.gz"
    path.write_bytes(path.read_bytes()[:-30])


def mixed_sizes(folder: Path) -> None:
    for part in ("train", "test"):
        for name, size in (("a", 28), ("b", 30)):
            (folder / part / name).mkdir(parents=True)
            Image.new("L", (size, size)).save(folder / part / name / "1.png")


def no_image(folder: Path) -> None:
    for part in ("train", "test"):
        for name in "ab":
            (folder / part / name).mkdir(parents=True)
            (folder / part / name / "notes.txt").write_text("no image", encoding="utf-8")


WRONG: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "shape": ("idx", wrong_shape, "training images: wrong shape: (60, 20, 28)"),
    "label": ("idx", wrong_label, "training labels: out of range: -1; the first class is 0"),
    "truncated": ("idx", truncated, "train-images-idx3-ubyte.gz: unreadable: "),
    "nothing": ("idx", lambda folder: folder.mkdir(), "no file of train images"),
    "no archive": ("npz", lambda folder: folder.mkdir(), "0 arrays of images for train; there are none"),
    "sizes": ("folder", mixed_sizes, "b/1.png: wrong shape: 30x30 pixels, not 28x28"),
    "text": ("folder", no_image, "a/notes.txt: not an image that can be read"),
    "no train": ("folder", lambda folder: folder.mkdir(), "no folder train"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line(name: str, tmp_path: Path) -> None:
    kind, make, line = WRONG[name]
    folder = tmp_path / "data"
    make(folder)
    with pytest.raises(DataError) as error:
        load(DataConfig(name=kind, dir=str(folder)))
    assert line in str(error.value) and str(error.value).startswith(str(folder)) and "\n" not in str(error.value)
    with pytest.raises(DataError, match="missing"):
        load(DataConfig(name=kind, dir=str(tmp_path / "nowhere")))


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OF_LETTERS = tuple(name.replace("digits", "letters") for name in EMNIST)


def test_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """EMNIST's, whose labels begin with 1: trained towards the letters' bitmaps, and read from the run's folder."""
    (images, _, held_out, _) = made()
    labels, held_out_labels = np.arange(60) % 26, np.arange(30) % 26
    sideways = (images.swapaxes(1, 2), labels + 1, held_out.swapaxes(1, 2), held_out_labels + 1)
    folder = write_idx(tmp_path / "letters", OF_LETTERS, sideways, True)
    for given, right in zip(loaded("idx", folder), (images, labels, held_out, held_out_labels), strict=True):
        np.testing.assert_array_equal(given, right)
    train = ("train", "data=idx", f"data.dir={folder}", "name=letters", "seeds=[0]", "engine=reference",
             "optim.passes=1", "optim.hessian_samples=5", f"output={tmp_path}")  # fmt: skip
    assert call(monkeypatch, *train) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "model.classes=0123456789: 10 classes, and a label of idx-" in line and " is 25 (" in line
    assert call(monkeypatch, *train, f"model.classes={LETTERS}") == 0
    (run,) = (tmp_path / "letters").glob("*/seed-0")
    net = load_network(str(run))
    assert net.classes == LETTERS and net(torch.from_numpy(held_out)).shape == (30, 26)
    torch.testing.assert_close(net.network.output.centres, torch.stack([bitmaps.CODES[each] for each in LETTERS]))
    picture = tmp_path / "letter.png"
    stroke = np.zeros((28, 28), np.uint8)
    stroke[5:23, 12:16] = 255
    Image.fromarray(stroke).save(picture)
    capsys.readouterr()
    assert call(monkeypatch, "predict", picture, "--weights", run, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    answer = net.answers(stroke[None])[0]
    assert found["digits"] == LETTERS[answer.label] and found["runner_up"] == LETTERS[answer.runner_up]
    assert call(monkeypatch, "predict", picture, "--weights", run, "--explain", tmp_path / "how.png") == 0
    Image.fromarray(np.hstack([stroke, stroke]).repeat(4, 0).repeat(4, 1)).save(picture)
    capsys.readouterr()
    assert call(monkeypatch, "predict", picture, "--weights", run) == 0
    assert "2 characters, and this network reads one" in capsys.readouterr().out


def test_measured_on_images_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, held_out, held_out_labels = data = made()
    folder = write_idx(tmp_path / "qmnist", QMNIST, qmnist(data), True)
    answers = np.array([answer.label for answer in load_pretrained("lenet5-modern").answers(held_out)])
    where = ("data=idx", f"data.dir={folder}")
    assert call(monkeypatch, "measure", "lenet5-modern", *where) == 0
    (line,) = capsys.readouterr().out.splitlines()
    wrong = int((answers != held_out_labels).sum())
    assert f"% wrong, {wrong} of 30; 95 % interval " in line and line.startswith("lenet5-modern on idx-")
    # the whole of QMNIST is known by its sizes: here as many as there are, ten of which are MNIST's
    monkeypatch.setattr("paper_lenet.data.own.QMNIST", (60, 30))
    monkeypatch.setattr("paper_lenet.paper.TEST_SIZE", 10)
    assert call(monkeypatch, "measure", "lenet5-modern", *where) == 0
    own, unseen = capsys.readouterr().out.splitlines()
    assert "MNIST's own, " in own and " of 10;" in own and "unseen, " in unseen and " of 20;" in unseen
    assert call(monkeypatch, "measure", "optim.passes=1") == 1
    assert "only keys of data" in capsys.readouterr().err


def test_the_folder_must_be_said_and_counts() -> None:
    with pytest.raises(ConfigError, match=r"^data.name=idx without data.dir"):
        Config(data=DataConfig(name="idx"))
    one, other = (Config(data=DataConfig(name="idx", dir=name)) for name in ("a", "b"))
    assert one.fingerprint() != other.fingerprint()
    assert Config(data=DataConfig(dir="a")).fingerprint() == Config().fingerprint()


def test_from_training_to_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained, collected and shown under a name that is not MNIST's; other images under the same name are refused."""
    folder, results = write_idx(tmp_path / "fashion", USUAL, made(), True), tmp_path / "results"
    train = ("train", "data=idx", f"data.dir={folder}", "name=mine", "engine=reference", "optim.passes=1",
             "optim.hessian_samples=5", f"output={tmp_path}")  # fmt: skip
    assert call(monkeypatch, *train, "seeds=[0,1]") == 0
    assert call(monkeypatch, "collect", tmp_path / "mine", "--allow-dirty", "--results", results) == 0
    (runs,) = (results / "runs").glob("*.csv")
    name = load(DataConfig(name="idx", dir=str(folder))).name
    assert runs.stem == f"mine-{name}"
    assert call(monkeypatch, "tables", runs.stem, "--results", results) == 0
    caption = (results / "tables" / f"{runs.stem}.md").read_text(encoding="utf-8").splitlines()[0]
    assert f"the data set {name}, not MNIST" in caption
    job = next((tmp_path / "mine").glob("*/job.json"))
    assert json.loads(job.read_text(encoding="utf-8"))["differs"]["data.dir"] == str(folder)
    write_idx(folder, USUAL, (*made()[:2], *made_images(30, seed=9)), True)
    assert call(monkeypatch, *train, "seeds=[2]") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "other images than before" in line
