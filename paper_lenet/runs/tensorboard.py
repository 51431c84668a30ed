"""Passes of runs as the event files that TensorBoard shows; it is imported only when something is written."""

from __future__ import annotations

import re
from pathlib import Path

from paper_lenet.files import RecordError, remove
from paper_lenet.runs.summary import Run, read_passes

# Of passes.csv, by what TensorBoard calls them.
SCALARS = {
    "error/training": "train_error_percent",
    "error/held out": "test_error_percent",
    "loss": "train_loss",
    "rate/smallest": "rate_min",
    "rate/largest": "rate_max",
    "seconds a pass": "seconds",
}


def write_events(run: Run, to: Path) -> int:
    """Add the passes of a run that <to>/<job>/<fingerprint>/seed-<k> lacks, in an event file of their own; how many.

    The files' names say up to which pass they go; a run that was started anew is written anew. Raises ImportError
    without the package tensorboard, RecordError where a file cannot be written.
    """
    from torch.utils.tensorboard import SummaryWriter

    rows = read_passes(run.folder / "passes.csv")
    place = to / run.job / run.fingerprint / run.folder.name
    done = {path: int(found[1]) for path in place.glob("*") if (found := re.search(r"\.to-(\d+)$", path.name))}
    there = max(done.values(), default=0)
    if there > len(rows):
        for path in done:
            remove(path)
        there = 0
    if there == len(rows):
        return 0
    try:
        with SummaryWriter(str(place), filename_suffix=f".to-{len(rows)}") as writer:
            for row in rows[there:]:
                for name, column in SCALARS.items():
                    if row[column]:
                        writer.add_scalar(name, float(row[column]), int(row["pass"]))
    except OSError as error:
        raise RecordError(f"{place}: cannot be written: {error.strerror or error}") from error
    return len(rows) - there
