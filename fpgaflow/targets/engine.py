"""`fpgaflow engine`: a folder with an accelerator's engine, its source, the proof of its bits, and a manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
from fpgaflow.targets.certificate import Certificate
from fpgaflow.targets.engine_kinds import EXACTNESS, MANIFEST, Run, is_engine_file
from fpgaflow.targets.engine_kinds import EngineOptions as EngineOptions
from fpgaflow.targets.engine_kinds import Target as Target
from fpgaflow.targets.engine_targets import EMITTERS, check_options
from fpgaflow.targets.feeds import Feeds, feeds_of

Notify = Callable[[str], None]


@dataclass(frozen=True)
class EngineResult:
    """`files` are what was written into `folder`."""

    folder: Path
    files: tuple[str, ...]
    manifest: Mapping[str, Any]
    certificate: Certificate


def build_engine(
    graph: Graph, options: EngineOptions, out: Path, data: Samples | Feeds, source: str, notify: Notify = lambda _: None
) -> EngineResult:
    """Builds the engine of a graph into `out`, and compares what of it runs here with the simulator on `data`.

    Raises:
        UnsupportedModel: the graph has ops without an exact form.
        BadInput, MissingTool: a wrong option, or a tool that is not installed.
        ToolFailed: the tool refuses the model.
        CheckFailed: an output differs where the certificate says that none can, or the audit finds a fault.
    """
    check_options(options)
    feeds = feeds_of(graph, data) if isinstance(data, Samples) else data
    notify("emitting")
    emitted = EMITTERS[options.target](graph, options)
    notify("comparing with the simulator")
    some = feeds if emitted.most_samples is None else feeds.first(emitted.most_samples)
    found = {name: compare(graph, run, some) for name, run in emitted.runs.items()}
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
        "data": feeds.source,
    }
    for name, content in files.items():
        write_atomic(out / name, content)
    write_atomic(out / MANIFEST, _json(manifest))
    return EngineResult(out, (*files, MANIFEST), manifest, emitted.certificate)


def compare(graph: Graph, run: Run, feeds: Feeds) -> Mismatches:
    """Integers of the outputs that differ from the simulator's."""
    simulator = Simulator(graph)
    arrays = simulator.checked(feeds.arrays)
    exact = simulator.integers(arrays if len(arrays) > 1 else arrays[0], [out.tensor for out in graph.outputs])
    total = Mismatches(0, 0, 0)
    for out, got in zip(graph.outputs, run([x.astype(np.float32) for x in arrays]), strict=True):
        total += count_different(output_integers(got, out), exact[out.tensor].astype(np.float64))
    return replace(total, samples=len(feeds))


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
    if not all(map(is_engine_file, wanted)):
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
