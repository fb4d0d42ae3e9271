"""Peak memory of `fpgaflow simulate` on data that does not fit into it: `--samples` inputs of LeNet, from disk to disk.

The file is generated a block at a time. Each run is a process of its own; its peak is the kernel's count of resident
pages (`ru_maxrss`). Twice the samples must take no more memory. Figures go to `benchmarks/results/memory.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from results import write

from fpgaflow.data import data_dir

BLOCK = 4096
SHAPE = (1, 32, 32)


@dataclass(frozen=True)
class Row:
    samples: int
    data_gib: float
    peak_mib: float
    samples_per_second: float
    accuracy: float | None


def generate(path: Path, samples: int) -> None:
    """Noise, as float32 `.npy`."""
    random = np.random.default_rng(0)
    header = {"descr": "<f4", "fortran_order": False, "shape": (samples, *SHAPE)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, samples, BLOCK):
            random.random((min(BLOCK, samples - start), *SHAPE), dtype=np.float32).tofile(file)


def measure(model: Path, data: Path, out: Path) -> Row:
    command = [sys.executable, "-m", "fpgaflow.cli", "simulate", str(model), "--data", str(data), "--out", str(out)]
    started = time.perf_counter()
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        result = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"simulate failed: {result}")
    rate = result["samples"] / seconds
    size = data.stat().st_size / (1 << 30)
    return Row(result["samples"], size, usage.ru_maxrss / 1024, rate, result["accuracy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument(
        "--folder", type=Path, help="where the data goes, 4 KiB a sample; default: the temporary folder"
    )
    options = parser.parse_args()
    model = data_dir("examples/lenet_digits") / "model.onnx"
    print(f"LeNet-5 on float32 {SHAPE}, {len(os.sched_getaffinity(0))} cores (measured)")
    print(f"{'samples':>12}{'data GiB':>12}{'peak MiB':>12}{'samples/s':>12}")
    rows = []
    with tempfile.TemporaryDirectory(prefix="fpgaflow-bench-", dir=options.folder) as scratch:
        data = Path(scratch, "x.npy")
        for samples in (options.samples // 100, options.samples // 2, options.samples):
            generate(data, samples)
            row = measure(model, data, Path(scratch, "y.npy"))
            rows.append(asdict(row))
            print(f"{row.samples:>12,}{row.data_gib:>12.2f}{row.peak_mib:>12,.0f}{row.samples_per_second:>12,.0f}")
    print(f"raw figures: {write('memory', {'rows': rows})}")


if __name__ == "__main__":
    main()
