"""Max pooling before what it commutes with: quantisers then see a quarter of the elements. For the fast engine alone,
because hardware is better off pooling the narrower integers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from fpgaflow.ir.graph import Graph, Tensor
from fpgaflow.ir.ops import Cast, Op, Pool, PoolKind, Relu, Threshold
from fpgaflow.ir.types import Overflow
from fpgaflow.ir.verify import verify
from fpgaflow.passes.rewrite import fresh, rebuilt


def hoist_max_pools(graph: Graph, fixed: Collection[str] = ()) -> Graph:
    """The graph with the same outputs in which no max pooling follows a rising elementwise op that it alone reads.

    Args:
        fixed: names of ops that stay where they are.
    """
    while (found := _first(graph, fixed)) is not None:
        before, pool = found
        name = fresh(f"{pool.output}.hoisted", graph.tensors)
        source = before.inputs[0]
        tensor = Tensor(name, graph.tensors[pool.output].shape, graph.type_of(source))
        early = replace(pool, inputs=(source,), output=name)
        late = replace(before, inputs=(name,), output=pool.output)
        ops = [new for op in graph.ops if op is not before for new in ((early, late) if op is pool else (op,))]
        graph = rebuilt(graph, ops, {name: tensor})
    return verify(graph, "hoist_max_pools")


def _first(graph: Graph, fixed: Collection[str]) -> tuple[Op, Pool] | None:
    outputs = {port.tensor for port in graph.outputs}
    for pool in graph.ops:
        if isinstance(pool, Pool) and pool.kind is PoolKind.MAX:
            before = graph.producers.get(pool.inputs[0])
            alone = before is not None and len(graph.consumers[before.output]) == 1 and before.output not in outputs
            if before is not None and alone and before.name not in fixed and _rises(before, graph):
                return before, pool
    return None


def _rises(op: Op, graph: Graph) -> bool:
    """Whether a larger input never gives a smaller output."""
    match op:
        case Cast():
            return op.overflow in (Overflow.SAT, Overflow.SAT_SYM)
        case Threshold():
            return op.signs is None and op.step > 0 and op.axis == len(graph.tensors[op.output].shape) - 1
        case Relu():
            return True
    return False
