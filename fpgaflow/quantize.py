"""`quantize`: a float ONNX or torch model and calibration data become a QONNX file that is carried exactly."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fpgaflow.errors import BadInput
from fpgaflow.files import write_atomic
from fpgaflow.frontend.load import load
from fpgaflow.frontend.torch import python_model
from fpgaflow.samples import Samples, accuracy, load_samples
from fpgaflow.sim.run import Simulator

if TYPE_CHECKING:
    from fpgaflow.training.ptq import Layer, Ptq


@dataclass(frozen=True)
class Quantised:
    """What `quantize` wrote to `out`. Accuracies are measured on the calibration data, None where it has no labels.

    `quantised_accuracy` is that of the written file in the simulator. `different` of the `values` output values are not
    those of Brevitas: float32 rounds sums with scales that are no powers of two, the integers of the file do not.
    """

    out: Path
    layers: tuple[Layer, ...]
    float_accuracy: float | None
    quantised_accuracy: float | None
    samples: int
    values: int
    different: int


def quantize(
    model: str | Path,
    data: str | Path,
    out: str | Path = "quantized.onnx",
    options: Ptq | None = None,
    progress: Callable[[str], None] | None = None,
) -> Quantised:
    """Post-training quantisation of a float model through Brevitas; the same input gives the same file.

    Args:
        model: a float .onnx file, FILE.py:FUNCTION that returns (torch module, input shape), or a float checkpoint of
            `fpgaflow train`.
        data: `.npz` with `x` (N, ...) float32 in the model's input layout, typical of its use, and labels `y` (N,) if
            accuracies are wanted.
        progress: called with the name of each step as it begins.

    Raises:
        BadInput: no such file, data that do not fit the model, a model that is quantised already.
        UnsupportedModel: names every layer that has no quantised form, or that cannot be carried.
        MissingTool: torch or Brevitas is not installed.
    """
    import torch

    from fpgaflow.training.export import export_qonnx
    from fpgaflow.training.ptq import Ptq, float_outputs, layers_of, outputs, quantised

    notify, path = progress or (lambda _: None), Path(out)
    samples = load_samples(Path(data))
    module, shape = _float_model(str(model))
    _check(samples, shape)
    x = torch.from_numpy(samples.x)
    expected = float_outputs(module, x, str(model)).numpy()
    _check_labels(samples, expected)
    made = quantised(module, x, options or Ptq(), notify)
    layers, theirs = layers_of(made), outputs(made, x).numpy()
    notify("export")
    with tempfile.TemporaryDirectory(prefix="fpgaflow-") as scratch:
        exported = Path(scratch) / "quantized.onnx"
        export_qonnx(made, x[:1], exported)
        notify("simulation")
        ours = Simulator(load(exported)).predict(samples.x)
        write_atomic(path, exported.read_bytes())
    assert isinstance(ours, np.ndarray)
    different = int((np.abs(ours - theirs) > _noise(theirs)).sum())
    measured = accuracy(expected, samples.y), accuracy(ours, samples.y)
    return Quantised(path, layers, *measured, len(samples), theirs.size, different)


def _noise(values: np.ndarray) -> Any:
    """What float32 sums may leave of values of this size: beyond, another integer was the cause."""
    return 2.0**-18 * np.abs(values).max()


def _float_model(model: str) -> tuple[Any, tuple[int, ...]]:
    made = python_model(model)
    if isinstance(made, tuple):
        return made
    if made.suffix != ".onnx":
        raise BadInput(model, "is no float model", "Give an .onnx file, FILE.py:FUNCTION, or a checkpoint (.pt)")
    from fpgaflow.training.from_onnx import module_from_onnx

    return module_from_onnx(made)


def _check(samples: Samples, shape: tuple[int, ...]) -> None:
    if samples.x.shape[1:] != shape:
        found = f"has samples of shape {samples.x.shape[1:]}, the model takes {shape}"
        raise BadInput(samples.source, found, "Give the data in the model's input layout, (N, ...)")
    if not np.isfinite(samples.x).all():
        raise BadInput(samples.source, "holds NaN or infinity", "Give finite numbers")


def _check_labels(samples: Samples, expected: np.ndarray) -> None:
    classes = int(np.prod(expected.shape[1:]))
    if samples.y is not None and not 0 <= samples.y.min() <= samples.y.max() < classes:
        found = f"has labels from {samples.y.min()} to {samples.y.max()}, the model has {classes} outputs"
        raise BadInput(samples.source, found, "Give labels from 0 on, or leave y out")
