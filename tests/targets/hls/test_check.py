"""What hls4ml cannot carry is refused by name, before any work; what it can is not."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from fpgaflow.ir.ops import PoolKind
from fpgaflow.ir.ops_table import Lookup
from fpgaflow.ir.types import FixedType, Rounding
from fpgaflow.targets.hls.check import check, legal_reuse
from fpgaflow.targets.hls.layers import HlsOptions, IOType, Strategy
from tests.targets.hls.hls_graphs import S6, U4, Net, lenet

PART = "xc7z020clg400-1"
PARALLEL, STREAM = HlsOptions(PART, IOType.PARALLEL), HlsOptions(PART, IOType.STREAM)


def folded(io_type: IOType, reuse: int) -> HlsOptions:
    return HlsOptions(PART, io_type, Strategy.RESOURCE, reuse_factor=reuse)


def image(net: Net) -> str:
    return net.input((4, 6, 2), S6)


REFUSED: dict[str, tuple[Callable[[Net], str], HlsOptions, str]] = {
    "reuse factor": (
        lambda n: n.dense(n.input((4,), S6), 4),
        folded(IOType.STREAM, 3),
        "Dense 'dense0'.*reuse factor 3",
    ),
    "conv reuse": (lambda n: n.conv(image(n), 4, (3, 3)), folded(IOType.PARALLEL, 36), "Conv 'conv0'.*above the 18"),
    "dense reuse": (lambda n: n.dense(image(n), 4), folded(IOType.PARALLEL, 4), "Dense 'dense0'.*above the 2"),
    "wide thresholds": (
        lambda n: n.threshold(n.input((2,), FixedType(True, 60, 0)), np.array([[-(1 << 58), 1 << 58]]), U4),
        PARALLEL,
        "thresholds of more than 53 bits",
    ),
    "wide table": (
        lambda n: n.op(Lookup, [n.input((2,), U4)], (2,), FixedType(True, 60, 0), {"table": [(1 << 57) + 1] * 16}),
        PARALLEL,
        "Lookup 'lookup0'.*table of more than 53 bits",
    ),
    "rounding to nothing": (
        lambda n: n.cast(n.input((2,), FixedType(True, 5, 8)), FixedType(True, 3, 2), Rounding.RND),
        STREAM,
        r"Cast 'cast0'.*rounds fixed<5,-3> to fixed<3,1>, which is always 0",
    ),
    "wide weights": (
        lambda n: n.dense(n.input((2,), S6), 2, wt=FixedType(True, 54, 0)),
        PARALLEL,
        "weights of 54 bits",
    ),
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
    "unread input": PARALLEL,
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_the_same_model_passes_where_hls4ml_gets_it_right(name: str) -> None:
    net = Net()
    net.output(REFUSED[name][0](net))
    assert check(net.graph(), OTHERWISE[name]) == ()


def test_reuse_factors_of_unknown_ops() -> None:
    net = lenet(PoolKind.MAX)
    (problem,) = check(net.graph(), HlsOptions(PART, reuse_factors={"fc9": 2}))
    assert problem.where == "reuse factor of 'fc9'"


def test_all_problems_are_reported_at_once() -> None:
    net = Net()
    net.output(net.dense(net.input((2,), S6), 2, wt=FixedType(True, 54, 0)))
    net.output(net.conv(image(net), 2, (2, 2), wt=FixedType(True, 60, 0)))
    assert len(check(net.graph(), STREAM)) == 2


@pytest.mark.parametrize(("n_in", "n_out"), [(8, 6), (18, 4), (7, 5), (1, 3), (12, 1), (25, 6)])
def test_legal_reuse_factors_are_hls4mls(n_in: int, n_out: int) -> None:
    from hls4ml.backends import get_backend

    assert legal_reuse(n_in, n_out) == get_backend("Vitis").get_valid_reuse_factors(n_in, n_out)
