"""The distortions of Section III-B: the maps, their ranges, the images made by them, and who sees which pattern."""

from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from omegaconf import OmegaConf
from scipy import ndimage, stats
from synthetic_runs import ROOT, call, clean_tree

from paper_lenet import generators, paper
from paper_lenet.config import Config, DataConfig, DistortConfig, OptimConfig
from paper_lenet.data import DIRECTORY_VARIABLE, Data, levels, load, normalise
from paper_lenet.data.distortions import FIELDS, STILL, Maps, draw, draw_elastic, inverse, warp
from paper_lenet.engines.fused.grey import grey
from paper_lenet.files import csv_text
from paper_lenet.learning.patterns import Patterns, all_patterns, passes
from paper_lenet.reporting.tables import distortions
from paper_lenet.reporting.tables.distortions import FITTED, PLACE
from paper_lenet.runs.environment import ORIGIN, origin

IDENTITY = inverse(1, 1, 0, 0, 0)


def random_images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)


def wild_maps() -> Maps:
    """Maps of every size, with some that leave nothing of the image, or one pixel, or turn it around."""
    far = DistortConfig(strength=2.0, inverse_scale=[0.6, 1.4], centre=0)
    drawn = [draw(far, 20, seed=3), draw(dataclasses.replace(far, rotation=90), 20, seed=4)]
    special = [inverse(1, 1, 0, 90, 0), inverse(1, 1, 0, 0, -90), inverse(0.02, 0.02, 0, 0, 0)]
    special += [inverse(20, 20, 0, 7.3, -4.1), inverse(-1, 1, 0.5, 0, 0), inverse(1, 1, 3.0, 0.5, 0.25), IDENTITY]
    special += [inverse(1, 1, 0, 0, 0, 45), inverse(1, 1, 0, 90, 0, 45), inverse(0.02, 0.02, 0, 0, 0, -120)]
    return np.concatenate([*drawn, special])


def forward_parameters(maps: Maps, centre: float) -> dict[str, NDArray[np.float64]]:
    """The parameters of inverse maps, by the forward map's own equations; translations in pixels of the source."""
    a, b, c, d, e, f = maps.T
    assert not f.any()
    sx, sy = 1 / a, 1 / d
    h, ty = -b * sy, -e * sy
    return {
        "inverse_scale": 1 / np.sqrt(sx * sy),
        "squeeze": np.sqrt(sy / sx),
        "shear": h,
        "tx": h * ty * d - c,
        "ty": (ty - (1 - sy) * centre) / sy,
    }


def test_inverse_maps_undo_forward_maps() -> None:
    random = np.random.default_rng(0)
    sx, sy = random.uniform(0.5, 2, (2, 200))
    h, tx, ty = random.uniform(-1, 1, (3, 200)) * np.array([[0.5], [10], [10]])
    x, y = random.uniform(-16, 16, (2, 200))
    for degrees in (np.zeros(200), random.uniform(-180, 180, 200)):
        # as a complex number, whose imaginary part points up
        turned = (x - 1j * y) * np.exp(1j * np.deg2rad(degrees))
        target_x, target_y = sx * (turned.real - h * turned.imag) + tx, ty - sy * turned.imag
        a, b, c, d, e, f = inverse(sx, sy, h, tx, ty, degrees).T
        np.testing.assert_allclose(a * target_x + b * target_y + c, x, rtol=0, atol=1e-12)
        np.testing.assert_allclose(f * target_x + d * target_y + e, y, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dtype", "atol"), [(np.float32, 2e-7), (np.float64, 1e-15)])
def test_identity_is_the_undistorted_image(dtype: type, atol: float) -> None:
    images = random_images(5)
    for side in (28, 32):
        got = warp(images, np.tile(IDENTITY, (5, 1)), side, levels(dtype))
        assert got.dtype == dtype and got.shape == (5, side, side)
        edge = (32 - side) // 2
        expected = normalise(images, dtype)[:, 0, edge : 32 - edge, edge : 32 - edge]
        np.testing.assert_allclose(got, expected, rtol=0, atol=atol)


@pytest.mark.parametrize(("tx", "ty"), [(3, 0), (-2, 0), (0, 5), (0, -1), (4, -7), (-30, 2), (40, 40)])
def test_whole_pixels_shift_exactly(tx: int, ty: int) -> None:
    images = random_images(2)
    images[:, 0, :] = 255
    wide = np.full((2, 132, 132), paper.BACKGROUND)
    wide[:, 50:82, 50:82] = warp(images, np.tile(IDENTITY, (2, 1)), 32, levels(np.float64))
    expected = wide[:, 50 - ty : 82 - ty, 50 - tx : 82 - tx]
    got = warp(images, np.tile(inverse(1, 1, 0, tx, ty), (2, 1)), 32, levels(np.float64))
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("side", [28, 32])
def test_right_angles_turn_exactly(side: int) -> None:
    """In float32, in which the cosine of 90 degrees, 6e-17, is lost in rounding; counter-clockwise, as np.rot90."""
    images, value = random_images(3), levels(np.float32)
    straight = warp(images, np.tile(IDENTITY, (3, 1)), side, value)
    for degrees in (90, 180, -90):
        got = warp(images, np.tile(inverse(1, 1, 0, 0, 0, degrees), (3, 1)), side, value)
        assert np.array_equal(got, np.rot90(straight, degrees // 90, (1, 2)))


@pytest.mark.parametrize(("side", "mode"), [(32, "constant"), (28, "grid-constant")])
def test_warp_is_bilinear_sampling(side: int, mode: str) -> None:
    """Against scipy, which knows nothing of our padding: "constant" ends where background has begun already."""
    maps = wild_maps()
    images = random_images(len(maps))
    edge, middle = (side - 28) // 2, (side - 1) / 2
    got = warp(images, maps, side, levels(np.float64))
    for image, (a, b, c, d, e, f), ours in zip(images, maps, got, strict=True):
        source = np.pad(levels(np.float64)[image], edge, constant_values=paper.BACKGROUND)
        matrix = np.array([[d, f], [b, a]])
        offset = middle + np.array([e, c]) - matrix @ [middle, middle]
        theirs = ndimage.affine_transform(source, matrix, offset, order=1, mode=mode, cval=paper.BACKGROUND)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("side", [28, 32])
def test_displaced_pixels_are_looked_for_elsewhere(side: int) -> None:
    """Against scipy's, of an image that is turned, too."""
    images, maps = random_images(4), draw(DistortConfig(rotation=40), 4, seed=2)
    elastic = draw_elastic(DistortConfig(elastic=3.0), 4, seed=2)
    moved, middle = elastic.within(side)[elastic.pairs], (side - 1) / 2
    got = warp(images, maps, side, levels(np.float64), moved)
    at_y, at_x = np.mgrid[:side, :side] - middle
    for image, (a, b, c, d, e, f), (dx, dy), ours in zip(images, maps, moved, got, strict=True):
        at = [f * at_x + d * at_y + e + dy + middle, a * at_x + b * at_y + c + dx + middle]
        source = np.pad(levels(np.float64)[image], (side - 28) // 2, constant_values=paper.BACKGROUND)
        theirs = ndimage.map_coordinates(source, at, order=1, mode="grid-constant", cval=paper.BACKGROUND)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("elastic", [0.0, 3.0])
@pytest.mark.parametrize("side", [28, 32])
@pytest.mark.parametrize(("dtype", "atol"), [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_compiled_grey_values(side: int, dtype: type, atol: float, elastic: float) -> None:
    maps = np.tile(wild_maps(), (2, 1))
    moved = draw_elastic(DistortConfig(elastic=elastic), len(maps), seed=0)
    images, labels = random_images(len(maps) // 2), np.zeros(len(maps) // 2, np.int64)
    patterns = Patterns(images, labels, maps, elastic=moved)
    chosen = np.random.default_rng(1).permutation(len(patterns))
    stride = side + 5
    out = np.full(len(chosen) * side * stride, 7, dtype)
    grey(images, maps, moved.fields, moved.pairs, chosen, levels(dtype), side, stride, out)
    got = out.reshape(len(chosen), side, stride)
    np.testing.assert_allclose(got[:, :, :side], patterns.grey(chosen, side, dtype), rtol=0, atol=atol)
    assert (got[:, :, side:] == 7).all()


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_ranges(strength: float) -> None:
    config = DistortConfig(variants=9, strength=strength)
    maps = draw(config, 5000, seed=1)
    assert maps.shape == (5000, 6) and maps.dtype == np.float64
    if strength == 0:
        assert np.array_equal(maps, np.tile(IDENTITY, (5000, 1)))
        return
    found = forward_parameters(maps, config.centre)
    ends = {
        "inverse_scale": [1 + strength * (end - 1) for end in config.inverse_scale],
        "squeeze": [1 + strength * (end - 1) for end in config.squeeze],
        "shear": [-strength * config.shear, strength * config.shear],
        "tx": [-strength * config.translation, strength * config.translation],
        "ty": [-strength * config.translation, strength * config.translation],
    }
    for key, (low, high) in ends.items():
        assert low - 1e-9 <= found[key].min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < found[key].max() <= high + 1e-9
        assert stats.kstest(found[key], stats.uniform(low, high - low).cdf).pvalue > 1e-3
    correlations = np.corrcoef(list(found.values())) - np.eye(5)
    assert abs(correlations).max() < 0.06


def test_rotation_is_uniform_and_leaves_the_other_draws_as_they_were() -> None:
    still = DistortConfig(variants=9, strength=0.5)
    maps = draw(dataclasses.replace(still, rotation=30), 5000, seed=1)
    a, b, _, d, _, f = maps.T
    degrees = np.rad2deg(np.arctan2(f, a))
    assert -15 <= degrees.min() < -14.9 and 14.9 < degrees.max() <= 15
    assert stats.kstest(degrees, stats.uniform(-15, 30).cdf).pvalue > 1e-3
    assert np.array_equal(maps[:10], draw(dataclasses.replace(still, rotation=30), 10, seed=1))
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    unturned = draw(still, 5000, seed=1)
    np.testing.assert_allclose(cos * a + sin * f, unturned[:, 0], rtol=1e-12)
    np.testing.assert_allclose(cos * b + sin * d, unturned[:, 1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(cos * d - sin * b, unturned[:, 3], rtol=1e-12)
    for k in range(4):
        assert abs(np.corrcoef(degrees, unturned[:, k])[0, 1]) < 0.06


@pytest.mark.parametrize("sigma", [2.0, 4.0])
def test_displacements_are_as_large_and_as_smooth_as_asked_for(sigma: float) -> None:
    config = DistortConfig(strength=0.5, elastic=3.0, elastic_sigma=sigma)
    elastic = draw_elastic(config, 20_000, seed=1)
    fields = elastic.fields.astype(np.float64)
    assert fields.shape == (FIELDS, 32, 32) and elastic.within(28).shape == (FIELDS, 28, 28)
    np.testing.assert_allclose(np.sqrt((fields**2).mean((1, 2))), 1.5, rtol=1e-6)
    assert abs(fields.mean()) < 0.1
    # Smoothed noise is as alike at a distance of r as exp(-(r / 2 sigma)^2), at the edge as in the middle.
    for r in (1, 2, 4):
        for part in (fields, fields.transpose(0, 2, 1), fields[:, :, :8], fields[:, 12:20]):
            alike = (part[:, :, r:] * part[:, :, :-r]).mean() / (part**2).mean()
            assert alike == pytest.approx(np.exp(-((r / (2 * sigma)) ** 2)), abs=0.06)
    # every field is taken, for x and for y independently
    counts = [np.bincount(of, minlength=FIELDS) for of in elastic.pairs.T]
    assert all(stats.chisquare(of).pvalue > 1e-3 for of in counts)
    assert abs(np.corrcoef(elastic.pairs.T)[0, 1]) < 0.03
    assert abs(np.corrcoef(fields.reshape(FIELDS, -1))[np.triu_indices(FIELDS, 1)].mean()) < 0.02


def test_displacements_depend_on_the_seed() -> None:
    config = DistortConfig(elastic=1.5)
    one, again, few, other = (draw_elastic(config, n, seed) for n, seed in ((50, 1), (50, 1), (9, 1), (50, 2)))
    assert np.array_equal(one.fields, again.fields) and np.array_equal(one.pairs, again.pairs)
    assert np.array_equal(one.fields, few.fields) and np.array_equal(one.pairs[:9], few.pairs)
    assert not np.array_equal(one.fields, other.fields) and not np.array_equal(one.pairs, other.pairs)
    twice = draw_elastic(dataclasses.replace(config, elastic=3.0), 50, 1)
    np.testing.assert_allclose(twice.fields, 2 * one.fields, rtol=1e-6)
    assert np.array_equal(twice.pairs, one.pairs)
    assert draw_elastic(DistortConfig(elastic=1.5, strength=0.0), 50, 1) is STILL
    # nothing else that is drawn for a seed changes
    assert np.array_equal(draw(config, 50, 1), draw(DistortConfig(), 50, 1))


def test_draws_depend_on_the_seed_alone() -> None:
    config = DistortConfig(variants=9)
    maps = draw(config, 100, seed=1)
    assert np.array_equal(maps, draw(config, 100, seed=1))
    assert np.array_equal(maps[:10], draw(config, 10, seed=1))
    assert not np.array_equal(maps, draw(config, 100, seed=2))
    for purpose in generators.PURPOSES:
        generators.generator(1, purpose).random(1000)
    assert np.array_equal(maps, draw(config, 100, seed=1))
    first = {purpose: generators.generator(1, purpose).uniform(-1, 1) for purpose in generators.PURPOSES}
    assert len(set(first.values())) == len(generators.PURPOSES)
    shear = forward_parameters(maps, config.centre)["shear"]
    assert shear[0] == pytest.approx(config.shear * generators.generator(1, "distortions").uniform(-1, 1, 5)[2])
    # one set of random numbers for all strengths
    half = forward_parameters(draw(DistortConfig(strength=0.5), 100, seed=1), config.centre)["shear"]
    np.testing.assert_allclose(half, shear / 2, rtol=1e-12)


def test_half_a_million_maps_are_small() -> None:
    tracemalloc.start()
    maps = draw(DistortConfig(variants=9), 540_000, seed=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert maps.nbytes < 50e6
    assert peak < 250e6


def labelled(count: int) -> Data:
    """Images that are as bright all over as their number says, and a label that follows from it."""
    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None], (count, 28, 28)).copy()
    labels = np.arange(count, dtype=np.int64) * 7 % 10
    return Data("mnist", "test", images, labels, images, labels)


def distorted_job(order: str, count: int) -> tuple[Config, Patterns]:
    optim = OptimConfig(passes=20, order=order)
    config = Config(distort=DistortConfig(variants=9, strength=0.5), optim=optim)
    return config, all_patterns(config, labelled(count), 5)[0]


@pytest.mark.parametrize("order", ["constant", "reshuffled"])
def test_twenty_passes_see_each_pattern_twice(order: str) -> None:
    """60,000 + 540,000 in small: 60 images with 540 distorted copies, in 20 passes of 60 updates."""
    config, patterns = distorted_job(order, 60)
    assert len(patterns) == 600 and patterns.maps.shape == (540, 6)
    plan = [this.order for this in passes(config, 5, patterns)]
    assert [len(this) for this in plan] == [60] * 20
    first, second = np.concatenate(plan[:10]), np.concatenate(plan[10:])
    assert np.array_equal(np.sort(first), np.arange(600)) and np.array_equal(np.sort(second), np.arange(600))
    assert np.array_equal(first, second) == (order == "constant")
    # originals and copies are mixed from the first pass on
    assert 0 < (plan[0] < 60).sum() < 30


def test_copies_keep_label_and_image() -> None:
    config, patterns = distorted_job("constant", 60)
    chosen = np.concatenate([this.order for this in passes(config, 5, patterns)])
    values = patterns.grey(chosen, 32, np.float64)
    # ink at the middle, where no map of this strength brings background
    image = np.rint((values[:, 16, 16] - paper.BACKGROUND) / (paper.FOREGROUND - paper.BACKGROUND) * 255).astype(int)
    assert np.array_equal(patterns.labels_of(chosen), image * 7 % 10)
    assert np.array_equal(np.bincount(image), np.full(60, 20))
    assert np.array_equal(patterns.images[:, 0, 0], np.arange(60))


def test_no_variants_no_maps() -> None:
    patterns = all_patterns(Config(), labelled(30), 5)[0]
    assert len(patterns) == 30 and patterns.maps.shape == (0, 6)
    small = Config(distort=DistortConfig(variants=2), data=DataConfig(train_size=10))
    assert len(all_patterns(small, labelled(30), 5)[0]) == 30


def test_configuration_file_has_the_ranges_of_the_schema() -> None:
    loaded: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "distort" / "paper.yaml"))
    given = DistortConfig(**loaded)
    for key in ("inverse_scale", "squeeze", "shear", "translation", "centre"):
        assert getattr(given, key) == getattr(DistortConfig(), key)
    assert given.variants == 9


def test_fitted_maps_become_inverse_maps() -> None:
    fitted = paper.fig7()
    assert len(fitted) == 100 and fitted.groupby("digit").size().eq(10).all()
    points = np.random.default_rng(0).uniform(0, 31, (2, 100))
    x, y = points - 15.5
    # as the fit's own convention has it, without yx
    target_x = fitted["xx"] * x + fitted["xy"] * y + fitted["tx"]
    target_y = fitted["yy"] * y + fitted["ty"]
    a, b, c, d, e, f = distortions.inverse_maps(fitted).T
    assert not f.any()
    np.testing.assert_allclose([a * target_x + b * target_y + c, d * target_y + e], [x, y], rtol=0, atol=1e-12)


def test_fitted_maps_are_found_again_in_our_images() -> None:
    fitted = paper.fig7().iloc[::9]
    images = load(DataConfig(name="digits")).train_images[: len(fitted)]
    found = distortions.refit(images, fitted)
    kept = ["xx", "xy", "yy", "tx", "ty"]
    np.testing.assert_allclose(found[kept], fitted[kept], rtol=0, atol=2e-6)
    np.testing.assert_allclose(found["yx"], 0, rtol=0, atol=2e-6)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "nothing"))
    clean_tree(monkeypatch)
    assert call(monkeypatch, "distortions", "--results", tmp_path) == 1
    assert "distortions.csv: is made only where MNIST is at hand" in capsys.readouterr().err
    found = paper.fig7().assign(yx=0.0, tx=lambda frame: frame["tx"] + 0.0025)
    rows = [{str(key): value for key, value in row.items()} | origin() for row in found.to_dict("records")]
    (tmp_path / "distortions.csv").write_text(csv_text([*PLACE, *FITTED], rows), encoding="utf-8")
    assert call(monkeypatch, "tables", "distortions", "--results", tmp_path) == 1
    assert "no column commit" in capsys.readouterr().err
    (tmp_path / "distortions.csv").write_text(csv_text([*PLACE, *FITTED, *ORIGIN], rows), encoding="utf-8")
    assert call(monkeypatch, "tables", "distortions", "--results", tmp_path) == 0
    table = tmp_path / "tables" / "distortions.md"
    assert "Commit c0ffeec0ffee; fits of 20" in table.read_text(encoding="utf-8")
    assert "largest error of 0.002500, and a largest yx of 0.000000" in table.read_text(encoding="utf-8")
    assert call(monkeypatch, "tables", "distortions", "--results", tmp_path, "--check") == 0
    table.write_text(table.read_text(encoding="utf-8").replace("0.002500", "0.000000"), encoding="utf-8")
    assert call(monkeypatch, "tables", "distortions", "--results", tmp_path, "--check") == 1
    assert str(table) in capsys.readouterr().err
