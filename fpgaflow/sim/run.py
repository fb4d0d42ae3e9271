"""`Simulator`: bit-accurate predictions and traces of a graph, by the reference or the fast engine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph, Input, Tensor
from fpgaflow.sim.choice import Choice
from fpgaflow.sim.fixed_point import dequantise, quantise
from fpgaflow.sim.quick_quantise import quantise_float32
from fpgaflow.sim.reference import ReferenceRunner

if TYPE_CHECKING:
    from pathlib import Path

    from fpgaflow.sim.counts import OverflowCount
    from fpgaflow.sim.explain import Explanation

Array = np.ndarray
Progress = Callable[[int, int], None]  # samples done, samples in all


class Engine(Enum):
    REFERENCE = "reference"
    FAST = "fast"
    CUDA = "cuda"


class Runner(Protocol):
    """An engine for one graph: called with one chunk's input integers by tensor name, it gives the `wanted` tensors.

    Integers may be held in float32.

    Attributes:
        chunk: samples at a time that serve it best.
        workers: threads that serve it best.
        choices: the arithmetic of each op, by its name.
    """

    @property
    def chunk(self) -> int: ...

    @property
    def workers(self) -> int: ...

    @property
    def choices(self) -> Mapping[str, Choice]: ...

    def __call__(self, values: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]: ...


class Simulator:
    """Bit-accurate inference of one model.

    Args:
        model: a Graph, a path to an .onnx file or a saved graph, or an hls4ml ModelGraph.
        engine: "fast" (what people use), "cuda" (the same on a GPU, through torch) or "reference" (the specification);
            all give the same bits.
        workers: threads to use; by default as many as serve the engine best.
        device: torch's name of the device that engine "cuda" runs on.

    Attributes:
        graph: the model.
        chunk: samples that are computed at a time, on each of `workers` threads.

    Raises:
        UnsupportedModel: the model holds something that cannot be carried exactly.
        MissingTool, BadInput: the engine needs torch, or a GPU, that is not there.
    """

    def __init__(
        self,
        model: Graph | str | Path | Any,
        engine: Engine | str = Engine.FAST,
        *,
        workers: int | None = None,
        device: str = "cuda",
    ) -> None:
        self.graph = _as_graph(model)
        try:
            self.engine = Engine(engine)
        except ValueError:
            names = ", ".join(e.value for e in Engine)
            raise BadInput("engine", f"'{engine}' is no engine", f"Choose one of {names}") from None
        if workers is not None and workers < 1:
            raise BadInput("workers", f"{workers} threads", "Choose 1 or more")
        self._runner = _runner(self.engine, self.graph, device)
        self.chunk, self.workers = self._runner.chunk, workers or self._runner.workers

    def predict(self, x: Any, progress: Progress | None = None) -> Array | list[Array]:
        """Model outputs for x (N, ...): float64 (N, ...), the exact fixed-point values.

        Args:
            x: real inputs in the model's own layout; for several inputs a sequence in their order, a {name: array}, or
                a structured array with a field for each.
            progress: called with (samples done, samples in all) after each chunk.

        Returns:
            One array, or a list of them where the model has several outputs.

        Raises:
            BadInput: wrong shape or dtype, NaN or infinity.
        """
        ports = {str(index): port for index, port in enumerate(self.graph.outputs)}

        def values(name: str, held: Array) -> Array:
            return dequantise(held, ports[name].scale, ports[name].offset, ports[name].axis)

        tensors = {name: port.tensor for name, port in ports.items()}
        outputs = list(self._run(self.checked(x), tensors, values, progress).values())
        return outputs[0] if len(outputs) == 1 else outputs

    def predict_integers(self, x: Any) -> dict[str, Array]:
        """Like `predict`, as {output name: integers (N, ...)}: what the hardware puts on its stream."""
        integers = self.integers(x, [port.tensor for port in self.graph.outputs])
        return {port.name: integers[port.tensor] for port in self.graph.outputs}

    def input_integers(self, x: Any) -> dict[str, Array]:
        """The integers (N, ...) that the model's input quantisers give: what the hardware receives."""
        arrays = self.checked(x)
        return {port.name: self._quantised(port, a) for port, a in zip(self.graph.inputs, arrays, strict=True)}

    def trace(self, x: Any) -> dict[str, Array]:
        """Every tensor's exact values: {name: float64 (N, ...)}.

        Tensors that stand in the user's model bear its name and layout; the others have the graph's.
        """
        integers = self.trace_integers(x)
        return dict(_readable(self.graph.tensors[name], integers[name]) for name in self.graph.tensors)

    def trace_integers(self, x: Any) -> dict[str, Array]:
        """Every tensor's integers in the graph's own layout: {tensor name: (N, *shape)}."""
        return self.integers(x, list(self.graph.tensors))

    def integers(self, x: Any, names: Sequence[str]) -> dict[str, Array]:
        """The integers of the named tensors: {tensor name: (N, *shape)}."""
        return self._run(self.checked(x), {name: name for name in names}, lambda _, held: as_integers(held), None)

    def explain(self) -> Explanation:
        """For each op: its arithmetic, the bound that allows it, and whether its values can wrap or saturate."""
        from fpgaflow.sim.explain import explain

        return explain(self.graph, self._runner.choices)

    def count_overflows(self, x: Any, progress: Progress | None = None) -> dict[str, OverflowCount]:
        """How often values really wrapped or saturated over x (N, ...), by op name: see `fpgaflow.sim.counts`."""
        from fpgaflow.sim.counts import count_overflows

        return count_overflows(self, x, progress)

    def checked(self, x: Any) -> list[Array]:
        """x as one array per model input, in the model's order; raises BadInput where `predict` does."""
        ports = self.graph.inputs
        if isinstance(x, np.ndarray) and x.dtype.names:
            x = {name: x[name] for name in x.dtype.names}
        if isinstance(x, Mapping):
            if missing := [port.name for port in ports if port.name not in x]:
                raise BadInput("inputs", f"no array for {', '.join(missing)}", "Give one array per model input")
            arrays = [x[port.name] for port in ports]
        elif len(ports) == 1:
            arrays = [x]
        else:
            arrays = list(x) if isinstance(x, Sequence) else [x]
            if len(arrays) != len(ports):
                raise BadInput("inputs", f"{len(arrays)} arrays for {len(ports)} inputs", "Give one array per input")
        checked = [_checked_array(a, p, self.graph.tensors[p.tensor]) for a, p in zip(arrays, ports, strict=True)]
        if len({len(a) for a in checked}) > 1:
            raise BadInput("inputs", f"sample counts {[len(a) for a in checked]}", "Give as many samples to each input")
        return checked

    def by_name(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """One array per model input, in the model's order, as what `predict` takes."""
        return {port.name: array for port, array in zip(self.graph.inputs, arrays, strict=True)}

    def _quantised(self, port: Input, x: Array) -> Array:
        return quantise(x, port, self.graph.type_of(port.tensor))

    def _for_engine(self, port: Input, x: Array) -> Array:
        """Input integers in the form that the engine takes most quickly."""
        quick = None if self.engine is Engine.REFERENCE else quantise_float32(x, port)
        return self._quantised(port, x) if quick is None else quick

    def _run(
        self,
        arrays: list[Array],
        wanted: Mapping[str, str],
        finish: Callable[[str, Array], Array],
        progress: Progress | None,
    ) -> dict[str, Array]:
        """For each name in `wanted`, what `finish` makes of its tensor, chunk by chunk."""
        samples, tensors = len(arrays[0]), list(wanted.values())
        results: dict[str, Array] = {}

        def one_chunk(start: int) -> None:
            stop = min(start + self.chunk, samples)
            parts = zip(self.graph.inputs, arrays, strict=True)
            inputs = {port.tensor: self._for_engine(port, array[start:stop]) for port, array in parts}
            made = self._runner(inputs, tensors)
            for name, tensor in wanted.items():
                value = finish(name, made[tensor])
                _slot(results, name, samples, value)[start:stop] = value

        one_chunk(0)  # settles the shapes and dtypes of the results, and serves the empty batch
        if progress is not None:
            progress(min(self.chunk, samples), samples)
        starts = range(self.chunk, samples, self.chunk)
        if self.workers > 1 and len(starts) > 1:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(self.workers) as pool:
                for done, _ in enumerate(pool.map(one_chunk, starts), start=2):
                    if progress is not None:
                        progress(min(done * self.chunk, samples), samples)
        else:
            for start in starts:
                one_chunk(start)
                if progress is not None:
                    progress(min(start + self.chunk, samples), samples)
        return results


def as_integers(held: Array) -> Array:
    """Integers out of the floats that an engine may hold them in."""
    return held.astype(np.int64) if held.dtype == np.float32 else held


def _slot(results: dict[str, Array], name: str, samples: int, value: Array) -> Array:
    if name not in results:
        results[name] = np.empty((samples, *value.shape[1:]), dtype=value.dtype)
    return results[name]


def _runner(engine: Engine, graph: Graph, device: str) -> Runner:
    match engine:
        case Engine.REFERENCE:
            return ReferenceRunner(graph)
        case Engine.FAST:
            from fpgaflow.sim.fast import FastRunner  # the reference needs no ONNX Runtime

            return FastRunner(graph)
        case Engine.CUDA:
            from fpgaflow.sim.cuda import cuda_runner

            return cuda_runner(graph, device)


def _as_graph(model: Any) -> Graph:
    if isinstance(model, Graph):
        return model
    if "hls4ml" in sys.modules and any(kind.__module__.startswith("hls4ml.") for kind in type(model).__mro__):
        from fpgaflow.frontend.hls4ml.model import from_hls4ml

        return from_hls4ml(model)
    from fpgaflow.frontend.load import load

    return load(model)


def _checked_array(x: Any, port: Input, tensor: Tensor) -> Array:
    where = f"input '{port.name}'"
    expected = f"(N, {', '.join(map(str, tensor.shape))})"
    try:
        array = np.asarray(x)
    except ValueError as error:  # ragged nested lists
        raise BadInput(where, str(error).rstrip("."), f"Give an array of shape {expected}") from None
    if isinstance(x, np.ma.MaskedArray) and (hidden := int(np.ma.getmaskarray(x).sum())):
        raise BadInput(where, f"{hidden} masked values", "Fill them: they have no value")
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise BadInput(where, f"dtype {array.dtype}", "Give real numbers: float32, float64 or integers")
    if array.ndim != len(tensor.shape) + 1 or array.shape[1:] != tensor.shape:
        raise BadInput(where, f"shape {array.shape}", f"The model takes {expected}")
    if array.size and not (_has_float64(array.min()) and _has_float64(array.max())):  # a NaN is both
        bad = ~np.isfinite(array) if array.dtype.kind == "f" else (array > 1 << 53) | (array < -(1 << 53))
        first = tuple(int(i) for i in np.unravel_index(bad.argmax(), array.shape))
        raise BadInput(where, f"{array[first]} at index {first}", "Inputs must be finite float64: remove or replace it")
    return array


def _has_float64(value: Any) -> bool:
    """Whether an input can be scaled in float64: integers beyond 2^53 cannot."""
    return bool(np.isfinite(value)) if value.dtype.kind == "f" else -(1 << 53) <= int(value) <= 1 << 53


def _readable(tensor: Tensor, integers: Array) -> tuple[str, Array]:
    if (source := tensor.source) is None:
        return tensor.name, np.asarray(integers, dtype=np.float64) * tensor.type.scale
    theirs = integers.transpose(0, *(axis + 1 for axis in source.perm)).reshape(len(integers), *source.shape)
    return source.name, np.asarray(theirs, dtype=np.float64) * tensor.type.scale * float(source.unit)
