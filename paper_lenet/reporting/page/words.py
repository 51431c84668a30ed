"""Settings in words, as the report page shows them: by the paper's symbols and the field's terms."""

from __future__ import annotations

import re

from markupsafe import Markup

# What a field is called, alone as a column's title, and before its value.
FIELDS = {
    "data.input": "input values",
    "data.train_size": "training patterns",
    "data.version": "images",
    "distort.elastic": "elastic distortion, pixels",
    "distort.elastic_sigma": "smoothed over pixels",
    "distort.rotation": "rotation up to degrees",
    "distort.strength": "strength of distortions",
    "distort.variants": "distorted copies of each pattern",
    "loss": "criterion",
    "loss.curvature": "curvature",
    "loss.eq8_passes": "passes by Eq. 8 before Eq. 9",
    "loss.j": "j of Eq. 9",
    "loss.name": "criterion",
    "loss.smoothing": "label smoothing",
    "model.activation": "activation",
    "model.batch_norm": "batch normalisation",
    "model.blank": "class for the blank",
    "model.dropout": "dropout",
    "model.hidden": "hidden units",
    "model.init.bias": "initial biases",
    "model.init.coefficient": "initial coefficients",
    "model.init.coefficient_value": "initial coefficient",
    "model.init.exponent": "initial weights by F to the power of",
    "model.init.gain": "initial weights, factor",
    "model.init.scheme": "initial weights",
    "model.name": "network",
    "model.output": "output",
    "model.pooling": "subsampling",
    "model.rbf_factor": "factor of Eq. 7",
    "model.side": "side of the image",
    "model.table": "connections of C3",
    "optim.average": "average of the weights",
    "optim.batch": "patterns an update",
    "optim.cross_terms": "cross terms of Eq. 22",
    "optim.eta": "η by pass",
    "optim.eta_factor": "η, multiple of the printed",
    "optim.hessian": "curvature estimated",
    "optim.hessian_samples": "patterns for the curvature",
    "optim.momentum": "momentum",
    "optim.nesterov": "Nesterov's momentum",
    "optim.order": "order of the patterns",
    "optim.passes": "passes",
    "optim.rate": "learning rate",
    "optim.schedule": "schedule",
    "optim.weight_decay": "weight decay",
}
# Fields that are told before a value in other words than in a column's title.
SAID = {
    "loss.j": "j of {}",
    "model.init.gain": "initial weights × {}",
    "model.rbf_factor": "Eq. 7 × {}",
    "optim.eta_factor": "η × {}",
    "optim.hessian_samples": "{} patterns for the curvature",
    "optim.passes": "{} passes",
}
# Values that are told with their field in other words than both.
VALUES = {
    "loss=eq8": "Eq. 8 as criterion",
    "loss.name=eq8": "Eq. 8 as criterion",
    "loss.name=eq9": "Eq. 9 as criterion",
    "loss.curvature=eq8": "curvature of Eq. 8",
    "loss.curvature=exact": "curvature of the criterion itself",
    "model.init.exponent=1": "initial weights by 1/F instead of 1/√F",
    "model.init.bias=random": "initial biases at random",
    "model.init.coefficient=random": "initial coefficients at random",
    "model.pooling=average": "inputs of a subsampling unit averaged",
    "model.batch_norm=True": "batch normalisation",
    "optim.cross_terms=dropped": "no cross terms of Eq. 22",
    "optim.cross_terms=kept": "all cross terms of Eq. 22",
    "optim.hessian=mean": "curvature averaged over the passes",
    "optim.hessian=once": "curvature estimated once",
    "optim.order=reshuffled": "patterns in a new order each pass",
    "optim.nesterov=True": "Nesterov's momentum",
}
SETTING = re.compile(r"\b((?:data|distort|loss|model|optim)(?:\.\w+)*)=([^\s,\"]+)")


def told(text: str) -> str:
    """Text with each `field=value` in it told in words; one without words stays as it is."""
    return SETTING.sub(lambda found: _setting(*found.group(0, 1, 2)), text)


def title(column: str) -> Markup | str:
    """A column's title: of a field in words, with the field's name to be had by pointing at it."""
    return Markup('<span title="{}">{}</span>').format(column, FIELDS[column]) if column in FIELDS else column


def _setting(whole: str, field: str, value: str) -> str:
    if whole in VALUES or field not in FIELDS:
        return VALUES.get(whole, whole)
    return SAID.get(field, FIELDS[field] + " {}").format(value)
