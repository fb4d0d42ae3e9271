"""Random chains of operators with random scales: every bit as the oracle has it, or refused for their widths."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fpgaflow.errors import UnsupportedModel
from tests.models import Net, assert_conforms, graph_of

# What random scales may run into; everything else has to be carried.
LIMITS = re.compile(
    "common grid leaves|no common unit|on one grid|more than 64 bits|two different axes meet|function that"
    "|another axis than|beside the scale|no multiplication|a function whose value"
)
MODES = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
INPUT_MODES = ("ROUND", "FLOOR", "DOWN", "HALF_UP", "HALF_DOWN")
UNARY = ("Relu", "LeakyRelu", "Abs", "Neg", "HardSigmoid", "HardSwish", "Clip", "Sigmoid", "Tanh", "Elu")
MOVES = ("Pad", "Slice", "Resize", "MaxPool", "AveragePool", "ReduceMean", "DepthToSpace", "Transpose", "Flip")
JOINS = ("Add", "Sub", "Mul", "Max", "Concat")


class _Chain:
    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.shape = [draw(st.sampled_from([2, 4])), draw(st.integers(2, 4)), draw(st.integers(2, 4))]
        self.net = Net(*self.shape)

    def pick(self, *options: object) -> object:
        return self.draw(st.sampled_from(options))

    def scale(self) -> float:
        return float(self.pick(0.25, 0.3, 0.0625, 0.7, 1 / 3, 1.5, float(np.float32(self.random.uniform(0.05, 2)))))

    def quant(self, x: str, modes: tuple[str, ...] = MODES) -> str:
        bits, signed = self.draw(st.integers(2, 6)), self.draw(st.booleans())
        return self.net.quant(x, self.scale(), bits, signed=signed, mode=str(self.pick(*modes)))

    def step(self, x: str) -> str:
        kind = str(self.pick(*UNARY, *MOVES, *JOINS, "Channels", "Conv"))
        if kind in UNARY:
            bounds = [self.net.const(-0.7), self.net.const(1.1)] if kind == "Clip" else []
            return self.net.node(kind, x, *bounds)
        if kind in JOINS:
            return self.join(kind, x)
        if kind == "Channels":
            along = self.random.choice([1.0, -0.5, 0.25, 0.3, 2.0, 0.0], (self.shape[0], 1, 1))
            return self.net.node("Add", self.net.node("Mul", x, self.net.const(along)), self.net.const(along / 2))
        if kind == "Conv":
            filters = int(self.pick(2, 4))
            weights = self.net.quant(self.random.normal(size=(filters, self.shape[0], 1, 1)), self.scale(), 3)
            self.shape[0] = filters
            return self.net.node("Conv", self.quant(x), weights, self.net.const(self.random.normal(size=filters)))
        return self.move(kind, x)

    def join(self, kind: str, x: str) -> str:
        other = self.quant(self.net.node("Neg", x)) if self.draw(st.booleans()) else self.quant(x)
        if kind == "Concat":
            axis = self.draw(st.integers(0, 2))
            self.shape[axis] *= 2
            return self.net.node("Concat", x, other, axis=axis + 1)
        return self.net.node(kind, *self.draw(st.permutations([x, other])))

    def move(self, kind: str, x: str) -> str:
        net = self.net
        if kind == "Pad":
            self.shape[1] += 1
            self.shape[2] += 1
            pads = net.const([0, 0, 1, 0, 0, 0, 0, 1], np.int64)
            return net.node("Pad", x, pads, mode=str(self.pick("constant", "edge")))
        if kind == "Slice":
            axis = self.draw(st.integers(0, 2))
            self.shape[axis] = (self.shape[axis] + 1) // 2
            return net.node("Slice", x, *(net.const([n], np.int64) for n in (0, 99, axis + 1, 2)))
        if kind == "Flip":
            axis = self.draw(st.integers(0, 2))
            return net.node("Slice", x, *(net.const([n], np.int64) for n in (-1, -99, axis + 1, -1)))
        if kind == "Resize":
            self.shape[1] *= 2
            return net.node("Resize", x, "", net.const([1, 1, 2, 1]))
        if kind == "ReduceMean":
            self.shape[2] = 1
            return net.node("ReduceMean", x, axes=[3])
        if kind == "DepthToSpace" and self.shape[0] == 4:
            self.shape = [1, self.shape[1] * 2, self.shape[2] * 2]
            return net.node("DepthToSpace", x, blocksize=2)
        if kind == "Transpose":
            self.shape = [self.shape[0], self.shape[2], self.shape[1]]
            return net.node("Transpose", x, perm=[0, 1, 3, 2])
        if kind.endswith("Pool"):
            return net.node(kind, x, kernel_shape=[2, 2], pads=[1, 0, 0, 1])
        return x


@given(st.data())
@settings(max_examples=120)
def test_random_chains(data: st.DataObject) -> None:
    chain = _Chain(data.draw)
    x = chain.quant("x", INPUT_MODES)
    outputs = []
    for _ in range(data.draw(st.integers(1, 4))):
        for _ in range(data.draw(st.integers(1, 2))):
            x = chain.step(x)
        x = chain.quant(x)
        outputs.append(x)
    model = chain.net.model(*dict.fromkeys(outputs))
    random = np.random.default_rng(7)
    first = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    feeds = {"x": (random.integers(-24, 25, (3, *first)) / 16).astype(np.float32)}
    try:
        graph_of(model)
    except UnsupportedModel as refusal:
        assert all(LIMITS.search(problem.found) for problem in refusal.problems), refusal
        assume(False)
    assert_conforms(model, feeds)
