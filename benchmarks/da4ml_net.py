"""A perceptron through da4ml: Verilog, outputs, latency. Run by rtl.py, in a Python that has da4ml and not fpgaflow.

The folder given holds net.npz: x (N, inputs), and of each layer weights w, bias b, and the (width, fraction) of the
unsigned type that follows its ReLU, or no row.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from da4ml.codegen import RTLModel
from da4ml.trace import FixedVariableArrayInput, HWConfig, comb_trace
from da4ml.trace.ops import quantize, relu

CUTOFF = 5  # additions between registers, as ours


def main() -> None:
    folder = Path(sys.argv[1])
    net = np.load(folder / "net.npz")
    inputs = FixedVariableArrayInput(net["x"].shape[1], hwconf=HWConfig(1, -1, -1))
    y = quantize(inputs, 0, 0, 8)
    for number in range(int(net["layers"])):
        y = y @ net[f"w{number}"] + net[f"b{number}"]
        for width, fraction in net[f"t{number}"].tolist():
            y = quantize(relu(y), 0, width - fraction, fraction, "SAT", "RND")
    logic = comb_trace(inputs, y)
    model = RTLModel(logic, "net", folder / "rtl", latency_cutoff=CUTOFF, print_latency=False)
    model.write()
    stages = sum(1 for _ in (folder / "rtl" / "src").glob("net_stage*.v"))
    np.savez(
        folder / "told.npz", y=logic.predict(net["x"]), latency=stages + 1
    )  # its registers: before, between, after


if __name__ == "__main__":
    main()
