"""Seconds per training step of LeNet-5: float, fpgaflow's quantised network, and Brevitas with its own quantisers.

Run: python benchmarks/training.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import brevitas.nn as qnn
import torch
from brevitas.quant import Int8WeightPerTensorFixedPoint, Int16Bias, Uint8ActPerTensorFixedPoint
from results import write
from torch import nn
from torch.nn import functional

from fpgaflow.training.bits import Bits
from fpgaflow.training.convert import fit_scales, quantised
from fpgaflow.training.data.images import digits
from fpgaflow.training.float_graph import fold_batch_norm, traced
from fpgaflow.training.models import Architecture, ModelName, sequential

BATCH = 128
WARM_UP, ROUNDS = 5, 40
BITS = Bits(weight=4, activation=4, input=8)


def stock_brevitas() -> nn.Sequential:
    """The same network as Brevitas' documentation writes it: scales from statistics, QuantTensors between layers."""

    def relu() -> nn.Module:
        return qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=BITS.activation, return_quant_tensor=True)

    layers = {
        "weight_quant": Int8WeightPerTensorFixedPoint,
        "weight_bit_width": BITS.weight,
        "bias_quant": Int16Bias,
    }

    def conv2d(inputs: int, outputs: int) -> nn.Module:
        return qnn.QuantConv2d(inputs, outputs, 5, **layers)

    def dense(inputs: int, outputs: int) -> nn.Module:
        return qnn.QuantLinear(inputs, outputs, bias=True, **layers)

    return sequential(
        input=qnn.QuantIdentity(act_quant=Uint8ActPerTensorFixedPoint, return_quant_tensor=True),
        conv1=conv2d(1, 6),
        relu1=relu(),
        pool1=nn.MaxPool2d(2),
        conv2=conv2d(6, 16),
        relu2=relu(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=dense(400, 120),
        relu3=relu(),
        fc2=dense(120, 84),
        relu4=relu(),
        fc3=dense(84, 10),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="default: 1, whose CPU time is its own")
    torch.set_num_threads(parser.parse_args().threads)
    data = digits()
    images, labels = torch.from_numpy(data.x_train[:BATCH]), torch.from_numpy(data.y_train[:BATCH])
    plain = fold_batch_norm(traced(Architecture(ModelName.LENET5, (1, 32, 32), 10).build()))
    made = quantised(plain, BITS, signed_input=False)
    fit_scales(made, images)
    models: dict[str, nn.Module] = {
        "float": plain,
        "quantised, fpgaflow": made,
        "quantised, stock Brevitas": stock_brevitas(),
    }
    optimisers = {name: torch.optim.Adam(model.parameters(), 1e-4, fused=True) for name, model in models.items()}

    def step(name: str) -> tuple[float, float]:
        """Seconds on the clock and of the processor."""
        wall, cpu = time.perf_counter(), time.process_time()
        optimisers[name].zero_grad()
        functional.cross_entropy(models[name](images), labels).backward()
        optimisers[name].step()
        return time.perf_counter() - wall, time.process_time() - cpu

    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    for _ in range(WARM_UP + ROUNDS):
        for name in models:
            taken[name].append(step(name))
    threads = torch.get_num_threads()
    print(
        f"LeNet-5, batch {BATCH}, {threads} threads, median of {ROUNDS} rounds that take turns; {os.cpu_count()} cores"
    )
    print(f"{'network':<26} {'ms/step':>9} {'to float':>9} {'CPU ms':>9} {'to float':>9}")
    medians = {
        name: [1000 * statistics.median(values) for values in zip(*found[WARM_UP:], strict=True)]
        for name, found in taken.items()
    }
    rows = []
    for name, (wall, cpu) in medians.items():
        ratios = wall / medians["float"][0], cpu / medians["float"][1]
        print(f"{name:<26} {wall:>9.1f} {ratios[0]:>9.2f} {cpu:>9.1f} {ratios[1]:>9.2f}")
        rows.append({"network": name, "ms": wall, "to_float": ratios[0], "cpu_ms": cpu, "cpu_to_float": ratios[1]})
    print(f"Written: {write('training', {'batch': BATCH, 'threads': threads, 'rows': rows})}")


if __name__ == "__main__":
    main()
