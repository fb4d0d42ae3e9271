"""QONNX's own executor (qonnx.core.onnx_exec), as a second opinion on the same file."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.infer_shapes import InferShapes

from fpgaflow.errors import ToolFailed
from fpgaflow.frontend.qonnx.importer import QONNX_DOMAINS, QONNX_OPS

_BATCH = 64


def run_qonnx(
    path: Path,
    inputs: Mapping[str, np.ndarray] | np.ndarray,
    *,
    layers: bool = False,
    given: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> dict[str, np.ndarray]:
    """What QONNX's executor computes in float32 for inputs (N, ...): outputs by name, or with `layers` every tensor.

    Batches go through at once where the model can be given another batch size, else samples one by one.

    Args:
        inputs: arrays by input name, or one array for the only input.
        given: arrays (N, ...) by tensor name, which the nodes behind such a tensor read instead of what the executor
            computes for it itself.

    Raises:
        ToolFailed: the executor does not run this model.
    """
    with _quiet():
        model = _known_domains(ModelWrapper(str(path)))
        named = {model.graph.input[0].name: inputs} if isinstance(inputs, np.ndarray) else inputs
        floats = {name: array.astype(np.float32) for name, array in {**named, **_replaced(given)}.items()}
        count = len(next(iter(floats.values())))
        for batch in sorted({min(_BATCH, count), 1}, reverse=True):
            try:
                return _run(model, floats, count, batch, layers, given)
            except Exception as error:  # the executor raises whatever a node runs into
                if batch == 1:
                    fix = "Its opinion is left out"
                    raise ToolFailed("QONNX's executor", f"{type(error).__name__}: {error}", fix) from error
    raise AssertionError("unreachable")


def _known_domains(model: ModelWrapper) -> ModelWrapper:
    """Quantisers moved to the domain that the executor looks for them in: exporters have put them in several."""
    for node in model.graph.node:
        if node.op_type in QONNX_OPS and node.domain in QONNX_DOMAINS:
            node.domain = QONNX_DOMAINS[-1]
    return model


def _run(
    model: ModelWrapper,
    inputs: Mapping[str, np.ndarray],
    count: int,
    batch: int,
    layers: bool,
    given: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    sized = _cut(_with_batch(model, batch), {name: (batch, *array.shape[1:]) for name, array in given.items()})
    starts = range(0, count, batch)
    parts = [_part(sized, inputs, range(start, min(start + batch, count)), batch, layers) for start in starts]
    names = [name for name in parts[0] if all(name in part for part in parts)]
    if lost := [port.name for port in sized.graph.output if port.name not in names]:
        raise ValueError(f"output {', '.join(lost)} does not have one entry per sample")
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _with_batch(model: ModelWrapper, batch: int) -> ModelWrapper:
    shaped = model.transform(InferShapes())  # first, so that outputs without a shape get one that can change
    if shaped.graph.input[0].type.tensor_type.shape.dim[0].dim_value == batch:
        return shaped
    return shaped.transform(ChangeBatchSize(batch)).transform(InferShapes())


def _replaced(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{name}.given": array for name, array in given.items()}


def _cut(model: ModelWrapper, shapes: Mapping[str, tuple[int, ...]]) -> ModelWrapper:
    """The model with an input more for each of these tensors, read in its place by the nodes behind it."""
    for name, shape in shapes.items():
        info = helper.make_tensor_value_info(f"{name}.given", TensorProto.FLOAT, shape)
        model.graph.input.append(info)
        for node in model.graph.node:
            for position, read in enumerate(node.input):
                if read == name:
                    node.input[position] = info.name
    return model


def _part(
    model: ModelWrapper, inputs: Mapping[str, np.ndarray], samples: range, batch: int, layers: bool
) -> dict[str, np.ndarray]:
    """Every result that has one entry per sample."""
    # The last batch is filled up with its first sample, and cut again.
    chosen = [*samples, *[samples.start] * (batch - len(samples))]
    results = execute_onnx(model, {n: a[chosen] for n, a in inputs.items()}, return_full_exec_context=layers)
    constants = {entry.name for entry in model.graph.initializer}
    return {
        name: np.asarray(value)[: len(samples)]
        for name, value in results.items()
        if name not in constants and np.ndim(value) and len(value) == batch
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
