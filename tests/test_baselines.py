"""The classifiers that are no networks: each against a plain computation, or on what it must get right."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.svm import SVC

from paper_lenet import paper
from paper_lenet.classifiers import svm, systems
from paper_lenet.classifiers.expansions import quadratic, rbf
from paper_lenet.classifiers.fitted import Fitted, nearest, vote
from paper_lenet.classifiers.linear import linear, pairwise
from paper_lenet.classifiers.local import local
from paper_lenet.classifiers.measures import curve, measured, ranks, reject_percent
from paper_lenet.classifiers.neighbours import closest, euclidean
from paper_lenet.classifiers.systems import NETWORKS, all_classifiers
from paper_lenet.classifiers.tangent import DAMPING, tangent, tangents
from paper_lenet.config import ConfigError, DataConfig
from paper_lenet.config.studies import studies
from paper_lenet.data import load

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def digits() -> tuple[Floats, NDArray[np.int64], Floats, NDArray[np.int64]]:
    data = load(DataConfig("digits", version="small"))
    train, test = ((images / 255).astype(np.float32) for images in (data.train_images, data.test_images))
    return train[:600], data.train_labels[:600], test, data.test_labels


def flat(images: Floats) -> Floats:
    return images.reshape(len(images), -1)


def test_linear_is_least_squares() -> None:
    draw = np.random.default_rng(0)
    x, labels = draw.normal(size=(200, 5)).astype(np.float32), draw.integers(0, 10, 200)
    targets = 2.0 * np.eye(10)[labels] - 1
    weights, *_ = np.linalg.lstsq(np.hstack([x, np.ones((200, 1))]), targets, rcond=None)
    made = linear(x, labels)
    np.testing.assert_allclose(made.scores(x), np.hstack([x, np.ones((200, 1))]) @ weights, atol=1e-5)
    assert (made.multiply_adds, made.variables) == (50, 60)


def test_pixels_that_are_never_inked_get_no_weight() -> None:
    draw = np.random.default_rng(0)
    x, labels = draw.normal(size=(200, 5)).astype(np.float32), draw.integers(0, 10, 200)
    x[:, 3] = 0
    shown = x.copy()
    shown[:, 3] = 1000
    np.testing.assert_allclose(linear(x, labels).scores(shown), linear(x, labels).scores(x), atol=1e-5)


def test_paper_s_sizes() -> None:
    """7,850 parameters, 4,010 deslanted (p. 12); 40 thousand of the products (Fig. 12)."""
    draw = np.random.default_rng(0)
    labels = np.arange(100) % 10

    def of(pixels: int) -> Floats:
        return draw.normal(size=(100, pixels)).astype(np.float32)

    assert linear(of(784), labels).variables == 7_850
    assert linear(of(400), labels).variables == 4_010
    assert pairwise(of(20), labels, rule="sum").variables == 45 * 21
    assert quadratic(of(784), labels).variables == 40 * 784 + 784 + 821 * 10


def test_squashed_units_have_less_squared_error() -> None:
    """Squashed by Eq. 6, that of L-BFGS's weights is below that of the least squares of the sums."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 8)).astype(np.float32)
    labels = (x @ draw.normal(size=(8, 10))).argmax(1)
    targets = 2.0 * np.eye(10)[labels] - 1

    def error(squashed: bool) -> float:
        sums = linear(x, labels, squashed=squashed).scores(x)
        return float(((1.7159 * np.tanh(2 / 3 * sums) - targets) ** 2).mean())

    assert error(True) < 0.97 * error(False)


@pytest.mark.parametrize("rule", ["sum", "squashed", "vote"])
def test_pairwise(digits: tuple[Floats, ...], rule: str) -> None:
    """On two classes only, each unit's sign decides; the score of a class is all units for it less all against it."""
    train, labels, test, test_labels = digits
    train, test = train[:, ::2, ::2], test[:, ::2, ::2]
    scores = pairwise(flat(train), labels, rule=rule).scores(flat(test))
    np.testing.assert_allclose(scores.sum(1), 0, atol=1e-3)
    if rule == "vote":
        assert set(np.unique(scores % 2)) <= {0.0, 1.0} and scores.max() == 9
    assert (scores.argmax(1) != test_labels).mean() < 0.3


def test_nearest_neighbours(digits: tuple[Floats, ...]) -> None:
    train, labels, test, _ = digits
    scores = euclidean(flat(train), labels, 0, k=3).scores(flat(test[:40]))
    squares = ((flat(test[:40])[:, None] - flat(train)[None]) ** 2).sum(2)
    nearest = np.argsort(squares, 1, kind="stable")[:, :3]
    votes = np.stack([np.bincount(labels[row], minlength=10) for row in nearest])
    np.testing.assert_array_equal(np.floor(scores), votes)


@pytest.mark.parametrize("size", [1.0, 1e3])
def test_closest_is_exact(digits: tuple[Floats, ...], size: float) -> None:
    """The order of all squares in double precision, also where single precision cannot tell, and where they tie."""
    train, _, test, _ = digits
    x, shown = flat(train), flat(test[:50])
    far = np.float32(size)  # moved away from 0, products of matrices round more
    nearly = x[:100] * np.float32(1 + 1e-6)
    x, shown = np.concatenate([x, nearly, x[:100], x > 0.5]) + far, np.concatenate([shown, shown > 0.5]) + far
    squares = ((shown[:, None].astype(np.float64) - x[None].astype(np.float64)) ** 2).sum(2)
    for k in (1, 3, 40):
        found, indices = closest(shown, x, k)
        expected = np.argsort(squares, 1, kind="stable")[:, :k]
        np.testing.assert_allclose(found, np.sqrt(np.take_along_axis(squares, expected, 1)), rtol=1e-12)
        np.testing.assert_allclose(np.take_along_axis(squares, indices, 1), found**2, rtol=1e-12)
        assert (indices != expected).mean() < 0.001  # where sums differ in their last bit by their order


def test_local_learning(digits: tuple[Floats, ...]) -> None:
    """With all patterns as neighbours it is the linear classifier; with few it errs less."""
    train, labels, test, test_labels = digits
    x, shown = flat(train), flat(test[:60])
    everyone = local(x, labels, 0, k=len(x), ridge=1e-3).scores(shown)
    middle = x - x.mean(0)
    targets = 2.0 * np.eye(10)[labels] - 1
    weights = np.linalg.solve(middle.T @ middle + len(x) * 1e-3 * np.eye(256), middle.T @ (targets - targets.mean(0)))
    np.testing.assert_allclose(everyone, targets.mean(0) + (shown - x.mean(0)) @ weights, atol=1e-4)
    few = local(x, labels, 0, k=50, ridge=1e-2).scores(shown)
    assert (few.argmax(1) != test_labels[:60]).mean() < 0.12


def test_vote() -> None:
    voters = np.array([[4, 2, 2], [4, 2, 7]])
    scores = vote(voters, np.array([[1.0, 2.0, 3.0], [1.0, 1.5, 3.0]]))
    assert scores.argmax(1).tolist() == [2, 4]  # the most, and of one each the nearest
    assert scores[0, 2] > 2 > scores[0, 4] > 1 and scores[0, 0] == 0


def test_nearest() -> None:
    scores = nearest(np.array([[4, 2, 2], [4, 4, 7]]), np.array([[3.0, 2.0, 1.0], [1.0, 1.5, 3.0]]))
    assert scores[:, [2, 4, 7, 0]].tolist() == [[-1, -3, -3, -3], [-3, -1, -3, -3]]


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")  # patterns are given twice
@pytest.mark.parametrize(("name", "expected"), [("quadratic", 0.25), ("rbf", 0.12), ("svm", 0.12)])
def test_learns(digits: tuple[Floats, ...], name: str, expected: float) -> None:
    train, labels, test, test_labels = digits
    x = flat(train)
    if name == "rbf":
        x = np.tile(x, (2, 1))  # at least 100 patterns a class
        labels = np.tile(labels, 2)
    made = {
        "quadratic": lambda: quadratic(x, labels),
        "rbf": lambda: rbf(x, labels, 0, width=2.0, ridge=1e-6),
        "svm": lambda: svm.polynomial(x, labels, 0, degree=4, cost=10.0),
    }[name]()
    assert (made.scores(flat(test)).argmax(1) != test_labels).mean() < expected


# Support vector machines


def test_machine_is_that_of_all_patterns(digits: tuple[Floats, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten trained together on few patterns at a time are scikit-learn's on all of them."""
    train, labels, test, _ = digits
    x, shown = svm.of_length_one(flat(train)), svm.of_length_one(flat(test))
    monkeypatch.setattr(svm, "FIRST", 60)
    monkeypatch.setattr(svm, "ADDED", 40)
    positive = labels == np.arange(10)[:, None]
    machines = svm.trained(x, positive, 4, 10.0)
    for digit in (1, 8):
        whole = SVC(C=10.0, kernel="poly", degree=4, gamma=1.0, coef0=1.0).fit(x, positive[digit])
        chosen, machine = machines[digit]
        np.testing.assert_allclose(machine.sums(shown), whole.decision_function(shown), atol=0.02)
        assert len(set(chosen) ^ set(whole.support_)) <= 3
        np.testing.assert_array_equal(machine.vectors, x[chosen])


@pytest.mark.parametrize("cost", [0.01, 10.0])
def test_solver_is_libsvm(digits: tuple[Floats, ...], cost: float) -> None:
    """The same weights, support vectors and bias, also where most weights are at their limit; from 0 or from others."""
    train, labels, *_ = digits
    x = svm.of_length_one(flat(train))
    gram, signs = svm.kernel(x, x, 4), np.where(labels == 8, 1.0, -1.0)
    found = SVC(C=cost, kernel="precomputed").fit(gram.astype(np.float64), signs)
    expected = np.zeros(len(x))
    expected[found.support_] = found.dual_coef_[0]

    def value(beta: NDArray[np.float64]) -> float:
        return float(beta @ gram.astype(np.float64) @ beta / 2 - beta @ signs)

    for start in (np.zeros(len(x)), expected * 0.5):
        beta = start.copy()
        bias = svm.solved(gram, signs, cost, beta)
        assert abs(beta).max() <= cost and beta.sum() == pytest.approx(0, abs=1e-9)
        assert value(beta) == pytest.approx(value(expected), rel=1e-5)
        assert bias == pytest.approx(found.intercept_[0], abs=2e-3)
        assert len(set(np.flatnonzero(beta)) ^ set(found.support_)) <= 3


@pytest.mark.parametrize("degree", [1, 2, 4, 5, 8, 9])
def test_power(degree: int) -> None:
    base = np.linspace(-2, 2, 50, dtype=np.float32)
    np.testing.assert_allclose(svm.power(base, degree), base.astype(np.float64) ** degree, rtol=2e-6)


def test_moved() -> None:
    image = np.zeros((1, 3, 3), np.float32)
    image[0, 1, 2] = 1
    as_it_is, up, down, left, right = (place.reshape(3, 3) for place in svm.moved(image.reshape(1, 9)))
    at = [np.argwhere(place).tolist() for place in (as_it_is, up, down, left)]
    assert at == [[[1, 2]], [[0, 2]], [[2, 2]], [[1, 1]]]
    assert not right.any()


def test_virtual_and_reduced(digits: tuple[Floats, ...]) -> None:
    """Moved images are recognised better; fewer vectors come near all of them, and cost what they should."""
    train, labels, test, test_labels = digits
    x, shown = flat(train), flat(test)
    moved = np.concatenate(svm.moved(shown))

    def errors(made: Fitted) -> float:
        return float((made.scores(moved).argmax(1) != np.tile(test_labels, 5)).mean())

    plain, virtual = svm.polynomial(x, labels, 0, 5, 10.0), svm.virtual(x, labels, 0, 5, 10.0)
    assert errors(virtual) < errors(plain)
    few = svm.reduced(x, labels, 0, 5, 10.0, vectors=12)
    assert (few.multiply_adds, few.variables) == (120 * 256 + 120, 120 * 256 + 120 + 10)
    assert errors(few) < errors(virtual) + 0.05


def test_reduced_set_is_nearest(digits: tuple[Floats, ...]) -> None:
    """Its squared distance in the kernel's space is less than that of the vectors that it began with."""
    train, labels, *_ = digits
    ((_, machine),) = svm.trained(svm.of_length_one(flat(train)), (labels == 3)[None], 5, 10.0)

    def distance(few: svm.Machine) -> float:
        a, b = few.weights.astype(np.float64), machine.weights.astype(np.float64)
        own = svm.kernel(few.vectors, few.vectors, 5)
        both, all_ = (svm.kernel(x, machine.vectors, 5) for x in (few.vectors, machine.vectors))
        return float(a @ own @ a - 2 * a @ both @ b + b @ all_ @ b)

    left = []
    for steps in (0, 200):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(svm, "STEPS", steps)
            left.append(distance(svm.fewer(machine, 10)))
    assert 0 <= left[1] < 0.7 * left[0]


# Tangent distance


def shifted(images: Floats, pixels: float) -> Floats:
    whole = np.arange(images.shape[2])
    rows = images.reshape(-1, images.shape[2])
    return np.stack([np.interp(whole - pixels, whole, row) for row in rows]).reshape(images.shape).astype(np.float32)


def test_tangents_span_small_changes(digits: tuple[Floats, ...]) -> None:
    """What a shift by a tenth of a pixel changes lies almost wholly in the plane; orthonormal vectors."""
    images = digits[0][:20]
    planes = tangents(images, 1.0)
    np.testing.assert_allclose(planes @ planes.swapaxes(1, 2), np.tile(np.eye(7), (20, 1, 1)), atol=1e-5)
    change = flat(shifted(images, 0.1) - images)
    inside = np.einsum("npk,nk->np", planes, change)
    assert np.median((inside**2).sum(1) / (change**2).sum(1)) > 0.6


def test_tangent_distance_is_least_squares(digits: tuple[Floats, ...]) -> None:
    """Two-sided: the least |x + a X - y - b Y|^2 + damping (|a|^2 + |b|^2), by a solver; the nearest wins."""
    train, labels, test, _ = digits
    train, labels, test = train[:30], labels[:30], test[:6]
    p, q = tangents(test, 1.0), tangents(train, 1.0)
    best = []
    for n in range(len(test)):
        squares = []
        for m in range(len(train)):
            both = np.concatenate([p[n], q[m]]).T.astype(np.float64)
            damped = np.vstack([both, np.sqrt(DAMPING) * np.eye(14)])
            difference = np.concatenate([flat(test)[n] - flat(train)[m], np.zeros(14)])
            solution, *_ = np.linalg.lstsq(damped, difference, rcond=None)
            squares.append(float(((difference - damped @ solution) ** 2).sum()))
        best.append((int(labels[np.argmin(squares)]), min(squares)))
    scores = tangent(train, labels, 0, k=1, smoothing=1.0, prefiltered=30).scores(test)
    assert scores.argmax(1).tolist() == [label for label, _ in best]
    distances = -scores.max(1)
    np.testing.assert_allclose(distances, np.sqrt([square for _, square in best]), rtol=1e-3)


def test_prefilter(digits: tuple[Floats, ...]) -> None:
    """With enough of the nearest kept, the exact result."""
    train, labels, test, _ = digits
    exact = tangent(train, labels, 0, k=1, smoothing=1.0, prefiltered=len(train)).scores(test[:50])
    kept = tangent(train, labels, 0, k=1, smoothing=1.0, prefiltered=300).scores(test[:50])
    assert (exact.argmax(1) == kept.argmax(1)).mean() >= 0.98


# Measures


def test_rejects() -> None:
    """Of 400 patterns 4 are wrong, the two least sure and two that are in the middle."""
    margins = np.arange(1, 401) / 400
    scores = np.zeros((400, 10))
    scores[:, 3], scores[:, 8] = 1, 1 - margins
    wrong = np.zeros(400, bool)
    wrong[[0, 1, 200, 201]] = True
    left = curve(ranks(scores)[wrong], 400)
    assert left[0] == pytest.approx(1.0) and left[2] == pytest.approx(200 / 398) and left[202] == 0
    assert reject_percent(scores, wrong) == pytest.approx(100 * 202 / 400)  # of 199 one is a little more than 0.5 %
    assert reject_percent(scores, np.zeros(400, bool)) == 0
    assert reject_percent(scores, np.ones(400, bool)) == 100


def test_measured() -> None:
    scores = np.eye(10, dtype=np.float32)[[1, 2, 3, 4]]
    found = measured(lambda images: scores[: len(images)], np.zeros((4, 1), np.float32), np.array([1, 2, 0, 0]))
    assert (found["errors"], found["error_percent"], found["wrong"]) == (2, 50.0, "2 3")
    assert found["rejected_before"] == "2 3"


def test_classifiers_are_the_paper_s() -> None:
    """All of the paper's, in its order, each with its variants beneath it, and then those that it does not have."""
    every = all_classifiers()
    names = [each.name for each in every if not each.variant]
    published = list(paper.fig9_to_12()["classifier"])
    assert names[: len(published)] == published
    assert list(dict.fromkeys(each.name for each in every)) == names
    assert len({each.key for each in every}) == len(every)
    networks = {configuration["label"] for configuration in studies()[NETWORKS].configurations}
    for each in every:
        assert each.variant or not each.is_guess
        assert each.fit is not None or each.network
        assert each.network in {"", *networks}
        assert bool(each.layer) == (each.fit is not None and bool(each.network))
        assert set(each.candidates) <= set(each.settings)
        assert all(each.settings[name] in tried for name, tried in each.candidates.items())


def test_networks_are_rows_by_their_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A label without a comma is a row, and one with a guess after it; what has no label is refused in one line."""
    rows = {each.key: each for each in all_classifiers() if each.fit is None and not each.boosted}
    assert rows["lenet-5"].version == "regular" and rows["16x16 lenet-1"].version == "small"
    guess = rows["deslant 20x20-300-10, black and white"]
    assert (guess.is_guess, guess.version, guess.network) == (True, "deslanted-binary", guess.key)
    assert "lenet-4, distorted" not in rows
    study = dataclasses.replace(studies()[NETWORKS], configurations=[{"model": "mlp"}])
    monkeypatch.setattr(systems, "studies", lambda: {NETWORKS: study})
    with pytest.raises(ConfigError, match=r"^conf/study/comparison-nets.yaml: label=None: .*$"):
        all_classifiers()
