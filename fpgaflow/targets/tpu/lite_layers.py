"""Layers in TFLite: int8 kernels that take in the quantiser behind them, float32 ones where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from fpgaflow.ir.bounds import linear_bounds
from fpgaflow.ir.ops import Add, Cast, Conv, Dense, Linear, Op, Pool, Relu, Threshold
from fpgaflow.sim.kernels import lift as product_lift
from fpgaflow.targets.certificate import Entry
from fpgaflow.targets.int32 import bias_lift, checked_linear, lifts
from fpgaflow.targets.refused import Refused
from fpgaflow.targets.tpu.flatbuffer import Scaled
from fpgaflow.targets.tpu.lite_writer import EXACT, INT8, Held, LiteWriter
from fpgaflow.targets.tpu.requantise import Fit, Quantiser, Quantising, fit, keeps, quantiser

_NONE, _RELU = schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU
_VALID = schema.Padding.VALID


@dataclass(frozen=True)
class _Geometry:
    """A convolution: `source` and `places` are (height, width, channels)."""

    source: tuple[int, ...]
    places: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    groups: int


@dataclass(frozen=True)
class _Layer:
    """Sums of products: weights (*kernel, channels, filters), `up` bits below the unit of bias and bounds."""

    op: Dense | Conv | Pool | Add
    held: Held
    geometry: _Geometry
    weights: np.ndarray
    bias: np.ndarray
    up: int
    bounds: tuple[int, int]


class LayerWriter(LiteWriter):
    def behind(self, tensor: str, low: int, high: int) -> tuple[Quantising, ...]:
        """The quantiser that alone reads a tensor of [low, high], with a ReLU or casts that keep values before it, or
        nothing."""
        found: list[Quantising] = []
        written = {port.tensor for port in self.graph.outputs}
        while tensor not in written and len(self.graph.consumers[tensor]) == 1:
            (op,) = self.graph.consumers[tensor]
            if isinstance(op, Relu):
                found.append(op)
                low, high = max(low, 0), max(high, 0)
            elif isinstance(op, Cast) and keeps(self.graph, op, low, high):
                found.append(op)
                up = self.graph.type_of(op.output).fraction - self.graph.type_of(op.inputs[0]).fraction
                low, high = low << up, high << up
            elif isinstance(op, Cast | Threshold):
                return (*found, op)
            else:
                break
            tensor = op.output
        return ()

    def finish(self, op: Op, behind: Sequence[Op], arithmetic: str, wrong: int, wanted: Quantiser, reach: int) -> None:
        """Certificate entries of a layer and of the quantiser that it took in."""
        count = wanted.thresholds.shape[1] * self.shape(op.output)[-1]
        why = "both sides of every threshold were tried in TFLite's own arithmetic, which is monotone"
        if wrong:
            ties = ", where the graph rounds them to even" if wanted.ties else ""
            why = (
                f"TFLite rounds twice, with ties away from zero{ties}: sums next to {wrong} of {count} thresholds may "
                "give the neighbouring integer"
            )
        kind = type(op).__name__
        self.entries.append(Entry(op.name, kind, arithmetic, not wrong, why, reach))
        for each in behind:
            why = f"part of '{op.name}'"
            self.entries.append(Entry(each.name, type(each).__name__, "part of the kernel before", True, why))
            self.done.add(each.output)

    def scaled(self, wanted: Quantiser, tensor: str) -> tuple[Scaled, bool, float | None]:
        """How results lie in int8 so that its saturation is their upper bound; whether a fused ReLU is their lower
        one, or what a MAXIMUM has to be."""
        zero, unit = INT8 - wanted.high, self.graph.type_of(tensor).scale
        if wanted.low + zero == -INT8 - 1:
            return Scaled((unit,), zero), False, None
        return Scaled((unit,), zero), wanted.low == 0, None if wanted.low == 0 else wanted.low + zero

    def bounded(self, tensor: str, number: int, scaled: Scaled, least: float | None) -> None:
        if least is not None:
            name = f"{tensor}.least"
            constant = self.file.constant(name, np.array([least], dtype=np.int8), scaled)
            made = self.file.tensor(f"{tensor}.bounded", self.shape(tensor), "int8", scaled)
            self.file.operator("MAXIMUM", [number, constant], made, schema.MaximumMinimumOptionsT())
            number = made
        self.held[tensor] = Held(number, scaled)

    def linear(self, op: Dense | Conv) -> tuple[np.ndarray, np.ndarray, int]:
        """Weights, bias in the accumulator's units, and bits from the products' unit up to those."""
        weights = self.graph.constants[op.weights]
        bias = np.zeros(weights.shape[-1], dtype=np.int64)
        if op.bias is not None:
            bias = self.graph.constants[op.bias] << bias_lift(op)
        low, high = checked_linear(op, self.graph)
        if low < op.accum.low or high > op.accum.high:
            raise Refused(f"its accumulator {op.accum} wraps around", "Widen the accumulator")
        return weights, bias, product_lift(op, self.graph)

    def sum_pool(self, op: Pool) -> tuple[np.ndarray, np.ndarray, int]:
        """A sum is a depthwise convolution with ones; an average is one in a finer unit."""
        channels = self.shape(op.output)[-1]
        return np.ones((*op.size, 1, channels), dtype=np.int64), np.zeros(channels, dtype=np.int64), 0

    def layer(self, op: Dense | Conv | Pool, weights: np.ndarray, bias: np.ndarray, up: int) -> None:
        """Int8 with the quantiser behind it; where int8 does not carry that, float32, and the cast on its own."""
        source = self.graph.type_of(op.inputs[0])
        low, high = linear_bounds(weights << up, bias, 0, source.low, source.high)
        behind = self.behind(op.output, low, high)
        if behind and self.held[op.inputs[0]].scaled is not None:
            layer = _Layer(op, self.held[op.inputs[0]], self.geometry(op, weights), weights, bias, up, (low, high))
            try:
                self.requantised(layer, behind)
                return
            except Refused:
                if not isinstance(behind[-1], Cast):
                    raise
        self.float_layer(op, weights, bias, max(-low, high))

    def requantised(self, layer: _Layer, behind: tuple[Quantising, ...]) -> None:
        """A layer with the quantiser behind it.

        TFLite rounds no ties to even. Where sums may be ties, the layer is computed several times: see `even`.
        """
        op, (low, high), filters = layer.op, layer.bounds, layer.weights.shape[-1]
        wanted, result = quantiser(self.graph, behind, low, high), behind[-1].output
        scaled, relu, least = self.scaled(wanted, result)
        largest = int(np.abs(layer.weights).max())
        spare = (INT8 // max(largest, 1)).bit_length() - 1
        if largest > INT8 or spare < layer.up:
            raise Refused("weights beyond int8 in the unit of its bias", "Use fewer bits, or a coarser bias")
        bits = spare - layer.up
        made, several = fit(wanted, filters, low, high, bits), None
        if made.wrong and wanted.ties:
            ways = (wanted.without_ties(), wanted.with_ties_away())
            fits = ([fit(each, filters, low, high, bits) for each in way] for way in ways)
            several = next((each for each in fits if not any(one.wrong for one in each)), None)
        if several is None:
            number = self.int8_product(layer, made, result, scaled, relu=relu)
        else:
            number = self.even(layer, several, wanted.high, result, scaled)
        self.bounded(result, number, scaled, wanted.low + scaled.zero if several and relu else least)
        arithmetic = "int8 products, int32 sums, requantised"
        if several is not None:
            arithmetic += f", {len(several)} times, for ties to even"
        wrong = made.wrong if several is None else 0
        self.finish(op, behind, arithmetic, wrong, wanted, max(-low, high))

    def even(self, layer: _Layer, fits: Sequence[Fit], high: int, result: str, scaled: Scaled) -> int:
        """Ties to even: of the results with ties up and with ties down, the one next to twice the result in units
        twice as large; where no tie is, they are one.

        Where ties go away from zero, the results of the sums one lower and one higher have ties down above zero, and
        ties up below it.
        """
        wide = Scaled((2 * scaled.scale[0],), INT8 - (high + 1) // 2)
        half = self.int8_product(layer, fits[-1], f"{result}.half", wide, relu=False)
        twice = self.like(result, "twice", scaled)
        self.file.operator("QUANTIZE", [half], twice, schema.QuantizeOptionsT())
        first, *rest = (
            self.int8_product(layer, each, f"{result}.way{place}", scaled, relu=False)
            for place, each in enumerate(fits[:-1])
        )
        if len(rest) == 1:
            up, down = first, rest[0]
        else:
            zero = self.file.constant(f"{result}.zero", np.array([scaled.zero], dtype=np.int8), scaled)
            down = self._picked(
                "MAXIMUM", rest[0], self._picked("MINIMUM", first, zero, result, scaled), result, scaled
            )
            up = self._picked("MINIMUM", rest[1], self._picked("MAXIMUM", first, zero, result, scaled), result, scaled)
        return self._picked("MINIMUM", up, self._picked("MAXIMUM", down, twice, result, scaled), result, scaled)

    def _picked(self, kind: str, one: int, other: int, tensor: str, scaled: Scaled) -> int:
        number = self.like(tensor, f"{kind.lower()}{one}of{other}", scaled)
        self.file.operator(kind, [one, other], number, schema.MaximumMinimumOptionsT())
        return number

    def int8_product(self, layer: _Layer, made: Fit, name: str, scaled: Scaled, *, relu: bool) -> int:
        held = layer.held.scaled
        assert held is not None
        scales = made.slope.astype(np.float64) * 2.0**-made.lift * scaled.scale[0] / held.scale[0]
        small = (layer.weights << layer.up + made.lift).astype(np.int8)
        offsets = ((layer.bias << made.lift) + made.offset).astype(np.int32)
        return self.products(layer, name, (small, scales), offsets, ("int8", scaled), relu=relu)

    def float_layer(self, op: Dense | Conv | Pool, weights: np.ndarray, bias: np.ndarray, reach: int) -> None:
        """In float32, where nothing rounds."""
        if reach > EXACT:
            raise Refused(f"sums reach {reach}, beyond 2^24, which float32 holds exactly", "Use fewer bits")
        types = self.graph.type_of(op.inputs[0]), self.graph.type_of(op.output)
        unit = op.weight_type.scale if isinstance(op, Linear) else types[1].scale / types[0].scale
        reals = (weights * unit).astype(np.float32), (bias * types[1].scale).astype(np.float32)
        held = Held(self.real(op.inputs[0]), None)
        layer = _Layer(op, held, self.geometry(op, weights), weights, bias, 0, (-reach, reach))
        number = self.products(layer, op.output, (reals[0], None), reals[1], ("float32", None), relu=False)
        self.held[op.output] = Held(number, None)
        why = "every partial sum is an integer within 2^24, in float32"
        self.entries.append(Entry(op.name, type(op).__name__, "float32", True, why, reach))

    def products(
        self,
        layer: _Layer,
        name: str,
        scaled_weights: tuple[np.ndarray, np.ndarray | None],
        bias: np.ndarray,
        kind: tuple[str, Scaled | None],
        *,
        relu: bool,
    ) -> int:
        """The operator of a layer: int8 weights with their scales (filters,), or float32 ones."""
        weights, scales = scaled_weights
        conv, held, x = layer.geometry, layer.held.scaled, layer.held.number
        shape = self.shape(layer.op.output)
        activation = _RELU if relu else _NONE
        depthwise = conv.groups > 1 and weights.shape[-2] == 1 and conv.groups == weights.shape[-1]
        if self.shape(layer.op.inputs[0])[:-1] != conv.source[:-1]:
            x = self.reshaped(x, conv.source, f"{name}.source", kind[0], held)
        if any(map(any, conv.padding)):
            x = self.padded(x, conv, f"{name}.padded", kind[0], held)
        order = (2, 0, 1, 3) if depthwise else (3, 0, 1, 2)
        moved = weights.reshape(*conv.kernel, *weights.shape[-2:]).transpose(order)
        axis = 3 if depthwise else 0
        how = None if scales is None else Scaled(tuple(map(float, scales)), 0, axis)
        unit = 1.0 if held is None else held.scale[0]
        each = None if scales is None else Scaled(tuple(float(s) * unit for s in scales), 0, 0)
        inputs = [x, self.file.constant(f"{name}.weights", moved, how), self.file.constant(f"{name}.bias", bias, each)]
        places = {"strideH": conv.strides[0], "strideW": conv.strides[1], "padding": _VALID}
        places |= {"dilationHFactor": conv.dilations[0], "dilationWFactor": conv.dilations[1]}
        made = self.file.tensor(f"{name}.image", conv.places, kind[0], kind[1])
        if depthwise:
            options = schema.DepthwiseConv2DOptionsT(depthMultiplier=1, fusedActivationFunction=activation, **places)
            self.file.operator("DEPTHWISE_CONV_2D", inputs, made, options)
        else:
            options = schema.Conv2DOptionsT(fusedActivationFunction=activation, **places)
            self.file.operator("CONV_2D", inputs, made, options)
        return made if shape == conv.places else self.reshaped(made, shape, name, kind[0], kind[1])

    def padded(self, x: int, conv: _Geometry, name: str, dtype: str, scaled: Scaled | None) -> int:
        sides = self.file.constant(f"{name}.sides", np.array([(0, 0), *conv.padding, (0, 0)], dtype=np.int32))
        height, width, channels = conv.source
        shape = (height + sum(conv.padding[0]), width + sum(conv.padding[1]), channels)
        number = self.file.tensor(name, shape, dtype, scaled)
        self.file.operator("PAD", [x, sides], number, schema.PadOptionsT())
        return number

    def geometry(self, op: Dense | Conv | Pool, weights: np.ndarray) -> _Geometry:
        """The layer as a convolution over an image."""
        source, result = self.shape(op.inputs[0]), self.shape(op.output)
        if isinstance(op, Dense):
            rows = prod(source[:-1])
            return _Geometry((rows, 1, source[-1]), (rows, 1, result[-1]), (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)), 1)
        groups = op.groups if isinstance(op, Conv) else weights.shape[-1]
        dilations = op.dilations if isinstance(op, Conv) else (1,) * len(op.strides)
        if len(op.strides) == 2:
            kernel, padding = weights.shape[:2], op.padding
            return _Geometry(source, result, kernel, op.strides, dilations, padding, groups)
        line = (1, weights.shape[0]), (1, *op.strides), (1, *dilations), ((0, 0), *op.padding)
        return _Geometry((1, *source), (1, *result), *line, groups)

    def max_pool(self, op: Pool) -> None:
        x, scaled = self.int8(op.inputs[0])
        source, result = self.shape(op.inputs[0]), self.shape(op.output)
        size, strides = ((1, *op.size), (1, *op.strides)) if len(op.size) == 1 else (op.size, op.strides)
        if len(source) == 2:
            x = self.reshaped(x, (1, *source), f"{op.name}.image", "int8", scaled)
        made = self.file.tensor(f"{op.output}.image", (1, *result) if len(result) == 2 else result, "int8", scaled)
        window = {"filterHeight": size[0], "filterWidth": size[1], "strideH": strides[0], "strideW": strides[1]}
        self.file.operator("MAX_POOL_2D", [x], made, schema.Pool2DOptionsT(padding=_VALID, **window))
        self.moved(op, self.reshaped(made, result, op.output, "int8", scaled), scaled)

    def add(self, op: Add) -> None:
        """Both operands side by side in one unit, without a rest, under a convolution that adds them; where 8 bits do
        not hold that, in float32."""
        ups, types = lifts(op, self.graph), [self.graph.type_of(name) for name in op.inputs]
        shape, unit = self.shape(op.output), min(type_.scale for type_ in types)
        lows = [type_.low << up for type_, up in zip(types, ups, strict=True)]
        highs = [type_.high << up for type_, up in zip(types, ups, strict=True)]
        behind = self.behind(op.output, sum(lows), sum(highs))
        beside = max(highs) - min(lows) <= 2 * INT8 + 1
        if not (behind and beside and all(self.held[name].scaled for name in op.inputs)):
            number = self.file.tensor(op.output, shape, "float32")
            self.file.operator("ADD", [self.real(name) for name in op.inputs], number, schema.AddOptionsT())
            self.in_float(op, number)
            return
        scaled = Scaled((unit,), INT8 - max(highs))
        parts: list[int] = []
        for name in op.inputs:
            number, own = self.int8(name)
            if own != scaled:
                number = self.like(op.output, f"operand{len(parts)}", scaled)
                self.file.operator("QUANTIZE", [self.int8(name)[0]], number, schema.QuantizeOptionsT())
            parts.append(number)
        places, channels = prod(shape[:-1]), shape[-1]
        both = self.file.tensor(f"{op.output}.both", (*shape[:-1], 2 * channels), "int8", scaled)
        self.file.operator("CONCATENATION", parts, both, schema.ConcatenationOptionsT(axis=len(shape)))
        identity = np.eye(channels, dtype=np.int64)
        weights = np.concatenate([identity, identity])[None, None]
        window = ((1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)), 1)
        geometry = _Geometry((places, 1, 2 * channels), (places, 1, channels), *window)
        if len(shape) == 3:
            geometry = _Geometry((*shape[:-1], 2 * channels), shape, *window)
        bias = np.zeros(channels, dtype=np.int64)
        layer = _Layer(op, Held(both, scaled), geometry, weights, bias, 0, (sum(lows), sum(highs)))
        self.requantised(layer, behind)
