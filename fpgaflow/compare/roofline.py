"""What an accelerator can do at best, by its data sheet: bounds that real engines stay behind, and marked so.

    t(batch) = max( 2 · MACs · batch / peak, (weights + batch · inputs and outputs) / bandwidth ) + overhead

For a small network at batch 1 the overhead is nearly all: the launch of a CUDA graph, about 2.5 µs on the processor
(NVIDIA, "Constant Time Launch for Straight-Line CUDA Graphs", 2024), and some 0.5 µs for each kernel in it beyond its
own work (NVIDIA, "Getting Started with CUDA Graphs", 2019: 3.4 µs a kernel of 2.9 µs). Nothing of the kind is published
for TPUs: there the overhead is left at zero, and the figure says so. Samples are taken to lie in the device's memory.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from fpgaflow.compare.figures import Figure, Key, Limit, Provenance, Unit
from fpgaflow.compare.power import data_table
from fpgaflow.compare.results import Kind
from fpgaflow.compare.work import Work
from fpgaflow.errors import BadInput

OFFLINE_BATCH = 1024
_LAUNCH_S, _KERNEL_S = 2.5e-6, 0.5e-6


@dataclass(frozen=True)
class Device:
    """An accelerator's data sheet: dense int8 operations and bytes a second, watts at full load of `scope`."""

    name: str
    kind: Kind
    title: str
    int8_ops: float
    bytes_per_second: float
    watts: float
    scope: str
    memory: float
    host_bytes_per_second: float
    source: str
    cost: float | None = None
    cost_source: str = ""


def devices() -> dict[str, Device]:
    """The devices of data/devices.toml by name."""
    return {name: _device(name, table) for name, table in data_table("devices").items()}


def _device(name: str, table: dict[str, Any]) -> Device:
    return Device(**{**table, "name": name, "kind": Kind(table["kind"])})


def device(name: str) -> Device:
    """The device of that name.

    Raises:
        BadInput: no such device.
    """
    known = devices()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean '{near[0]}'? " if near else ""
        raise BadInput(f"device '{name}'", "is unknown", f"{hint}Devices: {', '.join(known)}")
    return known[name]


def roofline(device: Device, work: Work) -> dict[Key, Figure]:
    """Latency, throughput, power and energy of a network at int8, all estimated."""
    overhead = _LAUNCH_S + _KERNEL_S * work.kernels if device.kind is Kind.GPU else 0.0
    launch = f"{_LAUNCH_S * 1e6:g} µs launch and {_KERNEL_S * 1e6:g} µs for each of {work.kernels} kernels"
    with_launch = f" plus {launch}" if overhead else " without any overhead"
    one = _seconds(device, work, 1) + overhead
    many = _seconds(device, work, OFFLINE_BATCH) + overhead
    text = f"roofline of {device.title} at int8{with_launch}; {device.source}"

    def estimate(value: float, unit: Unit, note: str, limit: Limit) -> Figure:
        return Figure(value, unit, Provenance.ESTIMATED, f"{note}, {text}", limit)

    chip = device.scope == "chip"
    load = "power limit times the least time"
    figures = {
        Key.LATENCY_P50: estimate(one, Unit.SECONDS, "batch 1, samples in device memory", Limit.AT_LEAST),
        Key.THROUGHPUT: estimate(OFFLINE_BATCH / many, Unit.PER_SECOND, f"batch {OFFLINE_BATCH}", Limit.AT_MOST),
        (Key.POWER if chip else Key.POWER_BOARD): Figure(
            device.watts, Unit.WATTS, Provenance.PUBLISHED, f"power limit, {device.source}", Limit.AT_MOST
        ),
        (Key.ENERGY_SINGLE if chip else Key.ENERGY_SINGLE_BOARD): estimate(
            device.watts * one, Unit.JOULES, f"batch 1, {load}", Limit.ROUGH
        ),
        (Key.ENERGY_OFFLINE if chip else Key.ENERGY_OFFLINE_BOARD): estimate(
            device.watts * many / OFFLINE_BATCH, Unit.JOULES, f"batch {OFFLINE_BATCH}, {load}", Limit.ROUGH
        ),
        Key.MEMORY: Figure(
            float(work.weights), Unit.BYTES, Provenance.DEFINED, "weights at one byte each, counted in the graph"
        ),
    }
    if device.cost is not None:
        figures[Key.COST] = Figure(device.cost, Unit.DOLLARS, Provenance.PUBLISHED, device.cost_source)
    return figures


def transfer_seconds(device: Device, work: Work) -> float:
    """What moving one sample in and its result out takes on the host's bus at full rate, at one byte an element."""
    return work.io_elements / device.host_bytes_per_second


def _seconds(device: Device, work: Work, batch: int) -> float:
    compute = 2 * work.macs * batch / device.int8_ops
    return max(compute, (work.weights + batch * work.io_elements) / device.bytes_per_second)
