"""The network of 1998 from Fig. 13: the display, the derivatives, the likelihood, and the committed parameters."""

from __future__ import annotations

import importlib
import itertools
import math
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from synthetic_runs import clean_tree, train_here

from paper_lenet import paper
from paper_lenet.activations import squash
from paper_lenet.commands import entry
from paper_lenet.commands.composition import compose
from paper_lenet.config import Config, DistortConfig, OptimConfig
from paper_lenet.data import Data, normalise
from paper_lenet.files import read_rows
from paper_lenet.learning.patterns import all_patterns
from paper_lenet.network.lenet5 import LeNet5, build
from paper_lenet.network.pretrained import load_pretrained
from paper_lenet.recovery import check, codes, recovered
from paper_lenet.recovery import fit as fit_module
from paper_lenet.recovery.display import LEVELS, STEP, Palette, RecoveryError, first_guess, printed_as, read_off
from paper_lenet.recovery.fit import (
    FIRST_DISPLAY,
    RANGE,
    SIZE,
    WHITE,
    Printed,
    _Problem,
    of_intervals,
    recover,
    to_grey,
)
from paper_lenet.recovery.front import FIELDS, LAYERS, PLACES, by_pixels, from_tensors, maps_of, states, to_tensors
from paper_lenet.recovery.fronts import PASSES, features, of_1998, passes_of, trained_head
from paper_lenet.reporting.tables.codes import COLUMNS, RECOVERED
from paper_lenet.reporting.tables.codes import OURS as OURS_WHOLE
from paper_lenet.reporting.tables.fronts import OURS, QUARTER, WINDOWS


def test_sizes_are_the_papers() -> None:
    assert sum(paper.PARAMETERS[layer] for layer in LAYERS) == SIZE
    for layer in LAYERS:
        of_layer = [PLACES[key] for key in maps_of(layer)]
        assert of_layer[-1].stop - of_layer[0].start == paper.PARAMETERS[layer]


def net_and_images(n: int = 2) -> tuple[LeNet5, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n, 32, 32, generator=generator, dtype=torch.float64) * 1.275 - 0.1
    return LeNet5(generator=generator).double(), images


def theta_of(net: LeNet5) -> torch.Tensor:
    return from_tensors({name: values.detach().numpy() for name, values in net.state().items()})


def test_states_are_those_of_the_network() -> None:
    net, images = net_and_images()
    found, expected = states(theta_of(net), images).x, net.features(images[:, None])
    for layer in LAYERS:
        for key in maps_of(layer):
            torch.testing.assert_close(found[key], expected[layer][:, key[1]], rtol=1e-12, atol=1e-12)
    tensors = to_tensors(theta_of(net))
    assert all(np.array_equal(values, net.state()[name].detach().numpy()) for name, values in tensors.items())
    other = LeNet5().double()
    recovered.put_into(other, tensors)
    assert torch.equal(other.s4.bias, net.s4.bias) and not torch.equal(other.c5.weight, net.c5.weight)


@pytest.mark.parametrize("key", [("c1", 2), ("s2", 0), ("c3", 7), ("s4", 15)])
def test_derivatives_are_autograds(key: tuple[str, int]) -> None:
    net, images = net_and_images()
    theta = theta_of(net)
    found = states(theta, images, with_tangents=True)

    def some(values: torch.Tensor) -> torch.Tensor:
        return states(values, images).x[key][:, 1, 2]

    by_theta = torch.autograd.functional.jacobian(some, theta)
    own = torch.zeros_like(by_theta)
    own[:, found.columns[key]] = found.tangents[key][:, :, 1, 2].T
    torch.testing.assert_close(own, by_theta, rtol=1e-9, atol=1e-12)

    pixels = torch.tensor([40, 100, 205])
    moved = by_pixels(theta, {k: x[1] for k, x in found.x.items()}, pixels, 32)[key]

    def of_image(values: torch.Tensor) -> torch.Tensor:
        return states(theta, values.view(1, 32, 32)).x[key][0]

    by_image = torch.autograd.functional.jacobian(of_image, images[1].flatten())
    torch.testing.assert_close(moved, by_image[..., pixels].movedim(-1, 0), rtol=1e-9, atol=1e-12)


def test_likelihood_of_intervals() -> None:
    low = torch.tensor([2.0, -math.inf, 2.0, 2.0, 2.0], dtype=torch.float64)
    high = torch.tensor([5.0, 5.0, math.inf, 5.0, 5.0], dtype=torch.float64)
    b = torch.tensor([4.5, 7.0, 1.0, 90.0, -80.0], dtype=torch.float64)
    value, slope, curvature = of_intervals(low, high, b, 1.5)
    ends = (stats.norm.cdf((end - b)[:3].numpy() / 1.5) for end in (high, low))
    np.testing.assert_allclose(value[:3].numpy(), np.log(next(ends) - next(ends)), rtol=1e-9)
    small = 1e-5
    above, below = (of_intervals(low, high, b + d, 1.5) for d in (small, -small))
    np.testing.assert_allclose(slope.numpy(), (above[0] - below[0]) / (2 * small), rtol=1e-5)
    np.testing.assert_allclose(curvature[:3].numpy(), (below[1] - above[1])[:3] / (2 * small), rtol=1e-5)
    # far outside nothing is rounded to infinity, and the way back is known
    assert value.isfinite().all() and slope[3] < -10 and slope[4] > 10 and (curvature > 0).all()


def made_palette(bytes_: list[int], firsts: list[int]) -> Palette:
    """A palette whose bytes begin at these levels."""
    low, high = np.full(256, np.nan), np.full(256, np.nan)
    for place, value in enumerate(bytes_):
        low[value] = (firsts[place] - 0.5) * STEP if place else -np.inf
        high[value] = (firsts[place + 1] - 0.5) * STEP if place + 1 < len(firsts) else np.inf
    return Palette(low, high)


def test_a_palette_is_read_off_what_it_printed() -> None:
    draw = np.random.default_rng(0)
    greys = draw.uniform(-3, 258, 20_000)
    firsts = [0, 2, 4, *range(7, LEVELS)]
    palette = made_palette([*range(0, 4 * len(firsts), 4)], firsts)
    printed = printed_as(greys, palette)
    for error in (0.0, 3.0):
        found = read_off(printed, greys + draw.normal(0, error, len(greys)) if error else greys)
        assert np.array_equal(found.low, palette.low, True) and np.array_equal(found.high, palette.high, True)
    guess = first_guess(np.array([10, 20, 60], np.uint8))
    assert guess.low[[10, 20, 60]].tolist() == [-np.inf, 15, 40] and guess.high[[10, 20, 60]].tolist() == [
        15,
        40,
        np.inf,
    ]
    with pytest.raises(RecoveryError, match=r"^70 greys in one image, more than the 64 levels of a display$"):
        read_off(np.arange(70, dtype=np.uint8), np.arange(70.0))


def first(n: int) -> Printed:
    return {name: values[:n] for name, values in paper.fig13().items() if name in ("input", *LAYERS)}


def test_gradient_is_that_of_the_likelihood() -> None:
    printed, tensors = first(1), recovered.load()
    greys = np.concatenate([printed[name][0].ravel() for name in ("input", *LAYERS)])
    problem = _Problem(printed, [first_guess(greys)], 3.0)
    unknowns = torch.cat([from_tensors(tensors), torch.tensor(FIRST_DISPLAY, dtype=torch.float64)])
    images = problem.images_of(unknowns)
    system = problem._system((unknowns, images))
    small = 1e-6
    for place in (3, PLACES["s2", 1].start, PLACES["c3", 4].start + 30, PLACES["s4", 2].stop - 1, RANGE, WHITE):
        ends = []
        for sign in (1, -1):
            moved = unknowns.clone()
            moved[place] += sign * small
            ends.append(problem.likelihood((moved, images)))
        assert math.isclose(
            float(system.gradient[place]), (ends[0] - ends[1]) / (2 * small), rel_tol=1e-4, abs_tol=1e-3
        )
    pixel = 20
    ends = []
    for sign in (1, -1):
        changed = images.clone()
        changed[0].view(-1)[problem.pixels[0][pixel]] += sign * small
        ends.append(problem.likelihood((unknowns, changed)))
    expected = (ends[0] - ends[1]) / (2 * small)
    assert math.isclose(float(system.of_pixels[0][1][pixel]), expected, rel_tol=1e-4, abs_tol=1e-3)


def test_units_that_see_the_same_count_once() -> None:
    problem = _Problem(first(2), [first_guess(np.arange(0, 256, 2, dtype=np.uint8))] * 2, 1.0)
    printed = first(2)["input"]
    for layer, (size, apart) in FIELDS.items():
        windows = np.lib.stride_tricks.sliding_window_view(printed, (size, size), axis=(1, 2))[:, ::apart, ::apart]
        different = len({window.tobytes() for window in windows.reshape(-1, size, size)})
        assert math.isclose(float(problem.weights[layer, 0].sum()), different)


def test_the_committed_parameters_explain_what_is_printed() -> None:
    """97 % of all states lie in the interval of their byte, of palettes that are read off these very parameters."""
    printed, tensors = paper.fig13(), recovered.load()
    theta, r = from_tensors(tensors), torch.tensor(float(tensors["display"][0]))
    x = states(theta, torch.from_numpy(tensors["images"].astype(np.float64))).x
    inside = total = 0
    for i in range(len(printed["label"])):
        shown = np.concatenate([printed[layer][i, k].ravel() for layer, k in x])
        greys = np.concatenate([to_grey(x[key][i], r).numpy().ravel() for key in x])
        palette = read_off(shown, greys)
        inside += int(((greys >= palette.low[shown]) & (greys <= palette.high[shown])).sum())
        total += len(shown)
    assert total == 70_920 and inside / total > 0.97
    # as a least-squares fit by others found them
    assert tensors["s2.coefficient"].tolist() == pytest.approx([0.21, 0.11, 0.13, 0.33, 0.26, 0.13], abs=0.01)
    assert -0.01 < tensors["s4.coefficient"].min() < 0 and 0.04 < np.median(tensors["s4.coefficient"]) < 0.07


def test_states_of_another_shape() -> None:
    printed = first(1)
    for name, wrong, message in (
        ("c3", printed["c3"][:, :15], r"c3: uint8 \(1, 15, 10, 10\), not uint8 \(1, 16, 10, 10\)"),
        ("input", printed["input"].astype(float), r"input: float64 \(1, 32, 32\), not uint8 \(1, 32, 32\)"),
    ):
        with pytest.raises(RecoveryError, match=f"^{message}$"):
            recover({**printed, name: wrong})
    with pytest.raises(RecoveryError, match=r"^s4: no such printed states$"):
        recover({name: values for name, values in printed.items() if name != "s4"})


def test_a_fit_that_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROUGH_STEPS", "STEPS"):
        monkeypatch.setattr(fit_module, name, 1)
    with pytest.raises(RecoveryError, match=r"^the fit does not converge in 1 steps$"):
        recover(first(1))


def made_data(count: int = 60) -> Data:
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 256, (count, 28, 28), np.uint8), draw.integers(0, 10, count)
    return Data("mnist", "test", images, labels, images, labels)


def test_features_and_heads() -> None:
    """The features are S4's, however many there are; a head learns what can be told, and the same for the same seed."""
    draw = np.random.default_rng(0)
    net = LeNet5(generator=torch.Generator().manual_seed(0))
    data = made_data(1003)
    x = torch.from_numpy(normalise(data.train_images[-3:]))
    for name in ("c1", "s2", "c3", "s4"):
        x = squash(getattr(net, name)(x)).detach()
    patterns, _ = all_patterns(Config(), data, 0)
    torch.testing.assert_close(features(net, patterns, np.arange(1003))[-3:], x.flatten(1))
    labels = draw.integers(0, 10, 400)
    x = torch.from_numpy((np.eye(10)[labels] @ draw.normal(size=(10, 400)) + 0.1).astype(np.float32))
    heads = [trained_head(iter([(x, labels)] * PASSES), seed) for seed in (0, 0, 1)]
    assert (heads[0](x).argmax(1).numpy() == labels).mean() > 0.95
    assert torch.equal(heads[0].c5.weight, heads[1].c5.weight)
    assert not torch.equal(heads[0].c5.weight, heads[2].c5.weight)


def test_changed_images_are_new_in_each_pass() -> None:
    net, data = LeNet5(generator=torch.Generator().manual_seed(0)), made_data()
    plain = list(passes_of(net, all_patterns(Config(), data, 0)[0], 0))
    assert len(plain) == PASSES and all(x is plain[0][0] for x, _ in plain)
    distorted, _ = all_patterns(Config(distort=DistortConfig(variants=9)), data, 0)
    changed = list(passes_of(net, distorted, 0))
    assert len(changed) == PASSES and all(len(x) == len(labels) == 60 for x, labels in changed)
    assert not torch.equal(changed[0][0], changed[1][0])


def test_a_frozen_front_stays_and_the_rest_learns() -> None:
    """By the recipe of 1998, from the seed's own upper layers."""
    config, tensors = Config(optim=OptimConfig(passes=2, hessian_samples=5)), recovered.load()
    last = of_1998(tensors, config, made_data(), seed=1)
    start = build(config.model, 1).state()
    for name, w in last.state.items():
        if name.startswith(LAYERS):
            assert np.array_equal(w, tensors[name])
        else:
            assert (w != start[name].detach().numpy()).mean() > 0.9
    assert last.train_size == 60


def test_fronts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each front once; what is there is not made again, and a folder without runs is named."""
    clean_tree(monkeypatch)
    monkeypatch.chdir(tmp_path)
    job = ["data=digits", "data.train_size=20", "data.test_size=0", "optim.passes=1", "seeds=[0,1]"]
    for more in (["name=a"], ["name=b", "optim.mu=0.1"]):
        assert train_here(monkeypatch, *job, *more) == 0
    capsys.readouterr()
    command = importlib.import_module("paper_lenet.commands.fronts")  # after `call`, which forgets it
    monkeypatch.setattr(command, "EXPERIMENT", "data=digits")
    monkeypatch.setitem(command.NAMED, OURS, ("data=digits",))
    monkeypatch.setattr(command, "processes", lambda: ThreadPoolExecutor(1))
    monkeypatch.setattr(command, "load", lambda config: made_data())
    monkeypatch.setattr("paper_lenet.recovery.fronts.PASSES", 2)
    monkeypatch.setattr(command, "of_1998", lambda front, config, data, seed: SimpleNamespace(test_errors=seed))

    def trained(*more: str) -> int:
        monkeypatch.setattr("sys.argv", ["fronts", *arguments, *more])
        return entry.run("fronts")

    runs = sorted(str(path.parent) for path in Path("outputs").glob("*/*/seed-0"))
    arguments = ["--results", str(tmp_path), "--seeds", "2", "--runs", *runs]
    for images, fits in ((("plain", "noisy"), 32), (("plain", "noisy"), 0), (("distorted",), 16)):
        assert trained("--images", *images) == 0
        assert capsys.readouterr().out.count(" %") == fits
    assert len((tmp_path / "fronts.csv").read_text(encoding="utf-8").splitlines()) == 49
    told = (tmp_path / "tables" / "fronts.md").read_text(encoding="utf-8")
    assert "| 1998, recovered from Fig. 13 | 1998's | 0.833 ± 1.179 |" in told
    assert f"| {OURS}, data.train_size=20, optim.passes=1, optim.mu=0.1 | today's | " in told
    monkeypatch.setitem(command.NAMED, OURS, ("experiment=lenet5",))
    changed = {OURS: [], QUARTER: ["experiment=quarter"], WINDOWS: ["windows=paper"]}
    changed[f"{OURS}, optim.mu=0.1"] = ["optim.mu=0.1"]
    for name, overrides in changed.items():
        assert command.called(compose(overrides), Path()) == name
    assert trained("--runs", "none") == 1
    assert capsys.readouterr().err == "fronts: none: no runs here\n"


def test_printed_codes() -> None:
    """Fig. 13's nine images read what they show; the four digits of Fig. 25 are there, in order, at nine places."""
    shown = list(codes.printed())
    assert [(p.of, p.answer()) for p in shown[:9]] == [(digit, digit) for digit in "444438433"]
    assert "".join(p.answer() for p in shown if p.figure == 25) == "223334445"
    assert len(shown) == 9 + 5 * 9 and all(p.image.shape == (32, 32) for p in shown)
    assert all(-0.11 < p.image.min() < 0.2 and p.image.max() < 1.2 for p in shown)
    # neighbouring windows are the same columns, four further on
    string = [p.image for p in shown if p.of == "678"]
    assert all(np.array_equal(a[:, 4:], b[:, :-4]) for a, b in itertools.pairwise(string))


def test_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clean_tree(monkeypatch)
    monkeypatch.chdir(tmp_path)
    few = ["data=digits", "data.train_size=20", "optim.passes=1"]
    assert train_here(monkeypatch, *few, "name=a", "windows=paper", "data.test_size=0", "seeds=[0]") == 0
    command = importlib.import_module("paper_lenet.commands.codes")
    monkeypatch.setattr(command, "WINDOWS", (*few, *command.WINDOWS))
    monkeypatch.setattr(command, "processes", lambda: ThreadPoolExecutor(1))
    (run,) = (path.parent for path in Path("outputs").glob("*/*/seed-0"))
    monkeypatch.setattr("sys.argv", ["codes", "--results", str(tmp_path), "--seeds", "2", "--runs", str(run)])
    assert entry.run("codes") == 0
    rows = read_rows(tmp_path / "codes.csv", COLUMNS, {"correlation": float})
    assert len(rows) == 3 * 54 and {row["network"] for row in rows} == {RECOVERED, OURS_WHOLE}
    assert "| Fig. 25: 2345 | 223334445 |" in (tmp_path / "tables" / "codes.md").read_text(encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["codes", "--results", str(tmp_path), "--runs", "none"])
    assert entry.run("codes") == 1
    assert capsys.readouterr().err == "codes: none: no runs here\n"


def test_card() -> None:
    text = recovered.FILE.with_suffix(".md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    scope: dict[str, torch.Tensor] = {}
    exec(code, scope)
    assert scope["s4"].shape == (1, 16, 5, 5)


@pytest.mark.slow
def test_recovery_gives_the_committed_parameters_and_finds_a_known_network() -> None:
    printed = paper.fig13()
    fit = recover(printed)
    assert float((from_tensors(recovered.load()) - fit.theta).abs().max()) < 2e-5
    net = load_pretrained("lenet5-1998").network
    truth = from_tensors({name: values.detach().numpy() for name, values in net.state().items()})
    _, part = check.coverage(recover(check.printed_like(fit, truth, printed)), truth)["all"]
    assert 0.90 <= part <= 0.98
