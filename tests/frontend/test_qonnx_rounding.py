"""Where float32 rounds otherwise than exact arithmetic: counted where it arises, against the rational oracle."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from onnx import ModelProto

from fpgaflow.frontend.load import load
from fpgaflow.frontend.qonnx.executor import run_qonnx
from fpgaflow.frontend.qonnx.rounding import FloatRounding, Rounded, float_rounding
from tests.frontend.test_qonnx import lenet, normal
from tests.models import Net, one_by_one

TENTH = float(np.float32(0.1))  # a little above 1/10


def ties() -> tuple[ModelProto, list[str]]:
    """Quantiser a feeds b, whose 5 × 0.1 / 0.2 is a tie in float32 and above one in truth; c reads b."""
    net = Net(4)
    a = net.quant("x", TENTH, 5)
    b = net.quant(a, float(np.float32(0.2)), 4)  # exactly twice float32's 0.1
    c = net.quant(net.node("Add", b, net.const(TENTH)), 0.3, 4)
    return net.model(c), [a, b, c]


def saved(model: ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def by_oracle(path: Path, model: ModelProto, x: np.ndarray, names: list[str], scales: list[float]) -> list[int]:
    """Values that the executor gets otherwise from what the oracle gives at the quantisers before."""
    exact = one_by_one(model, {"x": x})
    given = {name: exact[name].astype(np.float64) for name in names}
    theirs = run_qonnx(path, x, layers=True, given=given)
    return [
        int((np.rint(theirs[name] / scale) != (exact[name] / Fraction(scale)).astype(np.int64)).sum())
        for name, scale in zip(names, scales, strict=True)
    ]


def test_each_difference_counts_where_it_arises(tmp_path: Path) -> None:
    model, names = ties()
    path = saved(model, tmp_path)
    x = (np.arange(-64, 64).reshape(-1, 4) / 40).astype(np.float32)
    found = float_rounding(path, load(path), x)
    scales = [TENTH, float(np.float32(0.2)), float(np.float32(0.3))]
    expected = by_oracle(path, model, x, names, scales)
    assert sum(expected) > 0, "the case shows nothing"
    nodes = [f"node 'n.{name}' (Quant)" for name in names]
    rounded = tuple(Rounded(node, x.size, n) for node, n in zip(nodes, expected, strict=True))
    assert found == FloatRounding(len(x), rounded, ())
    assert found.values == 3 * x.size and found.different == sum(expected)


def test_powers_of_two_leave_nothing_to_tell(tmp_path: Path) -> None:
    net = Net(4)
    y = net.quant(net.node("MatMul", net.quant("x", 0.25, 4), net.quant(normal(1, 4, 3), 0.25, 3)), 0.5, 4)
    path = saved(net.model(y), tmp_path)
    x = np.random.default_rng(0).normal(0, 2, (200, 4)).astype(np.float32)
    found = float_rounding(path, load(path), x)
    assert (found.values, found.different, found.not_compared) == (1400, 0, ())


def test_constants_are_no_quantised_values(tmp_path: Path) -> None:
    path = saved(lenet().model("y"), tmp_path)
    found = float_rounding(path, load(path), np.zeros((2, 2, 8, 8), np.float32))
    assert [entry.values for entry in found.quantisers] == [2 * 2 * 64, 2 * 3 * 64, 2 * 4 * 4, 2 * 4, 2 * 5]
    assert all("(Quant)" in entry.node for entry in found.quantisers)


def test_what_has_a_scale_for_each_channel_is_named(tmp_path: Path) -> None:
    net = Net(3, 4)
    x = net.quant("x", 0.25, 4)
    y = net.quant(x, np.array([0.3, 0.5, 0.7]).reshape(1, 3, 1), 4)
    path = saved(net.model(y), tmp_path)
    found = float_rounding(path, load(path), np.zeros((2, 3, 4), np.float32))
    assert [entry.node for entry in found.quantisers] == [f"node 'n.{x}' (Quant)"]
    assert found.not_compared == (f"node 'n.{y}' (Quant)",)


def test_a_quantize_and_a_dequantize_node(tmp_path: Path) -> None:
    net = Net(3)
    scale, zero = net.const(TENTH), net.const(0, np.int8)
    y = net.node("DequantizeLinear", net.node("QuantizeLinear", "x", scale, zero), scale, zero)
    path = saved(net.model(net.node("MatMul", y, net.quant(normal(1, 3, 2), 0.25, 3))), tmp_path)
    x = (np.arange(-60, 60).reshape(-1, 3) / 20).astype(np.float32)
    found = float_rounding(path, load(path), x)
    assert [(entry.node, entry.values) for entry in found.quantisers] == [(f"node 'n.{y}' (DequantizeLinear)", x.size)]
