"""Folders that the child process works in: what is written for it, how it is started, what it leaves."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fpgaflow.errors import MissingTool, ToolFailed
from fpgaflow.targets.gpu.triton.program import Launch, Program, Variant

SOURCE, PROGRAM, CONSTANTS, INPUTS, OUTPUTS = "kernels.py", "program.json", "constants.npz", "inputs.npz", "outputs.npz"
COMPILED = "compiled.json"
_CHILD = "fpgaflow.targets.gpu.triton.child"


@dataclass(frozen=True)
class Compiled:
    """A compiled kernel: its entry, bytes of shared memory, threads, and pointers that Triton adds at the end."""

    entry: str
    shared: int
    threads: int
    scratch: int


def stem(launch: Launch, variant: Variant) -> str:
    """The name of a variant's files."""
    return f"{launch.kernel}_{variant.rows}"


def dtype_of(program: Program, argument: str) -> str:
    if argument in program.buffers:
        return program.buffers[argument].dtype
    return str(program.constants[argument].dtype)


def write_json(path: Path, found: Mapping[str, Compiled]) -> None:
    path.write_text(json.dumps({name: asdict(one) for name, one in found.items()}, indent=1))


def require_triton() -> None:
    """
    Raises:
        MissingTool: Triton, or torch that its interpreter needs, is not installed.
    """
    for name, package in (("triton", "Triton"), ("torch", "PyTorch")):
        if importlib.util.find_spec(name) is None:
            raise MissingTool(package, "is not installed", "pip install 'fpgaflow[gpu]' (Linux), and torch")


@dataclass(frozen=True)
class Binaries:
    """What was compiled: files (`*.cubin`, `*.ptx`) by name, and how to launch each."""

    files: Mapping[str, bytes]
    compiled: Mapping[str, Compiled]


def compile_program(program: Program, capability: int) -> Binaries:
    """Every variant of every kernel for GPUs of a compute capability (90 for SM90).

    Raises:
        MissingTool: no Triton.
        ToolFailed: Triton does not compile a kernel.
    """
    with tempfile.TemporaryDirectory(prefix="fpgaflow-") as scratch:
        folder = Path(scratch) / "program"
        _write(program, folder)
        _start(["compile", str(capability), str(folder)], Path(scratch), interpret=False)
        found = json.loads((folder / COMPILED).read_text())
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in (".cubin", ".ptx")}
        return Binaries(files, {name: Compiled(**one) for name, one in found.items()})


@dataclass(frozen=True)
class Job:
    """A program to interpret on inputs (N, ...) float32; `fills` as `Launch.variant` takes it."""

    program: Program
    inputs: Sequence[np.ndarray]
    fills: int = 1


def interpret(jobs: Sequence[Job]) -> list[list[np.ndarray]]:
    """The outputs (N, elements) float32 of each job, by Triton's interpreter on this machine's processor.

    Raises:
        MissingTool: no Triton, or no torch.
        ToolFailed: the interpreter fails.
    """
    with tempfile.TemporaryDirectory(prefix="fpgaflow-") as scratch:
        folders = [Path(scratch) / f"program{number}" for number in range(len(jobs))]
        for job, folder in zip(jobs, folders, strict=True):
            _write(job.program, folder)
            arrays = {
                name: np.ascontiguousarray(x, dtype=np.float32)
                for name, x in zip(job.program.inputs, job.inputs, strict=True)
            }
            np.savez(folder / INPUTS, allow_pickle=False, fills=job.fills, **arrays)
        _start(["run", *map(str, folders)], Path(scratch), interpret=True)
        results = []
        for job, folder in zip(jobs, folders, strict=True):
            with np.load(folder / OUTPUTS, allow_pickle=False) as found:
                results.append([np.array(found[name]) for name in job.program.outputs])
        return results


def _write(program: Program, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / SOURCE).write_text(program.source)
    (folder / PROGRAM).write_text(program.as_json())
    np.savez(folder / CONSTANTS, allow_pickle=False, **program.constants)


def _start(arguments: list[str], scratch: Path, *, interpret: bool) -> None:
    require_triton()
    own = {"TRITON_CACHE_DIR": str(scratch / "cache"), "TRITON_DISABLE_LINE_INFO": "1", "TRITON_DEFAULT_FP_FUSION": "0"}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TRITON_")} | own
    environment["TRITON_INTERPRET"] = "1" if interpret else "0"
    paths = [str(Path(__file__).parents[4]), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    done = subprocess.run(
        [sys.executable, "-m", _CHILD, *arguments], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise ToolFailed("Triton", f"fails: {lines[-1] if lines else done.returncode}", "Please report the model")
