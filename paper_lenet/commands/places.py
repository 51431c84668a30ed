"""Where a script reads and writes results: one's own in outputs/results, or with --publish the committed ones.

Both have the same folders inside: runs, curves, errors, env, tables, figures, report.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

OWN, PUBLISHED = Path("outputs/results"), Path("results")


@dataclass(frozen=True)
class Place:
    """A folder of results, and the folder of the documents that show them; None for one's own, which none shows."""

    results: Path
    documents: Path | None

    @property
    def published(self) -> bool:
        return self.documents is not None


def add_place(parser: argparse.ArgumentParser) -> None:
    """The options that `place_of` reads."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--results", type=Path, metavar="DIR", help=f"any other folder than {OWN}")
    group.add_argument(
        "--publish", action="store_true", help=f"the committed {PUBLISHED}/ and the documents that show it"
    )


def place_of(arguments: argparse.Namespace) -> Place:
    """What the options say. A check is of what is committed, unless a folder is named."""
    checked = getattr(arguments, "check", False) and arguments.results is None
    if arguments.publish or checked:
        return Place(PUBLISHED, Path())
    return Place(arguments.results or OWN, None)
