"""The published numbers, against each other."""

import csv
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from paper_lenet import paper


def test_parameters_follow_from_the_structure() -> None:
    kernels = 60
    expected = {
        "c1": 6 * 26,
        "s2": 6 * 2,
        "c3": kernels * 25 + 16,
        "s4": 16 * 2,
        "c5": 120 * (16 * 25 + 1),
        "f6": 84 * 121,
        "output": 0,
    }
    assert expected == paper.PARAMETERS
    assert sum(paper.PARAMETERS.values()) == paper.TOTAL_PARAMETERS == 60_000


def test_connections_follow_from_the_structure() -> None:
    units = {"c1": 28 * 28, "c3": 10 * 10, "c5": 1, "f6": 1}
    for layer, count in units.items():
        assert paper.CONNECTIONS[layer] == count * paper.PARAMETERS[layer]
    assert paper.CONNECTIONS["s2"] == 6 * 14 * 14 * 5
    assert paper.CONNECTIONS["s4"] == 16 * 5 * 5 * 5
    assert paper.CONNECTIONS["output"] == paper.CLASSES * paper.BITMAP_WIDTH * paper.BITMAP_HEIGHT
    assert sum(paper.CONNECTIONS.values()) == paper.TOTAL_CONNECTIONS == 340_908


def test_schedule() -> None:
    assert len(paper.ETA) == 13
    assert [paper.ETA.count(eta) for eta in (5e-4, 2e-4, 1e-4, 5e-5, 1e-5)] == [2, 3, 3, 4, 1]
    assert list(paper.ETA) == sorted(paper.ETA, reverse=True)
    # No step can be larger than eta / mu, whatever the curvature (Eq. 21).
    assert paper.RATE_RANGE[0] < paper.RATE_RANGE[1] < paper.ETA[0] / paper.MU


def test_learning_curve() -> None:
    curve = paper.fig5()
    assert list(curve.columns) == ["pass", "train_error_percent", "test_error_percent"]
    assert list(curve["pass"]) == list(range(1, 22))
    assert curve.iloc[0].tolist() == [1, 4.89, 2.65]
    after_19 = curve.set_index("pass").loc[19]
    assert after_19["train_error_percent"] == pytest.approx(paper.TRAIN_ERROR_PERCENT, abs=0.03)
    assert after_19["test_error_percent"] == pytest.approx(paper.TEST_ERROR_PERCENT, abs=0.03)


def test_training_sizes_of_fig6() -> None:
    sizes = paper.fig6().set_index("training_set")
    assert list(sizes.index) == ["15000", "30000", "60000", "60000+540000 distorted"]
    assert sizes.loc["15000"].tolist() == [0.05, 1.68]
    assert sizes.loc["60000", "test_error_percent"] == pytest.approx(paper.TEST_ERROR_PERCENT, abs=0.03)
    assert sizes["test_error_percent"].iloc[-1] == pytest.approx(paper.TEST_ERROR_DISTORTED_PERCENT, abs=0.03)


def test_errors_of_fig8() -> None:
    errors = paper.fig8()
    assert list(errors.columns) == ["mnist_test_index", "true_label", "predicted_label"]
    assert len(errors) == 82
    assert 100 * len(errors) / paper.TEST_SIZE == pytest.approx(paper.TEST_ERROR_DISTORTED_PERCENT, abs=0.05)
    assert errors["mnist_test_index"].is_monotonic_increasing and errors["mnist_test_index"].is_unique
    assert errors["mnist_test_index"].between(0, paper.TEST_SIZE - 1).all()
    assert errors[["true_label", "predicted_label"]].isin(range(10)).all(axis=None)
    assert (errors["true_label"] != errors["predicted_label"]).all()


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("fig5_learning_curve", 21),
        ("fig6_training_size", 4),
        ("fig7_distortions", 100),
        ("fig8_errors", 82),
        ("fig9_to_12_classifiers", 27),
    ],
)
def test_csv_is_packaged_and_whole(name: str, rows: int) -> None:
    with (resources.files("paper_lenet") / "paper" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == rows
    # DictReader keeps cells that are too many under None and fills up those that lack with None.
    assert all(None not in row and None not in row.values() for row in table)


def test_import_is_light() -> None:
    code = "import sys; from paper_lenet import paper; assert not {'torch', 'pandas'} & set(sys.modules)"
    project = Path(paper.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=project, check=True, timeout=60)
