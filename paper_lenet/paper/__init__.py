"""Every published number that we compare with, with its page; nothing else in the project repeats one.

LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition", Proceedings of
the IEEE 86(11), November 1998, doi 10.1109/5.726791. Pages are those of the authors' preprint (46 pages). The
longer series are CSV files in the folder paper/, read off the preprint's vector graphics, good to about ±0.03
points.

Legend: A, S amplitude and slope of the squashing function; eta global learning rate; mu the constant that
bounds a step; c1, s2, c3, s4, c5, f6, output the layers in the paper's own naming.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

# Squashing, f(a) = A tanh(S a): Eq. 5-6, p. 7-8; S is given in Appendix A only, p. 41.
A = 1.7159
S = 2 / 3

# Images: p. 7 and 9-10.
TRAIN_SIZE = 60_000
TEST_SIZE = 10_000
CHARACTERS = "0123456789"  # the classes, in the order of their labels
CLASSES = len(CHARACTERS)
IMAGE_SIZE = 28
# Pixels of the sides of the three versions of the images (p. 10); 28x28, centred by mass, is what MNIST holds.
VERSION_SIDES = {
    **{"regular": IMAGE_SIZE, "deslanted": 20, "small": 16},
    # not the paper's, but guesses at what it may have done
    **{"binary": IMAGE_SIZE, "boxed-binary": IMAGE_SIZE, "small-binary": 16, "deslanted-binary": 20},
    **{"deslanted-boxed": 20, "deslanted-normalised": 20},
}
INPUT_SIZE = 32
BACKGROUND = -0.1
FOREGROUND = 1.175

# The bitmaps of Fig. 3, the centres of the output units: p. 7-8.
BITMAP_WIDTH = 7
BITMAP_HEIGHT = 12

# Layer by layer, p. 7-8. The paper does not count the output's 840 fixed centres as parameters.
PARAMETERS = {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164, "output": 0}
CONNECTIONS = {
    "c1": 122_304,
    "s2": 5_880,
    "c3": 151_600,
    "s4": 2_000,
    "c5": 48_120,
    "f6": 10_164,
    "output": 840,
}
TOTAL_PARAMETERS = 60_000
TOTAL_CONNECTIONS = 340_908

# Training: p. 10. One global rate a pass, and the last one holds for all later passes.
PASSES = 20
ETA = (0.0005,) * 2 + (0.0002,) * 3 + (0.0001,) * 3 + (0.00005,) * 4 + (0.00001,)
MU = 0.02
HESSIAN_SAMPLES = 500
# Smallest and largest effective rate "during the first pass", p. 10.
RATE_RANGE = (7e-5, 0.016)

# Results: p. 10-15. The training error is measured on the fly, after 19 passes.
TEST_ERROR_PERCENT = 0.95
TEST_ERROR_DISTORTED_PERCENT = 0.8
TRAIN_ERROR_PERCENT = 0.35

# Not in the paper: the data set is published as these four files, and their bytes have never changed.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


# Not in the paper either: how many of its test images there are of each digit.
MNIST_TEST_LABELS = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)


def _table(name: str) -> pd.DataFrame:
    # Imported here because every configuration needs this module and few of its users need a table.
    import pandas as pd

    with (resources.files(__name__) / name).open(encoding="utf-8") as file:
        return pd.read_csv(file)


def _arrays(name: str) -> dict[str, NDArray[np.uint8]]:
    import numpy as np

    with (resources.files(__name__) / name).open("rb") as file, np.load(file) as arrays:
        return dict(arrays)


def fig5() -> pd.DataFrame:
    """The learning curve of Fig. 5 (p. 10-15).

    Columns pass (1 to 21), train_error_percent (measured on the fly) and test_error_percent.
    """
    return _table("fig5_learning_curve.csv")


def fig6() -> pd.DataFrame:
    """Errors for training sets of several sizes, Fig. 6 (p. 10-15).

    Columns training_set (text: 15000, 30000, 60000, 60000+540000 distorted), train_error_percent (nan for the last)
    and test_error_percent.
    """
    return _table("fig6_training_size.csv")


def fig7() -> pd.DataFrame:
    """The affine maps that we fitted to the 100 distorted images of Fig. 7 (p. 10-15): ten of each of ten digits.

    Columns digit, column (0 to 9, the place in the figure), mnist_train_index (from 0, found by matching the
    printed images); xx, xy, yx, yy, tx, ty of target = M (source - 15.5) + 15.5 + t in pixels of the 32x32
    image, M = [[xx, xy], [yx, yy]]; gain (factor on the grey values) and rms (what the fit left over).
    """
    return _table("fig7_distortions.csv")


def fig8() -> pd.DataFrame:
    """The 82 errors of Fig. 8 (p. 10-15), made by the network trained with distortions.

    Columns mnist_test_index (from 0, found by matching the printed images), true_label, predicted_label.
    """
    return _table("fig8_errors.csv")


def fig9_to_12() -> pd.DataFrame:
    """The 27 classifiers of Figs. 9 to 12 (p. 12-17), nan where a figure has no bar for one.

    Columns classifier (text), fig9_test_error_percent, fig10_reject_percent_for_half_percent_error (rejected, of the
    test patterns), fig11_kilo_multiply_accumulates (of one recognition) and fig12_kilo_variables (to be stored).
    """
    return _table("fig9_to_12_classifiers.csv")


def fig13() -> dict[str, NDArray[np.uint8]]:
    """All states of a trained LeNet-5 for nine images, as the images of Fig. 13 (p. 17) hold them: bytes, 0 is black.

    input (9, 32, 32); c1 (9, 6, 28, 28), s2 (9, 6, 14, 14), c3 (9, 16, 10, 10), s4 (9, 16, 5, 5), c5 (9, 120), f6
    (9, 12, 7), in which black is the largest state; label (9,), the digits that are shown.
    """
    return _arrays("fig13_states.npz")


def fig25_26() -> dict[str, NDArray[np.uint8]]:
    """The strings of Figs. 25 and 26 (p. 30) with the states that are printed of them, as `fig13` has them.

    fig25_input (32, 52), the middle columns of a picture of 64, fig25_c1 (6, 28, 60), fig25_c3 (16, 10, 26), fig25_c5
    (120, 9), fig25_f6 (9, 12, 7) at nine positions; fig26_inputs (4, 32, 52), fig26_f6 (4, 9, 12, 7); answers (5,),
    text, what the network read.
    """
    return _arrays("fig25_26_strings.npz")
