"""Float networks, the bundled ones and a user's own, as torch.fx graphs; batch norms folded into the layers before."""

from __future__ import annotations

import copy
import operator
from enum import Enum, auto
from typing import Any

import torch
from brevitas.nn.mixin.base import QuantLayerMixin
from torch import fx, nn
from torch.nn import functional

from fpgaflow.errors import BadInput, Problem, UnsupportedModel

_PASSING = (nn.MaxPool1d, nn.MaxPool2d, nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
_PASSING_FUNCTIONS = (torch.flatten, torch.reshape, torch.cat, functional.max_pool1d, functional.max_pool2d)
_PASSING_METHODS = ("flatten", "reshape", "view", "contiguous")
_SUMS = (operator.add, operator.iadd, torch.add)
_RELUS = (torch.relu, functional.relu)
_SHAPES = (getattr, operator.getitem)  # x.shape[0]


class Kind(Enum):
    """What a node of the graph is to a quantised network."""

    START = auto()
    WEIGHTED = auto()  # a wide accumulator
    NORM = auto()
    RELU = auto()  # a quantiser
    AVERAGE = auto()  # wider than what comes in: a quantiser follows
    SUM = auto()  # wide
    PASSING = auto()  # values of what comes in, as they are
    SHAPE = auto()  # no tensor
    END = auto()


def traced(model: nn.Module) -> fx.GraphModule:
    """The float network as a graph, every ReLU a module of its own; `model` is left as it is.

    Raises:
        UnsupportedModel: names every layer, function and method that has no quantised form here.
        BadInput: torch.fx cannot trace it, or it is quantised already.
    """
    if any(isinstance(module, QuantLayerMixin) for module in model.modules()):
        raise BadInput("the model", "has Brevitas layers already", "Give the float model, or export it as it is.")
    copied = copy.deepcopy(model)
    try:
        net = fx.GraphModule(copied, fx.Tracer().trace(copied))
    except Exception as error:  # torch.fx and the user's code raise whatever they meet
        raise BadInput(
            "the model", f"torch.fx cannot trace it: {error}", "No control flow may depend on data."
        ) from None
    _own_relus(net)
    modules = dict(net.named_modules())
    problems = [problem for node in net.graph.nodes if (problem := _problem(node, modules)) is not None]
    if problems:
        raise UnsupportedModel(problems)
    net.delete_all_unused_submodules()
    net.recompile()
    return net


def _own_relus(net: fx.GraphModule) -> None:
    """Each quantiser has a scale of its own, so each call of a ReLU gets a module, called functions and methods too."""
    modules, seen = dict(net.named_modules()), set()
    for node in list(net.graph.nodes):
        function = node.op == "call_function" and node.target in _RELUS
        method = node.op == "call_method" and node.target in ("relu", "relu_")
        module = node.op == "call_module" and isinstance(modules[node.target], nn.ReLU)
        if not (function or method or module):
            continue
        if module and node.target not in seen:
            seen.add(node.target)
            continue
        with net.graph.inserting_after(node):
            name = fresh(net, str(node.target) if module else node.name)
            net.add_submodule(name, nn.ReLU())
            node.replace_all_uses_with(net.graph.call_module(name, (node.args[0],)))
        net.graph.erase_node(node)


def fresh(net: nn.Module, name: str) -> str:
    """`name`, numbered if the network has it already."""
    taken, number, found = dict(net.named_modules()), 1, name
    while found in taken or hasattr(net, found):
        number += 1
        found = f"{name}_{number}"
    return found


def kind_of(node: fx.Node, modules: dict[str, nn.Module]) -> Kind | None:
    """None: it has no quantised form here."""
    if node.op in ("placeholder", "output"):
        return Kind.START if node.op == "placeholder" else Kind.END
    if node.op == "call_module":
        return _module_kind(modules[str(node.target)])
    if node.op == "call_function":
        kinds = ((_SUMS, Kind.SUM), (_PASSING_FUNCTIONS, Kind.PASSING), (_SHAPES, Kind.SHAPE))
        return next((kind for functions, kind in kinds if node.target in functions), None)
    if node.op == "call_method":
        methods = ((("add", "add_"), Kind.SUM), (_PASSING_METHODS, Kind.PASSING), (("size",), Kind.SHAPE))
        return next((kind for names, kind in methods if node.target in names), None)
    return None


def _module_kind(module: nn.Module) -> Kind | None:
    match module:
        case nn.Conv1d() | nn.Conv2d():
            return Kind.WEIGHTED if module.padding_mode == "zeros" and not isinstance(module.padding, str) else None
        case nn.Linear():
            return Kind.WEIGHTED
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return Kind.NORM if module.track_running_stats else None
        case nn.AdaptiveAvgPool1d() | nn.AdaptiveAvgPool2d():
            return Kind.AVERAGE if module.output_size in (1, (1,), (1, 1)) else None
        case nn.AvgPool1d() | nn.AvgPool2d():
            return Kind.AVERAGE
        case nn.ReLU():
            return Kind.RELU
        case _ if isinstance(module, _PASSING):
            return Kind.PASSING
    return None


def _problem(node: fx.Node, modules: dict[str, nn.Module]) -> Problem | None:
    kind = kind_of(node, modules)
    if kind in (Kind.WEIGHTED, Kind.NORM):
        where = f"layer '{node.target}' ({type(modules[str(node.target)]).__name__})"
        calls = [other for other in node.graph.nodes if other.op == "call_module" and other.target == node.target]
        if len(calls) > 1 and calls[0] is node:
            return Problem(where, f"is called {len(calls)} times", "Give each call a layer of its own.")
        source = node.args[0]
        if kind is Kind.NORM and not (
            isinstance(source, fx.Node) and kind_of(source, modules) is Kind.WEIGHTED and len(source.users) == 1
        ):
            fix = "Put it right behind a Linear or convolution whose result nothing else reads."
            return Problem(where, "has no layer before it that it could be folded into", fix)
        return None
    if kind is not None:
        return None
    if node.op == "call_module":
        name = type(modules[str(node.target)]).__name__
        return Problem(f"layer '{node.target}' ({name})", "has no quantised form here", _ADVICE.get(name, _CARRIED))
    where = {
        "call_function": f"function '{getattr(node.target, '__name__', node.target)}'",
        "call_method": f"method '{node.target}' of a tensor",
    }.get(node.op, f"tensor '{node.target}'")
    return Problem(where, "has no quantised form here", _CARRIED)


_CARRIED = (
    "Carried are Linear, Conv1d, Conv2d (zero padding by number), BatchNorm behind them, ReLU, MaxPool, AvgPool, "
    "global average pool, Flatten, Dropout, additions and concatenation."
)
_LAST = "Leave it out: the largest logit is the largest probability."
_ADVICE = {"Softmax": _LAST, "LogSoftmax": _LAST}


def fold_batch_norm(net: fx.GraphModule) -> fx.GraphModule:
    """The same network without batch norm: every norm is merged into the layer before it; `net` is left as it is.

    Exact up to one rounding to float32 per parameter: w' = w·g, b' = (b - mean)·g + beta, g = gamma / sqrt(var + eps),
    all in float64 (Jacob et al., 2018, equation 14).
    """
    made = copy.deepcopy(net)
    modules = dict(made.named_modules())
    for node in list(made.graph.nodes):
        if kind_of(node, modules) is not Kind.NORM:
            continue
        source = node.args[0]
        _fold_into(modules[str(source.target)], modules[str(node.target)])
        node.replace_all_uses_with(source)
        made.graph.erase_node(node)
    made.delete_all_unused_submodules()
    made.recompile()
    return made


def _fold_into(layer: Any, norm: Any) -> None:
    with torch.no_grad():
        deviation = torch.sqrt(norm.running_var.double() + norm.eps)
        gain = (torch.ones_like(deviation) if norm.weight is None else norm.weight.double()) / deviation
        before = torch.zeros_like(deviation) if layer.bias is None else layer.bias.double()
        bias = (before - norm.running_mean.double()) * gain
        bias = bias if norm.bias is None else bias + norm.bias.double()
        layer.weight.copy_((layer.weight.double() * gain.view(-1, *[1] * (layer.weight.dim() - 1))).float())
        layer.bias = nn.Parameter(bias.float())
