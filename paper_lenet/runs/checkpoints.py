"""checkpoint.safetensors: how far a run has come, in one file, with its records so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paper_lenet.engines import Checkpoint, PassRecord
from paper_lenet.files import RecordError, read_tensors, tensor_bytes, write_atomic

FILE = "checkpoint.safetensors"
Rows = list[dict[str, Any]]
_ARRAYS = ("state", "predictions")  # of a record; its state is the checkpoint's average or else its parameters


def write(folder: Path, run: dict[str, Any], rows: Rows, point: Checkpoint) -> None:
    """Replace the folder's checkpoint. run: what must be the same to go on. rows: of passes.csv. Raises RecordError."""
    tensors = {f"parameters/{name}": values for name, values in point.parameters.items()}
    tensors |= {f"memory/{name}": values for name, values in point.memory.items()}
    tensors |= {f"average/{name}": values for name, values in point.average.items()}
    record = None
    if point.record is not None:
        tensors["predictions"] = point.record.predictions
        record = {key: value for key, value in vars(point.record).items() if key not in _ARRAYS}
    progress = {key: getattr(point, key) for key in ("pass_", "update", "loss", "errors", "seconds")}
    about = {"run": run, "rows": rows, "progress": progress, "record": record}
    write_atomic(folder / FILE, tensor_bytes(about, tensors))


def read(folder: Path) -> tuple[dict[str, Any], Rows, Checkpoint] | None:
    """The folder's checkpoint as it was written: run, rows and point; None where there is none.

    Raises RecordError for a damaged or foreign one.
    """
    path = folder / FILE
    if not path.exists():
        return None
    about, tensors = read_tensors(path)
    try:
        parameters, memory, average = (
            {name.partition("/")[2]: values for name, values in tensors.items() if name.startswith(f"{part}/")}
            for part in ("parameters", "memory", "average")
        )
        record = None
        if about["record"] is not None:
            state = average or parameters
            record = PassRecord(**about["record"], predictions=tensors["predictions"], state=state)
        point = Checkpoint(**about["progress"], parameters=parameters, memory=memory, average=average, record=record)
        return dict(about["run"]), list(about["rows"]), point
    except (LookupError, TypeError, ValueError) as error:
        raise RecordError(f"{path}: not a checkpoint: {error}") from error
