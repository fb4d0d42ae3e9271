"""hls4ml's products of tensors and its embeddings: Dot, Einsum, EinsumDense, Embedding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hls4ml.backends import get_backend

from fpgaflow.frontend.hls4ml.linear import added, counted, linear_sum, to_int64
from fpgaflow.frontend.hls4ml.products import multiplied, product
from fpgaflow.frontend.hls4ml.reader import AP_INTS, Reader, RefusedError, assigned, constant, within
from fpgaflow.frontend.hls4ml.shapes import expect
from fpgaflow.ir.graph import Tensor
from fpgaflow.ir.ops import Cast, Reshape, Transpose
from fpgaflow.ir.ops_merge import Elementwise, ElementwiseKind, Embed, MatMul, OrderedDense, OrderedSum, Take
from fpgaflow.ir.ops_table import Lookup
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.ir.verify_merge import elementwise_type, matmul_type
from fpgaflow.sim.fixed_point import cast

Shape = tuple[int, ...]


class Emit:
    """Adds a layer's inner ops, which bear its name and what they are for."""

    def __init__(self, reader: Reader, layer: Any) -> None:
        self.reader, self.layer, self.name = reader, layer, layer.name

    def reshape(self, x: Tensor, shape: Shape, role: str) -> Tensor:
        if x.shape == shape:
            return x
        name = f"{self.name}.{role}"
        return self.reader.emit(Reshape(name, (x.name,), name, self.name), shape, x.type)

    def transpose(self, x: Tensor, perm: Shape, role: str) -> Tensor:
        if perm == tuple(range(len(perm))):
            return x
        name = f"{self.name}.{role}"
        return self.reader.emit(
            Transpose(name, (x.name,), name, self.name, perm), tuple(x.shape[axis] for axis in perm), x.type
        )

    def repeat(self, x: Tensor, axis: int, count: int, role: str) -> Tensor:
        """The one entry of an axis, `count` times."""
        name = f"{self.name}.{role}"
        self.reader.constants[f"{name}.indices"] = np.zeros(count, dtype=np.int64)
        op = Take(name, (x.name,), name, self.name, f"{name}.indices", axis)
        return self.reader.emit(op, (*x.shape[:axis], count, *x.shape[axis + 1 :]), x.type)


def dot(reader: Reader, layer: Any) -> None:
    """nnet_merge.h, dot1d: products cast to the accumulator, then added."""
    emit = Emit(reader, layer)
    left, right = _factors(reader, layer)
    if left.shape != right.shape or len(left.shape) != 1:
        raise RefusedError(f"tensors {left.shape} and {right.shape}")
    if reader.stream:
        raise RefusedError("hls4ml has no io_stream code for it", "Use io_parallel")
    count = left.shape[0]
    a, b = emit.reshape(left, (1, count), "row"), emit.reshape(right, (count, 1), "column")
    total = _contracted(emit, a, b, casts_products=True)
    total = emit.reshape(total, (1,), "whole")
    reader.cast(layer, total.name, layer.outputs[0], total.type.integer_bits)


def einsum(reader: Reader, layer: Any) -> None:
    """nnet_einsum.h: both tensors transposed, sums of products, the result transposed back."""
    emit = Emit(reader, layer)
    left, right = _factors(reader, layer)
    expect(left, tuple(layer.get_attr("inp0_shape")))
    expect(right, tuple(layer.get_attr("inp1_shape")))
    batch, free0, free1, terms = (int(layer.get_attr(key)) for key in ("n_inplace", "n_free0", "n_free1", "n_contract"))
    a = emit.transpose(left, _axes(layer, "inp0_tpose_idxs"), "left")
    a = emit.reshape(a, (batch, free0, terms), "rows")
    b = emit.transpose(right, _axes(layer, "inp1_tpose_idxs"), "right")
    b = emit.reshape(b, (batch, free1, terms), "flat")
    b = emit.transpose(b, (0, 2, 1), "columns")
    _back(emit, _contracted(emit, a, b, casts_products=False))


def _axes(layer: Any, key: str) -> Shape:
    return tuple(int(axis) for axis in layer.get_attr(key))


def _back(emit: Emit, total: Tensor) -> None:
    """The accumulators (batch, free, free), cast to the result's type and transposed to the result's axes."""
    reader, layer = emit.reader, emit.layer
    shaped = emit.reshape(total, tuple(int(n) for n in layer.get_attr("out_interpert_shape")), "shaped")
    moved = emit.transpose(shaped, _axes(layer, "out_tpose_idxs"), "moved")
    moved = emit.reshape(moved, tuple(layer.get_output_variable().shape), "out")
    reader.cast(layer, moved.name, layer.outputs[0], moved.type.integer_bits)


def _factors(reader: Reader, layer: Any) -> tuple[Tensor, Tensor]:
    """The two tensors as their product takes them (nnet_mult.h)."""
    left, right = reader.source(layer, 0), reader.source(layer, 1)
    precisions = [layer.get_input_variable(name).type.precision for name in layer.inputs]
    match get_backend("vivado").product_type(*precisions):
        case "mult":
            return left, right
        case "weight_ternary":  # -2 counts as neither 0 nor -1
            name = f"{layer.name}.ternary"
            reader.constants[f"{name}.table"] = np.array([1, -1, 0, 1])
            op = Lookup(name, (right.name,), name, layer.name, f"{name}.table")
            return left, reader.emit(op, right.shape, right.type)
    raise RefusedError("products of a binary network's tensors")


def _contracted(emit: Emit, a: Tensor, b: Tensor, *, casts_products: bool) -> Tensor:
    """Sums over k of a (..., n, k) times b (..., k, m) in the accumulator's type, the products cast to it or not."""
    reader, layer, name = emit.reader, emit.layer, emit.name
    precision = layer.get_attr("accum_t").precision
    product_type = multiplied(a.type, b.type)
    accum, rounding, overflow = assigned(precision, product_type, product_type.integer_bits)
    exact = matmul_type(a.type, b.type, a.shape[-1])
    shape = (*a.shape[:-1], b.shape[-1])
    if exact.fraction <= accum.fraction and (overflow is Overflow.WRAP or within(_with_zero(exact), accum)):
        product_ = MatMul(f"{name}.exact", (a.name, b.name), f"{name}.exact", name)
        total = reader.emit(product_, shape, exact)
        op = Cast(name, (total.name,), f"{name}.accum", name, Rounding.TRN, Overflow.WRAP)
        return reader.emit(op, shape, accum)
    *batch, n, k = a.shape
    m = b.shape[-1]
    rows = emit.repeat(emit.reshape(a, (*batch, n, k, 1), "spread_rows"), len(batch) + 2, m, "all_rows")
    columns = emit.repeat(emit.reshape(b, (*batch, 1, k, m), "spread_columns"), len(batch), n, "all_columns")
    kind = ElementwiseKind.MULTIPLY
    times = Elementwise(f"{name}.products", (rows.name, columns.name), f"{name}.products", name, kind)
    terms = reader.emit(times, (*batch, n, k, m), elementwise_type(kind, a.type, b.type))
    if casts_products or isinstance(precision, AP_INTS):  # ap_fixed_base.h: ap_int += ap_fixed casts first
        op = Cast(f"{name}.terms", (terms.name,), f"{name}.terms", name, rounding, overflow)
        terms = reader.emit(op, terms.shape, accum)
    ordered = OrderedSum(name, (terms.name,), f"{name}.accum", name, None, False, rounding, overflow)
    return reader.emit(ordered, shape, accum)


def _with_zero(type_: FixedType) -> FixedType:
    """The type with all partial sums: they start from zero."""
    return replace(type_, width=type_.width + (not type_.signed))


def einsum_dense(reader: Reader, layer: Any) -> None:
    """nnet_einsum_dense.h: a dense layer for each batch index, whose bias has an entry for each result."""
    emit, name = Emit(reader, layer), layer.name
    if str(layer.get_attr("strategy")).lower() != "latency":
        raise RefusedError(f"strategy '{layer.get_attr('strategy')}'", "Choose Latency")
    source = reader.source(layer)
    expect(source, tuple(layer.get_attr("inp_shape")))
    batch, rows, outputs, terms = (
        int(layer.get_attr(key)) for key in ("n_inplace", "n_free_data", "n_free_kernel", "n_contract")
    )
    x = emit.transpose(source, _axes(layer, "inp_tpose_idxs"), "moved_in")
    x = emit.reshape(x, (batch, rows, terms), "rows")
    by = product(reader, layer, "weight", x)
    if by.addend is not None:
        raise RefusedError("binary weights of binary data")
    bias, bias_type = constant(layer, "bias")
    bias = bias.reshape(batch, rows, outputs)
    if batch == 1 and (bias == bias[:, :1]).all():
        total = linear_sum(layer, by, (terms, outputs), bias[0, 0], bias_type)
        found = added(reader, layer, total, emit.reshape(by.source, (rows, terms), "matrix"))
    else:
        precision = layer.get_attr("accum_t").precision
        accum, rounding, overflow = assigned(precision, bias_type, bias_type.integer_bits)
        reader.constants[f"{name}.bias"] = to_int64(cast(bias, bias_type, accum, rounding, overflow))
        reader.constants[f"{name}.weight"] = by.weights.reshape(batch, terms, outputs)
        _, rounding, _ = assigned(precision, by.type, by.type.integer_bits)
        constants = f"{name}.weight", by.weight_type, f"{name}.bias"
        op = OrderedDense(name, (by.source.name,), f"{name}.accum", name, *constants, rounding, overflow)
        found = reader.emit(op, (batch, rows, outputs), accum)
    _back(emit, counted(reader, layer, found, terms))


def embedding(reader: Reader, layer: Any) -> None:
    """nnet_embed.h: the table's row at each element."""
    source = reader.source(layer)
    expect(source, (int(layer.get_attr("n_in")),))
    if source.type.fraction != 0:
        raise RefusedError(f"indices {source.type}, which are no integers", "Give it integers")
    table, type_ = constant(layer, "embeddings")
    columns = int(layer.get_attr("n_out"))
    reader.constants[f"{layer.name}.table"] = table.reshape(int(layer.get_attr("vocab_size")), columns)
    op = Embed(layer.name, (source.name,), f"{layer.name}.rows", layer.name, f"{layer.name}.table")
    reader.result(layer, op, (*source.shape, columns), type_, type_.integer_bits)
