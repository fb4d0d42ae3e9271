"""Where two graphs in normal form differ."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from fpgaflow.ir.graph import Graph, constant_names
from fpgaflow.ir.ops import Op


def difference(asked: Graph, made: Graph) -> tuple[str, str] | None:
    """The first place where two normal forms differ, as (where in `made`, what differs); None where they are equal.

    Names and the order of independent ops do not count.
    """
    if (ports := _ports(asked)) != (other := _ports(made)):
        return "the model's inputs and outputs", f"asked {ports}, made {other}"
    left, right = _canonical(asked), _canonical(made)
    for (mine, op), (theirs, other_op) in zip(left, right, strict=False):
        for key in dict.fromkeys((*mine, *theirs)):
            if mine.get(key) != theirs.get(key):
                return other_op.node, f"{key} of '{op.name}': asked {mine.get(key)}, made {theirs.get(key)}"
    if len(left) != len(right):
        extra = (left + right)[min(len(left), len(right))][1]
        return (
            extra.node,
            f"{len(left)} operations asked, {len(right)} made; the first too few or too many: {extra.name}",
        )
    return None


def _ports(graph: Graph) -> list[str]:
    names = [port.tensor for port in graph.inputs] + [port.tensor for port in graph.outputs]
    return [f"{graph.type_of(name)}{list(graph.tensors[name].shape)}" for name in names]


def _canonical(graph: Graph) -> list[tuple[dict[str, str], Op]]:
    """Each op as {field: text}, in the order in which the outputs need them, with tensors numbered in that order."""
    numbers = {port.tensor: f"input {i}" for i, port in enumerate(graph.inputs)}
    result: list[tuple[dict[str, str], Op]] = []

    wanted = [port.tensor for port in reversed(graph.outputs)]
    while wanted:
        if wanted[-1] in numbers:
            wanted.pop()
            continue
        op = graph.producers[wanted[-1]]
        if missing := [name for name in op.inputs if name not in numbers]:
            wanted.append(missing[0])
            continue
        numbers[wanted.pop()] = f"value {len(result)}"
        result.append((_described(op, graph, numbers), op))
    return result


def _described(op: Op, graph: Graph, numbers: Mapping[str, str]) -> dict[str, str]:
    skipped = {"name", "node", "inputs", "output"}
    values = {key: str(value) for key, value in vars(op).items() if key not in skipped}
    arrays = {key: graph.constants[name] for key, name in vars(op).items() if name in constant_names(op)}
    described = {key: f"{a.shape} with SHA-256 {sha256(a.tobytes()).hexdigest()[:16]}" for key, a in arrays.items()}
    output = graph.tensors[op.output]
    return {
        "kind": type(op).__name__,
        "inputs": ", ".join(numbers[name] for name in op.inputs),
        "shape": str(output.shape),
        "type": str(output.type),
        **(values | described),
    }
