"""What each reading of the recipe gives, beside the paper: the training curve of Fig. 5, the weights of Fig. 13."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from paper_lenet import paper
from paper_lenet.config.studies import Shown
from paper_lenet.reporting.figures.common import COLOURS, PAPER, SIZE, Drawing, drawn, grid
from paper_lenet.reporting.results import read_csv, read_curves, read_runs
from paper_lenet.reporting.tables.recipe import PASSES, SIZES, Reading, read

# Of these studies the first that has a reading gives it.
CURVES, WEIGHTS = ("recipe-ten", "recipe"), ("recipe-windows-ten", "recipe-windows")
NEEDS = tuple(f"{folder}/{name}.csv" for name in (*CURVES, *WEIGHTS) for folder in ("runs", "curves", "parameters"))
# Label, colour and marker of what is drawn, by the fields in which it differs from the lead.
LOOKS: dict[tuple[str, ...], tuple[str, str, str]] = {
    (): ("±2.4/√F, ¼; Eq. 9, j = 1", COLOURS[0], "o"),
    ("loss.j=10",): ("the same, j = 10", "0.45", "v"),
    ("loss.name=eq8",): ("the same, Eq. 8", COLOURS[2], "s"),
    ("loss.j=10", "model.init.coefficient_value=0.5", "model.init.gain=1"): ("±1/√F, ½; j = 10", COLOURS[3], "^"),
    (
        "loss.name=eq8",
        "model.init.coefficient_value=0.55",
        "model.init.gain=1.1",
        "model.rbf_factor=1",
        "optim.cross_terms=dropped",
        "optim.eta_factor=0.25",
    ): ("a quarter of the rates", COLOURS[1], "D"),
}


@drawn
def recipes(results: Path) -> tuple[str, Figure]:
    """Training errors of five readings beside Fig. 5; sizes of C1's kernels and S4's coefficients beside 1998's."""
    figure = Figure(figsize=(SIZE[0], 1.9 * SIZE[1]), layout="constrained")
    upper, lower = figure.subplots(2, 1)
    published = paper.fig5()["train_error_percent"].to_numpy(float)[: len(PASSES)]
    upper.plot(PASSES, published, "o", ms=4, zorder=3, label="Fig. 5", **PAPER)
    for fields, reading in _readings(results, CURVES).items():
        label, colour, _ = LOOKS[fields]
        upper.plot(PASSES, reading.curve(), color=colour, lw=1, label=f"{label}; n = {len(reading.curves)}")
    upper.set(yscale="log", xlabel="pass", ylabel="training error on the fly, %", xticks=[1, 5, 10, 15, 20])
    upper.set_yticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
    upper.minorticks_off()
    upper.legend()

    of_1998 = read_csv(results / "parameters" / "fig13.csv").set_index("layer")["size"]
    c1, s4 = SIZES.index(("c1", "size")), SIZES.index(("s4", "size"))
    lower.plot(of_1998["c1"], of_1998["s4"], "*", ms=11, label="Fig. 13", **PAPER)
    for fields, reading in _readings(results, WEIGHTS).items():
        label, colour, marker = LOOKS[fields]
        lower.plot(reading.sizes[:, c1], reading.sizes[:, s4], marker, color=colour, ms=4, label=label)
    lower.set(yscale="log", xlabel="root mean square of C1's kernels", ylabel="root mean square of S4's coefficients")
    lower.set_yticks([0.05, 0.1, 0.2, 0.4], ["0.05", "0.1", "0.2", "0.4"])
    lower.minorticks_off()
    lower.legend()
    for axes in (upper, lower):
        grid(axes, "both")
    return "recipes", figure


def _readings(results: Path, names: Sequence[str]) -> Mapping[tuple[str, ...], Reading]:
    """The readings of LOOKS in studies, in its order; those that they lack are left out."""
    found: dict[tuple[str, ...], Reading] = {}
    for name in names:
        runs, parameters = read_runs(results, name), read_csv(results / "parameters" / f"{name}.csv")
        for reading in read(runs, read_curves(results, name, runs), parameters):
            if len(reading.curves):
                found.setdefault(tuple(sorted(f"{key}={value}" for key, value in reading.fields.items())), reading)
    return {fields: found[fields] for fields in LOOKS if fields in found}


FIGURES = {
    "recipes": Drawing(
        "What readings of the recipe give: training errors beside those of Fig. 5, means over seeds; and weights, a "
        "mark for each network that learned the windows of Section VII-B, beside those recovered from Fig. 13.",
        recipes,
        needs=(*NEEDS, "parameters/fig13.csv"),
        shown=Shown("deviations", 3),
    ),
}
