"""What an accelerator can do at best, by its data sheet: bounds that real engines stay behind, and marked so.

    t(batch) = max( 2 · MACs · batch / peak, (fetched weights + batch · inputs and outputs) / bandwidth ) + overhead

Weights that fit the memory on the chip are not fetched. For a small network at batch 1 the overhead is nearly all. On a
GPU it is the launch of a CUDA graph, about 2.5 µs on the processor (NVIDIA, "Constant Time Launch for Straight-Line
CUDA Graphs", 2024), and some 0.5 µs for each kernel in it beyond its own work (NVIDIA, "Getting Started with CUDA
Graphs", 2019: 3.4 µs a kernel of 2.9 µs). On a TPU v4 a product takes at least the steps through its systolic array,
128 at 1,050 MHz; its launch is not published and left out. Samples are taken to lie in the device's memory.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from fpgaflow.comparison.costs import published_cost
from fpgaflow.comparison.figures import Figure, Key, Limit, Provenance, Unit
from fpgaflow.comparison.power import data_table
from fpgaflow.comparison.results import Kind
from fpgaflow.comparison.work import Work
from fpgaflow.errors import BadInput

OFFLINE_BATCH = 1024


@dataclass(frozen=True)
class Device:
    """An accelerator's data sheet; data/devices.toml says what each field means."""

    name: str
    kind: Kind
    title: str
    int8_ops: float
    bytes_per_second: float
    watts: float
    scope: str
    host_bytes_per_second: float
    source: str
    on_chip: float
    launch_s: float = 0.0
    kernel_s: float = 0.0
    product_s: float = 0.0
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
    overhead = device.launch_s + device.kernel_s * work.kernels + device.product_s * work.products
    parts = [
        f"{seconds * 1e6:.3g} µs {what}"
        for seconds, what in (
            (device.launch_s, "for the launch"),
            (device.kernel_s, f"for each of {work.kernels} kernels"),
            (device.product_s, f"for each of {work.products} products"),
        )
        if seconds
    ]
    added = f" plus {' and '.join(parts)}" if parts else " without any overhead"
    one = _seconds(device, work, 1) + overhead
    many = _seconds(device, work, OFFLINE_BATCH) + overhead
    text = f"roofline of {device.title} at int8{added}; {device.source}"

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
        figures[Key.COST] = published_cost(device.cost, device.cost_source)
    return figures


def transfer_seconds(device: Device, work: Work) -> float:
    """What moving one sample in and its result out takes on the host's bus at full rate, at one byte an element."""
    return work.io_elements / device.host_bytes_per_second


def _seconds(device: Device, work: Work, batch: int) -> float:
    compute = 2 * work.macs * batch / device.int8_ops
    fetched = work.weights if work.weights > device.on_chip else 0
    return max(compute, (fetched + batch * work.io_elements) / device.bytes_per_second)
