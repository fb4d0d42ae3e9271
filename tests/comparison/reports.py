"""Reports for tests, of figures made up: what is tested is what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping

from fpgaflow.comparison.figures import Figure, Key, Limit, Provenance, Unit
from fpgaflow.comparison.results import Comparison, Kind, Layer, ModelFacts, Report, Target

UNITS = {
    Key.ACCURACY: Unit.SHARE,
    Key.DIFFERENCES: Unit.COUNT,
    Key.LATENCY_P50: Unit.SECONDS,
    Key.THROUGHPUT: Unit.PER_SECOND,
    Key.ENERGY_SINGLE: Unit.JOULES,
    Key.ENERGY_SINGLE_BOARD: Unit.JOULES,
    Key.RATE: Unit.PER_SECOND,
    Key.COST: Unit.DOLLARS,
}


def figure(
    value: float, unit: Unit, provenance: Provenance = Provenance.SIMULATED, limit: Limit = Limit.NONE
) -> Figure:
    return Figure(value, unit, provenance, f"made up, {provenance}", limit)


def figures(values: Mapping[Key, float], provenance: Provenance, limit: Limit = Limit.NONE) -> dict[Key, Figure]:
    return {key: figure(value, UNITS[key], provenance, limit) for key, value in values.items()}


def layer(name: str, cycles: float) -> Layer:
    held = {
        "cycles": figure(cycles, Unit.CYCLES, Provenance.ESTIMATED),
        "lut": figure(cycles / 2, Unit.COUNT, Provenance.SYNTHESISED),
        "saturated": figure(3, Unit.COUNT),
    }
    return Layer(name, "Conv", "4 × 4 × 2", "fixed<8,4>", "PE 2, SIMD 3", held)


def target(
    name: str = "board",
    kind: Kind = Kind.FPGA,
    latency: float = 1e-5,
    energy: float = 2e-6,
    rate: float = 5e4,
    accuracy: float = 0.9,
    different: int = 0,
    limit: Limit = Limit.NONE,
    **more: object,
) -> Target:
    """A target with all that the verdict asks for."""
    values = {Key.LATENCY_P50: latency, Key.ENERGY_SINGLE: energy, Key.THROUGHPUT: rate}
    step = Comparison("simulator", f"{name}'s", 10, 30, figure(different, Unit.COUNT))
    held = figures(values, Provenance.SIMULATED, limit) | figures({Key.ACCURACY: accuracy}, Provenance.SIMULATED)
    settings = {"chain": (step,), "layers": (layer("conv1", 40), layer("conv2", 90)), "bottleneck": "conv2"}
    return Target(name, kind, f"{name}, a device", held, **{**settings, **more})  # type: ignore[arg-type]


def report(*targets: Target, max_drop: float = 0.01) -> Report:
    facts = ModelFacts(
        source="net.onnx",
        sha256="0" * 64,
        name="net",
        data="x.npz",
        samples=100,
        labelled=True,
        macs=figure(1000, Unit.COUNT, Provenance.DEFINED),
        weight_bits=figure(4000, Unit.BITS, Provenance.DEFINED),
    )
    chosen = targets or (target(), target("gpu", Kind.GPU, 5e-6, 1e-3, 1e6, layers=(), bottleneck=""))
    return Report("net on targets", facts, tuple(chosen), "fpgaflow compare net.onnx", "0.1.0", "2026-01-01", max_drop)
