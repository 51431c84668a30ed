"""Table I, against a second copy in another form."""

import torch

from paper_lenet.paper.connections import TABLE_I, pairs

# Map of C3 <- maps of S2, read off the printed table column by column.
SOURCES = """
0:012 1:123 2:234 3:345 4:045 5:015
6:0123 7:1234 8:2345 9:0345 10:0145 11:0125
12:0134 13:1245 14:0235
15:012345
"""


def test_table_i() -> None:
    expected = torch.zeros(6, 16, dtype=torch.bool)
    for entry in SOURCES.split():
        column, rows = entry.split(":")
        for row in rows:
            expected[int(row), int(column)] = True
    assert TABLE_I.dtype == torch.bool
    assert torch.equal(TABLE_I, expected)
    assert TABLE_I.sum(0).tolist() == [3] * 6 + [4] * 9 + [6]
    assert TABLE_I.sum(1).tolist() == [10] * 6


def test_pairs_run_column_by_column() -> None:
    expected = [
        (int(column), int(row)) for column, rows in (entry.split(":") for entry in SOURCES.split()) for row in rows
    ]
    assert len(expected) == 60
    assert pairs(TABLE_I) == expected
    assert pairs(TABLE_I)[:4] == [(0, 0), (0, 1), (0, 2), (1, 1)]


def test_pairs_of_a_small_table() -> None:
    table = torch.tensor([[False, True, False], [True, True, False]])
    assert pairs(table) == [(0, 1), (1, 0), (1, 1)]
