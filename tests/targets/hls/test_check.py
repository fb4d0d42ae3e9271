"""What hls4ml cannot carry is refused by name, before any work; what it can is not."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from fpgaflow.ir.ops import PoolKind
from fpgaflow.ir.ops_table import OneHotMax
from fpgaflow.ir.types import FixedType
from fpgaflow.targets.hls.check import check, legal_reuse
from fpgaflow.targets.hls.layers import HlsOptions, IOType, Strategy
from tests.graphs import one_op
from tests.targets.hls.hls_graphs import S6, U4, Net, lenet

PART = "xc7z020clg400-1"
PARALLEL, STREAM = HlsOptions(PART, IOType.PARALLEL), HlsOptions(PART, IOType.STREAM)


def folded(io_type: IOType, reuse: int) -> HlsOptions:
    return HlsOptions(PART, io_type, Strategy.RESOURCE, reuse_factor=reuse)


def image(net: Net) -> str:
    return net.input((4, 6, 2), S6)


def eight_readers(net: Net) -> str:
    x = net.dense(net.input((3,), S6), 2)
    for _ in range(7):
        net.output(net.dense(x, 2))
    return x


def flat_sum(net: Net) -> str:
    return net.dense(net.add(net.reshape(image(net), (48,)), net.input((48,), S6)), 2)


REFUSED: dict[str, tuple[Callable[[Net], str], HlsOptions, str]] = {
    "reuse factor": (
        lambda n: n.dense(n.input((4,), S6), 4),
        folded(IOType.STREAM, 3),
        "Dense 'dense0'.*reuse factor 3",
    ),
    "conv reuse": (lambda n: n.conv(image(n), 4, (3, 3)), folded(IOType.PARALLEL, 36), "Conv 'conv0'.*above the 18"),
    "dense reuse": (lambda n: n.dense(image(n), 4), folded(IOType.PARALLEL, 4), "Dense 'dense0'.*above the 2"),
    "vertical stride": (
        lambda n: n.conv(image(n), 2, (1, 3), strides=(2, 1)),
        STREAM,
        "Conv 'conv0'.*vertical stride",
    ),
    "pool strides": (
        lambda n: n.pool(image(n), PoolKind.MAX, (2, 2), strides=(1, 1)),
        STREAM,
        "Pool 'pool0'.*side by side",
    ),
    "flat sum": (flat_sum, STREAM, "Add 'add1'.*flattened"),
    "repacking": (
        lambda n: n.dense(n.reshape(n.input((2, 6), S6), (3, 4)), 2),
        STREAM,
        r"Reshape 'reshape0'.*\(2, 6\) to \(3, 4\)",
    ),
    "dropped transpose": (
        lambda n: n.dense(n.transpose(n.input((1, 3, 4), S6), (0, 2, 1)), 2),
        PARALLEL,
        "Transpose 'transpose0'.*drops it",
    ),
    "four axes": (lambda n: n.dense(n.input((2, 3, 2, 2), S6), 2), PARALLEL, "Dense 'dense0'.*three axes"),
    "eight readers": (eight_readers, STREAM, "Dense 'dense0'.*8 readers"),
    "wide weights": (
        lambda n: n.dense(n.input((2,), S6), 2, wt=FixedType(True, 54, 0)),
        PARALLEL,
        "weights of 54 bits",
    ),
    "no levels": (lambda n: n.threshold(image(n), np.zeros((1, 0), dtype=np.int64), U4), PARALLEL, "no thresholds"),
    "wide thresholds": (
        lambda n: n.threshold(image(n), np.array([[-(1 << 60), 1 << 60]]), U4),
        PARALLEL,
        "thresholds of more than 53 bits",
    ),
    "output is an input": (lambda n: n.reshape(image(n), (48,)), PARALLEL, "model port 'y0'.*is an input"),
    "unread input": (lambda n: n.dense((image(n), n.input((2,), S6))[1], 2), STREAM, "model port 'x0'.*nothing reads"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_op_and_the_reason(name: str) -> None:
    make, options, expected = REFUSED[name]
    net = Net()
    net.output(make(net))
    problems = check(net.graph(), options)
    assert len(problems) == 1
    assert re.search(expected, str(problems[0])), str(problems[0])
    assert problems[0].fix


OTHERWISE: dict[str, HlsOptions] = {
    "conv reuse": folded(IOType.STREAM, 36),
    "dense reuse": folded(IOType.STREAM, 4),
    "vertical stride": PARALLEL,
    "pool strides": PARALLEL,
    "flat sum": PARALLEL,
    "repacking": PARALLEL,
    "dropped transpose": STREAM,
    "eight readers": PARALLEL,
    "unread input": PARALLEL,
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_the_same_model_passes_where_hls4ml_gets_it_right(name: str) -> None:
    net = Net()
    net.output(REFUSED[name][0](net))
    assert check(net.graph(), OTHERWISE[name]) == ()


def test_two_outputs_with_the_same_elements() -> None:
    net = Net()
    x = net.dense(image(net), 3)
    net.output(x)
    net.output(net.reshape(x, (72,)))
    (problem,) = check(net.graph(), PARALLEL)
    assert "same elements as output 'y0'" in str(problem)


def test_depthwise_layers_of_both_ranks() -> None:
    net = Net()
    net.output(net.conv(image(net), 2, (2, 2), groups=2))
    net.output(net.pool(net.input((6, 2), S6), PoolKind.SUM, (3,)))
    (problem,) = check(net.graph(), PARALLEL)
    assert problem.where == "Conv 'pool1'" and "exclude each other" in problem.found


def test_reuse_factors_of_unknown_ops() -> None:
    net = lenet(PoolKind.MAX)
    (problem,) = check(net.graph(), HlsOptions(PART, reuse_factors={"fc9": 2}))
    assert problem.where == "reuse factor of 'fc9'"


def test_all_problems_are_reported_at_once() -> None:
    net = Net()
    net.output(net.pool(image(net), PoolKind.MAX, (2, 2), strides=(1, 1)))
    net.output(net.conv(image(net), 2, (1, 3), strides=(2, 1)))
    assert len(check(net.graph(), STREAM)) == 2


@pytest.mark.parametrize(("n_in", "n_out"), [(8, 6), (18, 4), (7, 5), (1, 3), (12, 1), (25, 6)])
def test_legal_reuse_factors_are_hls4mls(n_in: int, n_out: int) -> None:
    from hls4ml.backends import get_backend

    assert legal_reuse(n_in, n_out) == get_backend("Vitis").get_valid_reuse_factors(n_in, n_out)


def test_ops_that_can_only_be_simulated() -> None:
    op = OneHotMax("op", ("x",), "y", "node")
    graph = one_op(op, FixedType(True, 4, 0), (3,), FixedType(False, 1, 0), (3,))
    assert [str(problem) for problem in check(graph, PARALLEL)] == [
        "OneHotMax 'op' (node 'node'): no HLS layer computes this op. "
        "Leave it out of the firmware: it can be simulated only"
    ]
