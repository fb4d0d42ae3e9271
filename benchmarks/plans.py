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


def row(name: str, graph: Graph, board: Board, fps: float | None) -> str:
    """A line of the table."""
    goal = "as fast as fits" if fps is None else f"{fps:,.0f}/s"
    try:
        plan = choose_folding(graph, board, CLOCK_MHZ, Goal(fps))
    except CheckFailed as error:
        return f"| {name} | {goal} | no: {error.problem.found} | | | | |"
    layers = ", ".join("unrolled" if choice.unrolled else f"{choice.reuse:,}" for choice in plan.choices.values())
    rate, delay = CLOCK_MHZ * 1e6 / plan.cost.cycles, plan.cost.latency / CLOCK_MHZ
    shares = utilisation_text(plan.cost.utilisation(board))
    return f"| {name} | {goal} | {rate:,.0f}/s | {delay:,.1f} µs | {shares} | {plan.bottleneck} | {layers} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    graphs = {"LeNet-5, digits": load(data_dir("examples/lenet_digits") / "model.onnx"), "jet MLP, 4 bits": mlp().graph}
    with tempfile.TemporaryDirectory() as scratch:
        for spec in parser.parse_args().models:
            graphs[Path(spec.partition(":")[0]).stem] = load(to_qonnx(spec, Path(scratch) / "exported.onnx"))
    board = load_board("pynq-z2")
    print("| model | goal | samples | one sample | of the part | bottleneck | reuse factors |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, graph in graphs.items():
        for fps in GOALS:
            print(row(name, graph, board, fps), flush=True)


if __name__ == "__main__":
    main()
