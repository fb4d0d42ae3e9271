"""The operator cases that ONNX generates (onnx.backend.test.case.node), each as a model of fpgaflow's.

Every case is taken in four forms: as it is; with all inputs but the first as initialisers; and, its real inputs put
on a grid, with quantisers around it, where the inputs but the first are constants, or activations too. Each form is
carried with exactly the right answer, or refused. `python -m tests.frontend.node_cases` prints the tally.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from fpgaflow.errors import BadInput, UnsupportedModel
from fpgaflow.frontend.load import load
from fpgaflow.ir.graph import Graph
from fpgaflow.sim.run import Simulator
from tests.oracle import OPERATORS, evaluate, rational
from tests.oracle_ops import MORE_OPERATORS

QONNX = "qonnx.custom_op.general"
STEP = 1 / 8  # of real inputs
COARSE = 1 / 16  # of the outputs' quantiser behind a function that is tabulated
FINE = 1 / 256  # of the outputs' quantiser: every sum and product of a few inputs is on it


class Form(Enum):
    AS_IS = "as it is"
    CONSTANTS = "inputs but the first as initialisers"
    QUANTISED = "quantised, inputs but the first constant"
    ACTIVATIONS = "quantised, all real inputs activations"


@dataclass(frozen=True)
class Case:
    name: str
    model: ModelProto
    inputs: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]

    @property
    def operators(self) -> str:
        return "+".join(sorted({node.op_type for node in self.model.graph.node}))


@dataclass(frozen=True)
class Outcome:
    """`kind` is carried, refused, bad input, or wrong; `text` says why."""

    kind: str
    text: str = ""


@cache
def cases(*modules: str) -> tuple[Case, ...]:
    """All cases, or those of these modules alone: making all takes some ten seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        node = importlib.import_module("onnx.backend.test.case.node")
        for name in modules:
            importlib.import_module(f"{node.__name__}.{name}")  # makes its cases
        found = node._NodeTestCases if modules else node.collect_testcases(None)
    whole = []
    for case in found:
        inputs, outputs = case.data_sets[0]
        whole.append(Case(case.name, case.model, _stored(inputs), _stored(outputs)))
    return tuple(whole)


def _stored(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(numpy_helper.to_array(v) if isinstance(v, TensorProto) else v for v in values)


def outcome(case: Case, form: Form) -> Outcome | None:
    """What became of one form of a case; None where the case has no such form."""
    made = _formed(case, form)
    if made is None:
        return None
    model, feeds = made
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.onnx"
        path.write_bytes(model.SerializeToString())
        try:
            graph = load(path)
        except UnsupportedModel as refusal:
            return Outcome("refused", str(refusal))
        except BadInput as refusal:
            return Outcome("bad input", str(refusal))
    if form in (Form.AS_IS, Form.CONSTANTS):
        truth = [np.asarray(o) for o in case.outputs]
        if any(a.dtype.kind not in "fiubV" for a in truth):
            return Outcome("wrong", "carries what is no number")
        return _compared(graph, feeds, [a.astype(np.float64) for a in truth], exact=False)
    return _compared(graph, feeds, _truth(case, form, model, feeds), exact=True)


def _arrays(case: Case) -> bool:
    return all(isinstance(a, np.ndarray) and a.dtype.kind in "fiub" for a in (*case.inputs, *case.outputs))


def _formed(case: Case, form: Form) -> tuple[ModelProto, dict[str, np.ndarray]] | None:
    names = [port.name for port in case.model.graph.input]
    if form is Form.AS_IS:
        return case.model, dict(zip(names, case.inputs, strict=False))
    if not _arrays(case) or not names or len(names) != len(case.inputs):
        return None
    if form is Form.CONSTANTS:
        return (_with_constants(case, names[1:]), {names[0]: case.inputs[0]}) if len(names) > 1 else None
    if case.inputs[0].dtype != np.float32 or case.inputs[0].ndim < 2 or not case.inputs[0].size:
        return None
    return _quantised(case, names, form)


def _with_constants(case: Case, names: Sequence[str]) -> ModelProto:
    model = ModelProto()
    model.CopyFrom(case.model)
    given = dict(zip([port.name for port in model.graph.input], case.inputs, strict=True))
    kept = [port for port in model.graph.input if port.name not in names]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.extend(numpy_helper.from_array(given[name], name) for name in names)
    return model


def _quantised(case: Case, names: Sequence[str], form: Form) -> tuple[ModelProto, dict[str, np.ndarray]] | None:
    """The case's nodes between quantisers, on random multiples of STEP."""
    real = [n for n, a in zip(names, case.inputs, strict=True) if a.dtype == np.float32 and a.size]
    if form is Form.ACTIVATIONS and len(real) < 2:
        return None
    active = names[:1] if form is Form.QUANTISED else real
    chance = np.random.default_rng(len(case.name))
    feeds, constants = {}, {}
    for name, array in zip(names, case.inputs, strict=True):
        if name in active:
            feeds[name] = (chance.integers(-16, 16, array.shape) * STEP).astype(np.float32)
        elif name in real and name in _weights(case):
            constants[name] = (chance.integers(-8, 8, array.shape) * STEP).astype(np.float32)
        else:
            constants[name] = array
    model = ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    nodes = [_quant(name, f"{name}.quantised", STEP, 6) for name in active]
    rename = {name: f"{name}.quantised" for name in active}
    for node in graph.node:
        copied = _copied(node)
        copied.input[:] = [rename.get(name, name) for name in node.input]
        nodes.append(copied)
    shapes = {port.name: array.dtype for port, array in zip(graph.output, case.outputs, strict=False)}
    ends = []
    coarse = any(node.op_type in _CURVES for node in graph.node)
    for name, dtype in shapes.items():
        if dtype == np.float32:
            nodes.append(_quant(name, f"{name}.end", COARSE, 8) if coarse else _quant(name, f"{name}.end", FINE, 16))
            ends.append(helper.make_tensor_value_info(f"{name}.end", TensorProto.FLOAT, None))
        else:
            ends.append(next(port for port in graph.output if port.name == name))
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, feeds[n].shape) for n in active]
    parameters = [numpy_helper.from_array(a, n) for n, a in constants.items()]
    parameters += [numpy_helper.from_array(np.float32(v), n) for n, v in _PARAMETERS.items()]
    made = helper.make_graph(nodes, "case", ports, ends, [*graph.initializer, *parameters])
    opsets = [*model.opset_import, helper.make_opsetid(QONNX, 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=model.ir_version), feeds


def _weights(case: Case) -> set[str]:
    """Inputs that may be any real numbers: not a variance, a scale, a size or a bound."""
    return {
        name
        for node in case.model.graph.node
        for name in list(node.input)[1 : _ANY_NUMBER.get(node.op_type, 1)]
        if name
    }


_ANY_NUMBER = {  # operator -> inputs, the first among them, that may be any numbers
    **dict.fromkeys(("Add", "Sub", "Mul", "Max", "Min", "PRelu", "MatMul"), 9),
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm"), 3),
    "BatchNormalization": 4,
}


def _copied(node: NodeProto) -> NodeProto:
    copied = NodeProto()
    copied.CopyFrom(node)
    return copied


_CURVES = frozenset(
    {"Celu", "Elu", "Erf", "Exp", "Gelu", "HardSwish", "LeakyRelu", "Mish", "Selu", "Sigmoid", "Softplus"}
)
_CURVES |= {"Tanh", "Softmax", "ThresholdedRelu", "Swish"}
_PARAMETERS = {f"quant.step{s}": s for s in (STEP, FINE, COARSE)} | {f"quant.b{b}": b for b in (6, 8, 16)}
_PARAMETERS |= {"quant.zero": 0.0}


def _quant(source: str, result: str, step: float, bits: int) -> NodeProto:
    inputs = [source, f"quant.step{step}", "quant.zero", f"quant.b{bits}"]
    return helper.make_node("Quant", inputs, [result], domain=QONNX, signed=1, narrow=0, name=f"quant.{result}")


def _truth(case: Case, form: Form, model: ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray] | None:
    """By rational arithmetic; for other operators by ONNX's reference, exact on these inputs."""
    outputs = [port.name for port in model.graph.output]
    if all(node.op_type in OPERATORS.keys() - MORE_OPERATORS.keys() for node in case.model.graph.node):
        tensors = evaluate(model, feeds)
        return [tensors[name] for name in outputs]
    return _by_reference(model, feeds, outputs)


def _by_reference(model: ModelProto, feeds: dict[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
    """ONNX's own reference between the quantisers, whose rounding is done here."""
    inner = ModelProto()
    inner.CopyFrom(model)
    kept = [node for node in model.graph.node if node.domain != QONNX]
    del inner.graph.node[:], inner.graph.output[:], inner.graph.input[:], inner.opset_import[:]
    inner.graph.node.extend(kept)
    inner.opset_import.extend(entry for entry in model.opset_import if entry.domain != QONNX)
    wanted = [name.removesuffix(".end") for name in outputs]
    inner.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in wanted)
    inner.graph.input.extend(helper.make_tensor_value_info(f"{n}.quantised", TensorProto.FLOAT, None) for n in feeds)
    results = ReferenceEvaluator(inner).run(None, {f"{n}.quantised": a for n, a in feeds.items()})
    tensors = [rational(np.asarray(r)) for r in results]
    ends = {node.output[0]: node.input[1:] for node in model.graph.node if node.domain == QONNX}
    return [_rounded(t, *ends[name]) if name in ends else t for t, name in zip(tensors, outputs, strict=True)]


def _rounded(values: np.ndarray, step_name: str, _: str, bits_name: str) -> np.ndarray:
    step, top = Fraction(_PARAMETERS[step_name]), 1 << int(_PARAMETERS[bits_name]) - 1
    result = np.empty(values.shape, dtype=object)
    for index in np.ndindex(*values.shape):
        result[index] = min(max(round(values[index] / step), -top), top - 1) * step
    return result


def _compared(graph: Graph, feeds: dict[str, np.ndarray], truth: list[np.ndarray] | None, *, exact: bool) -> Outcome:
    wanted = {port.name: feeds[port.name].astype(np.float64) for port in graph.inputs}
    found = Simulator(graph).predict(wanted)
    arrays = found if isinstance(found, list) else [found]
    for number, (array, right) in enumerate(zip(arrays, truth or [], strict=False)):
        if array.shape != right.shape:
            return Outcome("wrong", f"output {number}: shape {array.shape}, not {right.shape}")
        floats = right.astype(np.float64)
        same = array == floats if exact else array.astype(np.float32) == floats.astype(np.float32)
        if not same.all():
            at = tuple(int(i) for i in np.argwhere(~same)[0])
            return Outcome(
                "wrong", f"output {number}{list(at)}: {array[at]}, not {floats[at]} ({(~same).sum()} differ)"
            )
    return Outcome("carried", str(prod(np.shape(arrays[0]))))


# The case's own result wraps around, where the operator is defined to saturate, as ONNX Runtime does.
WRONG_IN_ONNX = frozenset({"test_qlinearmatmul_2D_int8_float16", "test_qlinearmatmul_2D_int8_float32"})


def survey(chosen: Sequence[Case]) -> Iterator[tuple[Case, Form, Outcome]]:
    for case in chosen:
        for form in Form:
            if (found := outcome(case, form)) is not None:
                yield case, form, found


def mistakes(results: Sequence[tuple[Case, Form, Outcome]]) -> list[tuple[Case, Form, Outcome]]:
    """What was carried with another result than the right one."""
    return [r for r in results if r[2].kind == "wrong" and r[0].name not in WRONG_IN_ONNX]


def tally(results: Sequence[tuple[Case, Form, Outcome]]) -> str:
    lines = [f"{len({case.name for case, _, _ in results})} cases"]
    for form in Form:
        counts = Counter(found.kind for _, f, found in results if f is form)
        lines.append(f"{form.value}: {sum(counts.values())}: {', '.join(f'{n} {k}' for k, n in counts.most_common())}")
    carried: Counter[str] = Counter(case.operators for case, _, found in results if found.kind == "carried")
    lines.append("carried forms by operator: " + ", ".join(f"{name} {n}" for name, n in sorted(carried.items())))
    return "\n".join(lines)


def main() -> None:
    results = list(survey(cases()))
    print(tally(results))
    wrong = mistakes(results)
    for case, form, found in wrong:
        print(f"wrong: {case.name}, {form.value}: {found.text}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
