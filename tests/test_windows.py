"""Windows of Section VII-B: where characters stand, how many are blank and inverted, and who sees which."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from omegaconf import OmegaConf
from synthetic_runs import ROOT
from test_engines import difference, fit, made_data

from paper_lenet.commands.composition import compose
from paper_lenet.config import Config, ConfigError, EngineConfig, ModelConfig, OptimConfig, WindowsConfig
from paper_lenet.data import Data, levels
from paper_lenet.data.windows import BLANK, Windows, boxes, draw, pixels
from paper_lenet.engines import fused, reference
from paper_lenet.engines.fused.windows import window
from paper_lenet.learning.patterns import all_patterns, passes
from paper_lenet.network.lenet5 import build
from paper_lenet.paper.bitmaps import CODES

LEFT, RIGHT = 0, 1


def bars(count: int = 12) -> NDArray[np.uint8]:
    """Images whose ink is a box of its own columns, as bright as the image's number says."""
    random = np.random.default_rng(0)
    images = np.zeros((count, 28, 28), np.uint8)
    for k, image in enumerate(images):
        first = random.integers(3, 12)
        image[4:24, first : first + random.integers(2, 13)] = 100 + k
    return images


def drawn(images: NDArray[np.uint8], **options: Any) -> Windows:
    return draw(WindowsConfig(**{"variants": 40, "noise": 0.0, "blank": 0.0} | options), images, seed=4)


def test_gaps_between_the_boxes_are_even_over_their_range() -> None:
    images = bars()
    windows, (first, last) = drawn(images), boxes(images)
    middle = np.arange(len(windows)) % len(images)
    left = first[middle] - (last[windows.flanks[:, LEFT]] + windows.shifts[:, LEFT]) - 1
    right = first[windows.flanks[:, RIGHT]] + windows.shifts[:, RIGHT] - last[middle] - 1
    for gaps in (left, right):
        values, counts = np.unique(gaps, return_counts=True)
        assert list(values) == [-1, 0, 1, 2, 3, 4]
        assert counts.min() > len(windows) / 6 / 2
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.2


def test_a_window_is_its_characters_side_by_side() -> None:
    """Made once more, character by character, from where the boxes should be."""
    images = bars()
    windows, (first, last) = drawn(images, gap=[2, 2]), boxes(images)
    made = pixels(images, windows, np.arange(len(windows)), 32)
    for k, seen in enumerate(made):
        expected = np.zeros((32, 32 + 2 * 40), np.uint8)  # with room for all of the flanks
        middle, (left, right) = k % len(images), windows.flanks[k]
        start = 40 + 2 + first[middle]
        for image, at in (
            (middle, start),
            (left, start - 2 - (last[left] - first[left] + 1)),
            (right, 40 + 2 + last[middle] + 1 + 2),
        ):
            width = last[image] - first[image] + 1
            expected[6:26, at : at + width] = 100 + image
        assert np.array_equal(seen, expected[:, 40:72])


def test_where_characters_overlap_the_more_ink_stays() -> None:
    images = bars()
    windows = drawn(images, gap=[-1, -1])
    first, last = boxes(images)
    made = pixels(images, windows, np.arange(len(images)), 32)
    for k, seen in enumerate(made):
        left, right = windows.flanks[k]
        assert seen[10, 2 + first[k]] == 100 + max(k, left)
        if first[k] < last[k]:
            assert seen[10, 2 + last[k]] == 100 + max(k, right)


def test_blanks_have_their_share_and_an_empty_middle() -> None:
    images = bars()
    windows = drawn(images, variants=100, blank=0.25, gap=[3, 4])
    assert windows.blank.mean() == pytest.approx(0.25, abs=0.04)
    chosen = np.nonzero(windows.blank)[0]
    first, last = boxes(images)
    for k, seen in zip(chosen, pixels(images, windows, chosen, 32), strict=True):
        middle = k % len(images)
        assert not seen[:, first[middle] : last[middle] + 5].any()
        assert seen.any()


def test_noise_inverts_its_share_anywhere() -> None:
    images = bars()
    clean, noisy = (pixels(images, drawn(images, noise=n), np.arange(400), 32) for n in (0.0, 0.1))
    inverted = noisy != clean
    assert np.array_equal(noisy[inverted], 255 - clean[inverted])
    assert inverted.mean() == pytest.approx(0.1, abs=0.002)
    # alike for all pixels and windows, and each by itself: also next to one another
    assert inverted.mean(0) == pytest.approx(0.1, abs=0.07) and inverted.mean((1, 2)) == pytest.approx(0.1, abs=0.045)
    for axis in (0, 1, 2):
        moved = np.roll(inverted, 1, axis)
        assert (inverted & moved).mean() == pytest.approx(0.01, abs=0.001)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_windows_are_the_same(dtype: Any) -> None:
    images = np.random.default_rng(1).integers(0, 256, (30, 28, 28), dtype=np.uint8)
    images[:, :, :3] = images[:, :, -5:] = 0
    images[7] = 0  # no ink at all
    windows = drawn(images, noise=0.1, blank=0.2)
    windows.shifts[:6, LEFT] = [-60, -30, -29, 30, 31, 90]  # out of the window, on both sides
    chosen = np.random.default_rng(2).permutation(len(windows))[:200]
    chosen[:6] = np.arange(6)
    values, out = levels(dtype), np.zeros(200 * 32 * 48, dtype)
    window(images, windows.flanks, windows.shifts, windows.blank, windows.start, windows.threshold, chosen, values,
           32, 48, out)  # fmt: skip
    got = out.reshape(200, 32, 48)
    assert np.array_equal(got[:, :, :32], values[pixels(images, windows, chosen, 32)])
    assert not got[:, :, 32:].any()


def test_twenty_passes_go_through_all_windows() -> None:
    data = Data("mnist", "test", bars(), np.arange(12) % 10, bars(), np.arange(12) % 10)
    config = Config(model=ModelConfig(blank=True), windows=WindowsConfig(variants=20))
    patterns, held_out = all_patterns(config, data, 3)
    orders = [this.order for this in passes(config, 3, patterns)]
    assert [len(order) for order in orders] == [12] * 20
    assert np.array_equal(np.sort(np.concatenate(orders)), np.arange(240))
    labels = patterns.labels_of(np.arange(240))
    assert patterns.windows is not None and held_out.windows is None
    assert np.array_equal(labels == BLANK, patterns.windows.blank)
    assert np.array_equal(labels[labels < BLANK], np.tile(data.train_labels, 20)[labels < BLANK])


def test_the_eleventh_code_is_the_blank() -> None:
    net = build(ModelConfig(blank=True), 0)
    assert net.output.centres.shape == (11, 84) and np.array_equal(net.output.centres[BLANK], CODES[" "])
    assert (net.output.centres[BLANK] == -1).all()


def test_engines_agree_on_windows() -> None:
    """All of the network is trained, and blanks are told from digits."""
    config = Config(
        model=ModelConfig(blank=True),
        windows=WindowsConfig(variants=2, blank=0.5, noise=0.0),
        optim=OptimConfig(passes=2, hessian_samples=20),
        engine=EngineConfig(precision="float64"),
    )
    data = made_data()
    got, right = (list(fit(engine, config, data, 0)) for engine in (fused, reference))
    for a, b in zip(got, right, strict=True):
        assert difference(a.state, b.state) < 1e-9
        assert (a.train_errors, a.training_set_errors) == (b.train_errors, b.training_set_errors)
    assert got[0].train_errors > got[-1].train_errors


def test_configuration_file_is_that_of_the_schema() -> None:
    loaded: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "windows" / "paper.yaml"))
    given = WindowsConfig(**loaded["windows"])
    assert (given.gap, given.blank, given.noise) == ([-1, 4], WindowsConfig().blank, 0.1)
    config = compose(["windows=paper"])
    assert config.windows.variants == 20 and config.model.blank


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["windows.variants=1"], "model.blank=false with windows.variants=1: must be true"),
        (["model.blank=true"], "model.blank=true with windows.variants=0: must be false"),
        (["windows=paper", "distort=paper"], "windows with distortions"),
        (["windows=paper", "model.geometry=unpadded"], "model.geometry=unpadded with windows"),
        (["windows=paper", "windows.gap=[3,1]"], "windows.gap=[3, 1]: must be two rising whole numbers"),
        (["windows=paper", "windows.noise=2"], "windows.noise=2.0: must be from 0 to 1"),
        (["windows=paper", "engine=batched"], "windows.variants=20 with engine.name=batched"),
        (["windows=paper", "model=lenet4"], "model.blank=true: not read with model.name=lenet4"),
    ],
)
def test_refusals(overrides: list[str], line: str) -> None:
    with pytest.raises(ConfigError) as error:
        compose(overrides)
    assert line in str(error.value) and "\n" not in str(error.value)
