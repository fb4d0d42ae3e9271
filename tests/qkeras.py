"""QKeras models without QKeras: files written with h5py, and what they compute, by QKeras' formulas in numpy.

Nothing is shared with fpgaflow.frontend.keras. Sums are of dyadic numbers in float64, so exact; weights are folded and
quantised in float32, as QKeras does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Array = np.ndarray
F32 = np.float32


def bits(bits: int, integer: int, **config: Any) -> dict[str, Any]:
    """A configuration as QKeras saves it."""
    full = {"bits": bits, "integer": integer, "symmetric": 0, "alpha": 1, "keep_negative": True, "qnoise_factor": 1.0}
    return {"class_name": "quantized_bits", "config": full | config}


def relu(bits: int, integer: int) -> dict[str, Any]:
    config = {"bits": bits, "integer": integer, "use_sigmoid": 0, "negative_slope": 0.0, "relu_upper_bound": None}
    return {"class_name": "quantized_relu", "config": config}


class Model:
    """A Functional model under construction, in Keras 2's format; every method returns the new layer's name."""

    def __init__(self, *shape: int | None) -> None:
        self.layers: list[dict[str, Any]] = []
        self.weights: dict[str, dict[str, Array]] = {}
        self.add("InputLayer", batch_input_shape=[None, *shape])

    def add(self, kind: str, *sources: str, weights: Mapping[str, Array] | None = None, **config: Any) -> str:
        name = f"layer{len(self.layers)}"
        if not sources and self.layers:
            sources = (self.layers[-1]["config"]["name"],)
        inbound = [[[source, 0, 0, {}] for source in sources]] if sources else []
        self.layers.append({"class_name": kind, "config": {"name": name, **config}, "inbound_nodes": inbound})
        self.weights[name] = dict(weights or {})
        return name

    def write(self, path: Path, *outputs: str) -> Path:
        ends = outputs or (self.layers[-1]["config"]["name"],)
        config = {"name": "net", "layers": self.layers, "output_layers": [[name, 0, 0] for name in ends]}
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": config})
            for layer, arrays in self.weights.items():
                group = file.create_group(f"model_weights/{layer}")
                group.attrs["weight_names"] = [f"{layer}/{name}:0" for name in arrays]
                for name, array in arrays.items():
                    group[f"{layer}/{name}:0"] = array
        return path


def quantised(given: Any, x: Array) -> Array:
    """`qkeras.quantizers` at inference, without the detour x + (q - x)."""
    kind, config = given["class_name"], given["config"]
    if kind == "binary":
        return np.where(x >= 0, 1.0, -1.0)
    if kind == "ternary":
        return np.where(np.abs(x) >= F32(config["threshold"]), np.sign(x), 0.0)
    scale = 2.0 ** config["integer"]
    if kind == "quantized_relu":
        levels = 2.0 ** config["bits"]
        return scale * np.clip(np.round(x * levels / scale) / levels, 0.0, 1.0 - 1.0 / levels)
    negative = config["keep_negative"]
    levels = 2.0 ** (config["bits"] - negative)
    if levels == 1:
        return np.where(x >= 0, 1.0, -1.0)
    return (
        scale * np.clip(np.round(x * levels / scale), negative * (-levels + config["symmetric"]), levels - 1) / levels
    )


def evaluate(path: Path, x: Array, input_quantizer: Any = None) -> Array:
    """The last layer's output for `x` (N, ...), a last softmax left out."""
    with h5py.File(path, "r") as file:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
        made: dict[str, Array] = {}
        last = x
        for layer in layers:
            config, name = layer["config"], layer["config"]["name"]
            group = file["model_weights"].get(name)
            names = (
                []
                if group is None
                else [n.decode() if isinstance(n, bytes) else n for n in group.attrs["weight_names"]]
            )
            weights = {n.rsplit("/", 1)[-1].removesuffix(":0"): np.array(group[n]) for n in names}
            sources = [made[source[0]] for source in (layer["inbound_nodes"] or [[]])[0]]
            if layer["class_name"] == "InputLayer":
                last = x.astype(np.float64) if input_quantizer is None else quantised(input_quantizer, x)
            elif config.get("activation") != "softmax":
                last = _LAYERS[layer["class_name"]](config, weights, *sources)
            made[name] = last
    return last


def _folded(config: Any, weights: Mapping[str, Array], kernel: str) -> tuple[Array, Array]:
    """Kernel and bias, quantised."""
    w, b = weights[kernel], weights.get("bias", F32(0))
    if "moving_mean" in weights:
        inverse = F32(1) / np.sqrt(weights["moving_variance"] + F32(config["epsilon"])) * weights["gamma"]
        b = inverse * (b - weights["moving_mean"]) + weights["beta"]
        w = inverse.reshape(w.shape[2:] if kernel == "depthwise_kernel" else -1) * w
    w = quantised(config[kernel.replace("kernel", "quantizer") if kernel != "kernel" else "kernel_quantizer"], w)
    return w, b if config.get("bias_quantizer") is None else quantised(config["bias_quantizer"], b)


def _activated(config: Any, x: Array) -> Array:
    given = config.get("activation")
    if given in (None, "linear"):
        return x
    return np.maximum(x, 0) if given == "relu" else quantised(given, x)


def _dense(config: Any, weights: Mapping[str, Array], x: Array) -> Array:
    kernel, bias = _folded(config, weights, "kernel")
    return _activated(config, x @ kernel + bias)


def _patches(x: Array, size: Sequence[int], strides: Sequence[int], dilation: Sequence[int], padding: str) -> Array:
    """(N, out..., window, C) of x (N, ..., C), padded as TensorFlow's `same`: the odd row behind; NaN outside."""
    reach = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    shape = x.shape[1:-1]
    if padding == "same":
        total = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(shape, strides, reach, strict=True)]
        x = np.pad(x, [(0, 0), *((t // 2, t - t // 2) for t in total), (0, 0)], constant_values=np.nan)
    out = [(n - r) // s + 1 for n, r, s in zip(x.shape[1:-1], reach, strides, strict=True)]
    taps = []
    for offset in np.ndindex(*size):
        cut = [
            slice(o * d, o * d + (n - 1) * s + 1, s) for o, d, n, s in zip(offset, dilation, out, strides, strict=True)
        ]
        taps.append(x[(slice(None), *cut)])
    return np.stack(taps, axis=-2)


def _conv(config: Any, weights: Mapping[str, Array], x: Array) -> Array:
    name = "depthwise_kernel" if "depthwise_kernel" in weights else "kernel"
    kernel, bias = _folded(config, weights, name)
    size = kernel.shape[:-2]
    taps = np.nan_to_num(_patches(x, size, config["strides"], config["dilation_rate"], config["padding"]))
    kernel = kernel.reshape(-1, *kernel.shape[-2:])
    if name == "kernel":
        return _activated(config, np.einsum("...tc,tcf->...f", taps, kernel) + bias)
    made = np.einsum("...tc,tcm->...cm", taps, kernel)
    return _activated(config, made.reshape(*made.shape[:-2], -1) + bias)


def _max_pool(config: Any, weights: Any, x: Array) -> Array:
    ones = [1] * len(config["pool_size"])
    return np.nanmax(_patches(x, config["pool_size"], config["strides"], ones, config["padding"]), axis=-2)


_LAYERS = {
    "Activation": lambda config, _, x: _activated(config, x),
    "Add": lambda config, _, *xs: sum(xs),
    "Dropout": lambda config, _, x: x,
    "Flatten": lambda config, _, x: x.reshape(len(x), -1),
    "GlobalAveragePooling2D": lambda config, _, x: x.mean(axis=(1, 2)),
    "MaxPooling1D": _max_pool,
    "MaxPooling2D": _max_pool,
    "Permute": lambda config, _, x: x.transpose(0, *config["dims"]),
    "QActivation": lambda config, _, x: _activated(config, x),
    "QConv1D": _conv,
    "QConv2D": _conv,
    "QConv2DBatchnorm": _conv,
    "QDense": _dense,
    "QDenseBatchnorm": _dense,
    "QDepthwiseConv2D": _conv,
    "Reshape": lambda config, _, x: x.reshape(len(x), *config["target_shape"]),
}
