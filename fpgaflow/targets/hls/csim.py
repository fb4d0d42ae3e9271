"""hls4ml's C simulation of a project: its own C++, compiled by g++ and run in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path

import numpy as np

from fpgaflow.errors import BadInput, ToolFailed
from fpgaflow.ir.graph import Tensor
from fpgaflow.targets.hls.project import Project
from fpgaflow.targets.plan import BuildPlan, Command
from fpgaflow.targets.run import last_error, run_plan

Array = np.ndarray
Progress = Callable[[int, int], None]  # samples done, samples in all

_FLOAT_BITS = 53  # values cross into C++ as float64
# hls4ml's build_lib.sh, with the C++11 of its build_prj.tcl: it asks for C++23 only for half-precision floats.
_FLAGS = ("-fPIC", "-std=c++11", "-fno-gnu-unique", "-Ifirmware/ap_types/")
_WEIGHTS = '-DWEIGHTS_DIR="firmware/weights"'  # read with the first sample, from the project's folder
_CHILD = Path(__file__).with_name("csim_child.py")


def csim_plan(project: Project, level: int = 3) -> BuildPlan:
    """The project's files and the g++ commands that make its shared library, at g++'s optimisation `level`."""
    name, flags = project.name, (f"-O{level}", *_FLAGS)
    sources = {f"csim/{name}.o": f"firmware/{name}.cpp", f"csim/{name}_bridge.o": f"{name}_bridge.cpp"}
    commands = [
        Command(
            name=f"compile {source}",
            argv=("g++", *flags, _WEIGHTS, "-c", source, "-o", target),
            tool="g++",
            log=f"{target}.log",
            outputs=(target,),
        )
        for target, source in sources.items()
    ]
    library = _library(project)
    link = ("g++", *flags, "-shared", *sources, "-o", library)
    commands.append(Command("link the C simulation", link, "g++", f"{library}.log", outputs=(library,)))
    return BuildPlan(project.files, tuple(commands))


def _library(project: Project) -> str:
    return f"csim/{project.name}.so"


class CSim:
    """A project's compiled C simulation in `folder`, which then holds the whole project.

    Nothing is compiled again while project and library are unchanged. `level` is g++'s optimisation: 0 changes no bit,
    compiles in a third of the time, and runs slower.

    Raises:
        MissingTool: there is no g++.
        ToolFailed: the project did not compile; names the log and the error.
        BadInput: an input or output is wider than float64 carries.
    """

    def __init__(self, project: Project, folder: Path, level: int = 3) -> None:
        for tensor in (*project.inputs, *project.outputs):
            if tensor.type.width > _FLOAT_BITS:
                found = f"{tensor.type} is wider than the {_FLOAT_BITS} bits of the float64 that hls4ml's csim takes"
                raise BadInput(f"csim of tensor '{tensor.name}'", found, "Use the simulator for this model")
        self.project = project
        self.folder = folder
        run_plan(csim_plan(project, level), folder)

    def predict(self, inputs: Sequence[Array], progress: Progress | None = None) -> list[Array]:
        """The firmware's outputs (N, ...), float64 and exact, in the project's order.

        Args:
            inputs: one array (N, ...) per input, real values; each is a number of the input's type, so that nothing
                is left to convert.
            progress: called with (samples done, samples in all) every now and then.

        Raises:
            BadInput: wrong shape or sample count, or a value that the input's type lacks.
            ToolFailed: the simulation crashed.
        """
        tensors = self.project.inputs
        if len(inputs) != len(tensors) or len({len(x) for x in inputs}) > 1:
            found = f"arrays of {[len(x) for x in inputs]} samples for {len(tensors)} inputs"
            raise BadInput("csim inputs", found, "Give one array per input, with equally many samples")
        arrays = [_checked(x, tensor) for x, tensor in zip(inputs, tensors, strict=True)]
        samples = len(arrays[0])
        with tempfile.TemporaryDirectory(prefix="fpgaflow-csim-") as scratch:
            ports: list[str] = []
            for index, (tensor, x) in enumerate(zip(tensors, arrays, strict=True)):
                path = Path(scratch, f"x{index}")
                x.tofile(path)
                ports += ["i", f"{path}={prod(tensor.shape)}"]
            results = [(Path(scratch, f"y{index}"), tensor) for index, tensor in enumerate(self.project.outputs)]
            for path, tensor in results:
                ports += ["o", f"{path}={prod(tensor.shape)}"]
            self._run(samples, ports, progress)
            return [np.fromfile(path).reshape(samples, *tensor.shape) for path, tensor in results]

    def predict_integers(self, inputs: Sequence[Array], progress: Progress | None = None) -> list[Array]:
        """Like `predict`, on the integers of the types: int64 in, int64 out."""
        values = [np.asarray(x) * tensor.type.scale for x, tensor in zip(inputs, self.project.inputs, strict=False)]
        outputs = self.predict(values, progress)
        tensors = self.project.outputs
        return [(y * 2.0**t.type.fraction).astype(np.int64) for y, t in zip(outputs, tensors, strict=True)]

    def _run(self, samples: int, ports: list[str], progress: Progress | None) -> None:
        log = self.folder / "csim" / "run.log"
        # -P keeps this folder's module names out of the child's imports.
        argv = [sys.executable, "-P", str(_CHILD), _library(self.project), f"{self.project.name}_double", str(samples)]
        with (
            log.open("wb") as errors,
            subprocess.Popen(
                [*argv, *ports], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
            ) as process,
        ):
            for line in process.stdout or ():
                if line.strip().isdigit():
                    if progress is not None:
                        progress(int(line), samples)
                else:
                    errors.write(line)
        if process.returncode:
            found = f"ended with status {process.returncode}: {last_error(log)}"
            raise ToolFailed("hls4ml's C simulation", found, f"Read the log {log}")
        if b"Hls::stream" in log.read_bytes():  # hls_stream.h warns of a stream read while empty, or left with data
            raise ToolFailed("hls4ml's C simulation", f"a stream lost data: {last_error(log)}", f"Read the log {log}")
        if progress is not None:
            progress(samples, samples)


def _checked(x: Array, tensor: Tensor) -> Array:
    where, type_ = f"csim input '{tensor.name}'", tensor.type
    if x.shape[1:] != tensor.shape:
        raise BadInput(where, f"shape {x.shape}", f"Give (N, {', '.join(map(str, tensor.shape))})")
    scaled = np.asarray(x, dtype=np.float64) * 2.0**type_.fraction
    if not ((scaled == np.rint(scaled)) & (scaled >= type_.low) & (scaled <= type_.high)).all():
        raise BadInput(where, f"values that are no {type_}", "Quantise the input first: Simulator.input_integers")
    return np.ascontiguousarray(x, dtype=np.float64)
