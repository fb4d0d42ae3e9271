"""The quantised twin of a float network, and the fit of its scales.

A twin has the names of the network that it came from, so that weights of the one load into the other.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from fpgaflow.errors import BadInput
from fpgaflow.training.bits import Bits
from fpgaflow.training.float_graph import Kind, fresh, kind_of
from fpgaflow.training.quantisers import (
    PowerOfTwoQuant,
    quantised_identity,
    quantised_relu,
    quantised_twin,
    quantiser_of,
)
from fpgaflow.training.schema import suggest

INPUT = "input"


@dataclass(frozen=True)
class _Values:
    """Of a node in the quantised graph: on a quantiser's grid (narrow) or wider, and whether negatives can occur."""

    narrow: bool
    signed: bool


def quantised(net: fx.GraphModule, bits: Bits, *, signed_input: bool) -> fx.GraphModule:
    """The quantised twin of a float network without batch norm; `fit_scales` sets its scales.

    Weights and biases are quantised, the input, what ReLUs and averages give, and what else enters a layer.

    Raises:
        BadInput: `bits.layers` names what is not there.
    """
    return _Quantisation(copy.deepcopy(net), bits, signed_input).run()


class _Quantisation:
    def __init__(self, net: fx.GraphModule, bits: Bits, signed_input: bool) -> None:
        self.net, self.bits, self.signed_input = net, bits, signed_input
        self.modules = dict(net.named_modules())
        self.values: dict[fx.Node, _Values] = {}
        self.inserted: dict[fx.Node, fx.Node] = {}
        self.named: list[str] = []  # what `bits.layers` may name

    def run(self) -> fx.GraphModule:
        for node in list(self.net.graph.nodes):
            self._visit(node)
        for name in self.bits.layers:
            if name not in self.named:
                raise BadInput(f"train.layer_bits.{name}", "is no layer", suggest(name, self.named, "Layers"))
        self.net.delete_all_unused_submodules()
        self.net.recompile()
        return self.net

    def _visit(self, node: fx.Node) -> None:
        kind = kind_of(node, self.modules)
        sources = [self.values[source] for source in node.all_input_nodes if source in self.values]
        signed = any(source.signed for source in sources)
        match kind:
            case Kind.START:
                self._replace_uses(node, INPUT, self.signed_input, self.bits.input)
            case Kind.WEIGHTED:
                source = node.args[0]
                assert isinstance(source, fx.Node)
                if not self.values[source].narrow:
                    node.replace_input_with(source, self._narrowed(source))
                name = str(node.target)
                made = quantised_twin(self.modules[name], self._width(name, self.bits.weight))
                self.net.add_submodule(name, made)
                self.values[node] = _Values(narrow=False, signed=True)
            case Kind.RELU:
                name = str(node.target)
                self.net.add_submodule(name, quantised_relu(self._width(name, self.bits.activation)))
                self.values[node] = _Values(narrow=True, signed=False)
            case Kind.AVERAGE:
                self._replace_uses(node, f"{node.target}_quant", signed, self.bits.activation)
            case Kind.SUM:
                self.values[node] = _Values(narrow=False, signed=signed)
            case Kind.PASSING:
                self.values[node] = _Values(all(source.narrow for source in sources), signed)

    def _width(self, name: str, usual: int) -> int:
        self.named.append(name)
        return self.bits.layers.get(name, usual)

    def _narrowed(self, source: fx.Node) -> fx.Node:
        """A quantiser of what `source` gives, the same for all layers that read it."""
        if source not in self.inserted:
            name = f"{source.target if source.op == 'call_module' else source.name}_quant"
            self.inserted[source] = self._insert(source, name, self.values[source].signed, self.bits.activation)
        return self.inserted[source]

    def _replace_uses(self, node: fx.Node, name: str, signed: bool, width: int) -> None:
        users = list(node.users)
        made = self._insert(node, name, signed, width)
        for user in users:
            user.replace_input_with(node, made)

    def _insert(self, node: fx.Node, name: str, signed: bool, width: int) -> fx.Node:
        name = fresh(self.net, name)
        self.net.add_submodule(name, quantised_identity(self._width(name, width), signed=signed))
        with self.net.graph.inserting_after(node):
            made = self.net.graph.call_module(name, (node,))
        self.values[made] = _Values(narrow=True, signed=signed)
        return made


def fit_scales(net: fx.GraphModule, x: Tensor) -> None:
    """Sets every scale of a quantised network in one pass of `x` (N, ...): each quantiser fits what reaches it.

    A bias takes the scale of its accumulator, input scale × weight scale, so that it is added with no rounding; of
    concatenated inputs the finest counts.
    """
    modules = dict(net.named_modules())

    def fit_activation(quantiser: PowerOfTwoQuant, args: tuple[Tensor]) -> None:
        quantiser.fit(args[0])

    def fit_layer(sources: list[str], layer: Any, args: tuple[Tensor]) -> None:
        weight = layer.weight_quant.tensor_quant
        weight.fit(layer.weight)
        if layer.bias is not None:
            finest = min(float(quantiser_of(modules[source]).scale) for source in sources)
            layer.bias_quant.tensor_quant.scale.copy_(weight.scale * finest)

    with ExitStack() as stack, torch.no_grad():
        for node in net.graph.nodes:
            module = modules[node.target] if node.op == "call_module" else None
            if module is not None and hasattr(module, "weight_quant"):
                hook = partial(fit_layer, list(_feeding(node.args[0], modules)))
                stack.callback(module.register_forward_pre_hook(hook).remove)
            elif module is not None and hasattr(module, "act_quant"):
                stack.callback(quantiser_of(module).register_forward_pre_hook(fit_activation).remove)
        net(x)


def _feeding(node: Any, modules: dict[str, nn.Module]) -> Iterator[str]:
    """The quantisers whose values reach `node` as they are."""
    if node.op == "call_module" and hasattr(modules[node.target], "act_quant"):
        yield node.target
        return
    for source in node.all_input_nodes:
        yield from _feeding(source, modules)
