"""What each target makes of a graph: one function for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np
from safetensors.numpy import save

from fpgaflow.errors import BadInput, CheckFailed, MissingTool
from fpgaflow.ir.graph import Graph
from fpgaflow.targets.engine_kinds import (
    CONSTANTS,
    KERNELS,
    MLIR,
    ONNX,
    PLAN,
    PROGRAM,
    PT2,
    STABLEHLO,
    TFLITE,
    Arrays,
    Emitted,
    EngineOptions,
    Run,
    Target,
)
from fpgaflow.targets.gpu.audit import audit
from fpgaflow.targets.gpu.onnxruntime import PLAIN_SESSION, run_onnx
from fpgaflow.targets.gpu.qdq import Qdq, emit_qdq
from fpgaflow.targets.gpu.tensorrt import Flavour, build_plan, checked_architectures, find_tensorrt
from fpgaflow.targets.gpu.triton.emit import audit_ptx, checked_capability, emit_triton
from fpgaflow.targets.gpu.triton.program import Program
from fpgaflow.targets.gpu.triton.units import Units
from fpgaflow.targets.gpu.triton.workshop import Job, compile_program, interpret, require_triton

INTERPRETED_SAMPLES = 16


def check_options(options: EngineOptions) -> None:
    """
    Raises:
        BadInput: an option that the target does not have.
    """
    target = options.target
    if options.batch < 1:
        raise BadInput("--batch", f"is {options.batch}", "Give 1 or more")
    if target not in (Target.TENSORRT, Target.TRITON) and options.architectures:
        raise BadInput("--sm", f"means nothing to {target.value}", "Leave it out")
    if target is not Target.TRITON and options.units is not Units.INT8:
        raise BadInput("--units", f"means nothing to {target.value}", "Leave it out")
    if target not in (Target.TENSORRT, Target.TFLITE) and options.batch != 1:
        raise BadInput("--batch", f"means nothing to {target.value}, which takes any", "Leave it out")


def _by_name(graph: Graph, arrays: Arrays) -> dict[str, np.ndarray]:
    return {port.name: array for port, array in zip(graph.inputs, arrays, strict=True)}


def _onnxruntime(graph: Graph, options: EngineOptions) -> Emitted:
    qdq = emit_qdq(graph)
    described: dict[str, Any] = {
        "file": ONNX,
        "tool": "ONNX Runtime",
        "version": version("onnxruntime"),
        "session": PLAIN_SESSION if qdq.saturating else {},
        "notes": [
            f"node '{name}': 8-bit weights saturate in int8 kernels of x86 without VNNI; run it with {PLAIN_SESSION}"
            for name in qdq.saturating
        ],
    }
    runs = _onnx_runs(graph, qdq)
    if qdq.saturating:
        del runs["onnxruntime_optimised"]
    return Emitted({ONNX: qdq.model.SerializeToString()}, qdq.certificate, described, runs)


def _onnx_runs(graph: Graph, qdq: Qdq) -> dict[str, Run]:
    return {
        "onnxruntime_plain": lambda xs: run_onnx(qdq.model, _by_name(graph, xs), plain=True),
        "onnxruntime_optimised": lambda xs: run_onnx(qdq.model, _by_name(graph, xs)),
    }


def _tensorrt(graph: Graph, options: EngineOptions) -> Emitted:
    qdq = emit_qdq(graph, dense_as_conv=True)
    tensorrt = find_tensorrt()
    architectures = checked_architectures(tensorrt, options.architectures)
    plan = build_plan(tensorrt, qdq.model, architectures, options.batch)
    described: dict[str, Any] = {
        "file": PLAN,
        "tool": tensorrt.flavour.value,
        "version": tensorrt.version,
        "architectures": list(architectures),
        "batch": options.batch,
        "notes": ["not audited: only plans of TensorRT-RTX can be read"],
    }
    if tensorrt.flavour is Flavour.RTX:
        found = audit(plan, qdq.model, architectures)
        if found.problems:
            first = found.problems[0]
            raise CheckFailed(f"the engine's audit, {first.where}", first.found, first.fix)
        described["notes"] = [str(note) for note in found.notes]
    files = {ONNX: qdq.model.SerializeToString(), PLAN: plan}
    runs = {"onnxruntime_plain": _onnx_runs(graph, qdq)["onnxruntime_plain"]}  # what of it runs without a GPU
    return Emitted(files, qdq.certificate, described, runs)


def _inductor(graph: Graph, options: EngineOptions) -> Emitted:
    try:
        from fpgaflow.targets.gpu.inductor import compile_inductor, run_inductor
    except ImportError:
        raise MissingTool("torch", "is not installed", "pip install torch") from None
    qdq = emit_qdq(graph)
    package, device = compile_inductor(qdq.model)
    described = {"file": PT2, "tool": "torch, Inductor", "version": version("torch"), "platforms": [device]}
    files = {ONNX: qdq.model.SerializeToString(), PT2: package}
    return Emitted(files, qdq.certificate, described, {"inductor": lambda xs: run_inductor(package, list(xs), device)})


def _triton(graph: Graph, options: EngineOptions) -> Emitted:
    capability = checked_capability(options.architectures, options.units)
    made = emit_triton(graph, options.units)
    require_triton()
    binaries = compile_program(made.program, capability)
    ptx = {name[:-4]: content.decode() for name, content in binaries.files.items() if name.endswith(".ptx")}
    if problems := audit_ptx(made.program, ptx, capability):
        raise CheckFailed(f"the engine's audit, {problems[0].where}", problems[0].found, problems[0].fix)
    described = {
        "file": PROGRAM,
        "tool": "Triton",
        "version": version("triton"),
        "architectures": [capability],
        "units": options.units.value,
        "kernels": {name: asdict(one) for name, one in binaries.compiled.items()},
        "notes": list(made.notes),
    }
    files = {
        PROGRAM: made.program.as_json().encode(),
        CONSTANTS: save(dict(made.program.constants)),
        KERNELS: made.program.source.encode(),
        **{f"kernels/{name}": content for name, content in binaries.files.items()},
    }
    runs = {"triton_interpreted": lambda xs: run_triton(graph, made.program, xs)}
    return Emitted(files, made.certificate, described, runs, INTERPRETED_SAMPLES)


def run_triton(graph: Graph, program: Program, arrays: Arrays) -> list[np.ndarray]:
    """Outputs (N, ...) of a Triton engine's kernels, by Triton's interpreter."""
    (outputs,) = interpret([Job(program, arrays)])
    return [
        y.reshape(len(y), *graph.tensors[port.tensor].shape) for y, port in zip(outputs, graph.outputs, strict=True)
    ]


def _stablehlo(graph: Graph, options: EngineOptions) -> Emitted:
    try:
        from fpgaflow.targets.tpu.stablehlo import PLATFORMS, emit_stablehlo, run_stablehlo
    except ImportError:
        raise MissingTool("JAX", "is not installed", "pip install 'fpgaflow[tpu]'") from None
    made = emit_stablehlo(graph)
    files = {STABLEHLO: made.artefact, MLIR: made.text.encode()}
    described = {"file": STABLEHLO, "tool": "jax.export", "version": version("jax"), "platforms": list(PLATFORMS)}
    return Emitted(files, made.certificate, described, {"stablehlo": lambda xs: run_stablehlo(made.artefact, list(xs))})


def _tflite(graph: Graph, options: EngineOptions) -> Emitted:
    try:
        from fpgaflow.targets.tpu.tflite import EDGE_TPU, edge_tpu_command, emit_tflite, run_tflite
    except ImportError:
        raise MissingTool("LiteRT", "is not installed", "pip install 'fpgaflow[tpu]'") from None
    made = emit_tflite(graph, options.batch)
    command = edge_tpu_command(TFLITE)
    described = {
        "file": TFLITE,
        "tool": "LiteRT",
        "version": version("ai-edge-litert"),
        "batch": options.batch,
        "platforms": ["LiteRT's CPU kernels", "Edge TPU"],
        "notes": [
            "its bits are those of LiteRT's own kernels: the XNNPACK delegate rounds otherwise, leave it off",
            f"for Edge TPU, whose rounding nobody publishes: {command or f'{EDGE_TPU} is not installed here'}",
        ],
    }
    runs: dict[str, Run] = {"tflite_reference": lambda xs: run_tflite(made.content, xs)}
    return Emitted({TFLITE: made.content}, made.certificate, described, runs)


EMITTERS: Mapping[Target, Callable[[Graph, EngineOptions], Emitted]] = {
    Target.TENSORRT: _tensorrt,
    Target.ONNXRUNTIME: _onnxruntime,
    Target.INDUCTOR: _inductor,
    Target.TRITON: _triton,
    Target.STABLEHLO: _stablehlo,
    Target.TFLITE: _tflite,
}
