"""What each engine says of itself, in the `engine.toml` of its folder in paper_lenet/engines.

The files are read, no engine is imported: engines stand above the configuration, and some take seconds to load.

    reads = ["engine.device"]                    # fields that only engines which name them here read
    lacks.model.activation = ["gelu", "silu"]    # of a field with choices what it has not
    only.model.dropout = [0.0]                   # of another field all that it has
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

FILES = (Path(__file__).parents[1] / "engines").glob("*/engine.toml")
# By name; the first one is the specification.
TOLD: dict[str, dict[str, Any]] = {
    path.parent.name: tomllib.loads(path.read_text(encoding="utf-8"))
    for path in sorted(FILES, key=lambda path: (path.parent.name != "reference", path))
}


def readers(field: str) -> tuple[str, ...]:
    """The engines that read a field which not all of them do."""
    return tuple(name for name, told in TOLD.items() if field in told.get("reads", ()))
