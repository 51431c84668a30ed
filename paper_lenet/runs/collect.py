"""Turns the run folders of one job name into the committed files of results/, after checking each of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from paper_lenet.config import OWN, Config, ConfigError, not_method
from paper_lenet.config.schema import FIRST_DEFAULTS, first_defaults
from paper_lenet.errors import PaperLenetError
from paper_lenet.files import (
    RecordError,
    csv_text,
    held,
    json_text,
    read_rows,
    read_sealed,
    remove_leftovers,
    sha256,
    write_atomic,
)
from paper_lenet.runs.environment import doubt
from paper_lenet.runs.records import ERROR_COLUMNS, PASS_COLUMNS, Job, flat, read_job

# Those of metrics.json, and their order in results/runs.
RUN_COLUMNS = (
    *(
        "name",
        "dataset",
        "split",
        "fingerprint",
        "seed",
        "engine",
        "precision",
        "passes",
        "status",
        "diverged_at",
    ),
    *("train_error_percent", "test_error_percent", "test_errors", "test_size", "train_size"),
    *("training_set_error_percent", "rate_min_pass1", "rate_max_pass1", "seconds", "microseconds_per_update"),
    *("weights", "commit", "dirty", "cpu", "torch", "numba", "date"),
)
# Those that runs of earlier code, and the files made of them, do not have.
LATER_COLUMNS = ("weights",)
Row = dict[str, Any]


class CollectError(PaperLenetError):
    """Run folders that cannot become results; the message is one line that names the folder."""


class Run:
    """One finished run folder, read and checked on its own: its seals, and that its files agree with each other.

    Raises CollectError.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics = _read_metrics(folder)
        self.environment = _read_json(folder / "environment.json")
        self.errors = _read_csv(folder / "errors.csv", ERROR_COLUMNS)
        self.passes = _read_csv(folder / "passes.csv", PASS_COLUMNS)
        self.config = config = _read_config(folder / "config.yaml")
        self.settings = flat(config.as_first())
        fingerprint = folder.parent.name
        if config.fingerprint() != fingerprint:
            raise CollectError(f"{folder}: config.yaml has the fingerprint {config.fingerprint()}, not its folder's")
        claims = {
            "name": folder.parents[1].resolve().name,
            "fingerprint": fingerprint,
            "seed": config.seeds[0],
            "dataset": self.metrics.get("dataset") if config.data.name in OWN else config.data.name,
            "passes": len(self.passes),
            "test_errors": len(self.errors) if self.metrics.get("status") == "ok" else self.metrics.get("test_errors"),
        }
        for key, expected in claims.items():
            if self.metrics.get(key) != expected:
                raise CollectError(f"{folder}: metrics.json says {key}={self.metrics.get(key)}, its folder {expected}")
        dataset = str(self.metrics.get("dataset"))
        if dataset.partition("-")[0] != config.data.name:
            raise CollectError(f"{folder}: metrics.json says dataset={dataset}, its configuration {config.data.name}")
        missing = [column for column in RUN_COLUMNS if column not in (*self.metrics, *LATER_COLUMNS)]
        if missing:
            raise CollectError(f"{folder}: metrics.json has no {', '.join(missing)}")
        self.seed = config.seeds[0]
        self.key = {"fingerprint": fingerprint, "seed": self.seed}
        # The two agree, but for who has changed one of them.
        dirty = bool(self.metrics["dirty"] or self.environment.get("dirty"))
        self.doubt = doubt(self.metrics["commit"], dirty)


def collect(
    folder: Path,
    results: Path,
    *,
    allow_dirty: bool = False,
    fingerprint: str | None = None,
    partial: bool = False,
) -> tuple[list[Path], list[str]]:
    """Write results/{runs,curves,errors}/<name>.csv and results/env/<name>.json from the runs in `folder`.

    folder: <output>/<name>.  allow_dirty: take runs of code that is no known commit's.
    fingerprint: only the configuration of that fingerprint, where the folder holds several; None for all.
    partial: leave out runs that were planned but have not ended.
    Returns the files written, and the folders of the runs left out. Runs on a data set other than MNIST go to
    <name>-<dataset>. Nothing is written unless every check passes: CollectError for damaged, duplicate, contradictory
    or dirty runs, and for missing ones unless `partial`; RecordError where a file cannot be written.
    """
    try:
        jobs = sorted(path.parent for path in folder.glob("*/seed-*"))
        jobs = sorted({*jobs, *(path.parent for path in folder.glob("*/job.json"))})
    except OSError as error:
        raise CollectError(f"{folder}: cannot be read: {error.strerror}") from error
    if fingerprint is not None:
        jobs = [job for job in jobs if job.name == fingerprint]
    if not jobs:
        raise CollectError(f"{folder}: no runs here" + (f" of {fingerprint}" if fingerprint else ""))
    runs: list[Run] = []
    unfinished: list[str] = []
    missing: list[str] = []
    for path in jobs:
        try:
            planned = read_job(path)
        except RecordError as error:
            raise CollectError(str(error)) from error
        found, left_out = _runs_of(path, planned)
        runs += found
        unfinished += map(str, left_out)
        if left_out:
            seeds = ", ".join(place.name.removeprefix("seed-") for place in left_out)
            missing.append(f"{planned.words()} ({path.name}), seeds {seeds}".removeprefix(" "))
    if not runs:
        raise CollectError(f"{folder}: no finished run here, only {', '.join(unfinished)}")
    if missing and not partial:
        of = f"{len(unfinished)} of {len(runs) + len(unfinished)}"
        raise CollectError(
            f"{folder}: {of} planned runs have not ended (--partial takes the others): {'; '.join(missing)}"
        )
    doubts = {str(run.folder): run.doubt for run in runs if run.doubt}
    if doubts and not allow_dirty:
        first, *more = doubts
        others = f" and {len(more)} more" if more else ""
        raise CollectError(f"{first}{others}: {doubts[first]}; --allow-dirty takes them all the same")
    files: dict[Path, str] = {}
    for dataset in sorted({run.metrics["dataset"] for run in runs}):
        name = folder.resolve().name if dataset == "mnist" else f"{folder.resolve().name}-{dataset}"
        files.update(_results(name, [run for run in runs if run.metrics["dataset"] == dataset], results))
    with held(results):
        for path, text in files.items():
            remove_leftovers(path.parent)
            write_atomic(path, text)
    return list(files), unfinished


def _runs_of(job: Path, planned: Job) -> tuple[list[Run], list[Path]]:
    """The finished runs of one configuration by seed, and the folders of the other planned ones."""
    folders = sorted(job.glob("seed-*"))
    ended = [path for path in folders if (path / "metrics.json").exists()]
    left_out = sorted({*folders, *(job / f"seed-{seed}" for seed in planned.seeds)} - {*ended})
    runs: dict[int, Run] = {}
    for run in map(Run, ended):
        seed = run.seed
        if seed in runs:
            raise CollectError(f"{run.folder}: a duplicate of seed {seed} in {runs[seed].folder}")
        if run.folder.name != f"seed-{seed}" or seed not in planned.seeds:
            raise CollectError(f"{run.folder}: holds seed {seed}, which is not its place or not in job.json")
        runs[seed] = run
    return [runs[seed] for seed in sorted(runs)], left_out


def _results(name: str, runs: list[Run], results: Path) -> dict[Path, str]:
    usual = flat(first_defaults())
    varied = [
        key
        for key in runs[0].settings
        if key not in not_method(runs[0].config.data.name) and any(run.settings.get(key) != usual[key] for run in runs)
    ]
    rows = [{**run.metrics, **{key: run.settings[key] for key in varied}, "name": name} for run in runs]
    curves = [{"name": name, **run.key, **row} for run in runs for row in run.passes]
    errors = [{**run.key, **row} for run in runs for row in run.errors]
    environments: dict[str, Row] = {}
    for run in runs:
        entry = environments.setdefault(json.dumps(run.environment, sort_keys=True), {"runs": 0, **run.environment})
        entry["runs"] += 1
    return {
        results / "runs" / f"{name}.csv": csv_text((*RUN_COLUMNS, *varied), rows),
        results / "curves" / f"{name}.csv": csv_text(("name", "fingerprint", "seed", *PASS_COLUMNS), curves),
        results / "errors" / f"{name}.csv": csv_text(("fingerprint", "seed", *ERROR_COLUMNS), errors),
        results / "env" / f"{name}.json": json_text([environments[key] for key in sorted(environments)]),
    }


def configuration(row: Mapping[str, Any]) -> Config:
    """What a row of results/runs was trained with: a field without a column is at its first default.

    The values may be text, or what pandas makes of it. Raises ConfigError for a value that a field cannot have.
    """
    name = str(row.get("dataset", "")).partition("-")[0] or None
    fields = {**row, "data.name": name, "engine.name": row.get("engine")}
    fields["engine.precision"] = row.get("precision")
    tree = OmegaConf.structured(Config)
    try:
        for key, first in FIRST_DEFAULTS.items():
            OmegaConf.update(tree, key, first)
        for key, default in flat(first_defaults()).items():
            if key not in not_method(name or "") and (value := fields.get(key)) is not None:
                OmegaConf.update(tree, key, _value(value, default))
        return cast(Config, OmegaConf.to_object(tree))
    except Exception as error:  # OmegaConf's or our own
        raise ConfigError(_line(error)) from error


def _value(value: Any, default: Any) -> Any:
    """A cell as the field's value; default: the field's, as `flat` has it."""
    if value != value or value == "":
        return "" if default == "" else None
    if isinstance(default, str):
        return json.loads(value) if default.startswith("[") else str(value)
    if isinstance(default, bool):
        return str(value) == "True"
    if default is None and isinstance(value, str) and not value.replace(".", "").isdigit():
        return value  # data.dir
    return float(value) if isinstance(default, float) else int(value)


def _read_json(path: Path) -> Row:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CollectError(f"{path}: cannot be read: {_line(error)}") from error


def _read_metrics(folder: Path) -> Row:
    """The metrics of a run, none of whose files has changed since they were written."""
    try:
        metrics = read_sealed(folder / "metrics.json")
    except RecordError as error:
        raise CollectError(str(error)) from error
    digests = metrics.get("files")
    if not isinstance(digests, dict):
        raise CollectError(f"{folder}: metrics.json has no digests of the other files")
    for name in sorted({"config.yaml", "environment.json", "errors.csv", "passes.csv", *digests}):
        path = folder / name
        try:
            digest = sha256(path.read_bytes())
        except OSError as error:
            raise CollectError(f"{path}: cannot be read: {_line(error)}") from error
        if digests.get(name) != digest:
            raise CollectError(f"{path}: changed since its run ended: metrics.json has another digest of it")
    return metrics


def _read_config(path: Path) -> Config:
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(path)))
    except Exception as error:  # YAML's, OmegaConf's or our own: the reader gets one line either way
        raise CollectError(f"{path}: cannot be read: {_line(error)}") from error
    return cast(Config, config)


def _read_csv(path: Path, columns: tuple[str, ...]) -> list[Row]:
    try:
        return list(read_rows(path, columns))
    except RecordError as error:
        raise CollectError(str(error)) from error


def _line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]
