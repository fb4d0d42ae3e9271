"""What of a graph hls4ml cannot carry exactly, found before any work.

The comments name the source of each limit in hls4ml 1.3.0. All were tried: its csim crashed or gave other bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import ceil, isqrt, prod

from fpgaflow.errors import Problem
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Cast, Conv, Dense, Linear, Op, Threshold
from fpgaflow.ir.ops_merge import Divide, Embed, OrderedDense, OrderedSum
from fpgaflow.ir.ops_recurrent import Recurrent
from fpgaflow.ir.ops_table import CastEach, Lookup, Piecewise
from fpgaflow.ir.types import Rounding, type_for
from fpgaflow.targets.hls.layers import HlsOptions, IOType, Strategy
from fpgaflow.targets.hls.normal import CARRIED, normal_form

_LITERAL_BITS = 53  # hls4ml hands constants to C++ as float64 literals

Finding = tuple[str, str]  # what was found, what to do


def check(graph: Graph, options: HlsOptions) -> tuple[Problem, ...]:
    """Every op and port that hls4ml would not carry bit for bit with these options; empty where all is well."""
    problems: list[Problem] = []
    known = {op.name for op in graph.ops}
    for name in sorted(set(options.reuse_factors) - known):
        problems.append(Problem(f"reuse factor of '{name}'", "the model has no op of that name", "Remove or rename it"))
    if foreign := [op for op in graph.ops if type(op) not in CARRIED]:
        problems += [Problem(_where(op), *_FOREIGN[type(op)]) for op in foreign]
        return tuple(problems)
    normal = normal_form(graph, stream=options.io_type is IOType.STREAM)
    problems += [Problem(f"model port '{name}'", *finding) for name, finding in _port_findings(normal, options)]
    for op in normal.ops:
        problems += [Problem(_where(op), *finding) for finding in _op_findings(op, normal, options)]
    return tuple(problems)


def _where(op: Op) -> str:
    return f"{type(op).__name__} '{op.name}'" + (f" (node '{op.node}')" if op.node != op.name else "")


def _port_findings(graph: Graph, options: HlsOptions) -> Iterator[tuple[str, Finding]]:
    read = {name for op in graph.ops for name in op.inputs} | {port.tensor for port in graph.outputs}
    for port in graph.inputs:
        if options.io_type is IOType.STREAM and port.tensor not in read:
            yield port.name, ("nothing reads this input: its stream would fill up", "Remove it from the model")


def _op_findings(op: Op, graph: Graph, options: HlsOptions) -> Iterator[Finding]:
    if (find := _FINDINGS.get(type(op))) is not None:
        yield from find(op, graph, options)


def _linear(op: Linear, graph: Graph, options: HlsOptions) -> Iterator[Finding]:
    for what, type_ in (("weights", op.weight_type), ("biases", op.bias_type)):
        if type_ is not None and type_.width > _LITERAL_BITS:
            found = f"{what} of {type_.width} bits: hls4ml writes them as float64 literals"
            yield found, f"Use at most {_LITERAL_BITS} bits"
    if options.strategy_of(op) is Strategy.RESOURCE and not _depthwise(op):
        weights = graph.constants[op.weights]
        yield from _reuse(options.reuse(op), prod(weights.shape[:-1]), weights.shape[-1])


def _depthwise(op: Linear) -> bool:
    return isinstance(op, Conv) and op.groups > 1


def legal_reuse(n_in: int, n_out: int) -> list[int]:
    """The reuse factors that hls4ml's resource strategy takes, ascending."""

    # backends/fpga/fpga_backend.py, _validate_reuse_factor
    def legal(factor: int) -> bool:
        whole = factor >= n_in or ceil(n_in * n_out / factor) % n_out == 0
        return whole and (factor < n_in or factor % n_in == 0)

    total = n_in * n_out
    divisors = sorted({d for i in range(1, isqrt(total) + 1) if total % i == 0 for d in (i, total // i)})
    return [factor for factor in divisors if legal(factor)]


def _reuse(reuse: int, n_in: int, n_out: int) -> Iterator[Finding]:
    # the same file's set_closest_reuse_factor takes the nearest legal one instead, and prints that it did
    legal = legal_reuse(n_in, n_out)
    if reuse not in legal:
        nearest = sorted(sorted(legal, key=lambda factor: abs(factor - reuse))[:3])
        found = f"reuse factor {reuse} does not fold {n_in} × {n_out} multiplications as hls4ml needs it"
        yield found, f"Choose of {', '.join(map(str, nearest))}"


def _window_reuse(op: Op, taps: int, options: HlsOptions) -> Iterator[Finding]:
    # vitis nnet_conv2d_resource.h, nnet_conv1d_resource.h: reads beyond the window, or its assertion fails
    reuse = options.reuse(op)
    if options.strategy_of(op) is Strategy.RESOURCE and options.io_type is IOType.PARALLEL and reuse > taps:
        found = f"reuse factor {reuse} above the {taps} inputs of an output: hls4ml's io_parallel convolves wrongly"
        yield found, f"Choose at most {taps}, or io_stream"


def _dense(op: Dense, graph: Graph, options: HlsOptions) -> Iterator[Finding]:
    yield from _linear(op, graph, options)
    shape = graph.tensors[op.inputs[0]].shape
    if len(shape) > 1:  # a convolution to hls4ml (model/optimizer/passes/multi_dense.py)
        yield from _window_reuse(op, shape[-1], options)


def _conv(op: Conv, graph: Graph, options: HlsOptions) -> Iterator[Finding]:
    yield from _linear(op, graph, options)
    kernel = graph.constants[op.weights].shape[:-2]
    others = [other for other in graph.ops if isinstance(other, Conv) and other.groups > 1]
    if op.groups > 1 and len(kernel) == 1 and any(len(other.strides) == 2 for other in others):
        # vivado nnet_sepconv1d_latency.h has the include guard of nnet_sepconv2d_latency.h
        yield "a depthwise 1-D beside a depthwise 2-D layer: hls4ml's headers exclude each other", "Keep one of them"
    if op.groups == 1:
        yield from _window_reuse(op, prod(graph.constants[op.weights].shape[:-1]), options)


def _literals(op: Op, graph: Graph, options: HlsOptions) -> Iterator[Finding]:
    for field, name in (
        (f, getattr(op, f)) for f in ("thresholds", "table", "knots", "slopes", "offsets") if hasattr(op, f)
    ):
        values = graph.constants[name]
        wide = type_for(int(values.min(initial=0)), int(values.max(initial=0)), 0).width > _LITERAL_BITS
        # hls4ml_layers.py reads thresholds by their type, hls4ml_extensions.py the others by their values
        if wide and (field == "thresholds" or any(int(float(v)) != v for v in values.ravel().tolist())):
            found = f"{field} of more than {_LITERAL_BITS} bits: hls4ml writes them as float64 literals"
            yield found, "Use a narrower input, or coarser scales"


def _cast(op: Cast, graph: Graph, options: HlsOptions) -> Iterator[Finding]:
    # ap_fixed_base.h reads the bit that decides the rounding, ap_private.h asserts that there is one
    source, target = graph.type_of(op.inputs[0]), graph.type_of(op.output)
    if op.rounding is not Rounding.TRN and source.fraction - target.fraction > source.width:
        yield f"rounds {source} to {target}, which is always 0: hls4ml's C++ aborts", "Remove it, or use a finer scale"


_IN_ORDER = "sums that lose bits on the way, as hls4ml's own models have them: the order decides, and no layer keeps it"
_WIDEN = "Give that layer of the hls4ml model an accumulator that holds its sums, then read it anew"
_FOREIGN: Mapping[type[Op], Finding] = {
    Divide: ("no HLS layer divides", "Average over windows of 2^k elements, or sum and let a scale divide"),
    OrderedSum: (_IN_ORDER, _WIDEN),
    OrderedDense: (_IN_ORDER, _WIDEN),
    Recurrent: (
        "no HLS layer of fpgaflow is recurrent",
        "Keep it outside of the firmware: it can be simulated; hls4ml has such layers of its own",
    ),
    CastEach: ("a type for each element, as an hls4ml model of HGQ has it", "Give all elements of a tensor one type"),
}
_FINDINGS: Mapping[type[Op], Callable[..., Iterator[Finding]]] = {
    Cast: _cast,
    Dense: _dense,
    Conv: _conv,
    Threshold: _literals,
    Lookup: _literals,
    Embed: _literals,
    Piecewise: _literals,
}
