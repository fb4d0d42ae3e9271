"""`fpgaflow engine`: a folder with an accelerator's engine, its source, the proof of its bits, and a manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import fpgaflow
from fpgaflow.compare_bits import Mismatches, count_different, output_integers
from fpgaflow.errors import BadInput, CheckFailed, MissingTool
from fpgaflow.files import write_atomic
from fpgaflow.ir.graph import Graph
from fpgaflow.samples import Samples
from fpgaflow.sim.run import Simulator
from fpgaflow.targets.certificate import Certificate
from fpgaflow.targets.gpu.audit import audit
from fpgaflow.targets.gpu.onnxruntime import PLAIN_SESSION, run_onnx
from fpgaflow.targets.gpu.qdq import Qdq, emit_qdq
from fpgaflow.targets.gpu.tensorrt import Flavour, build_plan, checked_architectures, find_tensorrt

MANIFEST, EXACTNESS = "engine.json", "exactness.json"
ONNX, PLAN, PT2, STABLEHLO, MLIR = "model.onnx", "model.engine", "model.pt2", "model.stablehlo", "model.mlir"
Notify = Callable[[str], None]
Run = Callable[[np.ndarray], list[np.ndarray]]


class Target(Enum):
    TENSORRT = "tensorrt"
    ONNXRUNTIME = "onnxruntime"
    INDUCTOR = "inductor"
    STABLEHLO = "stablehlo"


@dataclass(frozen=True)
class _Emitted:
    """What a target makes: files, the certificate, what the manifest says of the engine, and ways to run it here."""

    files: Mapping[str, bytes]
    certificate: Certificate
    engine: Mapping[str, Any] | None
    runs: Mapping[str, Run]


@dataclass(frozen=True)
class EngineOptions:
    """`architectures` are compute capabilities (86 for SM86), empty: the target's choice; `batch` is TensorRT's."""

    target: Target
    architectures: tuple[int, ...] = ()
    batch: int = 1


@dataclass(frozen=True)
class EngineResult:
    """`files` are what was written into `folder`."""

    folder: Path
    files: tuple[str, ...]
    manifest: Mapping[str, Any]
    certificate: Certificate


def build_engine(
    graph: Graph, options: EngineOptions, out: Path, samples: Samples, source: str, notify: Notify = lambda _: None
) -> EngineResult:
    """Builds the engine of a graph into `out`, and compares what of it runs here with the simulator on `samples`.

    Raises:
        UnsupportedModel: the graph has ops without an exact form.
        BadInput, MissingTool: a wrong option, or no TensorRT.
        ToolFailed: TensorRT refuses the model.
        CheckFailed: an output differs where the certificate says that none can, or the plan is not what was asked for.
    """
    if options.batch < 1:
        raise BadInput("--batch", f"is {options.batch}", "Give 1 or more")
    if options.target is not Target.TENSORRT and options.architectures:
        raise BadInput("--sm", f"means nothing to {options.target.value}", "Leave it out")
    notify("emitting")
    emitted = _EMITTERS[options.target](graph, options)
    notify("comparing with the simulator")
    found = {name: compare(graph, run, samples) for name, run in emitted.runs.items()}
    for name, mismatches in found.items():
        if mismatches.different and emitted.certificate.exact:
            text = f"{mismatches.different} of {mismatches.values} output integers differ from the simulator's"
            raise CheckFailed(f"the engine by {name}", text, "This is a defect of fpgaflow: please report it")
    files = {**emitted.files, EXACTNESS: _json(emitted.certificate.as_json())}
    manifest = {
        "fpgaflow": fpgaflow.__version__,
        "target": options.target.value,
        "source": source,
        "graph": graph.digest,
        "files": {name: _sha256(content) for name, content in files.items()},
        "engine": emitted.engine,
        "inputs": [
            {"name": port.name, "shape": list(graph.tensors[port.tensor].shape), "dtype": "float32"}
            for port in graph.inputs
        ],
        "outputs": [
            {
                "name": port.name,
                "shape": list(graph.tensors[port.tensor].shape),
                "dtype": "float32",
                "scale": [float(scale) for scale in port.scale],
                "offset": [float(offset) for offset in port.offset],
                "axis": port.axis,
            }
            for port in graph.outputs
        ],
        "exact": emitted.certificate.exact,
        "mismatches": {f"{name}_vs_sim": count.as_json() for name, count in found.items()},
        "data": samples.source,
    }
    for name, content in files.items():
        write_atomic(out / name, content)
    write_atomic(out / MANIFEST, _json(manifest))
    return EngineResult(out, (*files, MANIFEST), manifest, emitted.certificate)


def compare(graph: Graph, run: Run, samples: Samples) -> Mismatches:
    """Integers of the outputs that differ from the simulator's."""
    if len(graph.inputs) > 1:
        raise BadInput("the model", f"has {len(graph.inputs)} inputs", "Engines of one input are compared so far")
    exact = Simulator(graph).integers(samples.x, [out.tensor for out in graph.outputs])
    total = Mismatches(0, 0, 0)
    for out, got in zip(graph.outputs, run(np.asarray(samples.x, dtype=np.float32)), strict=True):
        total += count_different(output_integers(got, out), exact[out.tensor].astype(np.float64))
    return replace(total, samples=len(samples))


def _onnxruntime(graph: Graph, options: EngineOptions) -> _Emitted:
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
    return _Emitted({ONNX: qdq.model.SerializeToString()}, qdq.certificate, described, runs)


def _onnx_runs(graph: Graph, qdq: Qdq) -> dict[str, Run]:
    name = graph.inputs[0].name
    return {
        "onnxruntime_plain": lambda x: run_onnx(qdq.model, {name: x}, plain=True),
        "onnxruntime_optimised": lambda x: run_onnx(qdq.model, {name: x}),
    }


def _tensorrt(graph: Graph, options: EngineOptions) -> _Emitted:
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
    return _Emitted(files, qdq.certificate, described, runs)


def _inductor(graph: Graph, options: EngineOptions) -> _Emitted:
    try:
        from fpgaflow.targets.gpu.inductor import compile_inductor, run_inductor
    except ImportError:
        raise MissingTool("torch", "is not installed", "pip install torch") from None
    qdq = emit_qdq(graph)
    package, device = compile_inductor(qdq.model)
    described = {"file": PT2, "tool": "torch, Inductor", "version": version("torch"), "platforms": [device]}
    files = {ONNX: qdq.model.SerializeToString(), PT2: package}
    return _Emitted(files, qdq.certificate, described, {"inductor": lambda x: run_inductor(package, [x], device)})


def _stablehlo(graph: Graph, options: EngineOptions) -> _Emitted:
    try:
        from fpgaflow.targets.tpu.stablehlo import PLATFORMS, emit_stablehlo, run_stablehlo
    except ImportError:
        raise MissingTool("JAX", "is not installed", "pip install 'fpgaflow[tpu]'") from None
    made = emit_stablehlo(graph)
    files = {STABLEHLO: made.artefact, MLIR: made.text.encode()}
    described = {"file": STABLEHLO, "tool": "jax.export", "version": version("jax"), "platforms": list(PLATFORMS)}
    return _Emitted(files, made.certificate, described, {"stablehlo": lambda x: run_stablehlo(made.artefact, [x])})


_EMITTERS: Mapping[Target, Callable[[Graph, EngineOptions], _Emitted]] = {
    Target.TENSORRT: _tensorrt,
    Target.ONNXRUNTIME: _onnxruntime,
    Target.INDUCTOR: _inductor,
    Target.STABLEHLO: _stablehlo,
}


def load_engine(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest of an engine folder and its files by name; hashes are checked.

    Raises:
        BadInput: no engine there, or a damaged, truncated or exchanged file.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
        wanted = {str(name): str(digest) for name, digest in manifest["files"].items()}
    except OSError:
        raise BadInput(str(folder), f"holds no {MANIFEST}", "Give a folder that `fpgaflow engine` wrote") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInput(str(path), "is damaged", "Build the engine again") from None
    if not wanted.keys() <= {ONNX, PLAN, PT2, STABLEHLO, MLIR, EXACTNESS}:
        raise BadInput(str(path), "names files that no engine has", "Build the engine again")
    contents: dict[str, bytes] = {}
    for name, digest in wanted.items():
        try:
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            raise BadInput(str(folder / name), f"cannot be read ({error.strerror})", "Build the engine again") from None
        if _sha256(contents[name]) != digest:
            found = "is not the file that the manifest describes: truncated, or of another build"
            raise BadInput(str(folder / name), found, "Build the engine again")
    return manifest, contents


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
