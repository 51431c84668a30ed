"""Runs that last a fraction of a second and have everything: distortions, several orders, checkpoints within a pass."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from paper_lenet.config import Config, DataConfig, DistortConfig, EngineConfig, OptimConfig
from paper_lenet.files import read_sealed, sha256
from paper_lenet.runs.records import run_folder

# The engines' own are made for runs of minutes.
PACE = {"fused": 25, "reference": 3}
PATTERNS = {"fused": 120, "reference": 12}
TIMES = ("seconds", "microseconds_per_update", "date")
ENDED = ("config.yaml", "environment.json", "errors.csv", "metrics.json", "passes.csv", "weights.safetensors")


def config(
    output: Path | str,
    seeds: tuple[int, ...] = (0,),
    engine: str = "fused",
    patterns: int | None = None,
    **optim: Any,
) -> Config:
    """Four passes: each pattern and its two distorted copies once, and then the first pass of a new order."""
    return Config(
        name="small",
        seeds=list(seeds),
        output=str(output),
        data=DataConfig("digits", train_size=patterns or PATTERNS[engine], test_size=60),
        distort=DistortConfig(variants=2),
        optim=OptimConfig(**{"passes": 4, "hessian_samples": 10, "order": "reshuffled", **optim}),
        engine=EngineConfig(engine, workers=2),
    )


def overrides(job: Config) -> list[str]:
    """The command line of a job that `config` gave."""
    data, optim = job.data, job.optim
    return [
        *(f"name={job.name}", f"output={job.output}", f"seeds={job.seeds}".replace(" ", "")),
        *(f"data={data.name}", f"data.train_size={data.train_size}", f"data.test_size={data.test_size}"),
        *(f"distort.variants={job.distort.variants}", f"optim.passes={optim.passes}", f"optim.order={optim.order}"),
        *(f"optim.hessian_samples={optim.hessian_samples}", f"engine={job.engine.name}"),
        f"engine.workers={job.engine.workers}",
    ]


def bits(job: Config) -> dict[str, Any]:
    """All that the finished runs of a job must have in common with those of an undisturbed job, by file."""
    top = run_folder(job, job.seeds[0]).parent
    found: dict[str, Any] = {"": sorted(os.listdir(top)), "job.json": (top / "job.json").read_bytes()}
    for seed in job.seeds:
        folder = run_folder(job, seed)
        found[folder.name] = sorted(os.listdir(folder))
        if "metrics.json" not in found[folder.name]:
            continue
        metrics = read_sealed(folder / "metrics.json")
        for name, digest in metrics["files"].items():
            content = (folder / name).read_bytes()
            assert sha256(content) == digest, f"{name}: another digest in metrics.json"
            found[f"{folder.name}/{name}"] = content
        passes = found[f"{folder.name}/passes.csv"].decode().splitlines()
        assert passes[0].endswith(",seconds")
        found[f"{folder.name}/passes.csv"] = [line.rpartition(",")[0] for line in passes]
        del metrics["files"]["passes.csv"]
        found[f"{folder.name}/metrics.json"] = {key: value for key, value in metrics.items() if key not in TIMES}
    return found


def assert_same(found: dict[str, Any], whole: dict[str, Any]) -> None:
    """Fails with the first file that differs."""
    for name in sorted({*found, *whole}):
        here, there = found.get(name), whole.get(name)
        if isinstance(here, dict) and isinstance(there, dict):
            here, there = ({k: v for k, v in a.items() if b.get(k) != v} for a, b in ((here, there), (there, here)))
        assert here == there, f"{name or 'folder'}: {_short(here)} and not {_short(there)}"


def _short(value: object) -> str:
    text = json.dumps(value, default=repr)
    return text if len(text) < 300 else f"{text[:300]}..."
