"""Engines side by side: latency, throughput, energy of an inference and equality of bits, at several batches.

fpgaflow's engines run beside the float network of the same topology in torch, on cuBLAS and cuDNN where there is a GPU
(TF32 off for float32), both as CUDA graphs. Energy is what NVML's counter, or RAPL's on processors, adds over the loop,
less what it adds over as long a time of idling. Bits are compared in the very engine that is measured, with the
simulator. Raw figures and a table go to `benchmarks/results/`.

    python benchmarks/engines.py [--nets mlp,lenet] [--engines triton,...] [--batches 1,8,256,4096] [--seconds 3]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nets import NETS, Net
from results import FOLDER, machine, write
from torch_net import TorchNet

from fpgaflow import Simulator
from fpgaflow.compare_bits import output_integers
from fpgaflow.errors import FpgaflowError
from fpgaflow.samples import Samples
from fpgaflow.targets.bench import Offline, OnDevice, SingleStream, cpu_counter, measure
from fpgaflow.targets.engine import EngineOptions, Target, build_engine
from fpgaflow.targets.gpu.cuda_run import CudaRun, gpu_capability
from fpgaflow.targets.gpu.triton.units import Units
from fpgaflow.targets.steps import Steps, cuda_steps, steps_of

BATCHES = (1, 8, 256, 4096)
COMPARED = 64  # samples whose integers are compared
GPU = torch.cuda.is_available()


@dataclass(frozen=True)
class Row:
    """One engine of one network at one batch: seconds of a batch, samples per second, joules of a sample.

    `on_device_s` is by CUDA events, the others by the wall clock; `different` counts output integers against the
    simulator's, None of networks that are not the same.
    """

    net: str
    engine: str
    batch: int
    p50_s: float
    p99_s: float
    on_device_s: float | None
    with_transfers_s: float | None
    samples_per_second: float
    joules: float | None
    different: int | None
    values: int | None
    why_not: str | None = None


@dataclass(frozen=True)
class Contender:
    """`make` gives the steps of a network at a batch; `same` tells whether its integers are the graph's."""

    name: str
    make: Callable[[Net, int, Path], Steps]
    same: bool = True


def built(options: EngineOptions) -> Callable[[Net, int, Path], Steps]:
    """The steps of an engine that is built once for a network, and for each batch where the engine's is fixed."""

    def make(net: Net, batch: int, scratch: Path) -> Steps:
        fixed = options.target is Target.TENSORRT
        chosen = EngineOptions(options.target, options.architectures, batch if fixed else 1, options.units)
        name = f"{options.target.value}-{options.units.value}-{batch if fixed else 'any'}"
        folder = scratch / name
        if not (folder / "engine.json").exists():
            samples = Samples(net.x[:8], None, "benchmark")
            build_engine(net.graph, chosen, folder, samples, net.title)
        return steps_of(folder, batch)

    return make


def torch_steps(dtype: torch.dtype) -> Callable[[Net, int, Path], Steps]:
    def make(net: Net, batch: int, _: Path) -> Steps:
        device = "cuda" if GPU else "cpu"
        module = TorchNet(net.graph).eval().to(device, dtype)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True

        def ready(count: int) -> list[Any]:
            return [torch.randn(count, *module.shape, device=device, dtype=dtype)]

        if GPU:
            with torch.inference_mode():
                runs = []
                for count in (1, batch):
                    inputs = ready(count)
                    runs.append(CudaRun(lambda xs=inputs: [module(*xs)], inputs, batch=count))
            return cuda_steps(*runs)
        one, many = ready(1), ready(batch)

        def step(inputs: list[Any]) -> Callable[[], object]:
            def run() -> object:
                with torch.inference_mode():
                    return module(*inputs)

            return run

        return Steps(step(one), step(many), batch, "cpu", cpu_counter(), lambda _: [])

    return make


def contenders() -> dict[str, Contender]:
    """Those of this machine."""
    found = [
        Contender("torch float32", torch_steps(torch.float32), same=False),
        Contender(
            "torch float16" if GPU else "torch bfloat16",
            torch_steps(torch.float16 if GPU else torch.bfloat16),
            same=False,
        ),
        Contender("inductor", built(EngineOptions(Target.INDUCTOR))),
    ]
    if GPU:
        here = (gpu_capability(),)
        for units in (Units.INT8, Units.FP16, Units.FP8):
            found.append(Contender(f"triton {units.value}", built(EngineOptions(Target.TRITON, here, 1, units))))
        found.append(Contender("tensorrt", built(EngineOptions(Target.TENSORRT, here))))
    else:
        found.append(Contender("onnxruntime", built(EngineOptions(Target.ONNXRUNTIME))))
        found.append(Contender("tflite", built(EngineOptions(Target.TFLITE))))
    found.append(Contender("stablehlo", built(EngineOptions(Target.STABLEHLO))))
    return {one.name: one for one in found}


def row(net: Net, contender: Contender, batch: int, seconds: float, scratch: Path) -> Row:
    """Measured, or why not."""
    try:
        steps = contender.make(net, batch, scratch)
        counts = differences(net, steps) if contender.same else (None, None)
    except (FpgaflowError, NotImplementedError, RuntimeError) as error:
        nothing = Row(net.title, contender.name, batch, 0, 0, None, None, 0, None, None, None)
        return Row(**{**asdict(nothing), "why_not": str(error).splitlines()[0]})
    found = measure(_of_batch(steps), seconds)
    latency, rate = found["single_stream"], found["offline"]
    assert isinstance(latency, SingleStream) and isinstance(rate, Offline)
    moved, device = found.get("single_stream_with_transfers"), found.get("single_stream_on_device")
    return Row(
        net.title,
        contender.name,
        batch,
        latency.p50,
        latency.p99,
        device.p50 if isinstance(device, OnDevice) else None,
        moved.p50 if isinstance(moved, SingleStream) else None,
        rate.samples_per_second,
        rate.joules,
        *counts,
    )


def _of_batch(steps: Steps) -> Steps:
    """The steps with the batch in place of the single sample."""
    moved, device = steps.many_with_transfers, steps.many_on_device
    return Steps(steps.many, steps.many, steps.batch, steps.device, steps.counter, steps.outputs, moved, None, device)


def differences(net: Net, steps: Steps) -> tuple[int, int]:
    """Output integers that differ from the simulator's, of how many."""
    x = np.ascontiguousarray(net.x[:COMPARED], dtype=np.float32)
    exact = Simulator(net.graph).predict_integers(x)
    pairs = [
        (output_integers(np.asarray(y), port), exact[port.name].astype(np.float64))
        for port, y in zip(net.graph.outputs, steps.outputs([x]), strict=True)
    ]
    return sum(int((a != b).sum()) for a, b in pairs), sum(b.size for _, b in pairs)


def device_name() -> str:
    return torch.cuda.get_device_name() if GPU else str(machine()["cpu"])


def table(rows: Sequence[Row], device: str, date: str) -> str:
    """Markdown: one line for each engine and batch, and what could not be measured."""
    lines = [
        f"# Engines on {device}",
        "",
        f"Measured on {date} by `benchmarks/engines.py`. Seconds are of a batch, energy is of a sample, above idle. "
        "Torch runs a float network of the same shapes: not the same numbers. What differs are output integers.",
        "",
        "| network | engine | batch | p50 | p99 | on the device | with transfers | samples/s | energy | differ |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [f"| {' | '.join(_cells(one))} |" for one in rows if one.why_not is None]
    missing = [one for one in rows if one.why_not is not None]
    if missing:
        lines += ["", "Not measured:", ""]
        lines += [f"- {one.net}, {one.engine}, batch {one.batch}: {one.why_not}" for one in missing]
    return "\n".join(lines) + "\n"


def _cells(one: Row) -> Iterator[str]:
    yield from (one.net, one.engine, f"{one.batch:,}")
    for seconds in (one.p50_s, one.p99_s, one.on_device_s, one.with_transfers_s):
        yield "" if seconds is None else f"{seconds * 1e6:,.1f} µs"
    yield f"{one.samples_per_second:,.0f}"
    yield "no counter" if one.joules is None else f"{one.joules * 1e6:,.2f} µJ"
    yield "" if one.different is None else f"{one.different} of {one.values}"


def verdicts(rows: Sequence[Row]) -> list[str]:
    """What the table is to show: the best low-bit engine against torch's 16 bits, and the MLP's latency."""
    lines = []
    by_key = {(one.net, one.engine, one.batch): one for one in rows if one.why_not is None}
    for net in dict.fromkeys(one.net for one in rows):
        ours = [one for (n, e, b), one in by_key.items() if (n, b) == (net, 4096) and e.startswith("triton")]
        theirs = by_key.get((net, "torch float16", 4096))
        if ours and theirs:
            best = max(ours, key=lambda one: one.samples_per_second)
            ratio = best.samples_per_second / theirs.samples_per_second
            lines.append(f"{net}, batch 4096: {best.engine} is {ratio:.2f} times torch float16")
        single = [one for (n, e, b), one in by_key.items() if (n, b) == (net, 1) and e.startswith("triton")]
        if single:
            best = min(single, key=lambda one: one.p50_s)
            lines.append(f"{net}, batch 1: {best.engine} takes {best.p50_s * 1e6:.1f} µs")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = contenders()
    parser.add_argument("--nets", default=",".join(NETS), help=f"of {', '.join(NETS)}")
    parser.add_argument("--engines", default=",".join(known), help=f"of {', '.join(known)}")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, and of the idling before it")
    parser.add_argument("--name", default=f"engines_{'gpu' if GPU else 'cpu'}", help="of the files in results/")
    options = parser.parse_args()
    if not GPU:
        torch.set_num_threads(1)  # its threads spin: on small layers and shared cores one is quicker than several
    rows = []
    for net_name in options.nets.split(","):
        net = NETS[net_name]()
        with tempfile.TemporaryDirectory(prefix="fpgaflow-") as scratch:
            for name in options.engines.split(","):
                for batch in map(int, options.batches.split(",")):
                    rows.append(row(net, known[name], batch, options.seconds, Path(scratch)))
                    sys.stdout.write(" | ".join(_cells(rows[-1])) + f" {rows[-1].why_not or ''}\n")
                    sys.stdout.flush()
    device, date = device_name(), str(machine()["date"])
    path = write(options.name, {"device": device, "seconds": options.seconds, "rows": [asdict(one) for one in rows]})
    (FOLDER / f"{options.name}.md").write_text(table(rows, device, date[:10]))
    sys.stdout.write("\n".join([*verdicts(rows), f"Written to {path} and {path.with_suffix('.md')}", ""]))


if __name__ == "__main__":
    main()
