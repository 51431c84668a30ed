"""What the fields of a configuration may be, who reads them, and which engine has what.

One declaration, beside what each engine says of itself (engines.py): the refusals of a configuration, the help text
and the matrix of the engines' tests come from it. A field that the chosen parts do not read must keep its default, so
that nothing is accepted and then ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from paper_lenet import paper
from paper_lenet.activations import ACTIVATIONS
from paper_lenet.config import engines
from paper_lenet.errors import PaperLenetError


class ConfigError(PaperLenetError, ValueError):
    """A configuration value that cannot be used; the message names its key."""


# Images of one's own, by the form of their files.
OWN = ("idx", "npz", "folder")
CHOICES: dict[str, tuple[str, ...]] = {
    "data.name": ("mnist", "digits", *OWN),
    "data.input": ("paper", "unit", "standard", "standard_each"),
    "data.version": tuple(paper.VERSION_SIDES),
    "model.name": ("lenet5", "lenet4", "lenet1", "mlp"),
    "model.activation": tuple(ACTIVATIONS),
    "model.pooling": ("sum", "average", "avg_pool", "max_pool"),
    "model.table": ("paper", "full", "random"),
    "model.output": ("rbf", "linear"),
    "model.geometry": ("padded", "resized", "unpadded"),
    "model.init.scheme": ("paper", "kaiming", "xavier", "torch"),
    "model.init.bias": ("zero", "random"),
    "model.init.coefficient": ("fixed", "random"),
    "loss.name": ("eq8", "eq9", "cross_entropy"),
    "loss.curvature": ("exact", "eq8"),
    "optim.name": ("sdlm", "sgd", "adam", "adamw", "muon"),
    "optim.schedule": ("paper", "constant", "cosine", "onecycle"),
    "optim.order": ("constant", "reshuffled"),
    "optim.cross_terms": ("dropped", "subsampling", "kept"),
    "optim.hessian": ("each", "once", "mean"),
    "engine.name": tuple(engines.TOLD),
    "engine.device": ("cpu", "cuda"),
    "engine.precision": ("float32", "float64"),
}


class _Positive:
    """All values above 0, as a set."""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and value > 0

    def __str__(self) -> str:
        return "above 0"


def dotted(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested dictionary with dotted keys, such as data.name."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


Values = tuple[Any, ...] | _Positive
POSITIVE = _Positive()


def _has(told: Mapping[str, Any]) -> dict[str, Values]:
    has: dict[str, Values] = {field: tuple(values) for field, values in dotted(told.get("only", {})).items()}
    for field, lacking in dotted(told.get("lacks", {})).items():
        has[field] = tuple(value for value in CHOICES[field] if value not in lacking)
    return has


# What an engine has of a field of which it has not everything.
ENGINES = {name: _has(told) for name, told in engines.TOLD.items()}

_LENET5: dict[str, Values] = {"model.name": ("lenet5",)}
_CONVOLUTIONAL: dict[str, Values] = {"model.name": ("lenet5", "lenet4", "lenet1")}
_OF_1998: dict[str, Values] = {"model.init.scheme": ("paper",)}
_SDLM: dict[str, Values] = {"optim.name": ("sdlm",)}
_PRINTED_RATES: dict[str, Values] = {"optim.schedule": ("paper",)}
_DISTORTED: dict[str, Values] = {"distort.variants": POSITIVE}
_WINDOWS: dict[str, Values] = {"windows.variants": POSITIVE}
_FIXED: dict[str, Values] = {"model.init.coefficient": ("fixed",)}
_BITMAPS: dict[str, Values] = {"model.output": ("rbf",)}
_EQ9: dict[str, Values] = {"loss.name": ("eq9",)}
_TRAINED_POOLING: dict[str, Values] = {"model.pooling": ("sum", "average")}

# By field the values of others under which it is read; a field that is not here always is.
READ_WHEN: dict[str, dict[str, Values]] = {
    "data.dir": {"data.name": ("mnist", *OWN)},
    "distort.strength": _DISTORTED,
    "distort.inverse_scale": _DISTORTED,
    "distort.squeeze": _DISTORTED,
    "distort.shear": _DISTORTED,
    "distort.translation": _DISTORTED,
    "distort.centre": _DISTORTED,
    "distort.rotation": _DISTORTED,
    "distort.elastic": _DISTORTED,
    "distort.elastic_sigma": _DISTORTED | {"distort.elastic": POSITIVE},
    "windows.gap": _WINDOWS,
    "windows.blank": _WINDOWS,
    "windows.noise": _WINDOWS,
    "model.hidden": {"model.name": ("mlp",)},
    "model.activation": _LENET5,
    "model.pooling": _LENET5,
    "model.table": _LENET5,
    "model.output": _LENET5,
    "model.geometry": _LENET5,
    "model.batch_norm": _LENET5,
    "model.dropout": _LENET5,
    "model.rbf_factor": _LENET5 | _BITMAPS,
    "model.blank": _LENET5,
    "model.init.scheme": _LENET5,
    "model.init.gain": _OF_1998,
    "model.init.exponent": _OF_1998,
    "model.init.bias": _OF_1998,
    "model.init.coefficient": _CONVOLUTIONAL | _OF_1998 | _TRAINED_POOLING,
    "model.init.coefficient_value":
        _CONVOLUTIONAL | _OF_1998 | _TRAINED_POOLING | _FIXED,
    "loss.j": _EQ9,
    "loss.curvature": _EQ9 | _SDLM,
    "loss.eq8_passes": _EQ9,
    "loss.smoothing": {"loss.name": ("cross_entropy",)},
    "optim.schedule": {"optim.name": ("sgd", "adam", "adamw", "muon")},
    "optim.rate": {"optim.schedule": ("constant", "cosine", "onecycle")},
    "optim.momentum": {"optim.name": ("sgd", "muon")},
    "optim.nesterov": {"optim.name": ("sgd",), "optim.momentum": POSITIVE},
    "optim.weight_decay": {"optim.name": ("sgd", "adamw", "muon")},
    "optim.epsilon": {"optim.name": ("adam", "adamw", "muon")},
    "optim.average": {"optim.name": ("sgd", "adam", "adamw", "muon")},
    "optim.eta": _PRINTED_RATES,
    "optim.eta_factor": _PRINTED_RATES,
    "optim.mu": _SDLM,
    "optim.hessian_samples": _SDLM,
    "optim.hessian": _SDLM,
    "optim.cross_terms": _CONVOLUTIONAL | _SDLM,
    "engine.device": {"engine.name": engines.readers("engine.device")},
    "engine.summation": _CONVOLUTIONAL,
    "engine.workers": {"engine.device": ("cpu",)},
}  # fmt: skip

# Fields that change neither the weights of a seed nor what is recorded of them, but where, when and which; or, as the
# engine, nothing but the time and how sums are rounded.
NOT_IN_WEIGHTS = (
    *("name", "seeds", "output", "label", "resume", "force", "data.dir", "data.test_size"),
    *("engine.name", "engine.device", "engine.precision", "engine.summation", "engine.workers"),
)


def unread(values: Mapping[str, Any], field: str) -> str | None:
    """The other field by whose value `field` is not read, None if it is. values: of all fields, by dotted key."""
    return next((key for key, wanted in READ_WHEN.get(field, {}).items() if values[key] not in wanted), None)


def refusals(
    values: Mapping[str, Any], defaults: Mapping[str, Any], earlier: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """What cannot be used of a configuration, one line per field: what the engine lacks, and what nothing would read.

    values, defaults: of all fields, by dotted key.  earlier: other defaults that fields had; at these, too, they may be
    left where nothing reads them.
    """
    engine = values["engine.name"]
    only = ENGINES[engine]
    for field in values:
        if field in only and values[field] not in only[field]:
            having = [name for name, has in ENGINES.items() if field not in has or values[field] in has[field]]
            others = " or ".join(f"engine={name}" for name in having)
            yield f"{field}={_shown(values[field])} with engine.name={engine}: {others} has it"
    for field, value in values.items():
        other = unread(values, field)
        if other is not None and value not in (defaults[field], (earlier or {}).get(field, defaults[field])):
            yield (
                f"{field}={_shown(value)}: not read with {other}={_shown(values[other])}, only with "
                f"{_condition(other, READ_WHEN[field][other])}; leave it at {_shown(defaults[field])}"
            )


def impossible(values: Mapping[str, Any], modern: bool, defaults: Mapping[str, Any]) -> Iterator[str]:
    """What no choice of the other keys could make sense of, a line each. values: of all fields; modern: Config's."""
    if values["data.name"] in OWN and values["data.dir"] is None:
        yield f"data.name={values['data.name']} without data.dir: where are the images?"
    model, version, loss = values["model.name"], values["data.version"], values["loss.name"]
    distorted, batch_norm = values["distort.variants"] > 0, values["model.batch_norm"]
    frame = {"lenet1": "small", "mlp": version}.get(model, "regular")
    takes = [frame, "small-binary" if frame == "small" else "binary"]
    if version not in takes:
        yield f"model.name={model} with data.version={version}: takes images of data.version={' or '.join(takes)}"
    side = paper.VERSION_SIDES[version] if model == "mlp" else paper.IMAGE_SIZE
    if (given := values["model.side"]) != side:
        yield f"model.side={given} with model.name={model} and data.version={version}: must be {side}"
    if version != "regular" and distorted:
        yield f"data.version={version} with distortions: distortions are drawn for images of 28x28"
    blank, variants = values["model.blank"], values["windows.variants"]
    windows = variants > 0
    if blank != windows:
        yield f"model.blank={_shown(blank)} with windows.variants={variants}: must be {_shown(windows)}"
    if windows and (classes := values["model.classes"]) != paper.CHARACTERS:
        yield f"model.classes={classes} with windows: windows are of digits"
    if windows and distorted:
        yield "windows with distortions: distorted images are made one by one"
    if windows and (geometry := values["model.geometry"]) != "padded":
        yield f"model.geometry={geometry} with windows: windows are of 32x32"
    if (loss == "cross_entropy") != ((output := values["model.output"]) == "linear"):
        why = "Eq. 8 and 9 need penalties (rbf), cross-entropy needs a linear output"
        yield f"loss.name={loss} with model.output={output}: {why}"
    if batch_norm and values["optim.batch"] == 1:
        yield "model.batch_norm=true with optim.batch=1: one pattern has no statistics to normalise by"
    if batch_norm and values["optim.name"] == "sdlm":
        yield "model.batch_norm=true with optim.name=sdlm: Appendix C has no second derivatives for it"
    if values["optim.cross_terms"] == "kept" and modern:
        yield "optim.cross_terms=kept: is only for the network and the training of 1998"
    pooling = values["model.pooling"]
    # as a default it may stand where there is no coefficient that it could be about
    asked_for = values["optim.cross_terms"] == "subsampling" != defaults["optim.cross_terms"]
    if asked_for and pooling not in _TRAINED_POOLING["model.pooling"]:
        yield f"optim.cross_terms=subsampling with model.pooling={pooling}: there is no coefficient"
    if values["model.geometry"] == "resized" and distorted:
        yield "model.geometry=resized with distortions: distorted images are made in the padded frame"


def help_text(defaults: Mapping[str, Any]) -> str:
    """All fields, one per line: the default, the choices, when it is read, and the engines where not all have all."""
    lines = []
    for field, default in defaults.items():
        parts = [f"{field}={_shown(default)}"]
        if field in CHOICES:
            parts.append(f"one of {', '.join(CHOICES[field])}")
        if field in READ_WHEN:
            parts.append("read with " + " and ".join(_condition(*each) for each in READ_WHEN[field].items()))
        parts += [f"engine={name} has only {_listed(only[field])}" for name, only in ENGINES.items() if field in only]
        lines.append("; ".join(parts))
    return "\n".join(lines)


def _condition(field: str, wanted: Values) -> str:
    return f"{field} above 0" if isinstance(wanted, _Positive) else f"{field}={_listed(wanted)}"


def _listed(values: Values) -> str:
    shown = [_shown(value) for value in values] if isinstance(values, Sequence) else [str(values)]
    return " or ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _shown(value: object) -> str:
    """A value as the command line has it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
