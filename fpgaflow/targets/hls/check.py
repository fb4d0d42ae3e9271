"""What of a graph hls4ml cannot carry exactly, found before any work.

The comments name the source of each limit in hls4ml 1.3.0. All were tried: its csim crashed or gave other bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import ceil, isqrt, prod

from fpgaflow.errors import Problem
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.ops import Add, Conv, Dense, Linear, Op, Pool, Reshape, Threshold, Transpose
from fpgaflow.targets.hls.layers import HlsOptions, IOType, Strategy
from fpgaflow.targets.hls.normal import CARRIED, normal_form

_LITERAL_BITS = 53  # hls4ml hands constants to C++ as float64 literals
_MAX_CLONES = 7

Finding = tuple[str, str]  # what was found, what to do


def check(graph: Graph, options: HlsOptions) -> tuple[Problem, ...]:
    """Every op and port that hls4ml would not carry bit for bit with these options; empty where all is well."""
    problems: list[Problem] = []
    known = {op.name for op in graph.ops}
    for name in sorted(set(options.reuse_factors) - known):
        problems.append(Problem(f"reuse factor of '{name}'", "the model has no op of that name", "Remove or rename it"))
    if foreign := [op for op in graph.ops if type(op) not in CARRIED]:
        fix = "Leave it out of the firmware: it can be simulated only"
        problems += [Problem(_where(op), "no HLS layer computes this op", fix) for op in foreign]
        return tuple(problems)
    normal = normal_form(graph)
    problems += [Problem(f"model port '{name}'", *finding) for name, finding in _port_findings(normal, options)]
    for op in normal.ops:
        problems += [Problem(_where(op), *finding) for finding in _op_findings(op, normal, options)]
    return tuple(problems)


def _where(op: Op) -> str:
    return f"{type(op).__name__} '{op.name}'" + (f" (node '{op.node}')" if op.node != op.name else "")


def _port_findings(graph: Graph, options: HlsOptions) -> Iterator[tuple[str, Finding]]:
    inputs = {port.tensor for port in graph.inputs}
    first: dict[str, str] = {}
    for output in graph.outputs:
        if output.tensor in inputs:
            yield output.name, ("this output is an input of the model, unchanged", "Leave it out of the hardware")
        elif (other := first.setdefault(output.tensor, output.name)) != output.name:
            yield output.name, (f"this output has the same elements as output '{other}'", "Leave out one of them")
    if options.io_type is IOType.STREAM:
        for port in graph.inputs:
            if not graph.consumers[port.tensor]:
                yield port.name, ("nothing reads this input: its stream would fill up", "Remove it from the model")
            yield from ((port.name, finding) for finding in _clones(port.tensor, graph))


def _op_findings(op: Op, graph: Graph, options: HlsOptions) -> Iterator[Finding]:
    if (find := _FINDINGS.get(type(op))) is not None:
        yield from find(op, graph, options)
    if options.io_type is IOType.STREAM:
        yield from _clones(op.output, graph)


def _clones(tensor: str, graph: Graph) -> Iterator[Finding]:
    readers = sum(reader.inputs.count(tensor) for reader in graph.consumers[tensor])
    readers += any(port.tensor == tensor for port in graph.outputs)
    if readers > _MAX_CLONES:
        yield f"{readers} readers: hls4ml copies a stream {_MAX_CLONES} times at most", "Use io_parallel"


def _linear(op: Linear, graph: Graph, options: HlsOptions) -> Iterator[Finding]:
    for what, type_ in (("weights", op.weight_type), ("biases", op.bias_type)):
        if type_ is not None and type_.width > _LITERAL_BITS:
            found = f"{what} of {type_.width} bits: hls4ml writes them as float64 literals"
            yield found, f"Use at most {_LITERAL_BITS} bits"
    if options.strategy is Strategy.RESOURCE and not _depthwise(op):
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


def _window_reuse(reuse: int, taps: int, options: HlsOptions) -> Iterator[Finding]:
    # vitis nnet_conv2d_resource.h, nnet_conv1d_resource.h: reads beyond the window, or its assertion fails
    if options.strategy is Strategy.RESOURCE and options.io_type is IOType.PARALLEL and reuse > taps:
        found = f"reuse factor {reuse} above the {taps} inputs of an output: hls4ml's io_parallel convolves wrongly"
        yield found, f"Choose at most {taps}, or io_stream"


def _dense(op: Dense, graph: Graph, options: HlsOptions) -> Iterator[Finding]:
    yield from _linear(op, graph, options)
    shape = graph.tensors[op.inputs[0]].shape
    if len(shape) > 1:  # a convolution to hls4ml (model/optimizer/passes/multi_dense.py)
        yield from _window_reuse(options.reuse(op), shape[-1], options)
    if len(shape) > 3:
        yield f"input of shape {shape}: hls4ml's Dense takes up to three axes", "Merge leading axes by a reshape"


def _conv(op: Conv, graph: Graph, options: HlsOptions) -> Iterator[Finding]:
    yield from _linear(op, graph, options)
    kernel = graph.constants[op.weights].shape[:-2]
    others = [other for other in graph.ops if isinstance(other, Conv) and other.groups > 1]
    if op.groups > 1 and len(kernel) == 1 and any(len(other.strides) == 2 for other in others):
        # vivado nnet_sepconv1d_latency.h has the include guard of nnet_sepconv2d_latency.h
        yield "a depthwise 1-D beside a depthwise 2-D layer: hls4ml's headers exclude each other", "Keep one of them"
    if op.groups == 1:
        yield from _window_reuse(options.reuse(op), prod(graph.constants[op.weights].shape[:-1]), options)
    one_row = len(kernel) == 2 and kernel[0] == 1 and (kernel[1] > 1 or op.groups > 1)
    if options.io_type is IOType.STREAM and one_row and op.strides[0] > 1:
        # vitis nnet_conv2d_stream.h takes nnet_conv_stream.h's compute_output_buffer_1d for every row
        found = f"kernel {kernel} with strides {op.strides}: hls4ml's io_stream ignores the vertical stride"
        yield found, "Use io_parallel, or a vertical stride of 1"


def _pool(op: Pool, graph: Graph, options: HlsOptions) -> Iterator[Finding]:
    # vitis nnet_pooling_stream.h, pooling2d_cl asserts it
    if options.io_type is IOType.STREAM and len(op.size) == 2 and op.strides != op.size:
        found = f"window {op.size} with strides {op.strides}: hls4ml's io_stream pools windows side by side only"
        yield found, "Use io_parallel, or strides as long as the window"


def _add(op: Add, graph: Graph, options: HlsOptions) -> Iterator[Finding]:
    # backends/fpga/passes/inplace_stream_flatten.py leaves the beats; nnet_merge_stream.h asserts equal ones
    flat = (name for name in op.inputs if isinstance(graph.producers.get(name), Reshape))
    if options.io_type is IOType.STREAM and any(len(graph.tensors[name].shape) == 1 for name in flat):
        yield "sum with a flattened tensor: hls4ml's streams do not repack it", "Add before flattening"


def _reshape(op: Reshape, graph: Graph, options: HlsOptions) -> Iterator[Finding]:
    # vivado nnet_stream.h, repack_stream
    source, target = graph.tensors[op.inputs[0]].shape, graph.tensors[op.output].shape
    short, long = sorted((source[-1], target[-1]))
    if options.io_type is IOType.STREAM and len(target) > 1 and long % short:
        found = f"{source} to {target}: hls4ml's streams repack into whole multiples or parts of the last axis only"
        yield found, "Use io_parallel, or another shape"


def _transpose(op: Transpose, graph: Graph, options: HlsOptions) -> Iterator[Finding]:
    # model/optimizer/passes/transpose_opt.py, RemoveSingleChannelTranspose
    first = op.inputs[0] in {port.tensor for port in graph.inputs}
    if options.io_type is IOType.PARALLEL and first and graph.tensors[op.inputs[0]].shape[0] == 1:
        yield "transpose of an input whose first axis is 1: hls4ml drops it", "Reshape the input, or use io_stream"


def _threshold(op: Threshold, graph: Graph, options: HlsOptions) -> Iterator[Finding]:
    levels = graph.constants[op.thresholds]
    if levels.shape[1] == 0:
        yield "no thresholds: its output is constant", "Remove it from the model"
    elif max(abs(int(levels.min())), abs(int(levels.max()))) >> _LITERAL_BITS:
        yield f"thresholds of more than {_LITERAL_BITS} bits: hls4ml writes float64 literals", "Use a narrower input"


_FINDINGS: Mapping[type[Op], Callable[..., Iterator[Finding]]] = {
    Dense: _dense,
    Conv: _conv,
    Pool: _pool,
    Add: _add,
    Reshape: _reshape,
    Transpose: _transpose,
    Threshold: _threshold,
}
