"""The passes, in the order they run. Each keeps every output bit, and `verify` checks the graph after each."""

from __future__ import annotations

from collections.abc import Callable

from fpgaflow.ir.graph import Graph
from fpgaflow.ir.verify import verify
from fpgaflow.passes.casts import drop_identity_casts, drop_relu_before_unsigned_cast
from fpgaflow.passes.layout import simplify_layout
from fpgaflow.passes.names import name_ops
from fpgaflow.passes.rewrite import without_dead
from fpgaflow.passes.twins import merge_twins

Pass = Callable[[Graph], Graph]

PIPELINE: list[Pass] = [
    without_dead,  # importing leaves the sums without bias beside those with one
    drop_relu_before_unsigned_cast,  # one op less in every target
    drop_identity_casts,  # quantising twice alike is quantising once
    simplify_layout,  # channels-last throughout, transposes cancelled or at the borders
    merge_twins,  # two readers of one tensor bring a transpose each
    name_ops,  # people read these names in reports, traces and firmware
]


def run_passes(graph: Graph) -> Graph:
    """The graph after every pass of PIPELINE.

    Raises:
        BrokenGraph: a pass broke the legality table; its name is in the message.
    """
    verify(graph, "import")
    for each in PIPELINE:
        graph = verify(each(graph), each.__name__)
    return graph
