"""Compares every output bit of this board with the expected ones, measures speed, and writes board.json.

Run it on the board (PYNQ: `sudo -E python3 selftest.py`; XRT: `python3 selftest.py`), or on the host of a board behind
a serial port (`python selftest.py --port /dev/ttyUSB0`). Exits 0 when all bits agree, else 1.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fpgaflow_driver import HERE, Accelerator

LATENCY_RUNS, BATCH_RUNS = 100, 10


def compare(accelerator: Accelerator, vectors: Any) -> dict[str, Any]:
    """Quantises `x`, sends `x_codes`, and counts what differs from `x_codes` and `y_codes`."""
    expected, answers = vectors["y_codes"], accelerator.predict_codes(vectors["x_codes"])
    different = np.argwhere(answers != expected)
    result = {
        "samples": len(expected),
        "values": int(expected.size),
        "different": len(different),
        "different_inputs": int((accelerator.codes(vectors["x"]) != vectors["x_codes"]).sum()),
    }
    if len(different):
        first = tuple(int(i) for i in different[0])
        result["first"] = {"index": first, "expected": int(expected[first]), "found": int(answers[first])}
    return result


def measure(accelerator: Accelerator, vectors: Any) -> dict[str, Any]:
    """Medians over many runs. `transfer` is DMA and network alone, `codes` adds packing, `values` adds quantising."""
    batch = accelerator.batch
    x, codes = (np.resize(vectors[name], (batch, *accelerator.input.shape)) for name in ("x", "x_codes"))
    one = {
        "transfer": _median(lambda: accelerator.transfer(1), LATENCY_RUNS),
        "codes": _median(lambda: accelerator.predict_codes(codes[:1]), LATENCY_RUNS),
        "values": _median(lambda: accelerator.predict(x[:1]), LATENCY_RUNS),
    }
    many = {
        "transfer": _median(lambda: accelerator.transfer(batch), BATCH_RUNS),
        "codes": _median(lambda: accelerator.predict_codes(codes), BATCH_RUNS),
        "values": _median(lambda: accelerator.predict(x), BATCH_RUNS),
    }
    return {
        "source": "measured",
        "batch": batch,
        "latency_us": {name: seconds * 1e6 for name, seconds in one.items()},
        "samples_per_second": {name: batch / seconds for name, seconds in many.items()},
        # What one more sample in a transfer costs: neither the start of the DMA nor Python is in it.
        "interval_us": (many["transfer"] - one["transfer"]) / (batch - 1) * 1e6 if batch > 1 else None,
    }


def _median(run: Callable[[], object], runs: int) -> float:
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def main(folder: Path = HERE, **settings: Any) -> int:
    """Runs the self-test of `folder` and writes its board.json; returns the exit status.

    `settings` are the driver's.
    """
    with Accelerator(folder, **settings) as accelerator, np.load(str(folder / "test_vectors.npz")) as file:
        vectors = dict(file)
        result = compare(accelerator, vectors)
        result["passed"] = result["different"] == result["different_inputs"] == 0
        clock = {"asked": accelerator.bundle["clock_mhz"], "actual": accelerator.clock_mhz()}
        report = {**accelerator.bundle, "clock_mhz": clock, "test": result, "speed": measure(accelerator, vectors)}
        report["repeated"] = accelerator.repeated
    aside = folder / f".board.json.{os.getpid()}"
    aside.write_text(json.dumps(report, indent=2) + "\n")
    os.replace(str(aside), str(folder / "board.json"))  # noqa: PTH105  # Path.replace is the same
    print(f"{'PASS' if result['passed'] else 'FAIL'}: {json.dumps(result)}")
    print(json.dumps(report["speed"], indent=2))
    return 0 if result["passed"] else 1


def _settings() -> dict[str, Any]:
    """What the command line says to the driver."""
    parser = argparse.ArgumentParser(description="Compares every output bit with the expected ones; writes board.json.")
    if "port" in inspect.signature(Accelerator).parameters:
        parser.add_argument("--port", required=True, help="the serial port, e.g. /dev/ttyUSB0")
    return vars(parser.parse_args())


if __name__ == "__main__":
    try:
        sys.exit(main(**_settings()))
    except (OSError, RuntimeError) as error:  # no such port, a board that does not answer, another design on it
        sys.exit(f"FAIL: {error}")
