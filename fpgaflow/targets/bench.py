"""Measuring an engine: MLPerf's single-stream and offline scenarios, by the wall clock, with energy where it is told.

Single-stream: one sample after the other, the latency of each. Offline: whole batches, samples per second. Energy is
what the processor's or GPU's counter adds over the loop, less what it adds over as long a time of idling before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Step = Callable[[], object]
Joules = Callable[[], float]
_WARM_UP = 20  # runs that are not counted
_RAPL = Path("/sys/class/powercap")
_MIN_RUNS = 50


@dataclass(frozen=True)
class SingleStream:
    """Latencies in seconds: percentiles over `runs` runs; joules per sample above idle, None where no counter is."""

    runs: int
    p50: float
    p90: float
    p99: float
    joules: float | None


@dataclass(frozen=True)
class Offline:
    """Samples per second in batches; joules per sample above idle, None where no counter is."""

    batch: int
    samples_per_second: float
    joules: float | None


def single_stream(step: Step, seconds: float, counter: Joules | None) -> SingleStream:
    """Runs `step`, one sample, for at least `seconds` and 50 times."""
    idle = _idle_watts(counter, seconds)
    for _ in range(_WARM_UP):
        step()
    latencies: list[float] = []
    before, begin = _read(counter), time.perf_counter()
    now = begin
    while now - begin < seconds or len(latencies) < _MIN_RUNS:
        step()
        latencies.append(time.perf_counter() - now)
        now = time.perf_counter()
    joules = _above_idle(counter, before, idle, now - begin, len(latencies))
    p50, p90, p99 = np.percentile(latencies, [50, 90, 99])
    return SingleStream(len(latencies), float(p50), float(p90), float(p99), joules)


def offline(step: Step, batch: int, seconds: float, counter: Joules | None) -> Offline:
    """Runs `step`, a batch, for at least `seconds`."""
    idle = _idle_watts(counter, seconds)
    for _ in range(3):
        step()
    before, begin, runs = _read(counter), time.perf_counter(), 0
    while (took := time.perf_counter() - begin) < seconds or not runs:
        step()
        runs += 1
    joules = _above_idle(counter, before, idle, took, runs * batch)
    return Offline(batch, runs * batch / took, joules)


def _read(counter: Joules | None) -> float:
    return 0.0 if counter is None else counter()


def _idle_watts(counter: Joules | None, seconds: float) -> float:
    if counter is None:
        return 0.0
    before, begin = counter(), time.perf_counter()
    time.sleep(seconds)
    return (counter() - before) / (time.perf_counter() - begin)


def _above_idle(counter: Joules | None, before: float, idle: float, seconds: float, samples: int) -> float | None:
    return None if counter is None else (counter() - before - idle * seconds) / samples


def cpu_counter(root: Path = _RAPL) -> Joules | None:
    """The energy counters of all processor packages (RAPL), where they can be read."""
    files = [path / "energy_uj" for path in sorted(root.glob("*-rapl:*")) if path.name.count(":") == 1]
    try:
        for file in files:
            file.read_text()
    except OSError:
        return None
    return (lambda: sum(int(file.read_text()) for file in files) * 1e-6) if files else None


def gpu_counter(index: int = 0) -> Joules | None:
    """The energy counter of a GPU (NVML, since Volta), where there is one."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # no package, no driver, or a GPU without the counter: each raises its own kind
        return None
    return lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) * 1e-3
