"""Counting: what was tried, what survived it, what was lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

COUNTS = ("tries", "survived", "lost")
MOST_REASONS, MOST_LETTERS = 10, 400


class Tally:
    """How often one fault was tried, and what became of it. Goes on after a loss, and fails the test at its end."""

    def __init__(self, name: str) -> None:
        self.counts: dict[str, Any] = {"name": name, **dict.fromkeys(COUNTS, 0)}
        self.reasons: list[str] = []

    @contextmanager
    def attempt(self, what: object) -> Iterator[Tally]:
        """One try; an exception in it is a loss."""
        before = self.counts["tries"]
        self.counts["tries"] += 1
        try:
            yield self
            outcome = "survived"
        except (Exception, pytest.fail.Exception) as error:
            outcome = "lost"
            self.reasons.append(f"{type(error).__name__}: {str(error)[:MOST_LETTERS]} (in {str(what)[:MOST_LETTERS]})")
        self.counts[outcome] += self.counts["tries"] - before

    def also(self, tries: int) -> None:
        """Count so many tries more in the attempt in progress: they stand and fall together."""
        self.counts["tries"] += tries

    def __enter__(self) -> Tally:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self.reasons:
            shown = "\n".join(self.reasons[:MOST_REASONS])
            pytest.fail(f"{self.counts}\n{shown}", pytrace=False)
