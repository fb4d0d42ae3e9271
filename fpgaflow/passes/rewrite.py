"""What passes share: replacing ops, dropping what nothing reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fpgaflow.ir.graph import Graph, Ints, Tensor, constant_names, rename_inputs
from fpgaflow.ir.ops import Op


def rebuilt(
    graph: Graph,
    ops: Sequence[Op],
    tensors: Mapping[str, Tensor] | None = None,
    constants: Mapping[str, Ints] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> Graph:
    """The graph with these ops (any order that respects use), added tensors and constants, and readers renamed.

    Tensors, ops and constants that no output depends on are dropped.
    """
    names = _resolved(renamed or {})
    read_anew = [rename_inputs(op, names) for op in ops]
    outputs = tuple(replace(port, tensor=names.get(port.tensor, port.tensor)) for port in graph.outputs)
    return without_dead(
        replace(
            graph,
            ops=tuple(read_anew),
            outputs=outputs,
            tensors={**graph.tensors, **(tensors or {})},
            constants={**graph.constants, **(constants or {})},
        )
    )


def _resolved(renamed: Mapping[str, str]) -> dict[str, str]:
    resolved = {}
    for name in renamed:
        target = name
        while target in renamed:
            target = renamed[target]
        resolved[name] = target
    return resolved


def without_dead(graph: Graph) -> Graph:
    """Drops ops that no output depends on, and the tensors and constants that go with them. Inputs stay."""
    needed = {port.tensor for port in graph.outputs}
    kept: list[Op] = []
    for op in reversed(graph.ops):
        if op.output in needed:
            kept.append(op)
            needed.update(op.inputs)
    kept.reverse()
    needed.update(port.tensor for port in graph.inputs)
    constants = {name for op in kept for name in constant_names(op)}
    return replace(
        graph,
        ops=tuple(kept),
        tensors={name: tensor for name, tensor in graph.tensors.items() if name in needed},
        constants={name: array for name, array in graph.constants.items() if name in constants},
    )


def fresh(name: str, taken: Mapping[str, object]) -> str:
    """`name`, or with a number where it is taken."""
    wish, count = name, 1
    while wish in taken:
        count += 1
        wish = f"{name}_{count}"
    return wish
