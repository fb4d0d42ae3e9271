"""hls4ml models of several branches in one compile, and the comparison of all their tensors with the simulator's."""

from __future__ import annotations

from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from hls4ml.backends import get_backend
from hls4ml.model import ModelGraph

from fpgaflow.frontend.hls4ml.model import from_hls4ml
from fpgaflow.sim.run import Simulator

Layer = dict[str, Any]


class Net:
    """Layers by name; every tensor that no layer reads is an output."""

    def __init__(self, io_type: str = "io_parallel", backend: str = "Vitis", **options: Any) -> None:
        self.io_type, self.backend, self.options = io_type, backend, options
        self.layers: list[Layer] = []
        self.precision: dict[str, dict[str, Any]] = {}
        self.random = np.random.default_rng(7)

    @property
    def stream(self) -> bool:
        return self.io_type == "io_stream"

    def input(self, name: str, *shape: int, type_: str = "ap_fixed<8,3>") -> str:
        return self.add("InputLayer", name, (), {"result": type_}, input_shape=list(shape))

    def add(self, kind: str, name: str, inputs: tuple[str, ...] | str, types: dict[str, Any], **rest: Any) -> str:
        """A layer; `types` are its precisions, with other settings of the layer beside them under capital letters."""
        inputs = (inputs,) if isinstance(inputs, str) else inputs
        self.layers.append({"class_name": kind, "name": name, "inputs": list(inputs), **rest})
        settings = {key: value for key, value in types.items() if key[0].isupper()}
        precisions = {key: value for key, value in types.items() if not key[0].isupper()}
        self.precision[name] = {"Precision": precisions, "Trace": True, **settings}
        return name

    def numbers(self, *shape: int) -> np.ndarray:
        return self.random.normal(size=shape)

    def model(self, folder: Path) -> Any:
        read = {name for layer in self.layers for name in layer["inputs"]}
        inputs = [layer["name"] for layer in self.layers if layer["class_name"] == "InputLayer"]
        outputs = [layer["name"] for layer in self.layers if layer["name"] not in read]
        config = get_backend(self.backend).create_initial_config(io_type=self.io_type)
        config |= {"OutputDir": str(folder), "ProjectName": "user", "Backend": self.backend}
        common = {"Precision": "ap_fixed<16,6>", "ReuseFactor": 1, "Strategy": "Latency", **self.options}
        config["HLSConfig"] = {"Model": common, "LayerName": self.precision}
        model = ModelGraph.from_layer_list(config, self.layers, inputs, outputs)
        model.write = partial(write_unoptimised, model)
        return model


def write_unoptimised(model: Any) -> None:
    """Writes the project to be compiled without the optimisation that takes most of g++'s time and changes no bit."""
    type(model).write(model)
    script = Path(model.config.get_output_dir()) / "build_lib.sh"
    script.write_text(script.read_text().replace("-O3", "-O0"))


def samples(model: Any, count: int = 60, seed: int = 0) -> list[np.ndarray]:
    """Reals for each input: all over its type's range and a little beyond, with its extremes among them."""
    random = np.random.default_rng(seed)
    arrays = []
    for port in from_hls4ml(model).inputs:
        variable = next(v for v in model.get_input_variables() if v.name == port.name)
        scale = float(1 / port.gain)
        low, high = port.low * scale, port.high * scale
        x = random.uniform(low * 1.2, high * 1.2, size=(count, *variable.shape))
        edges = random.choice([low, low + scale, high, 0.0, scale, -scale], size=x.shape)
        arrays.append(np.where(random.random(x.shape) < 0.25, edges, x))
    return arrays


def assert_same_trace(model: Any, count: int = 60, engine: str = "reference") -> dict[str, np.ndarray]:
    """hls4ml's outputs and trace against the simulator's; gives hls4ml's trace."""
    arrays = samples(model, count)
    x = arrays if len(arrays) > 1 else arrays[0]
    simulator = Simulator(model, engine=engine)
    wanted, traced = model.trace(x)
    got = simulator.trace(x)
    for name, want in traced.items():
        assert name in got, name
        np.testing.assert_array_equal(got[name].reshape(count, -1), want.reshape(count, -1), err_msg=name)
    predicted = simulator.predict(x)
    predicted = predicted if isinstance(predicted, list) else [predicted]
    outputs = [wanted] if len(predicted) == 1 else wanted
    for want, mine in zip(outputs, predicted, strict=True):
        np.testing.assert_array_equal(mine.reshape(count, -1), np.asarray(want).reshape(count, -1))
        assert prod(mine.shape) == np.asarray(want).size
    return traced
