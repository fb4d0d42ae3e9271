"""`fpgaflow engine`: a folder with the QDQ model, the engine built from it, the proof of its bits, and a manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

import fpgaflow
from fpgaflow.compare_bits import Mismatches, count_different, output_integers
from fpgaflow.errors import BadInput, CheckFailed
from fpgaflow.files import write_atomic
from fpgaflow.ir.graph import Graph
from fpgaflow.samples import Samples
from fpgaflow.sim.run import Simulator
from fpgaflow.targets.gpu.audit import audit
from fpgaflow.targets.gpu.certificate import Certificate
from fpgaflow.targets.gpu.onnxruntime import run_onnx
from fpgaflow.targets.gpu.qdq import Qdq, emit_qdq
from fpgaflow.targets.gpu.tensorrt import Flavour, build_plan, checked_architectures, find_tensorrt

MANIFEST, ONNX, PLAN, EXACTNESS = "engine.json", "model.onnx", "model.engine", "exactness.json"
Notify = Callable[[str], None]


class Target(Enum):
    TENSORRT = "tensorrt"
    ONNXRUNTIME = "onnxruntime"


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
    """Builds the engine of a graph into `out`, and compares its QDQ model with the simulator on `samples`.

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
    qdq = emit_qdq(graph, dense_as_conv=options.target is Target.TENSORRT)
    files: dict[str, bytes] = {ONNX: qdq.model.SerializeToString()}
    engine: dict[str, Any] | None = None
    if options.target is Target.TENSORRT:
        notify("building the engine")
        engine, files[PLAN] = _tensorrt(qdq, options)
    notify("comparing with the simulator")
    mismatches = compare(graph, qdq, samples)
    if mismatches.different and qdq.certificate.exact:
        found = f"{mismatches.different} of {mismatches.values} output values differ from the simulator's"
        raise CheckFailed("the engine's model in ONNX Runtime", found, "This is a defect of fpgaflow: please report it")
    files[EXACTNESS] = _json(qdq.certificate.as_json())
    manifest = {
        "fpgaflow": fpgaflow.__version__,
        "target": options.target.value,
        "source": source,
        "graph": graph.digest,
        "onnx": {"file": ONNX, "sha256": _sha256(files[ONNX])},
        "engine": engine,
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
        "exact": qdq.certificate.exact,
        "exactness": EXACTNESS,
        "mismatches": {"onnx_vs_sim": {**mismatches.as_json(), "data": samples.source}},
    }
    for name, content in files.items():
        write_atomic(out / name, content)
    write_atomic(out / MANIFEST, _json(manifest))
    return EngineResult(out, (*files, MANIFEST), manifest, qdq.certificate)


def compare(graph: Graph, qdq: Qdq, samples: Samples) -> Mismatches:
    """Integers of the outputs that differ between ONNX Runtime, plain or fully optimised, and the simulator."""
    port = graph.inputs[0]
    if len(graph.inputs) > 1:
        raise BadInput("the model", f"has {len(graph.inputs)} inputs", "Compare it with fpgaflow.Simulator yourself")
    exact = Simulator(graph).integers(samples.x, [out.tensor for out in graph.outputs])
    total = Mismatches(0, 0, 0)
    for plain in (True, False):
        outputs = run_onnx(qdq.model, {port.name: np.asarray(samples.x, dtype=np.float32)}, plain=plain)
        for out, got in zip(graph.outputs, outputs, strict=True):
            total += count_different(output_integers(got, out), exact[out.tensor].astype(np.float64))
    return total


def _tensorrt(qdq: Qdq, options: EngineOptions) -> tuple[dict[str, Any], bytes]:
    tensorrt = find_tensorrt()
    architectures = checked_architectures(tensorrt, options.architectures)
    plan = build_plan(tensorrt, qdq.model, architectures, options.batch)
    described: dict[str, Any] = {
        "file": PLAN,
        "sha256": _sha256(plan),
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
    return described, plan


def load_engine(folder: Path) -> tuple[dict[str, Any], bytes | None]:
    """The manifest of an engine folder and its plan, None where the target has none; hashes are checked.

    Raises:
        BadInput: no engine there, or a damaged, truncated or exchanged file.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
        parts = [part for part in (manifest["onnx"], manifest["engine"]) if part is not None]
        wanted = {str(part["file"]): str(part["sha256"]) for part in parts}
    except OSError:
        raise BadInput(str(folder), f"holds no {MANIFEST}", "Give a folder that `fpgaflow engine` wrote") from None
    except (ValueError, KeyError, TypeError):
        raise BadInput(str(path), "is damaged", "Build the engine again") from None
    if not wanted.keys() <= {ONNX, PLAN}:
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
    return manifest, contents.get(PLAN)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
