"""What zero weights save where layers are unrolled: a pruned perceptron as RTL, its LUTs counted by Yosys.

Run: python benchmarks/pruning.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from results import write
from rtl import BUS_BITS, SYNTH, as_verilog, counted, jets, simulated

from fpgaflow.targets.rtl.top import TOP
from fpgaflow.training.prune import Prune, PruneKind

BITS = 4
SHARES = (0.0, 0.5, 0.75, 0.9)


def measured(share: float, folder: Path) -> dict[str, Any]:
    """The network with that share of its weights set to zero in all layers but the last."""
    folder.mkdir()
    prune = Prune(share, PruneKind.WEIGHTS, fps=1e6) if share else None
    graph, x = jets(BITS, folder, prune)
    told = json.loads((folder / f"jets{BITS}" / "train.json").read_text())
    design, verilog = as_verilog(graph, 1, BUS_BITS)
    found = counted(verilog, TOP, folder / "yosys") | simulated(graph, design, verilog, x, folder / "run")
    zeros = sum(int((values == 0).sum()) for values in _weights(graph)) / sum(each.size for each in _weights(graph))
    return {"share": share, "zeros": zeros, "accuracy": told["accuracy"], **found}


def _weights(graph: Any) -> list[Any]:
    return [graph.constants[op.weights] for op in graph.ops if hasattr(op, "weights")]


def main() -> None:
    print(f"16-64-32-32-5, {BITS} bits, inputs of 8, unrolled to one sample a cycle; `{SYNTH}`")
    print("| weights pruned | zero weights | accuracy | float twin | LUT | FF | differing outputs |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for share in SHARES:
            row = measured(share, Path(folder) / f"{share:g}")
            rows.append(row)
            scores = row["accuracy"]
            print(
                f"| {share:.0%} | {row['zeros']:.0%} | {scores['quantized']:.2%} | {scores['float']:.2%} "
                f"| {row['lut']:,} | {row['ff']:,} | {row['different']} of {row['values']:,} |",
                flush=True,
            )
    print(f"Written: {write('pruning', {'rows': rows, 'synthesis': SYNTH})}")


if __name__ == "__main__":
    main()
