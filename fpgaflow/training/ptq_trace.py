"""What comes before Brevitas quantises a float module: put in order, every layer known, or refused by name."""

from __future__ import annotations

import copy
import operator
from collections import Counter

import torch
from brevitas.fx import symbolic_trace
from brevitas.graph.base import FnToModule
from brevitas.graph.quantize import preprocess_for_quantize
from brevitas.nn.mixin.base import QuantLayerMixin
from torch import Tensor, fx, nn

from fpgaflow.errors import BadInput, Problem, UnsupportedModel
from fpgaflow.training.quantisers import WEIGHTED

_EQUALIZE_ITERATIONS = 20

AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_MODULES = (
    *WEIGHTED,
    *AVERAGES,
    *(nn.ReLU, nn.BatchNorm1d, nn.BatchNorm2d, nn.MaxPool1d, nn.MaxPool2d),
)
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)  # in eval mode
_FUNCTIONS = (torch.flatten, torch.reshape, torch.cat, torch.add, operator.add, operator.iadd)
_METHODS = ("flatten", "reshape", "view", "size", "add", "add_", "contiguous")
_SHAPES = (getattr, operator.getitem)  # x.shape[0]


def prepared(model: nn.Module, x: Tensor, *, equalize: bool) -> fx.GraphModule:
    """The model as a graph with batch norms merged and scales equalised across layers if wished.

    The graph is looked at as the user wrote it, before Brevitas changes it: a refusal names the user's own layers.
    """
    if any(isinstance(module, QuantLayerMixin) for module in model.modules()):
        raise BadInput("the model", "has Brevitas layers already", "Give the float model")
    try:
        plain = symbolic_trace(copy.deepcopy(model).eval())
        plain = FnToModule(torch.relu, nn.ReLU).apply(plain)
        traced = _simplified(preprocess_for_quantize(plain, equalize_iters=0))
    except Exception as error:  # torch.fx and the user's code raise whatever they meet
        raise BadInput(
            "the model", f"torch.fx cannot trace it: {error}", "No control flow may depend on data"
        ) from None
    modules = dict(traced.named_modules())
    problems = [problem for node in traced.graph.nodes if (problem := _problem(node, modules)) is not None]
    calls = Counter(str(node.target) for node in traced.graph.nodes if node.op == "call_module")
    problems += [
        Problem(f"layer '{name}'", f"is called {count} times", "Give each call a layer of its own")
        for name, count in calls.items()
        if count > 1 and isinstance(modules[name], WEIGHTED)
    ]
    if problems:
        raise UnsupportedModel(problems)
    before, after = model(x[:1]), traced(x[:1])
    if after.shape != before.shape:
        raise BadInput("the model", "torch.fx traces something else", "No control flow may depend on data")
    return preprocess_for_quantize(traced, trace_model=False, equalize_iters=_EQUALIZE_ITERATIONS * equalize)


def _simplified(traced: fx.GraphModule) -> fx.GraphModule:
    """Brevitas knows that torch.flatten keeps a tensor quantised; of nn.Flatten and x.view(len(x), -1) it does not."""
    modules = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        viewed = node.op == "call_method" and node.target in ("view", "reshape") and node.args[2:] == (-1,)
        if isinstance(module, nn.Flatten) or viewed:
            ends = (module.start_dim, module.end_dim) if isinstance(module, nn.Flatten) else (1, -1)
            with traced.graph.inserting_before(node):
                flat = traced.graph.call_function(torch.flatten, (node.args[0], *ends))
            node.replace_all_uses_with(flat)
        elif isinstance(module, _NOTHING):
            node.replace_all_uses_with(node.all_input_nodes[0])
        else:
            continue
        traced.graph.erase_node(node)
    traced.graph.eliminate_dead_code()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _problem(node: fx.Node, modules: dict[str, nn.Module]) -> Problem | None:
    match node.op:
        case "call_module":
            module = modules[str(node.target)]
            known, what = isinstance(module, _MODULES), type(module).__name__
            if isinstance(module, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d):
                known = module.output_size in (1, (1,), (1, 1))
            where = f"layer '{node.target}' ({what})"
        case "call_function":
            known, where = node.target in (*_FUNCTIONS, *_SHAPES), f"function '{getattr(node.target, '__name__', '')}'"
        case "call_method":
            known, where = node.target in _METHODS, f"method '{node.target}' of a tensor"
        case "get_attr":
            known, where = False, f"tensor '{node.target}'"
        case _:
            return None
    return None if known else Problem(where, "has no quantised form here", _ADVICE.get(where.split("(")[-1], _CARRIED))


_CARRIED = (
    "Carried are Linear, Conv1d, Conv2d, ReLU, BatchNorm, MaxPool, AvgPool, global average pool, Flatten, additions "
    "and concatenation; for others train with Brevitas' own layers"
)
_ADVICE = {
    "Softmax)": "Leave it out: the largest logit is the largest probability",
    "LogSoftmax)": "Leave it out: the largest logit is the largest probability",
    "Sigmoid)": "Leave a last sigmoid out and compare the logit with 0; inside of the model use ReLU",
}
