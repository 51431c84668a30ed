"""Records that were damaged, lost or swapped: refused by name, or of no consequence; never taken for what they say."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import forks
import numpy as np
import pytest
import small
import synthetic_runs
import torch
from tally import Tally

from paper_lenet.config import Config
from paper_lenet.engines import Checkpoint
from paper_lenet.files import RecordError, read_tensors, sealed, tensor_bytes
from paper_lenet.network.lenet5 import build
from paper_lenet.runs import checkpoints, job
from paper_lenet.runs.collect import CollectError, collect
from paper_lenet.runs.records import finished, run_folder, write_job

Fault = Callable[[str], Tally]
Tries = Callable[[int, int], int]
Tree = dict[str, bytes]


def content(folder: Path) -> Tree:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def restore(folder: Path, tree: Tree) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, sound in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(sound)


def changed(sound: bytes, random: np.random.Generator, stop: int | None = None) -> bytes:
    position, mask = int(random.integers(stop or len(sound))), int(random.integers(1, 256))
    return sound[:position] + bytes([sound[position] ^ mask]) + sound[position + 1 :]


class Evil:
    """Leaves a trace if it is ever unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def pickles(trace: Path) -> list[bytes]:
    saved = trace.with_name("saved")
    torch.save(Evil(trace), saved)
    return [pickle.dumps(Evil(trace)), pickle.dumps(Evil(trace), 0), saved.read_bytes()]


# Finished runs


class Finished:
    """A job with two finished runs and one that has not begun, and what `collect` makes of it."""

    def __init__(self, folder: Path) -> None:
        self.results = folder / "results"
        self.job = synthetic_runs.config(folder / "outputs", [0, 1])
        synthetic_runs.write_runs(self.job, [5, 3], synthetic_runs.data(size=50))
        write_job(replace(self.job, seeds=[2]))
        self.place = run_folder(self.job, 0).parents[1]
        self.sound = content(self.place)
        self.whole = self.collected()
        (self.place / self.run(1) / "metrics.json").unlink()
        self.without_one = self.collected()
        restore(self.place, self.sound)

    def run(self, seed: int) -> str:
        return str(run_folder(self.job, seed).relative_to(self.place))

    def collected(self) -> tuple[Tree, list[str]]:
        shutil.rmtree(self.results, ignore_errors=True)
        _, unfinished = collect(self.place, self.results, partial=True)
        return content(self.results), unfinished

    def assert_noticed(self, name: str, also_same: bool = True) -> None:
        """Refused with the name and nothing written; or the same results; or, without metrics, said to be missing."""
        try:
            found = self.collected()
        except (CollectError, RecordError) as error:
            assert "\n" not in str(error) and Path(name).name in str(error), f"does not name {name}: {error}"
            assert not self.results.exists(), "results were written"
            return
        if name.endswith("metrics.json") and not (self.place / name).exists():
            assert found == self.without_one, "other results"
        else:
            assert also_same and found == self.whole, "accepted"

    @contextlib.contextmanager
    def damaged(self, name: str, other: bytes | None) -> Iterator[None]:
        """The file with another content, or without it, for a moment."""
        path = self.place / name
        if other is None:
            path.unlink()
        else:
            path.write_bytes(other)
        try:
            yield
        finally:
            path.write_bytes(self.sound[name])

    def assert_training_notices(self, name: str) -> None:
        """A damaged metrics.json is never taken for a finished run's, nor a damaged job.json for the list of seeds."""
        before = content(self.place)
        if name.endswith("metrics.json"):
            seed = int(Path(name).parent.name.removeprefix("seed-"))
            try:
                assert finished(self.job, seed) in (None, self.metrics(name)), "accepted"
            except RecordError as error:
                assert str(self.place / name) in str(error) and "\n" not in str(error), error
        elif name.endswith("job.json"):
            try:
                write_job(self.job)
                if name in before:
                    assert content(self.place)[name] == self.sound[name], "accepted"
            except RecordError as error:
                assert str(self.place / name) in str(error) and "\n" not in str(error), error
                assert content(self.place) == before

    def metrics(self, name: str) -> dict[str, Any]:
        metrics = dict(json.loads(self.sound[name]))
        del metrics["sha256"]
        return metrics


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Finished:
    synthetic_runs.clean_tree(monkeypatch)
    monkeypatch.setattr(logging.getLogger("paper_lenet"), "disabled", True)
    return Finished(tmp_path)


def test_finished_run_changed(runs: Finished, fault: Fault, tries: Tries) -> None:
    random = np.random.default_rng(1998)
    names = [name for name in runs.sound if "seed-0" not in name]
    with fault("finished run: a random byte of a file changed") as count:
        for turn in range(tries(28, 1000)):
            name = names[turn % len(names)]
            other = changed(runs.sound[name], random)
            with count.attempt((name, turn)), runs.damaged(name, other):
                runs.assert_noticed(name)
                runs.assert_training_notices(name)


def borders(name: str, sound: bytes) -> list[int]:
    """Where a record ends: lines of text; of a safetensors file its length, its header and each tensor."""
    if not name.endswith(".safetensors"):
        return [at + 1 for at, byte in enumerate(sound) if byte == ord("\n")]
    start = 8 + int.from_bytes(sound[:8], "little")
    header = json.loads(sound[8:start])
    del header["__metadata__"]
    return [8, start, *(start + end for of in header.values() for end in of["data_offsets"])]


def test_finished_run_truncated(runs: Finished, fault: Fault, tries: Tries) -> None:
    random = np.random.default_rng(1998)
    with fault("finished run: a file truncated at a border or anywhere, or empty") as count:
        for name in [name for name in runs.sound if "seed-0" not in name]:
            sound = runs.sound[name]
            at = {end + by for end in borders(name, sound) for by in (-1, 0, 1)}
            lengths = sorted({*at, 0, 1, *random.integers(0, len(sound), tries(1, 10)).tolist()})
            lengths = [length for length in lengths if 0 <= length < len(sound)]
            chosen = random.permutation(lengths)[: tries(3, 100)].tolist()
            for length in chosen:
                with count.attempt((name, length)), runs.damaged(name, sound[:length]):
                    runs.assert_noticed(name)
                    runs.assert_training_notices(name)


def test_finished_run_without_a_file(runs: Finished, fault: Fault) -> None:
    with fault("finished run: a file missing") as count:
        for name in runs.sound:
            if "seed-0" in name:
                continue
            with count.attempt(name), runs.damaged(name, None):
                runs.assert_noticed(name)
                runs.assert_training_notices(name)


def test_finished_run_foreign(runs: Finished, fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of another seed, another configuration or another schema, sealed or not; duplicates; pickles."""
    other_job = synthetic_runs.config(tmp_path / "elsewhere", [0, 1], eta_factor=0.5)
    synthetic_runs.write_runs(other_job, [5, 4], synthetic_runs.data(size=50))
    own, sibling = runs.run(1), runs.run(0)
    files = [Path(name).name for name in runs.sound if name.startswith(own)]
    with fault("finished run: files of another run or schema, duplicates, pickles") as count:
        for name in files:
            for label, other in (
                ("another seed", runs.sound[f"{sibling}/{name}"]),
                ("another configuration", (run_folder(other_job, 1) / name).read_bytes()),
                *(("pickle", content) for content in pickles(tmp_path / "trace")),
            ):
                same = other == runs.sound[f"{own}/{name}"]
                with count.attempt((label, name)), runs.damaged(f"{own}/{name}", other):
                    runs.assert_noticed(f"{own}/{name}", also_same=same)
                    runs.assert_training_notices(f"{own}/{name}")
        for label, source in (("another seed", run_folder(runs.job, 0)), ("another job", run_folder(other_job, 1))):
            with count.attempt((label, "whole folder")):
                shutil.rmtree(runs.place / own)
                shutil.copytree(source, runs.place / own)
                runs.assert_noticed(own, also_same=False)
                restore(runs.place, runs.sound)
        for place in (f"{own}-copy", sibling.replace("seed-0", "seed-7")):
            with count.attempt(("duplicate", place)):
                shutil.copytree(runs.place / own, runs.place / place)
                runs.assert_noticed(place, also_same=False)
                restore(runs.place, runs.sound)
        for key in ("commit", "date", "diverged_at", "fingerprint", "seed", "passes", "dataset", "files", "status"):
            with count.attempt(("sealed, without", key)):
                path = runs.place / own / "metrics.json"
                metrics = {k: v for k, v in runs.metrics(f"{own}/metrics.json").items() if k != key}
                path.write_text(json.dumps(sealed(metrics)), encoding="utf-8")
                runs.assert_noticed(own, also_same=False)
                _, failed = job._unfinished(runs.job)
                assert key in ("passes", "dataset", "files", "status") or "metrics.json" in "".join(failed), failed
                restore(runs.place, runs.sound)
        for name, old, new in (
            ("passes.csv", b"train_loss", b"loss"),
            ("passes.csv", b"pass,", b"pass,pass,"),
            ("passes.csv", b"\n", b",1\n"),
            ("errors.csv", b"index", b"image"),
            ("errors.csv", b",predicted_label", b""),
            ("config.yaml", b"passes:", b"epochs:"),
            ("config.yaml", b"seeds:", b"seed:"),
        ):
            with count.attempt(("sealed, another schema", name)):
                path = runs.place / own / name
                path.write_bytes(path.read_bytes().replace(old, new, 1))
                synthetic_runs.reseal(path.parent)
                runs.assert_noticed(own, also_same=False)
                restore(runs.place, runs.sound)
        assert not (tmp_path / "trace").exists()


# Checkpoints


def point(kind: str) -> Checkpoint:
    """Of the real network's size: in the midst of a pass, or at its end."""
    model = build(Config().model, 0)
    values = {name: w.detach().numpy().copy() for name, w in model.named_parameters()}
    if kind == "midst":
        return Checkpoint(2, 50, values, {name: np.abs(v) for name, v in values.items()}, {}, 12.5, 3, 0.5)
    record = synthetic_runs.record(0, 2, synthetic_runs.data(size=50), 3)
    record.state = values
    return Checkpoint(2, 100, values, record=record)


def same(one: Any, other: Any) -> bool:
    """Equal to the bit, whatever it is made of."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return same(vars(one), vars(other)) if hasattr(one, "__dict__") else type(one) is type(other) and one == other


@pytest.fixture(params=["midst", "end"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, bytes, Any]:
    run = {"fingerprint": "0123456789ab", "seed": 0, "environment": {"commit": "c0ffee"}}
    rows = [{"pass": 1, "eta": 1e-4, "train_loss": 0.1, "test_error_percent": None}]
    checkpoints.write(tmp_path, run, rows, point(request.param))
    path = tmp_path / checkpoints.FILE
    return path, path.read_bytes(), checkpoints.read(tmp_path)


def assert_read(path: Path, other: bytes, whole: Any) -> None:
    """Refused with its name, or the same to the bit."""
    path.write_bytes(other)
    try:
        found = checkpoints.read(path.parent)
    except RecordError as error:
        assert str(path) in str(error) and "\n" not in str(error), error
    else:
        assert same(found, whole), "accepted"


def test_checkpoint_changed(checkpoint: tuple[Path, bytes, Any], fault: Fault, tries: Tries) -> None:
    """Half of the changes are in the header."""
    path, sound, whole = checkpoint
    random = np.random.default_rng(1998)
    with fault("checkpoint: a random byte changed") as count:
        for turn in range(tries(10, 500)):
            stop = 8 + int.from_bytes(sound[:8], "little") if turn % 2 else None
            with count.attempt(turn):
                assert_read(path, changed(sound, random, stop), whole)


def test_checkpoint_truncated(checkpoint: tuple[Path, bytes, Any], fault: Fault, tries: Tries) -> None:
    path, sound, _ = checkpoint
    random = np.random.default_rng(1998)
    at = {end + by for end in borders(path.name, sound) for by in (-1, 0, 1)}
    lengths = sorted({*at, 0, *random.integers(0, len(sound), 50).tolist()} - {len(sound), len(sound) + 1})
    with fault("checkpoint: truncated at a border or anywhere, or empty") as count:
        for length in random.permutation(lengths)[: tries(5, 1000)].tolist():
            with count.attempt(length):
                assert_read(path, sound[:length], None)


def test_pickle_in_the_place_of_tensors(tmp_path: Path, fault: Fault) -> None:
    with fault("checkpoint or weights: a pickle in its place") as count:
        for name in (checkpoints.FILE, "weights.safetensors"):
            for number, other in enumerate(pickles(tmp_path / "trace")):
                with count.attempt((name, number)):
                    (tmp_path / name).write_bytes(other)
                    with pytest.raises(RecordError, match=name):
                        read_tensors(tmp_path / name)
                    assert not (tmp_path / "trace").exists(), "its code was run"


# Runs that go on


def test_interrupted_run(fault: Fault, full: bool, tmp_path: Path) -> None:
    """With a file of it damaged, lost or foreign the run ends with the same bits; a bad checkpoint is remarked on."""
    run = small.config(tmp_path / "out")
    place, folder = Path(run.output), run_folder(run, 0)
    assert forks.ended(forks.start(forks.train, run)) == 0
    whole = small.bits(run)

    def interrupted(seed: int = 0, **optim: Any) -> Tree:
        """A job killed in the midst of its third pass or after it."""
        other = small.config(place, (seed,), **optim)
        shutil.rmtree(place)
        log = tmp_path / "steps"
        assert forks.ended(forks.start(forks.stepping, None, log, forks.train, other)) == 0
        steps = log.read_text(encoding="utf-8").splitlines()
        written = [number for number, step in enumerate(steps) if step == f"replaced {checkpoints.FILE}"]
        shutil.rmtree(place)
        assert forks.ended(forks.start(forks.stepping, written[13], None, forks.train, other)) == -9
        return content(place)

    def checkpoint_of(tree: Tree) -> bytes:
        (found,) = (value for key, value in tree.items() if key.endswith(checkpoints.FILE))
        return found

    sound = interrupted()
    name = str((folder / checkpoints.FILE).relative_to(place))
    about, tensors = read_tensors(folder / checkpoints.FILE)
    elsewhere = about["run"]["environment"] | {"commit": "0"}

    def foreign(**changes: Any) -> bytes:
        return tensor_bytes(about | changes, tensors)

    rows = about["rows"]
    random = np.random.default_rng(1998)
    bad: list[tuple[str, bytes]] = [
        ("rows of another schema", foreign(rows=[{"epoch": row["pass"], "loss": 0.1} for row in rows])),
        ("a row too few", foreign(rows=rows[1:])),
        ("a row twice", foreign(rows=[*rows, rows[-1]])),
        (
            "another commit's",
            foreign(run=about["run"] | {"environment": elsewhere}),
        ),
        ("run of another schema", foreign(run={"fingerprint": run.fingerprint(), "seed": 0})),
        ("run of another kind", foreign(run=[])),
        ("progress of another schema", foreign(progress={"epoch": 1})),
        ("weights", tensor_bytes({"name": "small"}, tensors)),
        ("empty", b""),
        *((f"pickle {n}", other) for n, other in enumerate(pickles(tmp_path / "trace"))),
        *((f"truncated {n}", sound[name][: int(random.integers(len(sound[name])))]) for n in range(5)),
        *((f"changed {n}", changed(sound[name], random)) for n in range(5)),
    ]
    if full:
        bad.append(("another seed's", checkpoint_of(interrupted(1))))
        bad.append(("another configuration's", checkpoint_of(interrupted(eta_factor=0.5))))
    log = tmp_path / "log"
    with fault("interrupted run: checkpoint damaged, foreign or a pickle; started again") as count:
        for label, other in bad if full else bad[:2]:
            with count.attempt(label):
                restore(place, sound | {name: other})
                log.unlink(missing_ok=True)
                assert forks.ended(forks.start(forks.train, run, log)) == 0, log.read_text(encoding="utf-8")
                (remark,) = [line for line in log.read_text(encoding="utf-8").splitlines() if " pass " not in line]
                assert str(folder / checkpoints.FILE) in remark and remark.endswith("the run starts anew"), remark
                small.assert_same(small.bits(run), whole)
                assert not (tmp_path / "trace").exists(), "its code was run"
    with fault("interrupted run: another file damaged or missing, or no checkpoint; started again") as count:
        for other_name in [key for key in sound if not key.endswith("job.json")] if full else [name]:
            for label, tree in [
                ("missing", {key: value for key, value in sound.items() if key != other_name}),
                ("empty", sound | {other_name: b""}),
                ("truncated", sound | {other_name: sound[other_name][:-7]}),
            ][: 3 if full else 1]:
                with count.attempt((other_name, label)):
                    restore(place, tree)
                    assert forks.ended(forks.start(forks.train, run)) == 0
                    small.assert_same(small.bits(run), whole)
