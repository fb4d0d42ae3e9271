"""Plans on a PYNQ-Z2 for samples per second, as `fpgaflow build --fps` makes them: the table of docs/estimates.md.

    python benchmarks/plans.py [MODEL ...]      models beside the bundled LeNet and a jet MLP

Every figure is estimated. A model is anything that `fpgaflow build` takes.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from nets import mlp

from fpgaflow import Graph, load
from fpgaflow.boards import Board, load_board
from fpgaflow.data import data_dir
from fpgaflow.errors import CheckFailed
from fpgaflow.frontend.torch import to_qonnx
from fpgaflow.targets.hls.folding import Goal, choose_folding, utilisation_text

GOALS = (1_000.0, 10_000.0, 50_000.0, None)
CLOCK_MHZ = 100.0
BUNDLED = 2  # models that need no MODEL


def row(name: str, graph: Graph, board: Board, goal: Goal) -> str:
    """A line of the table."""
    asked = "as fast as fits" if goal.fps is None else f"{goal.fps:,.0f}/s"
    if goal.latency_us is not None:
        asked = f"{goal.latency_us:g} µs"
    try:
        plan = choose_folding(graph, board, CLOCK_MHZ, goal)
    except CheckFailed as error:
        return f"| {name} | {asked} | no: {error.problem.found} | | | | |"
    layers = ", ".join("unrolled" if choice.unrolled else f"{choice.reuse:,}" for choice in plan.choices.values())
    rate, delay = CLOCK_MHZ * 1e6 / plan.cost.cycles, plan.cost.latency / CLOCK_MHZ
    shares = utilisation_text(plan.cost.utilisation(board))
    return f"| {name} | {asked} | {rate:,.0f}/s | {delay:,.1f} µs | {shares} | {plan.bottleneck} | {layers} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--input-type", action="append", metavar="TYPE", help="as `fpgaflow build --input-type`")
    parser.add_argument("--latency-us", type=float, metavar="N", help="this goal alone, of MODELs alone")
    options = parser.parse_args()
    graphs = {"LeNet-5, digits": load(data_dir("examples/lenet_digits") / "model.onnx"), "jet MLP, 4 bits": mlp().graph}
    with tempfile.TemporaryDirectory() as scratch:
        for spec in options.models:
            source = to_qonnx(spec, Path(scratch) / "exported.onnx")
            graphs[Path(spec.partition(":")[0]).stem] = load(source, input_type=options.input_type)
    board = load_board("pynq-z2")
    print("| model | goal | samples | one sample | of the part | bottleneck | reuse factors |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    goals = [Goal(fps) for fps in GOALS]
    if options.latency_us is not None:
        goals, graphs = [Goal(latency_us=options.latency_us)], dict(list(graphs.items())[BUNDLED:])
    for name, graph in graphs.items():
        for goal in goals:
            print(row(name, graph, board, goal), flush=True)


if __name__ == "__main__":
    main()
