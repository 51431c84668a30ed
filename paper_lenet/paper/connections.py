"""Which maps feed which: the connection tables of the paper, as literal grids."""

from __future__ import annotations

import torch
from torch import Tensor


def _grid(text: str) -> Tensor:
    """Boolean tensor of a drawing: a heading, then for each row its number and a mark a column, X or '.'."""
    lines = text.split("\n")[2:-1]
    return torch.tensor([[mark == "X" for mark in line.split()[1:]] for line in lines])


# Table I, p. 7-8: a column is a map of C3, a row a map of S2, X where the one is fed by the other.
TABLE_I: Tensor = _grid("""
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
0   X . . . X X X . . X  X  X  X  .  X  X
1   X X . . . X X X . .  X  X  X  X  .  X
2   X X X . . . X X X .  .  X  .  X  X  X
3   . X X X . . X X X X  .  .  X  .  X  X
4   . . X X X . . X X X  X  .  X  X  .  X
5   . . . X X X . . X X  X  X  .  X  X  X
""")

# LeNet-1's second table, which the paper does not print: two halves that share no map below.  # D14
LENET1: Tensor = _grid("""
    0 1 2 3 4 5 6 7 8 9 10 11
0   X X X . X X . . . . .  .
1   . X X X X X . . . . .  .
2   . . . . . . X X X . X  X
3   . . . . . . . X X X X  X
""")
# LeNet-4's, neither: each map of C3 sees three of S2, each of those feeds six.  # D15
LENET4: Tensor = _grid("""
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
0   X . . . . . X X X . .  X  .  .  X  .
1   X X . . . . . X . X .  .  X  .  .  X
2   X X X . . . . . X . X  .  .  X  .  .
3   . X X X . . . . . X .  X  .  .  X  .
4   . . X X X . . . . . X  .  X  .  .  X
5   . . . X X X . . X . .  X  .  X  .  .
6   . . . . X X X . . X .  .  X  .  X  .
7   . . . . . X X X . . X  .  .  X  .  X
""")


def pairs(table: Tensor) -> list[tuple[int, int]]:
    """The connections of a boolean table (rows, columns), column by column.

    Returns (column, row) of every true entry, the rows of a column in rising order: for Table I 60 pairs,
    first those of the three kernels of C3's map 0. Kernels are stored in this order.
    """
    return [(column, row) for column, row in table.T.nonzero().tolist()]
