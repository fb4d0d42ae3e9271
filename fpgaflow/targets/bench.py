"""Measuring an engine: MLPerf's single-stream and offline scenarios, with energy where it is told.

By the wall clock until the result is there, and on GPUs by CUDA events too; with and without transfers.
Single-stream: one sample after the other, the latency of each. Offline: whole batches, samples per second. Energy is
what the processor's or GPU's counter adds over the loop, less what it adds over as long a time of idling before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

Step = Callable[[], object]
Seconds = Callable[[], float]  # one run, and what CUDA events measured of it
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
class OnDevice:
    """What CUDA events measure of one run, in seconds: percentiles over `runs` runs."""

    runs: int
    p50: float
    p90: float
    p99: float


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


class Measured(Protocol):
    """What `measure` repeats: see `steps.Steps`."""

    @property
    def one(self) -> Step: ...
    @property
    def many(self) -> Step: ...
    @property
    def batch(self) -> int: ...
    @property
    def counter(self) -> Joules | None: ...
    @property
    def one_with_transfers(self) -> Step | None: ...
    @property
    def many_with_transfers(self) -> Step | None: ...
    @property
    def one_on_device(self) -> Seconds | None: ...
    @property
    def many_on_device(self) -> Seconds | None: ...


def measure(
    steps: Measured, seconds: float, notify: Callable[[str], None] = lambda _: None
) -> dict[str, SingleStream | Offline | OnDevice]:
    """Both scenarios; on a GPU with transfers too, and by CUDA events. Each for `seconds`, after as long an idling."""
    found: dict[str, SingleStream | Offline | OnDevice] = {}

    def add(name: str, make: Callable[[], SingleStream | Offline | OnDevice]) -> None:
        notify(name.replace("_", " "))
        found[name] = make()

    add("single_stream", lambda: single_stream(steps.one, seconds, steps.counter))
    add("offline", lambda: offline(steps.many, steps.batch, seconds, steps.counter))
    if (one := steps.one_with_transfers) is not None:
        add("single_stream_with_transfers", lambda: single_stream(one, seconds, steps.counter))
    if (many := steps.many_with_transfers) is not None:
        add("offline_with_transfers", lambda: offline(many, steps.batch, seconds, steps.counter))
    if (timed := steps.one_on_device) is not None:
        add("single_stream_on_device", lambda: on_device(timed, seconds))
    if (batches := steps.many_on_device) is not None:
        add("batch_on_device", lambda: on_device(batches, seconds))
    return found


def on_device(run: Seconds, seconds: float) -> OnDevice:
    """Runs for at least `seconds` and 50 times."""
    for _ in range(_WARM_UP):
        run()
    found: list[float] = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or len(found) < _MIN_RUNS:
        found.append(run())
    p50, p90, p99 = np.percentile(found, [50, 90, 99])
    return OnDevice(len(found), float(p50), float(p90), float(p99))


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
