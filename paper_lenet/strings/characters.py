"""Character models: what rows of classes at neighbouring positions say of the characters there (Sec. VII-A).

The network sees each character at several positions, some of them with its neighbours' parts in view. The model is a
transducer from classes to characters; what it does not allow cannot be read, such as the right part of a 4 as a 1 of
its own. The paper does not print it.  # D24
"""

from __future__ import annotations

from dataclasses import dataclass

from paper_lenet.data.windows import BLANK
from paper_lenet.strings.graphs import NULL, Arc, Graph


@dataclass(frozen=True)
class CharacterModel:
    """longest: at how many neighbouring positions a character may be seen; None for any number.  apart: how many
    blanks must stand between two characters; without one, a second character of the same class is the first one seen
    on.  With None and 0 this is the CTC of Graves et al. (2006)."""

    longest: int | None = 3
    apart: int = 1

    def transducer(self, classes: int = BLANK) -> Graph:
        """From classes 0 to `classes` - 1, and the blank, `classes`, to characters: each where it is first seen."""
        blanks = max(1, self.apart)
        free, arcs = blanks - 1, []  # nodes 0 to `free`: after so many blanks and one more
        for seen in range(blanks):
            arcs.append(Arc(seen, min(seen + 1, free), classes, output=NULL))
        counts = self.longest or 1

        def node(character: int, count: int) -> int:
            return blanks + character * counts + count

        for c in range(classes):
            arcs.append(Arc(free, node(c, 0), c))
            for count in range(counts):
                if self.longest is None:
                    arcs.append(Arc(node(c, 0), node(c, 0), c, output=NULL))
                elif count + 1 < counts:
                    arcs.append(Arc(node(c, count), node(c, count + 1), c, output=NULL))
                arcs.append(Arc(node(c, count), 0, classes, output=NULL))
                if not self.apart:
                    arcs += [Arc(node(c, count), node(other, 0), other) for other in range(classes) if other != c]
        last = blanks + classes * counts
        # A string may begin at once, with no blank before it.
        return Graph(tuple(arcs), frozenset(range(last)), start=free)


def one_each(classes: int = BLANK) -> Graph:
    """The model of pieces between cuts: each is a character. The blank is none."""
    return Graph(tuple(Arc(0, 0, c) for c in range(classes)), frozenset([0]))
