"""A graph's Triton engine: the program, its certificate, and what its PTX has to show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fpgaflow.errors import BadInput, Problem, UnsupportedModel
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Op
from fpgaflow.targets.certificate import Certificate, Entry
from fpgaflow.targets.gpu.triton.lower import INTEGERS, Lowering
from fpgaflow.targets.gpu.triton.program import Launch, Program
from fpgaflow.targets.gpu.triton.units import Choice, Units
from fpgaflow.targets.gpu.triton.workshop import stem
from fpgaflow.targets.int32 import input_entry, output_entry

DEFAULT_CAPABILITY = 90
CAPABILITIES = (80, 86, 87, 89, 90, 100, 103, 120, 121)
_FP8_FROM = 89
ARCHITECTURE_SPECIFIC_FROM = 90  # Triton compiles for sm_90a and later ones of that kind, which run nowhere else

# What multiplies in PTX, by matrix unit: `mma` up to SM89 and for small tiles, `wgmma` and `tcgen05` for large ones.
_MULTIPLIES: Mapping[str, str] = {
    "int8": r"\b(?:wg)?mma\S*\.s32\.s8\.s8|tcgen05\.mma\S*kind::i8",
    "fp16": r"\b(?:wg)?mma\S*\.f32\.f16\.f16|tcgen05\.mma\S*kind::f16",
    "fp8": r"\b(?:wg)?mma\S*\.f32\.(?:e4m3\.e4m3|f16\.f16)|tcgen05\.mma\S*kind::(?:f8f6f4|f16)",
    "fp32": r"\bfma\.rn\.f32",
}


@dataclass(frozen=True)
class TritonEngine:
    """`notes` name the layers that use other units than those asked for; `tensors` are the buffers of the graph's."""

    program: Program
    certificate: Certificate
    notes: tuple[str, ...]
    tensors: Mapping[str, str]


def emit_triton(graph: Graph, units: Units = Units.INT8) -> TritonEngine:
    """
    Raises:
        UnsupportedModel: with one problem per op that has no exact kernel.
    """
    lowering = Lowering(graph, units)
    program = lowering.lower()
    if program is None:
        raise UnsupportedModel(lowering.problems)
    entries = [
        *map(input_entry, graph.inputs),
        *(_entry(op, graph, lowering.choices.get(op.name)) for op in graph.ops),
        *(output_entry(port, graph) for port in graph.outputs),
    ]
    nodes = {op.name: op.node for op in graph.ops}
    notes = [f"node '{nodes[name]}': {one.note}" for name, one in lowering.choices.items() if one.note]
    integers = {name: buffer for name, buffer in lowering.known.items() if buffer.endswith(INTEGERS)}
    return TritonEngine(program, Certificate(tuple(entries)), tuple(notes), integers)


def check_triton(graph: Graph) -> list[Problem]:
    """What of the graph has no exact kernel; empty where `emit_triton` succeeds."""
    lowering = Lowering(graph, Units.INT8)
    lowering.lower()
    return lowering.problems


def _entry(op: Op, graph: Graph, choice: Choice | None) -> Entry:
    kind = type(op).__name__
    if choice is not None:
        sums = "int32" if choice.units is Units.INT8 else "float32"
        return Entry(op.name, kind, f"{choice.units.value} products, {sums} sums", True, choice.why, choice.reach)
    result = graph.type_of(op.output)
    reach = max(-result.low, result.high)
    return Entry(op.name, kind, "int32", True, "integers, and every sum of them within int32", reach)


def checked_capability(asked: tuple[int, ...], units: Units) -> int:
    """The compute capability to compile for.

    Raises:
        BadInput: more than one, an unknown one, or one without the units.
    """
    if len(asked) > 1:
        raise BadInput("--sm", "names several", "A Triton engine is for one GPU: build one engine for each")
    capability = asked[0] if asked else DEFAULT_CAPABILITY
    if capability not in CAPABILITIES:
        listed = ", ".join(map(str, CAPABILITIES))
        raise BadInput(f"--sm {capability}", f"Triton engines are for {listed}", "Name one of these")
    if units is Units.FP8 and capability < _FP8_FROM:
        raise BadInput("--units fp8", f"SM{capability} has no FP8 units", f"Use --sm {_FP8_FROM} or higher, or fp16")
    if units is Units.FP32:
        raise BadInput("--units fp32", "is what layers fall back to", "Choose int8, fp16 or fp8")
    return capability


def audit_ptx(program: Program, ptx: Mapping[str, str], capability: int) -> list[Problem]:
    """What of the compiled kernels (by the stem of their file) is not as the program says: no GPU is needed."""
    return [
        problem
        for launch in program.launches
        for variant in launch.variants
        for problem in _audit(stem(launch, variant), launch, ptx, capability)
    ]


def _audit(name: str, launch: Launch, ptx: Mapping[str, str], capability: int) -> list[Problem]:
    where, fix = f"kernel '{name}'", "Use another version of Triton, and report this"
    if name not in ptx:
        return [Problem(where, "was not compiled", fix)]
    text, problems = ptx[name], []
    if not re.search(rf"^\.target sm_{capability}a?\b", text, re.MULTILINE):
        problems.append(Problem(where, f"is not for SM{capability}", fix))
    if ".tf32" in text:
        problems.append(Problem(where, "rounds float32 operands to TF32", fix))
    if launch.units is not None and not re.search(_MULTIPLIES[launch.units], text):
        problems.append(Problem(where, f"has no instruction of {launch.units} units", fix))
    return problems
