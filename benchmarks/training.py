"""Seconds per training step of LeNet-5: float, fpgaflow's quantised network, and Brevitas with its own quantisers.

Run: python benchmarks/training.py
"""

from __future__ import annotations

import os
import statistics
import time

import brevitas.nn as qnn
import torch
from brevitas.quant import Int8WeightPerTensorFixedPoint, Int16Bias, Uint8ActPerTensorFixedPoint
from torch import nn
from torch.nn import functional

from fpgaflow.training.bits import Bits
from fpgaflow.training.convert import fit_scales, fold_batch_norm, quantised, traced
from fpgaflow.training.data.images import digits
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

    def step(name: str) -> float:
        start = time.perf_counter()
        optimisers[name].zero_grad()
        functional.cross_entropy(models[name](images), labels).backward()
        optimisers[name].step()
        return time.perf_counter() - start

    print(
        f"LeNet-5, batch {BATCH}, seconds per step, median of {ROUNDS} rounds that take turns; {os.cpu_count()} cores"
    )
    print(f"{'threads':>7}  {'network':<26} {'s/step':>9}  {'ratio to float':>14}")
    for threads in range(1, min(os.cpu_count() or 1, 4) + 1):
        torch.set_num_threads(threads)
        seconds: dict[str, list[float]] = {name: [] for name in models}
        for round_ in range(WARM_UP + ROUNDS):
            for name in models:
                taken = step(name)
                if round_ >= WARM_UP:
                    seconds[name].append(taken)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        for name, median in medians.items():
            print(f"{threads:>7}  {name:<26} {median:>9.5f}  {median / medians['float']:>14.2f}")


if __name__ == "__main__":
    main()
