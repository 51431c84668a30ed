"""A finished run -> the file of weights to take away, with its model card (network/pretrained.py reads it)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from paper_lenet.config import NOT_METHOD, Config
from paper_lenet.data import load
from paper_lenet.errors import PaperLenetError
from paper_lenet.files import held, json_text, sealed, sha256, write_atomic
from paper_lenet.network.pretrained import (
    DIGESTS,
    RELEASED,
    Recogniser,
    digests,
    file_of,
    load_file,
)
from paper_lenet.reporting import statistics
from paper_lenet.reporting.results import errors_by_seed, read_runs
from paper_lenet.reporting.tables.common import percent
from paper_lenet.runs.collect import Run
from paper_lenet.runs.records import read_job
from paper_lenet.runs.trained import network_of

# Engines agree to rounding, so that an image in many may be answered otherwise; other weights differ on more.
OTHERWISE = 1e-3
SCORES = {
    "rbf": "ten penalties (Eq. 7), 0 or more: the smallest wins. They are squared distances, not probabilities.",
    "linear": "ten weighted sums: the largest wins. Their softmax gives probabilities, which are often too sure.",
}
LIMITS = """\
## Limits

- One digit an image, centred in 28x28 pixels as MNIST's are. Digits of other pens, forms and countries may be read
  worse than the test error says.
- There is no class for what is no digit: a letter, two digits or a blot get one of the ten labels. A small margin to
  the runner-up is a hint, not a calibrated chance.
- A reproduction for study: not for documents, cheques, forms or anything else whose misreading would do harm.

## Licence and citation

The file is under the MIT licence, as the code. No image is in it: MNIST (Yann LeCun and Corinna Cortes, from NIST's
data) is commonly stated to be under CC BY-SA 3.0. Please cite this software (CITATION.cff) and the article:
Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, *Gradient-Based Learning Applied to Document Recognition*, Proceedings
of the IEEE 86(11), 2278-2324, November 1998, doi 10.1109/5.726791.
"""


def release(folder: Path, name: str, into: Path, results: Path, experiment: Config | None) -> list[Path]:
    """Write <name>.safetensors, <name>.md and digests.json in the folder `into`; returns their paths.

    folder: <output>/<name>/<fingerprint>/seed-<k>.  results: where runs/<experiment>.csv is looked for.
    experiment: what the run must be of; None for any.
    Refused are runs that are damaged, dirty, diverged, not on the test set of MNIST or not of the first seed (of the
    experiment, else of all that the job lists or results/ has), and weights that do not answer the test images as the
    run recorded it. Raises PaperLenetError;
    refusals come before anything is written.
    """
    run = Run(folder)
    metrics, seeds = run.metrics, read_job(folder.parent).seeds
    committed = _committed(results, run)
    _refuse(folder, metrics["status"] != "ok", f"its status is {metrics['status']}")
    _refuse(folder, bool(run.doubt), run.doubt)
    _refuse(folder, metrics["dataset"] != "mnist", f"of the data set {metrics['dataset']}, not MNIST")
    _refuse(folder, metrics["split"] != "test", f"its errors are of the split {metrics['split']}, not of the test set")
    first = min([*seeds, *committed])
    if experiment is not None:
        wanted, found = [experiment.name, experiment.fingerprint()], [metrics["name"], metrics["fingerprint"]]
        _refuse(folder, found != wanted, f"{name} is of {' '.join(wanted)}, not of {' '.join(found)}")
        first = experiment.seeds[0]
    _refuse(folder, run.seed != first, f"the first seed is {first}: a network must not be picked")

    net = network_of(run, name, data := load(dataclasses.replace(run.config.data, dir=None)))
    given = np.array([answer.label for answer in net.answers(data.test_images)])
    recorded = data.test_labels.copy()
    for row in run.errors:
        recorded[int(row["index"])] = int(row["predicted_label"])
    _refuse(folder, (given != recorded).mean() > OTHERWISE, "its weights do not give the errors that it recorded")

    content = file_of(net)
    recount = f"{int((given != data.test_labels).sum())} of {len(given):,}"
    paths = [into / f"{name}.safetensors", into / f"{name}.md", into / DIGESTS]
    with held(into):
        write_atomic(paths[0], content)
        write_atomic(paths[1], _card(run, name, net, content, committed, recount))
        write_atomic(paths[2], json_text(sealed(dict(sorted({**digests(into), name: sha256(content)}.items())))))
    load_file(paths[0])
    return paths


def _refuse(folder: Path, condition: object, why: str) -> None:
    if condition:
        raise PaperLenetError(f"{folder}: cannot be released: {why}")


def _committed(results: Path, run: Run) -> dict[int, float]:
    """The test error of each seed of the same configuration in results/runs; none where there is no such file."""
    name = run.metrics["name"]
    if not (results / "runs" / f"{name}.csv").exists():
        return {}
    runs: pd.DataFrame = read_runs(results, name)
    return errors_by_seed(runs[runs["fingerprint"] == run.metrics["fingerprint"]])


def _card(
    run: Run,
    name: str,
    net: Recogniser,
    content: bytes,
    committed: dict[int, float],
    recount: str,
) -> str:
    """The model card: all that is in it comes from the run, from results/ and from the network."""
    metrics, environment = run.metrics, run.environment
    all_seeds = "no committed results of this configuration yet"
    if committed:
        errors = list(committed.values())
        spread = f" ± {percent(statistics.std(errors))}" if len(errors) > 1 else ""
        source = f"results/runs/{metrics['name']}.csv"
        all_seeds = f"{percent(statistics.mean(errors))}{spread} %, mean ± std of {len(errors)} seeds ({source})"
    parameters = sum(p.numel() for p in net.network.parameters())
    device = environment["gpu"] if run.config.engine.device == "cuda" else environment["cpu"]
    versions = ", ".join(f"{key} {environment[key]}" for key in ("python", "numpy", "torch", "numba"))
    recipe = f"`python experiments/train.py experiment={RELEASED[name]}`; " if name in RELEASED else ""
    use = f'import paper_lenet\n\noutput = paper_lenet.load_pretrained("{name}")(images)'
    if name not in RELEASED:
        call = f'load_file(Path("{name}.safetensors"))'
        use = (
            "from pathlib import Path\n\nfrom paper_lenet.network.pretrained import load_file\n\n"
            f"output = {call}(images)"
        )
    rows = {
        "network": f"LeNet-5 with {parameters:,} trainable parameters; its details are below, under `model`",
        "trained on": f"MNIST, {metrics['train_size']:,} training images; passes: {metrics['passes']}",
        "recipe": f"{recipe}the configuration is below",
        "seed": f"{run.seed}, the first of its job; not picked by its result",
        "test error of this seed": f"{percent(metrics['test_error_percent'])} %, {metrics['test_errors']} "
        f"of {metrics['test_size']:,} images; this file with PyTorch: {recount}",
        "test error of all seeds": all_seeds,
        "code": f"commit {metrics['commit']}, configuration {metrics['fingerprint']}",
        "made with": f"{versions}; engine {metrics['engine']}, {metrics['precision']}",
        "made on": f"{device}; {metrics['date'][:10]}",
        "file": f"{name}.safetensors, {len(content):,} bytes, SHA-256 {sha256(content)}",
    }
    method = {key: value for key, value in run.config.to_dict().items() if key not in (*NOT_METHOD, "label")}
    del method["data"]["dir"], method["engine"]["workers"]
    table = "".join(f"| {key} | {text} |\n" for key, text in rows.items())
    return f"""\
# {name}

Written by `experiments/release.py` from a finished run, whose numbers these are.

| | |
| --- | --- |
{table}
## Use

```python
{use}
```

In: bytes (N, 28, 28), torch.uint8, 0 for the background and 255 for full ink, a digit in MNIST's size and place, which
`paper_lenet/data/pictures.py` makes of any picture. Padding, and what a byte becomes, are the network's own business.
Out: {SCORES[run.config.model.output]}

{LIMITS}
## Configuration

```yaml
{OmegaConf.to_yaml(OmegaConf.create(method))}```
"""
