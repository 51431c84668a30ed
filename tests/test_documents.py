"""What the documents show is run, as it is or, where it is long, in a short form, in a copy of the clone."""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from synthetic_runs import ROOT
from test_own_data import EMNIST, USUAL, write_folders, write_idx

from paper_lenet import paper
from paper_lenet.commands.composition import check_sweep, compose
from paper_lenet.config.rules import CHOICES
from paper_lenet.data import DIRECTORY_VARIABLE
from paper_lenet.data.digits import read_digits
from paper_lenet.network.pretrained import FRONT, RELEASED
from paper_lenet.reporting.tables.build import HEADLINE, generated

WEIGHTS = sorted((ROOT / "paper_lenet" / "weights").glob("*.md"))
DOCUMENTS = [*(ROOT / name for name in ("README.md", "DEVIATIONS.md")), *sorted((ROOT / "experiments").glob("*.md"))]
DOCUMENTS += [*sorted((ROOT / "results").glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *WEIGHTS]
# Languages of fenced blocks that hold no commands.
# Python of the model cards: test_model_cards; what docs/extending.md shows: tests/test_places.py.
NO_COMMANDS = ("bibtex", "js", "python", "text", "toml", "yaml")
PAPER = Path(paper.__file__).parent
# README is what one reads in one sitting.
README_LINES = 200
# Blocks of other code than `generated`, and their document; NO_TABLES: there is no such file in results/tables.
NO_TABLES = {"bench": "docs/speed.md", "faults": "docs/reliability.md"}
BLOCKS = {"headline": "README.md"} | NO_TABLES

PYTHON = ".venv/bin/python"
TRAIN = f"{PYTHON} experiments/train.py"
SIZES = "data.test_size=100 optim.passes=1 seeds=[0]"
SMALL = f"data=digits data.train_size=1200 {SIZES}"
# Where the engine does not matter, the one that has nothing to compile.
PLAIN = f"data=digits data.train_size=300 {SIZES} engine=reference optim.hessian_samples=50"
FEW = f"data.train_size=100 {SIZES} engine=reference optim.hessian_samples=50"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ON_MNIST = "data=mnist data.train_size=10000 optim.passes=2 seeds=[0]"
# A command that is shown -> what is added to it, or what is run in its place; "" for what .ci/run runs.
ADDED = {
    f"{TRAIN} --help": "",
    f"{TRAIN} experiment=smoke": "MNIST",
    f"{PYTHON} experiments/study.py": "",
    f"{TRAIN} study=fig5": PLAIN,
    f"{PYTHON} experiments/study.py eq8": PLAIN,
    f"{PYTHON} experiments/collect.py outputs/smoke": "",
    f"{PYTHON} experiments/tables.py smoke": "",
    f"{TRAIN} experiment=literal 'seeds=[0,1,2]'": PLAIN,
    f"{TRAIN} name=j10 loss=eq9 loss.j=10 data.validation=10000": f"{PLAIN} data.validation=100",
    f"{TRAIN} experiment=modern": SMALL,
    f"{TRAIN} change=relu name=relu label=ReLU": PLAIN,
    # these on MNIST, if it is at hand: release.py takes no other, and results of other data are named after them
    f"{TRAIN} experiment=modern engine=batched model.dropout=0.3 optim=muon name=mine": "MNIST",
    f"{TRAIN} -m name=eta optim.eta_factor=0.125,0.25,0.5 data.validation=10000": "MNIST data.validation=100",
    f"{PYTHON} experiments/collect.py outputs/eta": "",
    f"{PYTHON} experiments/tables.py eta": "",
    f"{PYTHON} experiments/figures.py eta": "",
    **{
        f"{TRAIN} data={kind} data.dir={place} name={name}": FEW
        for kind, place, name in (
            ("idx", "FashionMNIST/raw", "fashion"),
            ("npz", "mnist.npz", "keras"),
            ("folder", "pictures", "folders"),
        )
    },
    f"{TRAIN} data=idx data.dir=EMNIST/raw name=letters model.classes={LETTERS}": FEW,
    f"{PYTHON} experiments/measure.py lenet5-modern data=idx data.dir=FashionMNIST/raw": "",
    **{
        f"{PYTHON} experiments/predict.py {arguments}": ""
        for arguments in (
            "photo.jpg",
            "folder --csv",
            "photo.jpg --json",
            "photo.jpg --explain how.png",
            "photo.jpg --weights lenet5-modern",
        )
    },
    f"cat photo.jpg | {PYTHON} experiments/predict.py -": "",
    f"{PYTHON} experiments/read.py photo.jpg --figure read.png": "",
    f"{PYTHON} experiments/export_onnx.py lenet5-1998": "",
    f"{PYTHON} experiments/release.py outputs/mine/<fingerprint>/seed-0 mine --into .": "",
}
INSTEAD = {
    "make reproduce": f"{PYTHON} experiments/reproduce.py {SMALL}",
    **{f"make {target}": "" for target in ("setup", "report", "test")},
    f"{TRAIN} experiment=modern engine=batched engine.device=cuda name=gpu": (
        f"{TRAIN} experiment=modern engine=batched name=gpu {SMALL}"  # on a GPU: the tests that are marked gpu
    ),
    "... -m hydra/launcher=joblib hydra.launcher.n_jobs=8 engine.workers=1": (
        f"{TRAIN} -m hydra/launcher=joblib hydra.launcher.n_jobs=2 engine.workers=1 name=joblib loss=eq8,eq9 {PLAIN}"
    ),
    # in the place of an installation into another environment
    "pip install .": f"{PYTHON} -m pip install --quiet --no-deps --target outputs/installed .",
    **{
        f"paper-lenet {arguments}": f"{PYTHON} -m paper_lenet {arguments}{added}"
        for arguments, added in (
            ("--help", ""),
            ("train experiment=smoke", f" name=installed {FEW}"),
            ("predict photo.jpg", ""),
        )
    },
    'eval "$(paper-lenet completion)"': f'eval "$({PYTHON} -m paper_lenet completion)"',
    # without Slurm: that its launcher has these options
    "... -m hydra/launcher=submitit_slurm hydra.launcher.timeout_min=120 hydra.launcher.cpus_per_task=8 "
    "hydra.launcher.mem_gb=null hydra.launcher.array_parallelism=50 hydra.launcher.max_num_timeout=10": (
        f"{TRAIN} hydra/launcher=submitit_slurm hydra.launcher.timeout_min=120 hydra.launcher.cpus_per_task=8 "
        "hydra.launcher.mem_gb=null hydra.launcher.array_parallelism=50 hydra.launcher.max_num_timeout=10 --cfg hydra"
    ),
}
# Named in the text only.
ALSO = [
    f"{PYTHON} experiments/summary.py",
    f"{PYTHON} experiments/to_tensorboard.py",
    f"{PYTHON} experiments/report.py",
]


def text_of(document: Path) -> str:
    """A document without what code writes into it."""
    return re.sub(r"<!-- (\S+):begin -->.*?<!-- \1:end -->", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)


def shown(document: Path) -> Iterator[str]:
    """Each command of the fenced blocks: continued lines as one, single spaces, no comment."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text_of(document), re.DOTALL | re.MULTILINE):
        if language in NO_COMMANDS:
            continue
        for line in block.replace("\\\n", " ").splitlines():
            if command := " ".join(re.sub(r"\s# .*", "", line).split()):
                yield command


def as_run(command: str, on_mnist: bool) -> str:
    """What is run of a command that is shown: the short form, whose keys take the place of the command's own."""
    added = ADDED.get(command, "").replace("MNIST", ON_MNIST if on_mnist else SMALL)
    keys = {override.partition("=")[0] for override in added.split()}
    words = [word for word in command.split() if word.strip("'").partition("=")[0] not in keys]
    line = INSTEAD.get(command) or " ".join([*words, added]).strip()
    line = line.replace("outputs/mine/<fingerprint>", "outputs/mine/*")
    return line if on_mnist else re.sub(r" (eta|smoke)$", r" \1-digits", line)


def commands_named(text: str) -> tuple[set[str], set[str]]:
    """The targets of make and the scripts in experiments/ that a text names."""
    targets = re.findall(r"(?:`|# Command: |or )make ([a-z][\w-]*)", text)
    return set(targets), set(re.findall(r"experiments/(\w+)\.py", text))


def test_every_command_that_is_shown_is_run() -> None:
    """A document that shows another command needs a row above, and a row whose command is gone has to go."""
    commands = {command for document in DOCUMENTS for command in shown(document)}
    assert commands == {*ADDED, *INSTEAD}
    in_ci = re.findall(r"^ *(make \w+)", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    assert {command for command, instead in INSTEAD.items() if not instead} <= set(in_ci)


@pytest.mark.parametrize("command", [command for command in [*ADDED, *INSTEAD] if TRAIN in as_run(command, False)])
def test_what_is_trained_is_a_configuration(command: str) -> None:
    """The short forms, too, which only slow tests run."""
    for line in {command, as_run(command, on_mnist=False)}:
        overrides = shlex.split(line.replace(TRAIN, ""))
        if "-m" in overrides and line != command:  # as it is shown it wants MNIST
            overrides.remove("-m")
            assert len(check_sweep(overrides, multirun=True)) > 1
        elif not {"--help", "--cfg", "..."} & set(overrides) and "-m" not in overrides:
            compose(overrides)


def test_what_is_named_is_there() -> None:
    about = {path: text_of(path) for path in DOCUMENTS}
    about |= {
        path: path.read_text(encoding="utf-8").split("\n# Time")[0]
        for path in (ROOT / "conf" / "experiment").rglob("*.yaml")
    }
    there = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for path, text in about.items():
        targets, scripts = commands_named(text)
        assert targets <= there, path
        assert scripts <= {script.stem for script in (ROOT / "experiments").glob("*.py")}, path
        assert set(re.findall(r"'\.\[(\w+)\]'", text)) <= set(extras), path
        for group, name in re.findall(r"\b(experiment|study)=([\w/-]+)", text):
            assert (ROOT / "conf" / group / f"{name}.yaml").exists(), (path, name)
        assert not re.search(r"pip install \S*paper-lenet", text), f"{path}: no index has this package"
    assert commands_named("`make a-b` # Command: make c, or make d experiments/e.py") == ({"a-b", "c", "d"}, {"e"})
    assert INSTEAD["make reproduce"].split()[1] in subprocess.run(
        ["make", "-n", "reproduce"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # fmt: skip


def anchors(document: Path) -> set[str]:
    """What a link may name behind a #: the headings, as GitHub turns them into anchors."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)", document.read_text(encoding="utf-8")):
        if not link.startswith("https://"):
            name, _, anchor = link.partition("#")
            target = document.parent / name if name else document
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_each_generated_block_is_in_its_document() -> None:
    """Once, and nowhere else; each begins and ends."""
    shown_in = {name: each.shown.document for name, each in generated().items() if each.shown.document} | BLOCKS
    for mark in ("begin", "end"):
        found = [
            (name, document.relative_to(ROOT).as_posix())
            for document in DOCUMENTS
            for name in re.findall(rf"^<!-- (\S+):{mark} -->$", document.read_text(encoding="utf-8"), re.MULTILINE)
        ]
        assert sorted(found) == sorted(shown_in.items())
    rows = re.findall(
        r"^\| (`.*`) \| .* \| \[.*\]\(\.\./(.*)\) \|$", text_of(ROOT / "results" / "README.md"), re.MULTILINE
    )
    listed = {name: document for names, document in rows for name in re.findall(r"`([\w-]+)`", names)}
    assert listed == {
        HEADLINE if name == "headline" else name: shown_in[name] for name in shown_in if name not in NO_TABLES
    }


# A link from a number to the table that it is from; its title names the rows, by what they begin with.
CITED = re.compile(r"""\[([^\]]*)\]\(([^)\s]+) "([^"]*)"\)""")
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
# Numbers before "%" or "points" that are of a rule, of a test or of an aim, and of no table.
IN_ITS_TEXT = {"34", "26"}  # Section IX: what training on whole words gained
OF_RULES = {"95", "90", "5", "0.1", "85", "88.7", "90.2", "1", "0.50", "0.35", "0.03"}


def rows_of(table: Path) -> list[list[str]]:
    """The rows of a table, of Markdown or CSV."""
    text = table.read_text(encoding="utf-8")
    if table.suffix == ".csv":
        return list(csv.reader(text.splitlines()))
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_cited_number_is_in_its_row(document: Path) -> None:
    """Rounded as it is cited."""
    for text, target, names in CITED.findall(document.read_text(encoding="utf-8")):
        rows = rows_of(document.parent / target)
        by_name = {name: [row for row in rows if ", ".join(row).startswith(name)] for name in names.split("; ")}
        assert all(by_name.values()), (text, by_name)
        cells = [cell for named in by_name.values() for row in named for cell in row[1:]]
        printed = [float(number.replace(",", "")) for cell in cells for number in NUMBER.findall(cell)]
        cited = NUMBER.findall(text)
        assert cited, text
        for number in cited:
            _, _, decimals = number.partition(".")
            assert any(f"{each:.{len(decimals)}f}" == number.replace(",", "") for each in printed), (text, names)


@pytest.mark.parametrize(
    "document", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_what_was_measured_is_cited(document: Path) -> None:
    """A number of per cent or points in prose is a link to its table, unless it is the paper's or of a rule."""
    cells = [cell for path in PAPER.glob("*.csv") for row in rows_of(path) for cell in row]
    published = {cell for cell in cells if NUMBER.fullmatch(cell)} | IN_ITS_TEXT
    published |= {f"{value:g}" for value in (paper.TEST_ERROR_PERCENT, paper.TEST_ERROR_DISTORTED_PERCENT)}
    text = re.sub(r"```.*?```|<!-- (\S+):begin -->.*?<!-- \1:end -->|^\|.*?$", "", text_of(document), flags=re.S | re.M)
    text = re.sub(r"\s+", " ", CITED.sub("", text))
    for numbers in re.findall(r"((?:[\d.,]+(?: (?:to|and) )?)+) (?:%|points)", text):
        for number in NUMBER.findall(numbers):
            assert number in OF_RULES | published, f"{document.name}: {number} of {numbers!r}: from which table?"


def test_mean_that_is_typed_is_in_a_table() -> None:
    tables = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "results" / "tables").glob("*.md")))
    typed = [
        number
        for path in DOCUMENTS
        if path not in WEIGHTS
        for number in re.findall(r"[\d.]+ ± [\d.]*\d", text_of(path))
    ]
    assert typed
    for number in typed:
        assert number in tables


def test_readme_is_one_sitting() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES


def test_groups_of_keys() -> None:
    """docs/experiments.md names the files of each group of conf/ that a run has."""
    page = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (`.*`) \|$", page, re.MULTILINE))
    groups = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()} - {"experiment", "study", "change"}
    files = {group: sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml")) for group in groups}
    named = {group: re.findall(r"`(\w+)`", names) for group, names in rows.items()}
    assert named == {**files, "engine": sorted(CHOICES["engine.name"])}


@pytest.mark.parametrize(
    "card", [path for path in WEIGHTS if path.stem in (*RELEASED, FRONT)], ids=lambda path: path.stem
)
def test_model_cards(card: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", card.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    scope = {"images": torch.zeros(3, 28, 28, dtype=torch.uint8)}
    exec(code, scope)
    assert scope["output"].shape == (3, 10)


def mnist() -> Path | None:
    """Where MNIST is, for commands that are run elsewhere."""
    named = os.environ.get(DIRECTORY_VARIABLE)
    places = [Path(named)] if named else [ROOT / "data", ROOT.parent / "shared" / "data"]
    return next((place.resolve() for place in places if (place / "MNIST" / "raw").is_dir()), None)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the working tree with its history, so that runs know their commit; pictures to read, and to learn."""
    folder = tmp_path_factory.mktemp("documents") / "clone"
    git = ["git", "-C", str(ROOT)]
    names = subprocess.run(
        [*git, "ls-files", "-z", "-co", "--exclude-standard"], capture_output=True, check=True
    ).stdout
    subprocess.run([*git, "clone", "--quiet", "--no-checkout", str(ROOT), str(folder)], check=True)
    # compiled programs too, which are found by their sources' names and times
    programs = [str(path.relative_to(ROOT)) for path in (ROOT / "paper_lenet").rglob("*.nb[ci]")]
    for name in filter(None, [*names.decode().split("\0"), *programs]):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "-C", str(folder), "reset", "--quiet"], check=True)
    digit = np.full((60, 60), 255, np.uint8)
    digit[10:50, 28:33] = 0
    (folder / "folder").mkdir()
    for name in ("photo.jpg", "folder/scan.png"):
        Image.fromarray(digit).save(folder / name)
    images, labels, tests, truth = read_digits()
    data = images[:200], labels[:200], tests[:200], truth[:200]
    for name, files in (("FashionMNIST", USUAL), ("EMNIST", EMNIST)):
        write_idx(folder / name / "raw", files, data, packed=True)
    np.savez(folder / "mnist.npz", **dict(zip(("x_train", "y_train", "x_test", "y_test"), data, strict=True)))
    write_folders(folder / "pictures", data)
    return folder


@pytest.fixture(scope="module")
def python(clone: Path) -> Path:
    """A Python with this one's packages and those of all extras, installed as the documents say."""
    environment = clone.parent / "extras"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "ours.pth").write_text(
        "\n".join(path for path in sys.path if path.endswith("site-packages")), encoding="utf-8"
    )
    text = "".join(map(text_of, DOCUMENTS))
    extras = re.findall(r"pip install -e '\.\[(\w+)\]'", text)
    assert sorted(extras) == ["browser", "heic", "onnx", "sweeps", "tensorboard"]
    install = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*install, "-e", f".[{','.join(extras)}]"], cwd=clone, capture_output=True, text=True)
    if "No matching distribution" in done.stderr and "Retrying" in done.stderr:
        pytest.skip(f"packages cannot be downloaded: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return environment / "bin" / "python"


@pytest.fixture(scope="module")
def ended(clone: Path, python: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """How each command ended: first those that train, two at a time, then what is made of their runs."""
    data = mnist()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **({DIRECTORY_VARIABLE: str(data)} if data else {})}

    def run(command: str) -> subprocess.CompletedProcess[str]:
        line = as_run(command, on_mnist=data is not None).replace(PYTHON, str(python))
        return subprocess.run(
            ["bash", "-c", line], cwd=clone, env=environment, capture_output=True, text=True, timeout=300
        )

    commands = [command for command in [*ADDED, *INSTEAD, *ALSO] if INSTEAD.get(command) != ""]
    first = [command for command in commands if ADDED.get(command) or command in INSTEAD or "predict" in command]
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(first, pool.map(run, first), strict=True))
    return found | {command: run(command) for command in commands if command not in first}


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in [*ADDED, *INSTEAD, *ALSO] if INSTEAD.get(command) != ""])
def test_command(command: str, clone: Path, ended: dict[str, subprocess.CompletedProcess[str]]) -> None:
    done = ended[command]
    if "release.py" in command and (mnist() is None or "uncommitted changes in the code" in done.stderr):
        # it takes runs on MNIST and of committed code only
        assert done.returncode == 1 and re.fullmatch(r"release: .*cannot be released: .*\n", done.stderr), done.stderr
        return
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_nothing_that_is_committed_changes(clone: Path, ended: dict[str, subprocess.CompletedProcess[str]]) -> None:
    """Not by all of these commands, which leave their results in outputs/results."""
    for path in ("results", "README.md", "DEVIATIONS.md", "docs", "experiments", "paper_lenet"):
        before = {p.relative_to(ROOT): p.read_bytes() for p in files_of(ROOT / path)}
        assert {p.relative_to(clone): p.read_bytes() for p in files_of(clone / path)} == before, path
    names = ("lenet5-digits", "eq8-digits", *(name if mnist() else f"{name}-digits" for name in ("eta", "smoke")))
    made = {path.name for path in (clone / "outputs" / "results" / "tables").iterdir()}
    assert made == {f"{name}.{suffix}" for name in names for suffix in ("md", "tex", "csv")}
    assert (clone / "lenet5-1998.onnx").exists()


def files_of(path: Path) -> list[Path]:
    """The files under a path that git would not ignore."""
    found = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return [p for p in found if "__pycache__" not in p.parts and p.parent.name != "report"]
