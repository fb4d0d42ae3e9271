"""Softmax where it is exact: as the order of its entries, or of two entries; all else is refused by name."""

from __future__ import annotations

import pytest

from fpgaflow.errors import UnsupportedModel
from tests.frontend.test_operators import PENDING, normal, source
from tests.models import Net, assert_conforms, graph_of


@pytest.mark.parametrize("softmax", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize("size", [2, 5])
def test_the_largest_probability_is_the_largest_logit(softmax: str, pending: str, size: int) -> None:
    net = Net(size, 4)
    y = net.node(softmax, source(net, size, 4, pending=pending), axis=1)
    assert_conforms(net.model(net.node("ArgMax", y, axis=1, keepdims=0)))


def test_of_one_axis_below_opset_13() -> None:
    net = Net(5)
    y = net.node("ArgMax", net.node("Softmax", source(net, 5)), axis=1)
    graph_of(net.model(y, opset=11))
    net = Net(5, 4)
    y = net.node("ArgMax", net.node("Softmax", source(net, 5, 4)), axis=1)
    with pytest.raises(UnsupportedModel, match="normalises over axes 1 to 2 at once"):
        graph_of(net.model(y, opset=11))


@pytest.mark.parametrize("pending", PENDING)
@pytest.mark.parametrize("axis", [1, 2])
def test_two_entries_and_a_quantiser(pending: str, axis: int) -> None:
    net = Net(*((2, 3) if axis == 1 else (3, 2)))
    y = net.node("Softmax", source(net, *((2, 3) if axis == 1 else (3, 2)), pending=pending), axis=axis)
    assert_conforms(net.model(net.quant(y, 0.0625, 5, signed=0)))


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("pending", PENDING)
def test_hardmax(axis: int, pending: str) -> None:
    net = Net(5, 4)
    y = net.node("Hardmax", source(net, 5, 4, pending=pending), axis=axis)
    weights = net.quant(normal(1, 4, 2), 0.25, 3)
    assert_conforms(net.model(y, net.node("MatMul", y, weights)))


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("reader", ["the host", "a quantiser", "ArgMin", "the host and ArgMax"])
def test_what_is_refused(kind: str, reader: str) -> None:
    net = Net(5, 4)
    y = net.node(kind, source(net, 5, 4), axis=-1)
    match reader:
        case "a quantiser":
            outputs = [net.quant(y, 0.1, 4)]
        case "ArgMin":  # in float32 the small ones are all 0
            outputs = [net.node("ArgMin", y, axis=-1)]
        case "the host and ArgMax":
            outputs = [y, net.node("ArgMax", y, axis=-1)]
        case _:
            outputs = [y]
    with pytest.raises(UnsupportedModel) as caught:
        graph_of(net.model(*outputs))
    (problem,) = caught.value.problems
    assert problem.where == f"node 'n.{y}' ({kind})" and problem.found == "its values are no fixed-point numbers"
    assert "the largest logit is the largest probability" in problem.fix


def test_the_largest_of_another_axis_is_refused() -> None:
    net = Net(5, 4)
    y = net.node("ArgMax", net.node("Softmax", source(net, 5, 4), axis=-1), axis=1)
    with pytest.raises(UnsupportedModel, match=r"\(ArgMax\): compares across a softmax of another axis"):
        graph_of(net.model(y))


def test_before_a_quantiser_it_is_refused() -> None:
    net = Net(5)
    with pytest.raises(UnsupportedModel, match="Quantise the input first"):
        graph_of(net.model(net.node("ArgMax", net.node("Softmax", "x", axis=1), axis=1)))
