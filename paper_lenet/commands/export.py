"""A network -> one ONNX file: paper-lenet export lenet5-1998 [--output FILE]; also of a run: its folder in its place.

The file takes what the network takes, bytes (N, 28, 28), and is written only if ONNX Runtime gives what PyTorch gives.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch

from paper_lenet import paper
from paper_lenet.errors import PaperLenetError
from paper_lenet.files import write_atomic
from paper_lenet.network.pretrained import RELEASED, Recogniser
from paper_lenet.runs.trained import load_network

TOLERANCE = 1e-4  # of an output above 1, else absolute: penalties reach hundreds
INSTALL = "needs onnx, onnxscript and onnxruntime: pip install onnx onnxscript onnxruntime"


def examples() -> np.ndarray:
    """Bytes (64, 28, 28): nothing, full ink, and noise of all densities."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (64, paper.IMAGE_SIZE, paper.IMAGE_SIZE))
    dense = generator.random(noise.shape) < np.linspace(0, 1, 64)[:, None, None]
    images = (noise * dense).astype(np.uint8)
    images[-1] = 255
    return images


def export(net: Recogniser) -> tuple[bytes, float]:
    """The ONNX file, and the largest difference between what it and PyTorch give for `examples`, as TOLERANCE's.

    Raises PaperLenetError where the packages are missing, and for a difference above TOLERANCE.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # torch.onnx's own need, whose absence it tells in many lines
    except ImportError as error:
        raise PaperLenetError(f"{INSTALL} ({error.name} is missing)") from error
    images = examples()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            net,
            (torch.from_numpy(images[:2]),),
            input_names=["images"],
            output_names=["penalties" if net.has_penalties else "sums"],
            dynamic_shapes={"images": {0: torch.export.Dim("n")}},
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        part.ClearField("metadata_props")  # stack traces, with the paths of this machine
    content: bytes = model.SerializeToString()
    (found,) = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"images": images})
    with torch.no_grad():
        expected = net(torch.from_numpy(images)).numpy()
    difference = float((np.abs(found - expected) / np.maximum(1, np.abs(expected))).max())
    if not difference <= TOLERANCE:
        raise PaperLenetError(
            f"{net.about['name']}: ONNX Runtime differs from PyTorch by {difference:.1e} of an output"
        )
    return content, difference


def main() -> int:
    parser = argparse.ArgumentParser(description="Export a released network to ONNX, and check the file.")
    parser.add_argument("name", help=f"{', '.join(RELEASED)}, a file that release wrote, or the folder of a run")
    parser.add_argument("--output", type=Path, help="default: <name>.onnx")
    arguments = parser.parse_args()
    net = load_network(arguments.name)
    output: Path = arguments.output or Path(f"{net.about['name']}.onnx")
    content, difference = export(net)
    write_atomic(output, content)
    print(f"wrote {output}, {len(content):,} bytes; ONNX Runtime and PyTorch differ by {difference:.1e} of an output")
    return 0
