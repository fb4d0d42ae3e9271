"""Accuracy and estimated hardware of LeNet-5 at 8, 4, 3, 2 and mixed bits, distilled and pruned.

Run: python benchmarks/accuracy.py digits
     python benchmarks/accuracy.py mnist FOLDER   (idx files; of t10k alone 2,000 images are held out)
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from results import write

from fpgaflow.boards import load_board
from fpgaflow.frontend.load import load
from fpgaflow.sim.run import Simulator
from fpgaflow.training.checkpoint import load_checkpoint
from fpgaflow.training.data import DatasetKind, DataSpec
from fpgaflow.training.distil import Distil
from fpgaflow.training.hardware import taken
from fpgaflow.training.prune import Prune, zeros
from fpgaflow.training.recipe import Recipe, load_recipe
from fpgaflow.training.results import outputs_of
from fpgaflow.training.trainer import train

BOARD, FPS = "pynq-z2", 10_000.0
EXAMPLE = Path(__file__).parents[1] / "examples/lenet_digits/fpgaflow.yaml"
MIXED = {"conv1": 4, "conv2": 3, "fc1": 2, "fc2": 3, "fc3": 4}
HALF = Prune(0.5, board=BOARD, fps=FPS)


def uniform(bits: int) -> dict[str, Any]:
    return {"weight_bits": bits, "activation_bits": bits}


ROWS: Mapping[str, dict[str, Any]] = {
    "8 bits": uniform(8),
    "4 bits": uniform(4),
    "3 bits": uniform(3),
    "2 bits": uniform(2),
    "mixed": {**uniform(3), "layer_bits": MIXED},
    "2 bits, distilled": {**uniform(2), "distil": Distil()},
    "4 bits, half of the channels pruned": {**uniform(4), "prune": HALF},
    "4 bits, half of the channels pruned, distilled": {**uniform(4), "prune": HALF, "distil": Distil()},
}


@dataclass(frozen=True)
class Row:
    """Scores are shares of the test samples; `different` counts outputs that the simulator gives otherwise."""

    network: str
    float_accuracy: float
    accuracy: float
    bits_per_weight: float
    zero_weights: float
    lut: int
    bram36: float
    different: int
    seconds: float


def measured(name: str, recipe: Recipe, folder: Path) -> Row:
    """Trains one network of the table and estimates what it takes."""
    out = folder / name
    result = train(recipe, out, folder=folder)
    graph = load(out / "model.onnx")
    net = load_checkpoint(out / "checkpoint.pt").model
    with np.load(out / "test.npz") as test:
        x = test["x"]
    different = int(np.count_nonzero(Simulator(graph).predict(x) != outputs_of(net, torch.from_numpy(x)).numpy()))
    sizes = {name: layer.weight.numel() for name, layer in net.named_modules() if hasattr(layer, "weight_quant")}
    bits = sum(recipe.layer_bits.get(name, recipe.weight_bits) * size for name, size in sizes.items())
    cost = taken(graph, load_board(BOARD), FPS)
    return Row(
        name,
        result.float_score,
        result.quantised_score,
        bits / sum(sizes.values()),
        zeros(net),
        cost.lut,
        cost.bram36,
        different,
        result.seconds,
    )


def recipe_for(data: str, folder: Path | None) -> Recipe:
    """The example's recipe; on MNIST's 8,000 images fewer epochs."""
    digits = load_recipe(EXAMPLE)
    if data == "digits":
        return digits
    images = DataSpec(DatasetKind.MNIST, str(folder), 2_000, pad=2)
    return replace(digits, dataset=images, float_epochs=12, qat_epochs=12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("digits", "mnist"))
    parser.add_argument("folder", nargs="?", type=Path, help="of MNIST's idx files")
    options = parser.parse_args()
    if (options.data == "mnist") != (options.folder is not None):
        parser.error("mnist needs the folder of its files, digits none")
    recipe = recipe_for(options.data, options.folder and options.folder.resolve())
    print(f"LeNet-5 on {options.data}; accuracy measured, LUT and BRAM36 estimated for {BOARD} at {FPS:,.0f}/s")
    print("| network | accuracy | float twin | bits a weight | LUT | BRAM36 | zero weights | differing outputs |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, changes in ROWS.items():
            row = measured(name, replace(recipe, **changes), Path(folder))
            rows.append(row)
            print(
                f"| {name} | {row.accuracy:.2%} | {row.float_accuracy:.2%} | {row.bits_per_weight:.2f} | {row.lut:,} "
                f"| {row.bram36:g} | {row.zero_weights:.0%} | {row.different} |",
                flush=True,
            )
    described = {key: value for key, value in asdict(recipe).items() if key != "dataset"}
    found = {"data": options.data, "board": BOARD, "fps": FPS, "recipe": described}
    path = write(f"accuracy_{options.data}", found | {"rows": [asdict(row) for row in rows]})
    print(f"Written: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
