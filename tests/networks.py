"""Random whole QONNX networks that fpgaflow has to carry: nothing here may be refused."""

from __future__ import annotations

from math import prod

import numpy as np
from hypothesis import strategies as st
from onnx import ModelProto

from tests.models import Net

MODES = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")


@st.composite
def networks(draw: st.DrawFn, *, binary: bool = False) -> ModelProto:
    """One to three products with constant weights, with everything that stands between them in real models.

    Args:
        binary: every scale a power of two, every other constant on a coarse grid, so that float32 executors are exact.
    """
    return _Maker(draw, binary).model()


class _Maker:
    def __init__(self, draw: st.DrawFn, binary: bool) -> None:
        self.draw, self.binary = draw, binary
        self.random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        rank = draw(st.sampled_from([0, 1, 2, 2]))
        channels = draw(st.integers(1, 4))
        self.shape = (channels, *(draw(st.integers(3, 6)) for _ in range(rank)))
        self.net = Net(*self.shape)
        self.scale = 1.0  # of the quantised tensor at hand; None where its unit is no longer a scale

    def model(self) -> ModelProto:
        self.scale = self.one_scale()
        modes = ["ROUND", "FLOOR", "DOWN", "HALF_UP", "HALF_DOWN"]
        x = self.quant("x", self.scale, self.draw(st.sampled_from(modes)))
        outputs = []
        for _ in range(self.draw(st.integers(1, 3))):
            before, shape, scale = x, self.shape, self.scale
            y = self.product(x)
            if self.draw(st.integers(0, 3)) == 0:
                outputs.append(y)
            y = self.between(y)
            self.scale = scale if shape == self.shape and scale else self.one_scale()
            x = self.quant(y, self.scale)
            if shape == self.shape and scale == self.scale and self.draw(st.booleans()):
                x = self.net.node("Add", *self.draw(st.permutations([x, before])))
            x = self.pool(x)
        return self.net.model(x, *dict.fromkeys(outputs))

    def one_scale(self) -> float:
        k = self.draw(st.integers(-4, 1))
        real = not self.binary and self.draw(st.booleans())
        return float(np.float32(0.7 * 2.0**k)) if real else 2.0**k

    def quant(self, x: str, scale: float, mode: str | None = None) -> str:
        mode = mode or self.draw(st.sampled_from(MODES))
        bits, signed, narrow = self.draw(st.integers(2, 5)), self.draw(st.booleans()), self.draw(st.booleans())
        return self.net.quant(x, scale, bits, signed=signed, narrow=narrow and signed, mode=mode)

    def values(self, *shape: int) -> np.ndarray:
        """Constants: on a grid of 1/8, on a fine one, or any."""
        kind = "grid" if self.binary else self.draw(st.sampled_from(["grid", "fine", "any"]))
        found = self.random.normal(size=shape)
        return found if kind == "any" else np.rint(found * 8) / 8 + (2.0**-15 if kind == "fine" else 0)

    def weights(self, filter_axis: int, *shape: int) -> str:
        kind = self.draw(st.sampled_from(["power"] if self.binary else ["power", "real", "channels"]))
        scale: object = {"power": 0.25, "real": 0.3, "channels": None}[kind]
        if scale is None:
            along = [1] * len(shape)
            along[filter_axis] = shape[filter_axis]
            scale = self.random.choice([0.25, 0.5, 0.3, 0.17], along)
        bits = self.draw(st.integers(2, 5))
        return self.net.quant(self.random.normal(size=shape), scale, bits, narrow=self.draw(st.booleans()))

    def product(self, x: str) -> str:
        filters = self.draw(st.sampled_from([self.shape[0], 1, 2, 4]))
        bias = self.draw(st.booleans())
        if len(self.shape) > 1 and self.draw(st.integers(0, 3)):
            return self.conv(x, filters, bias)
        if len(self.shape) > 1:
            x, self.shape = self.net.node("Flatten", x), (int(np.prod(self.shape)),)
        depth, self.shape = self.shape[0], (filters,)
        biases = [self.net.const(self.values(filters))] if bias else []
        if self.draw(st.booleans()):
            return self.net.node("Gemm", x, self.weights(0, filters, depth), *biases, transB=1)
        y = self.net.node("MatMul", x, self.weights(1, depth, filters))
        return self.net.node("Add", *self.draw(st.permutations([y, *biases]))) if bias else y

    def conv(self, x: str, filters: int, bias: bool) -> str:
        channels, spatial = self.shape[0], self.shape[1:]
        rank = len(spatial)
        same = self.draw(st.booleans())
        kernel = [3 if same else self.draw(st.integers(1, min(3, n))) for n in spatial]
        strides = [1 if same else self.draw(st.integers(1, 2)) for _ in spatial]
        pads = [1 if same else self.draw(st.integers(0, 1)) for _ in range(2 * rank)]
        groups = channels if filters % channels == 0 and self.draw(st.booleans()) else 1
        inputs = [x, self.weights(0, filters, channels // groups, *kernel)]
        inputs += [self.net.const(self.values(filters))] if bias else []
        sizes = [(n + pads[i] + pads[i + rank] - kernel[i]) // strides[i] + 1 for i, n in enumerate(spatial)]
        self.shape = (filters, *sizes)
        return self.net.node("Conv", *inputs, strides=strides, pads=pads, group=groups)

    def between(self, y: str) -> str:
        """What stands between a product and the next quantiser."""
        along = (-1, *(1,) * (len(self.shape) - 1))
        kinds = ["relu", "add", "mul"] + ([] if self.binary else ["batch norm"])
        for kind in self.draw(st.lists(st.sampled_from(kinds), max_size=3)):
            if kind == "relu":
                y = self.net.node("Relu", y)
            elif kind == "batch norm":
                n = self.shape[0]
                variance = self.random.choice([0.1, 1.0, 2.5], n)
                y = self.net.batch_norm(y, self.values(n), self.values(n), self.values(n), variance)
            elif kind == "mul":
                factor = self.random.choice([2.0, 0.5, -1.0] if self.binary else [2.0, -0.5, 0.3, 0.0], self.shape[0])
                y = self.net.node("Mul", y, self.net.const(factor.reshape(along)))
            else:
                y = self.net.node("Add", self.net.const(self.values(self.shape[0]).reshape(along)), y)
        return y

    def pool(self, x: str) -> str:
        if len(self.shape) == 1 or min(self.shape[1:]) < 2 or self.draw(st.booleans()):
            return x
        rank = len(self.shape) - 1
        kind = self.draw(st.sampled_from(["MaxPool", "AveragePool", "GlobalAveragePool"]))
        if self.binary and kind != "MaxPool":  # only a mean of 2^k values is exact in float32
            kind = "AveragePool" if prod(self.shape[1:]) & (prod(self.shape[1:]) - 1) else kind
        if kind.startswith("Global"):
            self.shape, self.scale = (self.shape[0], *(1,) * rank), 0.0
            return self.net.node(kind, x)
        wide = min(self.draw(st.integers(2, 3)), self.shape[-1])
        size = [2, 2 if self.binary and kind != "MaxPool" else wide][-rank:]
        strides = [self.draw(st.integers(1, 2)) for _ in size]
        self.shape = (
            self.shape[0],
            *((n - k) // s + 1 for n, k, s in zip(self.shape[1:], size, strides, strict=True)),
        )
        self.scale = self.scale if kind == "MaxPool" else 0.0
        return self.net.node(kind, x, kernel_shape=size, strides=strides)
