"""The images: found, verified, distorted, and turned into what the network sees."""

from paper_lenet.data.mnist import DIRECTORY_VARIABLE, USUAL_DIRECTORIES, DataError, DataUnavailable, Images, Labels
from paper_lenet.data.sets import (
    Data,
    check_classes,
    levels,
    load,
    mnist_at_hand,
    normalise,
    resized,
    subset,
    values_of,
)

__all__ = [
    "DIRECTORY_VARIABLE",
    "USUAL_DIRECTORIES",
    "Data",
    "DataError",
    "DataUnavailable",
    "Images",
    "Labels",
    "check_classes",
    "levels",
    "load",
    "mnist_at_hand",
    "normalise",
    "resized",
    "subset",
    "values_of",
]
