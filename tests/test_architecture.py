"""The rooms of docs/architecture.md: imports go downwards, there is no circle, and a run goes the way that it says."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from synthetic_runs import ROOT

from paper_lenet.config import Config, DataConfig, EngineConfig, OptimConfig
from paper_lenet.runs import job, workers

PACKAGE = "paper_lenet"
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
# Files without code, which have no place among the rooms.
NO_CODE = {"weights"}

Floors = list[list[str]]


def floors(text: str) -> tuple[Floors, dict[str, Floors]]:
    """The rooms of the picture from the top down, neighbours together; and the floors of each room that has some."""
    (picture,) = re.findall(r"^```text\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    rooms: Floors = []
    inside: dict[str, Floors] = {}
    for line in picture.splitlines():
        found = re.fullmatch(r"( *)(\w+(?:, \w+)*)  +\S.*", line)
        assert found, line
        names = found[2].split(", ")
        if found[1]:
            inside.setdefault(rooms[-1][-1], []).append(names)
        else:
            rooms.append(names)
    return rooms, inside


def modules() -> dict[str, Path]:
    """All modules of the package, without its own name in front; "" is the package itself."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        found[".".join(parts).removesuffix("__init__").rstrip(".")] = path
    return found


MODULES = modules()


def imported(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """The modules of the package that a file imports, wherever in it; a name that is no module counts as its module's.

    An import by a text, as of the configured engine, counts as one of the text's first part.
    """
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            texts = [part for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
            names = [str(texts[0].value).rstrip(".")]
        for name in names:
            inner = name.removeprefix(f"{PACKAGE}.") if name != PACKAGE else ""
            if name.partition(".")[0] != PACKAGE:
                if name.partition(".")[0] in ("experiments", "tests", "hubconf"):
                    yield name
            elif inner in known:
                yield inner
            else:
                yield inner.rpartition(".")[0]


def imports() -> dict[str, set[str]]:
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
    return {name: set(imported(tree, set(MODULES))) for name, tree in trees.items()}


def upwards(graph: dict[str, set[str]], order: Floors, room: str = "") -> list[str]:
    """The imports among what is in a room ("" for the house) that go to a floor above, or to a neighbour."""
    place = {name: height for height, names in enumerate(reversed(order)) for name in names}

    def part(module: str) -> str:
        if room and not module.startswith(f"{room}."):
            return ""
        return module.removeprefix(f"{room}." if room else "").partition(".")[0]

    return [
        f"{module} imports {other}"
        for module, others in sorted(graph.items())
        for other in sorted(others)
        if part(module)
        and part(other) != part(module)
        # outside of the room is not its matter
        and (part(other) or not room)
        and (part(other) not in place or place[part(other)] >= place[part(module)])
    ]


def test_picture_has_every_room() -> None:
    rooms, inside = floors(TEXT)
    there = {name.partition(".")[0] for name in MODULES if name}
    assert sorted(chain(*rooms)) == sorted(there)
    folders = {path.name for path in (ROOT / PACKAGE).iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - there == NO_CODE
    for room, parts in inside.items():
        of_room = {name.split(".")[1] for name in MODULES if name.startswith(f"{room}.")}
        assert sorted(chain(*parts)) == sorted(of_room), room


def test_imports_go_downwards() -> None:
    rooms, inside = floors(TEXT)
    graph = imports()
    found = upwards(graph, rooms)
    for room, parts in inside.items():
        found += upwards(graph, parts, room)
    assert found == []
    assert {other.partition(".")[0] for other in set().union(*graph.values())}.isdisjoint({"experiments", "tests"})
    assert graph[""] == {"network.pretrained", "strings.pictures", "commands.entry"}


def test_no_circle() -> None:
    """Not within a room either, nor by an import inside a function."""
    try:
        TopologicalSorter(imports()).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_what_is_wrong_is_found() -> None:
    order, inside = floors("```text\nb      above\n  d, e   two\n  c      one\na, f   below\n```\n")
    assert (order, inside) == ([["b"], ["a", "f"]], {"b": [["d", "e"], ["c"]]})
    up, to_a_neighbour = {"a.x": {"b.c"}, "b.c": {"a.x"}}, {"a": {"f"}}
    assert upwards(up, order) == ["a.x imports b.c"] and upwards(to_a_neighbour, order) == ["a imports f"]
    assert upwards({"a": {"", "experiments.train"}}, order) == ["a imports ", "a imports experiments.train"]
    within = {"b.c.y": {"b.d", "a.x"}, "b.d": {"b.c", "b.e"}}
    assert upwards(within, inside["b"], "b") == ["b.c.y imports b.d", "b.d imports b.e"]
    lazy = ast.parse(
        "def f():\n    from paper_lenet.b import c, name\n    import paper_lenet.a.x\n    from paper_lenet import a\n"
        "    import numpy, experiments.train\n    importlib.import_module(f'paper_lenet.b.{name}')"
    )
    assert sorted(imported(lazy, {"", "a", "a.x", "b", "b.c"})) == ["a", "a.x", "b", "b", "b.c", "experiments.train"]


# The way of one run

STEP = re.compile(r"^\d+\. `([\w.]+)`", re.MULTILINE)


def code_of(name: str) -> CodeType:
    """What a dotted name in the package runs."""
    parts = name.split(".")
    at = next(k for k in range(len(parts), 0, -1) if ".".join(parts[:k]) in MODULES)
    module = importlib.import_module(f"{PACKAGE}.{'.'.join(parts[:at])}")
    found: Any = functools.reduce(getattr, parts[at:], module)
    code: CodeType = getattr(found, "__wrapped__", found).__code__
    return code


class Here(Executor):
    """A pool whose one worker is the thread that submits."""

    def __init__(self, _workers: int, _context: object, initializer: Any, initargs: Any) -> None:
        initializer(*initargs)

    def submit(self, work: Any, /, *arguments: Any, **more: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(*arguments, **more))
        return done


def test_way_of_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each function that the document names is called, for the first time in the order of the document."""
    steps = STEP.findall(TEXT)
    codes = {code_of(step): step for step in steps}
    assert len(codes) == len(steps) > 10
    for later in re.findall(r"`((?:runs|reporting)\.[\w.]+)`", TEXT.rpartition("\nLater")[2]):
        assert code_of(later)
    came: list[str] = []
    errors: list[BaseException] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        step = codes.get(frame.f_code)
        if event == "call" and step is not None and step not in came:
            came.append(step)

    def whole() -> None:
        sys.setprofile(note)
        try:
            job.run(config)
        except BaseException as error:
            errors.append(error)
        finally:
            sys.setprofile(None)

    monkeypatch.setattr(workers, "ProcessPoolExecutor", Here)
    config = Config(
        data=DataConfig("digits", train_size=8, test_size=8),
        optim=OptimConfig(passes=1, hessian_samples=2),
        engine=EngineConfig("reference"),
        seeds=[0],
        output=str(tmp_path),
    )
    # not in the main thread, whose signals a job would take for itself
    thread = threading.Thread(target=whole)
    thread.start()
    thread.join()
    assert errors == []
    assert came == steps
