"""Strings of digits, read by networks that learned windows or digits: paper-lenet strings NAME... [--publish].

Of the runs in outputs/NAME those of 1998 that learned windows are space displacement networks (Section VII), as are as
many with the front of 1998, whose upper layers learn windows as the runs did; those that learned single digits read the
pieces of heuristic over-segmentation (Section V). Runs of today's recipe on windows stand beside them, and as many
small CRNNs. The first of each go on learning, from whole strings, by the four losses of Section VI, and those of today
by CTC. Chosen on strings of hold-out images: the character model, of MODELS or APART, and for each loss the rate. The
test strings of each level and the five strings of Figs. 25 and 26 are read. -> strings.csv, strings-printed.csv,
strings-rejection.csv and their tables. What is there is not made again.
"""

from __future__ import annotations

import argparse
import functools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from paper_lenet.commands.places import add_place, place_of
from paper_lenet.config import Config, ConfigError
from paper_lenet.data import load
from paper_lenet.engines.fused import FusedNet
from paper_lenet.errors import PaperLenetError
from paper_lenet.files import Tensors, add_rows, read_rows, read_tensors, sha256, tensor_bytes, write_atomic
from paper_lenet.network.layers import EuclideanRBF
from paper_lenet.network.lenet5 import build
from paper_lenet.network.modern import ModernNet
from paper_lenet.network.paper_net import PaperNet
from paper_lenet.network.pretrained import WEIGHTS
from paper_lenet.paper.bitmaps import WITH_BLANK
from paper_lenet.recovery import recovered
from paper_lenet.recovery.codes import ANSWERS, pictures, strip_of
from paper_lenet.recovery.fronts import of_1998
from paper_lenet.reporting.tables.build import build as build_tables
from paper_lenet.reporting.tables.build import write
from paper_lenet.reporting.tables.strings import (
    CHARACTERS,
    COLUMNS,
    CRNN_TODAY,
    CTC,
    FRONT,
    HOS,
    KEY,
    PRINTED,
    PRINTED_COLUMNS,
    REJECTION,
    REJECTION_COLUMNS,
    SDNN,
    SIGMOIDS,
    TODAY,
    WRONG,
    codes_learn,
)
from paper_lenet.reporting.tables.strings import TABLES as STRING_TABLES
from paper_lenet.runs.collect import Run
from paper_lenet.runs.environment import origin
from paper_lenet.runs.workers import processes
from paper_lenet.strings import reader
from paper_lenet.strings.characters import CharacterModel
from paper_lenet.strings.crnn import CRNN
from paper_lenet.strings.digits import LEVELS, Strings, of_split
from paper_lenet.strings.reading import Answer, all_pieces, answers, transducer
from paper_lenet.strings.rejection import read_at
from paper_lenet.strings.sdnn import Sigmoids, edits
from paper_lenet.strings.training import LOSSES, Recipe, train

CENTRES = "output.centres"
# Positions are four columns apart, so that 3 are a narrow digit's width, and 5 a wide one's.
MODELS = [CharacterModel(longest, apart) for longest in (1, 2, 3, 4) for apart in (0, 1, 2, 3)]
# Tried in training: rates with the first of these models, then the others at the best rate.
APART = [CharacterModel(3, apart) for apart in (1, 0, 2)]
ANY_NUMBER = CharacterModel(None, 0)  # with probabilities, CTC
# Of each level as many strings as an SDNN has, but none with noise: it leaves so many cuts that little is learned of
# them, slowly.
OF_PIECES = functools.partial(Recipe, model=None, strings=3000, levels=("easy", "touching", "overlapping"))
LEARNING: dict[str, list[Recipe]] = {
    SDNN: [
        # one string an update, as in 1998, takes long
        *(Recipe("E_dforw", APART[0], rate, "sdlm", passes=1) for rate in (3e-5, 1e-4, 3e-4)),
        *(Recipe(loss, APART[0], rate) for loss in LOSSES for rate in (1e-3, 3e-3, 1e-2, 3e-2)),
    ],
    # all paths of all labels have probability 1 together, so that E_forw is E_dforw
    TODAY: [Recipe(loss, ANY_NUMBER, rate) for loss in LOSSES if loss != "E_forw" for rate in (3e-4, 1e-3, 3e-3, 1e-2)],
    # at one rate, since what is asked is whether they collapse
    SIGMOIDS: [Recipe(loss, ANY_NUMBER, 1e-3) for loss in LOSSES],
    CRNN_TODAY: [Recipe("E_dforw", ANY_NUMBER, rate, passes=10) for rate in (1e-3, 3e-3, 1e-2)],
    HOS: [OF_PIECES(loss, rate=rate) for loss in LOSSES for rate in (1e-3, 3e-3, 1e-2)],
}
# How many of the runs learn whole strings: to choose a rate, and to be tested. By the loss that the paper ends with all
# SDNNs do.
TO_CHOOSE, TO_TEST, ALL = {SDNN: 2, TODAY: 2, SIGMOIDS: 1, CRNN_TODAY: 1, HOS: 1}, 5, (SDNN, "E_dforw")
Row = dict[str, Any]
Net = PaperNet | ModernNet | Sigmoids | CRNN


def called(start: str, how: Recipe | None) -> str:
    """What the tables call a training."""
    if how is None:
        return CHARACTERS
    if start in (TODAY, CRNN_TODAY) and how.loss == "E_dforw":
        return CTC
    return f"{how.loss}, SDLM" if how.method == "sdlm" else how.loss


@dataclass(frozen=True)
class Network:
    """What reads: a run's network, or upper layers on the front of 1998, or one of these trained on whole strings.

    start: SDNN, FRONT, HOS, TODAY, SIGMOIDS or CRNN_TODAY.  folder: of the run, in which the weights of what is made
    here are kept.  fingerprint: of the run.  further: how it learned whole strings.
    """

    start: str
    config: Config
    seed: int
    folder: Path
    fingerprint: str
    further: Recipe | None = None

    @property
    def system(self) -> str:
        """What the tables call it."""
        return codes_learn(self.start) if self.further is not None and self.further.centres else self.start

    @property
    def training(self) -> str:
        return called(self.start, self.further)

    def load(self) -> Net:
        """The network, trained where it is not there yet."""
        net: Net
        if self.start == CRNN_TODAY:
            net = CRNN(self.seed)
        else:
            built = build(self.config.model, self.seed)
            assert isinstance(built, PaperNet | ModernNet)  # seen to by `networks`
            net = Sigmoids(built) if self.start == SIGMOIDS else built
        if self.further is None:
            if self.start in (SDNN, HOS, TODAY, SIGMOIDS):
                of_run = net.net if isinstance(net, Sigmoids) else net
                put(of_run, read_tensors(self.folder / "weights.safetensors")[1])
                return net.eval()
            if self.start == CRNN_TODAY:
                return net.eval()
        # a run that was trained anew has other weights, and what is made of them is made anew
        run = sha256((self.folder / "weights.safetensors").read_bytes())
        about = {"start": self.start, "further": str(self.further), "run": run}
        path = self.folder / f"strings-{sha256(str(about).encode())[:12]}.safetensors"
        if not path.exists():
            write_atomic(path, tensor_bytes(about, self._trained()))
        put(net, read_tensors(path)[1])
        return net.eval()

    def _trained(self) -> Tensors:
        data = load(self.config.data)
        if self.further is None:
            state = of_1998(recovered.load(), self.config, data, self.seed).state
            return {**state, CENTRES: WITH_BLANK.numpy()}
        net = replace(self, further=None).load()
        for _, impossible in train(net, data.train_images, data.train_labels, self.further, self.seed):
            for labels in impossible:
                print(f"left out, since no path fits: {labels}", flush=True)
        return {name: w.detach().numpy() for name, w in net.state_dict().items()}


def put(net: nn.Module, tensors: Tensors) -> None:
    """Parameters into a network; codes that learned, too."""
    state = {name: torch.as_tensor(w) for name, w in tensors.items()}
    net.load_state_dict({**net.state_dict(), **state})


def main() -> int:
    parser = argparse.ArgumentParser(description="Read strings of digits with networks that learned windows.")
    parser.add_argument("names", nargs="+", metavar="NAME", help="of runs in outputs/NAME")
    add_place(parser)
    arguments = parser.parse_args()
    place = place_of(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    nets = [net for name in arguments.names for net in networks(Path("outputs", name))]
    by_start = {start: [net for net in nets if net.start == start] for start in (SDNN, FRONT, *LEARNING)}
    if not by_start[SDNN]:
        where = ", ".join(str(Path("outputs", name)) for name in arguments.names)
        raise PaperLenetError(f"{where}: no runs that learned windows (windows=paper)")
    load(nets[0].config.data)  # here, so that a download is made once
    with processes() as pool:
        work, to_take_away = Work(place.results, pool), list[tuple[Network, CharacterModel]]()
        for start in (SDNN, TODAY):
            if own := by_start[start]:
                models: list[CharacterModel | None] = [*MODELS]
                tried = work.measure([(net, models) for net in own], "validation", f"{start}, character models")
                model, _ = chosen(tried, own, CHARACTERS)
                assert model is not None
                print(f"{start}: {model} reads strings of hold-out images best")
                if start == SDNN:
                    to_take_away.append((own[0], model))
                fronts = by_start[FRONT] if start == SDNN else []
                work.measure([(net, [model]) for net in (*own, *fronts)], "test", start)
        work.measure([(net, [None]) for net in by_start[HOS]], "test", HOS)
        for start, recipes in LEARNING.items():
            # the most telling loss first
            for training in dict.fromkeys(called(start, how) for how in reversed(recipes)):
                tries = [how for how in recipes if called(start, how) == training]
                if own := by_start[start]:
                    how = work.choose(own[: TO_CHOOSE[start]], tries)
                    print(f"{start}: {how}")
                    hows = [how]
                    if start in (SDNN, HOS) and how.method == "adamw":
                        hows.append(replace(how, centres=True))
                    learned = [replace(net, further=each) for net in own[:TO_TEST] for each in hows]
                    if (start, training) == ALL:
                        learned += [replace(net, further=how) for net in own[TO_TEST:]]
                        assert how.model is not None
                        to_take_away.append((replace(own[0], further=how), how.model))
                    work.measure([(net, [how.model]) for net in learned], "test", f"{start}, {training}")
    files = build_tables(place.results, [*STRING_TABLES], place.documents)
    write(files)
    weights: dict[Path, bytes | str] = {}
    for net, model in to_take_away:
        weights |= released(net, model, work.strings, WEIGHTS if place.published else place.results)
    for path, content in weights.items():
        write_atomic(path, content)
    print("wrote " + ", ".join(map(str, [*work.paths, *files, *weights])))
    return 0


def released(net: Network, model: CharacterModel, rows: Path, folder: Path) -> dict[Path, bytes | str]:
    """A reader to take away and its card: the first seed's network, as its rows in strings.csv describe it."""
    network, to = net.load(), reader.FILE if net.further else reader.WINDOWS_FILE
    key = about(net, next(iter(LEVELS)), "test", model)
    (row,) = (row for row in read_rows(rows, COLUMNS) if all(row[name] == str(value) for name, value in key.items()))
    learned = "It learned windows of three characters."
    if net.further:
        learned = f"{learned[:-1]}, then whole strings by {net.training} (Eq. 17) and AdamW."
    told = {"name": to.stem, "learned": learned, "rbf_factor": net.config.model.rbf_factor}
    told |= {name: row[name] for name in ("seed", "run", "commit", "torch", "cpu")} | {"date": row["date"][:10]}
    tensors = {name: w.detach().numpy() for name, w in network.state_dict().items()}
    content = reader.file_of(tensors, model, told)
    return {folder / to.name: content, folder / f"{to.stem}.md": reader.card(content, model, told)}


class Work:
    """What is measured in other processes, and the files that the rows go to."""

    def __init__(self, results: Path, pool: ProcessPoolExecutor) -> None:
        self.pool, self.here = pool, origin()
        self.strings, self.printed = results / "strings.csv", results / "strings-printed.csv"
        self.rejection = results / "strings-rejection.csv"
        self.paths = [self.strings, self.printed, self.rejection]

    def choose(self, nets: Sequence[Network], recipes: Sequence[Recipe]) -> Recipe:
        """The recipe with the fewest wrong characters on strings of hold-out images: rates first, then models."""
        start, training = nets[0].start, called(nets[0].start, recipes[0])

        def best(among: Sequence[Recipe]) -> Recipe:
            tried = [(replace(net, further=how), [how.model]) for net in nets for how in among]
            model, rate = chosen(self.measure(tried, "validation", f"{start}, {training}, rates"), nets, training)
            assert rate is not None
            return replace(among[0], model=model, rate=rate)

        how = best(recipes)
        return best([replace(how, model=model) for model in APART]) if how.model in APART else how

    def measure(self, of: Iterable[tuple[Network, Models]], split: str, what: str) -> list[dict[str, str]]:
        """All rows of the strings, after those that were missing have been made."""
        there = {tuple(row[name] for name in KEY) for row in read_rows(self.strings, COLUMNS)}
        running = [self.pool.submit(measured, *job) for job in missing(of, split, there)]
        # the rows of the strings come last, by which is told what has been made
        files: list[tuple[Path, tuple[str, ...], tuple[str, ...]]] = [
            (self.rejection, REJECTION_COLUMNS, REJECTION),
            (self.printed, PRINTED_COLUMNS, PRINTED),
            (self.strings, COLUMNS, KEY),
        ]
        with tqdm(total=len(running), desc=f"{what}, {split}", disable=None if running else True) as bar:
            for done in as_completed(running):
                for (path, columns, key), rows in zip(files, done.result(), strict=True):
                    if rows:
                        add_rows(path, columns, key, ({**row, **self.here} for row in rows))
                bar.update()
        if running:
            print(f"{what}, {split}: {len(running)} networks", flush=True)
        return read_rows(self.strings, COLUMNS)


def networks(job: Path) -> Iterator[Network]:
    """What the runs of a job read with: HOS; or, on windows, SDNN, and as many with the front of 1998; or, by today's
    recipe, its network, and as many CRNNs.

    Raises PaperLenetError, ConfigError.
    """
    folders = sorted(path.parent for path in job.glob("*/seed-*/metrics.json"))
    if not folders:
        raise PaperLenetError(f"{job}: no finished runs here")
    for folder in folders:
        run = Run(folder)
        config, windows = run.config, run.config.windows.variants
        modern = config.is_modern()
        if (
            config.model.name != "lenet5"
            or config.data.input != "paper"
            or (modern and config.model.output != "linear")
        ):
            raise ConfigError(f"{folder}: neither a run of LeNet-5 as in 1998 nor one of today's, on its input")
        if modern and not windows:
            raise ConfigError(f"{folder}: a run of today's that did not learn windows (windows=paper)")
        if not config.data.validation:
            raise ConfigError(
                f"{folder}: data.validation=0, so that no images are left to choose the character model on"
            )
        starts = (TODAY, SIGMOIDS, CRNN_TODAY) if modern else (SDNN, FRONT) if windows else (HOS,)
        for start in starts:
            yield Network(start, config, run.seed, folder, folder.parent.name)


Models = Sequence[CharacterModel | None]  # None: there are no positions to be taken together
Job = tuple[Network, str, Models, list[str]]


def missing(nets: Iterable[tuple[Network, Models]], split: str, there: set[tuple[str, ...]]) -> Iterator[Job]:
    """The arguments of `measured` for which there are no rows."""
    for net, models in nets:
        levels = [
            level
            for level in LEVELS
            if any(tuple(map(str, about(net, level, split, model).values())) not in there for model in models)
        ]
        if levels:
            yield net, split, models, levels


def about(net: Network, level: str, split: str, model: CharacterModel | None) -> Row:
    """The cells KEY of a row."""
    longest, apart = (model.longest or "any", model.apart) if model else ("", "")
    return {
        "system": net.system, "training": net.training, "level": level, "split": split, "seed": net.seed,
        "run": net.fingerprint, "rate": net.further.rate if net.further else "", "longest": longest, "apart": apart,
    }  # fmt: skip


def measured(net: Network, split: str, models: Models, levels: list[str]) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows of strings-rejection.csv, strings-printed.csv and strings.csv.

    A row of the last for each level and character model: how many strings and characters are read wrong.
    """
    torch.set_num_threads(1)
    network, rows, rejections = net.load(), [], []
    reads = FusedNet(network, net.config) if isinstance(network, PaperNet) and net.start == HOS else network
    codes = network.output.centres if isinstance(network.output, EuclideanRBF) else None
    closest = round(float(torch.pdist(codes).min()), 4) if codes is not None else ""
    for level in levels:
        strings = strings_of(net.config, level, split)
        found: dict[CharacterModel | None, dict[int, Answer]] = {model: {} for model in models}
        for some, of, pieces in all_pieces(reads, strings, models[0]):
            for model in models:
                found[model] |= zip(some.tolist(), answers(of, pieces, transducer(model)), strict=True)
        for model, read in found.items():
            wrong = [edits(read[k].digits, desired) for k, desired in enumerate(strings.labels)]
            counts = {"strings": len(wrong), "wrong_strings": sum(map(bool, wrong))}
            counts |= {"characters": sum(map(len, strings.labels)), "wrong_characters": sum(wrong)}
            rows.append({**about(net, level, split, model), **counts, "closest_codes": closest})
            if split == "test":
                told = {name: value for name, value in rows[-1].items() if name in REJECTION_COLUMNS}
                given = [read[k] for k in range(len(wrong))]
                for by, sure in (
                    ("penalty", [-answer.penalty for answer in given]),
                    ("probability", [answer.probability for answer in given]),
                ):
                    shares = read_at(np.array(sure), np.array(wrong) == 0, WRONG)
                    rejections.append(
                        {**told, "by": by, **{f"read_at_{w:g}": s for w, s in zip(WRONG, shares, strict=True)}}
                    )
    return rejections, of_the_paper(net, reads, models[0]) if split == "test" else [], rows


_KEPT: dict[tuple[str, str, str], Strings] = {}


def strings_of(config: Config, level: str, split: str) -> Strings:
    """The strings of a level; a process makes them once, and cuts them once."""
    of = str(config.data), level, split
    if of not in _KEPT:
        held_out = replace(config.data, test_size=None)
        data = load(held_out if split == "validation" else replace(held_out, validation=0))
        _KEPT[of] = of_split(data.test_images, data.test_labels, level, split)
    return _KEPT[of]


def chosen(
    rows: Iterable[Mapping[str, str]], nets: Sequence[Network], training: str
) -> tuple[CharacterModel | None, float | None]:
    """The character model and the rate with the fewest wrong characters on strings of hold-out images, all levels and
    networks counted alike."""
    own = {(net.start, str(net.seed), net.fingerprint) for net in nets}
    wrong: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        of_these = (row["system"], row["seed"], row["run"]) in own
        if of_these and (row["split"], row["training"]) == ("validation", training):
            wrong[row["longest"], row["apart"], row["rate"]] += int(row["wrong_characters"])
    longest, apart, rate = min(wrong, key=lambda each: wrong[each])
    model = CharacterModel(None if longest == "any" else int(longest), int(apart)) if longest else None
    return model, float(rate) if rate else None


def of_the_paper(net: Network, reads: Net | FusedNet, model: CharacterModel | None) -> list[Row]:
    """A row for each string of Figs. 25 and 26: what is read, and for an SDNN the nearest codes at nine positions."""
    rows = []
    for figure, of, picture in pictures():
        string = Strings([strip_of(picture)], [()])
        ((_, found, pieces),) = all_pieces(reads, string, model)
        (answer,) = answers(found, pieces, transducer(model))
        positions = "".join(ANSWERS[c] for c in found.argmin(1)) if net.start in (SDNN, FRONT, TODAY) else ""
        told = {"figure": figure, "of": of, "positions": positions, "read": "".join(map(str, answer.digits))}
        cells = {**about(net, "", "", model), **told}
        rows.append({name: value for name, value in cells.items() if name in PRINTED_COLUMNS})
    return rows
