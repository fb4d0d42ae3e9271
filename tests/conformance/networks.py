"""Random hls4ml networks: shapes, types, rounding and overflow modes, strategies, io types.

A network is a chain of layers on an input of its own. Several chains share one ModelGraph: one compile serves all.
"""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from hls4ml.backends import get_backend
from hls4ml.model import ModelGraph
from hypothesis import strategies as st

from fpgaflow.targets.hls import csim_child

CHILD = Path(csim_child.__file__)
Layer = dict[str, Any]
Shape = tuple[int, ...]
MODES = ("TRN", "TRN_ZERO", "RND", "RND_ZERO", "RND_INF", "RND_MIN_INF", "RND_CONV")
OVERFLOWS = ("WRAP", "SAT", "SAT_ZERO", "SAT_SYM")


@dataclass
class Chain:
    """Layers of one network, the shape of its result, and each layer's precisions by what they are of."""

    name: str
    shape: Shape
    layers: list[Layer] = field(default_factory=list)
    precision: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, layer: Layer, shape: Shape, **precision: str) -> None:
        name = f"{self.name}_{len(self.layers)}"
        inputs = {"inputs": [self.layers[-1]["name"]]} if self.layers else {}
        self.layers.append({"name": name, **inputs, **layer})
        self.precision[name] = precision
        self.shape = shape


@st.composite
def fixed(draw: st.DrawFn, widest: int = 16, *, modes: bool = True) -> str:
    """A type as hls4ml reads it; without modes it truncates and wraps."""
    width = draw(st.integers(2, widest))
    integer = draw(st.integers(-2, width + 2))
    sign = draw(st.sampled_from(("", "u")))
    rest = f",{draw(st.sampled_from(MODES))},{draw(st.sampled_from(OVERFLOWS))}" if modes else ""
    return f"ap_{sign}fixed<{width},{integer}{rest}>"


@st.composite
def _accumulator(draw: st.DrawFn) -> str:
    """Wide enough mostly, else one that cuts products and wraps."""
    if draw(st.integers(0, 2)):
        return "ap_fixed<48,24>"
    return f"ap_fixed<{draw(st.integers(4, 20))},{draw(st.integers(0, 12))}>"


def _weights(draw: st.DrawFn, *shape: int) -> np.ndarray:
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(size=shape)


def _linear(draw: st.DrawFn, filters: int) -> tuple[Layer, dict[str, str]]:
    bias = _weights(draw, filters) if draw(st.booleans()) else None
    precision = {
        "weight": draw(fixed(8, modes=False)),
        "bias": draw(fixed(10, modes=False)),
        "accum": draw(_accumulator()),
        "result": draw(fixed()),
    }
    return {"bias_data": bias}, precision


def _dense(draw: st.DrawFn, chain: Chain) -> None:
    n_in, n_out = chain.shape[-1], draw(st.integers(1, 6))
    rest, precision = _linear(draw, n_out)
    layer = {"class_name": "Dense", "n_in": n_in, "n_out": n_out, "weight_data": _weights(draw, n_in, n_out), **rest}
    chain.add(layer, (*chain.shape[:-1], n_out), **precision)


_AXES = {1: ("width",), 2: ("height", "width")}
_SIDES = {1: (("pad_left", "pad_right"),), 2: (("pad_top", "pad_bottom"), ("pad_left", "pad_right"))}


def _along(rank: int, prefix: str, values: Shape) -> Layer:
    return {f"{prefix}_{axis}": value for axis, value in zip(_AXES[rank], values, strict=True)}


def _conv(draw: st.DrawFn, chain: Chain) -> None:
    *size, channels = chain.shape
    rank = len(size)
    kernel = tuple(draw(st.integers(1, min(3, n))) for n in size)
    strides = tuple(draw(st.integers(1, 2)) for _ in size)
    pads = [(draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in kernel]
    outputs = tuple((n + sum(p) - k) // s + 1 for n, p, k, s in zip(size, pads, kernel, strides, strict=True))
    filters = draw(st.integers(1, 4))
    rest, precision = _linear(draw, filters)
    layer = {
        "class_name": f"Conv{rank}D",
        "data_format": "channels_last",
        **_along(rank, "in", tuple(size)),
        **_along(rank, "out", outputs),
        **_along(rank, "filt", kernel),
        **_along(rank, "stride", strides),
        **{side: n for sides, pad in zip(_SIDES[rank], pads, strict=True) for side, n in zip(sides, pad, strict=True)},
        "n_chan": channels,
        "n_filt": filters,
        "weight_data": _weights(draw, *kernel, channels, filters),
        **rest,
    }
    chain.add(layer, (*outputs, filters), **precision)


def _pool(draw: st.DrawFn, chain: Chain) -> None:
    *size, channels = chain.shape
    rank = len(size)
    window = tuple(draw(st.integers(1, min(3, n))) for n in size)
    kind = draw(st.sampled_from(("Max", "Average")))
    outputs = tuple((n - w) // w + 1 for n, w in zip(size, window, strict=True))
    layer = {
        "class_name": f"{kind}Pooling{rank}D",
        "data_format": "channels_last",
        **_along(rank, "pool", window),
        **_along(rank, "stride", window),
        **{side: 0 for sides in _SIDES[rank] for side in sides},
        "n_filt": channels,
        "count_pad": True,
    }
    if rank == 1:
        layer |= {"n_in": size[0], "n_out": outputs[0]}
    else:
        layer |= _along(rank, "in", tuple(size)) | _along(rank, "out", outputs)
    chain.add(layer, (*outputs, channels), result=draw(fixed()), accum="ap_fixed<40,20>")


def _activation(draw: st.DrawFn, chain: Chain) -> None:
    kind = draw(st.sampled_from(("relu", "linear")))
    chain.add({"class_name": "Activation", "activation": kind}, chain.shape, result=draw(fixed()))


def _flatten(draw: st.DrawFn, chain: Chain) -> None:
    size = prod(chain.shape)
    chain.add({"class_name": "Reshape", "target_shape": [size]}, (size,))


@st.composite
def chains(draw: st.DrawFn, name: str) -> Chain:
    """A network of one to four layers."""
    rank = draw(st.sampled_from((1, 2, 3)))
    shape = (*(draw(st.integers(1, 6)) for _ in range(rank - 1)), draw(st.integers(1, 4)))
    chain = Chain(name, shape)
    chain.add({"class_name": "InputLayer", "input_shape": list(shape)}, shape, result=draw(fixed(10)))
    for _ in range(draw(st.integers(1, 4))):
        flat = len(chain.shape) == 1
        choices = (_dense, _activation) if flat else (_conv, _pool, _activation, _flatten)
        draw(st.sampled_from(choices))(draw, chain)
        if flat is False and len(chain.shape) == 1:  # streams are flattened for a dense layer only
            _dense(draw, chain)
    if chain.layers[-1]["class_name"] == "InputLayer":
        _activation(draw, chain)
    return chain


@st.composite
def batches(draw: st.DrawFn, count: int) -> tuple[list[Chain], str]:
    """Several networks and the io type that they share."""
    return [draw(chains(f"n{i}")) for i in range(count)], draw(st.sampled_from(("io_parallel", "io_stream")))


def model_of(networks: list[Chain], io_type: str, folder: Path, backend: str = "Vitis") -> Any:
    """One hls4ml model of several networks side by side, after its backend's flow."""
    config = get_backend(backend).create_initial_config(io_type=io_type)
    config |= {"OutputDir": str(folder), "ProjectName": "random", "Backend": backend}
    names = {name: {"Precision": types} for chain in networks for name, types in chain.precision.items() if types}
    common = {"Precision": "ap_fixed<16,6>", "ReuseFactor": 1, "Strategy": "Latency"}
    config["HLSConfig"] = {"Model": common, "LayerName": names}
    layers = deepcopy([layer for chain in networks for layer in chain.layers])  # hls4ml's passes edit their inputs
    inputs = [chain.layers[0]["name"] for chain in networks]
    return ModelGraph.from_layer_list(config, layers, inputs, [chain.layers[-1]["name"] for chain in networks])


class CSimCrash(Exception):
    """hls4ml's own C++ aborted, or lost data in a stream: it cannot be the judge of this network."""


def csim(model: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """What hls4ml's C++ gives for real inputs (N, ...), one array per output, run in a process of its own.

    Compiled without the optimisation that takes most of g++'s time and changes no bit.
    """
    model.write()
    folder = Path(model.config.get_output_dir())
    script = folder / "build_lib.sh"
    script.write_text(script.read_text().replace("-O3", "-O0"))
    subprocess.run(["bash", script.name], cwd=folder, check=True, capture_output=True)
    library = next((folder / "firmware").glob("*.so"))
    samples = len(inputs[0])
    ports: list[str] = []
    for index, x in enumerate(inputs):
        x.astype(np.float64).tofile(folder / f"x{index}")
        ports += ["i", f"x{index}={prod(x.shape[1:])}"]
    shapes = [tuple(variable.shape) for variable in model.get_output_variables()]
    for index, shape in enumerate(shapes):
        ports += ["o", f"y{index}={prod(shape)}"]
    child = [sys.executable, "-P", str(CHILD), str(library), f"{model.config.get_project_name()}_double"]
    run = subprocess.run([*child, str(samples), *ports], cwd=folder, capture_output=True, check=False)
    if run.returncode or b"Hls::stream" in run.stdout + run.stderr:
        raise CSimCrash((run.stderr + run.stdout).decode(errors="replace")[-500:])
    return [np.fromfile(folder / f"y{index}").reshape(samples, *shape) for index, shape in enumerate(shapes)]


def inputs_of(networks: list[Chain], samples: int) -> list[np.ndarray]:
    """Real inputs that reach beyond the inputs' types, zero and extremes among them."""
    random = np.random.default_rng(0)
    arrays = []
    for chain in networks:
        shape = (samples, *chain.layers[0]["input_shape"])
        scale = 2.0 ** random.integers(-4, 8, size=(samples, *[1] * (len(shape) - 1)))
        arrays.append(np.concatenate([random.normal(size=shape)[:-1] * scale[:-1], np.zeros((1, *shape[1:]))]))
    return arrays
