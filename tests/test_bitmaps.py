"""The bitmaps of Fig. 3, against a second drawing of some and a checksum of all."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from paper_lenet.paper.bitmaps import CODES, DIGITS

READ_OFF = Path(__file__).parents[2] / "shared" / "paper" / "fig3_bitmaps.json"

DRAWN = {
    "0": """
         xxxxx

          xxx
         xx xx
        xx   xx
        xx   xx
        xx   xx
        xx   xx
         xx xx
          xxx
        """,
    "1": """
           xx
          xxx
         xxxx
           xx
           xx
           xx
           xx
           xx
           xx
         xxxxxx
        """,
    "4": """
         xxxxx


         xx  xx
         xx  xx
        xxx  xx
        xx   xx
        xx   xx
        xx  xxx
         xxxxxx
             xx
             xx
        """,
    "7": """
        xxxxxxx
             xx
             xx
            xx
           xx
           xx
          xx
          xx
          xx
          xx
        """,
    "9": """
         xxxxx
        xx  xxx
        xx   xx
        xx   xx
        xx  xxx
         xxxxxx
             xx
             xx
            xx
         xxxx
        """,
}


def ink(code: Tensor) -> str:
    return "".join("#" if value > 0 else "." for value in code.tolist())


def test_codes_are_plus_or_minus_one() -> None:
    assert list(CODES) == [chr(i) for i in range(32, 128)]
    for code in CODES.values():
        assert code.shape == (84,) and code.dtype == torch.float32
        assert set(code.tolist()) <= {-1.0, 1.0}


def test_codes_are_distinct_but_for_the_two_blank_ones() -> None:
    assert torch.equal(CODES[" "], CODES["\x7f"])
    assert set(CODES[" "].tolist()) == {-1.0}
    assert len({ink(code) for code in CODES.values()}) == 95


def test_digits() -> None:
    assert DIGITS.shape == (10, 84) and DIGITS.dtype == torch.float32
    for digit in range(10):
        assert torch.equal(DIGITS[digit], CODES[str(digit)])
    # A pixel that differs adds 4 to the distance of Eq. 7; 6 and 8 are the closest, with 12 such pixels.
    distances = torch.cdist(DIGITS, DIGITS).square()
    assert distances[~torch.eye(10, dtype=torch.bool)].min().item() == pytest.approx(4 * 12)


@pytest.mark.parametrize("digit", DRAWN)
def test_digit_as_drawn(digit: str) -> None:
    rows = [line[8:].ljust(7) for line in DRAWN[digit].split("\n")[1:-1]]
    drawn = "".join(rows).replace(" ", ".").replace("x", "#").ljust(84, ".")
    assert ink(CODES[digit]) == drawn


def test_checksum_of_all() -> None:
    everything = "".join(ink(code) for code in CODES.values())
    assert hashlib.sha256(everything.encode()).hexdigest() == (
        "670b0a8aef3f3eb5fbc3a4c18a399c5a5313bce66fd95c6ef60ee291b5c851dd"
    )


@pytest.mark.skipif(not READ_OFF.is_file(), reason="the bitmaps as read off the figure are not at hand")
def test_same_as_read_off_the_figure() -> None:
    read_off = json.loads(READ_OFF.read_text(encoding="utf-8"))
    assert len(read_off) == 96
    for name, rows in read_off.items():
        assert ink(CODES["\x7f" if name == "DEL" else name]) == "".join(rows)
