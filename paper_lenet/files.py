"""Files that are whole or not there: written atomically, sealed by a digest, and held by one process at a time."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from paper_lenet.errors import PaperLenetError

# How long a held folder is waited for: workers whose parent was killed let go of it within a moment.
PATIENCE_SECONDS = 5.0
Tensors = dict[str, NDArray[Any]]


class RecordError(PaperLenetError, OSError):
    """A file that cannot be written or read; the message is one line that names it."""


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part. Raises RecordError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with suppress(OSError):  # the error that matters is the one above
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {error.strerror or error}") from error


def remove(path: Path) -> None:
    """Remove a file that may not be there. Raises RecordError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RecordError(f"{path}: cannot be removed: {error.strerror or error}") from error


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed while they wrote left behind; only for who holds the folder."""
    for path in folder.glob(".*.[0-9]*"):
        remove(path)


@contextmanager
def held(folder: Path, patience: float | None = None) -> Iterator[None]:
    """Make the folder if need be and hold it alone; a process that is killed lets go of it.

    Raises RecordError where it cannot be held, and if another process still holds it after `patience` seconds, by
    default a few.
    """
    path = folder / ".lock"
    # A soft lock would outlive a process that is killed.
    lock = FileLock(path, timeout=PATIENCE_SECONDS if patience is None else patience, fallback_to_soft=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        holder = "another process"
        with suppress(OSError):  # it may let go this moment
            holder = path.read_text(encoding="utf-8").strip() or holder
        raise RecordError(f"{folder}: {holder} is writing it") from None
    except OSError as error:
        raise RecordError(f"{error.filename or path}: cannot be written: {error.strerror or error}") from error
    try:
        with suppress(OSError):  # a full disk: held all the same, only without a name
            since = datetime.now(UTC).isoformat(timespec="seconds")
            path.write_text(f"process {os.getpid()} on {platform.node()} since {since}\n", encoding="utf-8")
        yield
    finally:
        with suppress(OSError):  # while it is held: who waits for it sees that the file is gone, and makes another
            path.unlink(missing_ok=True)
        lock.release()


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """CSV in a fixed format: floats with 8 significant digits, None and missing keys empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        values = (row.get(column) for column in columns)
        writer.writerow([f"{value:.8g}" if isinstance(value, float) else value for value in values])
    return out.getvalue()


def read_table(path: Path) -> list[list[str]]:
    """The header and the rows of a CSV file, as text. Raises RecordError, also for one that was cut off.

    A whole file ends with its last row, and all of its rows are as long as its header.
    """
    try:
        content = path.read_text(encoding="utf-8")
        table = list(csv.reader(io.StringIO(content, newline="")))
    except (OSError, ValueError, csv.Error) as error:
        raise RecordError(f"{path}: cannot be read: {one_line(error)}") from error
    if content and not content.endswith("\n"):
        raise RecordError(f"{path}: cut off in row {len(table) - 1}: its last line has no end")
    for number, row in enumerate(table):
        if len(row) != len(table[0]):
            raise RecordError(f"{path}: row {number} has {len(row)} cells, the header {len(table[0])}")
    return table


def read_rows(path: Path, columns: Sequence[str], numbers: Mapping[str, type] = {}) -> list[dict[str, str]]:
    """The rows of a CSV file by column, as text; none if it is not there.

    numbers: the columns that must hold an int or a float in each row. Raises RecordError, also for a file that was cut
    off or has other columns.
    """
    if not path.exists():
        return []
    header, *rows = read_table(path) or [[]]
    if header != list(columns):
        raise RecordError(f"{path}: cannot be read: it has other columns than {', '.join(columns)}")
    found = [dict(zip(header, row, strict=True)) for row in rows]
    for number, row_found in enumerate(found, 1):
        for column, kind in numbers.items():
            try:
                kind(row_found[column])
            except ValueError as error:
                raise RecordError(f"{path}: cannot be read: row {number}: {column} is not a number") from error
    return found


def add_rows(
    path: Path,
    columns: Sequence[str],
    key: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    in_order: Callable[[list[dict[str, str]]], list[dict[str, str]]] = list,
) -> list[dict[str, str]]:
    """Add rows to a CSV file, each in place of those with the same key, and give all of its rows, as text.

    The file is read again while its folder is held, so that processes that add to it at once lose no row.
    columns: of the file, which may not be there yet.  key: the columns that tell rows apart.  in_order: puts all rows
    in the order of the file. Raises RecordError.
    """
    new = list(csv.DictReader(io.StringIO(csv_text(columns, rows), newline="")))
    with held(path.parent, patience=60.0):
        there = {tuple(row[column] for column in key): row for row in [*read_rows(path, columns), *new]}
        found = in_order(list(there.values()))
        write_atomic(path, csv_text(columns, found))
    return found


def json_text(value: object) -> str:
    """Indented JSON with a newline at its end; a float that is not finite raises ValueError."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def sha256(content: bytes) -> str:
    """The digest of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """The dictionary with a digest of the rest under `sha256`."""
    return {**value, "sha256": sha256(json.dumps(value, sort_keys=True).encode())}


def read_sealed(path: Path) -> dict[str, Any]:
    """The content of a JSON file that `sealed` made, the seal taken off. Raises RecordError, also for a broken seal."""
    try:
        value = json.loads(path.read_bytes())
        seal = value.pop("sha256")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RecordError(f"{path}: cannot be read: {one_line(error)}") from error
    if sealed(value)["sha256"] != seal:
        raise RecordError(f"{path}: damaged: its content does not have the digest that it states")
    return dict(value)


def tensor_bytes(about: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """A safetensors file of named arrays, with `about` and a digest of everything as JSON in its metadata."""
    arrays = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    # One key: safetensors writes several in an order that changes from process to process.
    return save(arrays, {"run": json.dumps({**about, "sha256": _digest(about, arrays)})})


def read_tensors(path: Path) -> tuple[dict[str, Any], Tensors]:
    """What `tensor_bytes` made: about, and the arrays. Raises RecordError for a damaged or foreign file."""
    try:
        content = path.read_bytes()
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about = json.loads(header["__metadata__"]["run"])
        seal = about.pop("sha256")
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RecordError(f"{path}: cannot be read: {one_line(error)}") from error
    if _digest(about, tensors) != seal:
        raise RecordError(f"{path}: damaged: its content does not have the digest that it states")
    return about, tensors


def digest_of(tensors: Mapping[str, NDArray[Any]]) -> str:
    """What tells named arrays from others, whatever is said of them: 16 hexadecimal digits."""
    return _digest({}, tensors)[:16]


def _digest(about: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        values = tensors[name]
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def one_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
