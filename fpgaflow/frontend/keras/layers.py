"""One function per kind of Keras layer: the layer of a file to ONNX nodes, its quantisers spelled out.

Tensors keep Keras' channels-last layout; where an ONNX operator wants channels first, transposes stand around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from fpgaflow.frontend.keras.file import Layer
from fpgaflow.frontend.keras.quantizers import FixedQuantizer, quantizer_of
from fpgaflow.frontend.refuse import refuse

DOMAIN = "qonnx.custom_op.general"


@dataclass
class Build:
    """`tensors` is the output of each layer so far, by its name."""

    nodes: list[NodeProto] = field(default_factory=list)
    initialisers: list[TensorProto] = field(default_factory=list)
    tensors: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    def alias(self, layer: Layer) -> None:
        self.tensors[layer.name] = self.source(layer)

    def source(self, layer: Layer, position: int = 0) -> str:
        """The tensor that a layer reads."""
        if position >= len(layer.inputs) or layer.inputs[position] not in self.tensors:
            refuse(str(layer), "reads a layer that is not in the file before it", "Save the model again")
        return self.tensors[layer.inputs[position]]

    def const(self, values: Any, name: str, dtype: Any = np.float32) -> str:
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=dtype), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def quant(self, source: str, quantizer: FixedQuantizer, output: str) -> str:
        scale = self.const(quantizer.step, f"{output}.scale")
        if quantizer.binary:
            return self.node("BipolarQuant", [source, scale], output, DOMAIN)
        narrow = int(quantizer.signed and quantizer.low == -quantizer.high)
        inputs = [source, scale, self.const(0, f"{output}.zero"), self.const(quantizer.bits, f"{output}.bits")]
        signed = int(quantizer.signed)
        return self.node("Quant", inputs, output, DOMAIN, signed=signed, narrow=narrow, rounding_mode="ROUND")

    def channels_first(self, layer: Layer, rank: int, run: Callable[[str, str], str], output: str) -> str:
        """`run(input, output)` between transposes, of a tensor with `rank` spatial axes; as it is with none."""
        if rank == 0:
            return run(self.source(layer), output)
        first, last = (0, rank + 1, *range(1, rank + 1)), (0, *range(2, rank + 2), 1)
        moved = self.node("Transpose", [self.source(layer)], f"{output}.first", perm=first)
        return self.node("Transpose", [run(moved, f"{output}.made")], output, perm=last)


def activation_quant(build: Build, where: str, quantizer: FixedQuantizer, source: str, output: str) -> str:
    if quantizer.threshold is not None:
        refuse(where, "quantises an activation to ternary by a threshold", "Use quantized_bits(2, 1, 1, alpha=1)")
    return build.quant(source, quantizer, output)


def _weight(build: Build, layer: Layer, array: np.ndarray, given: str, name: str, perm: Sequence[int]) -> str:
    """A quantised weight in ONNX's order of axes: the integers as QKeras decides them, behind their quantiser."""
    quantizer = quantizer_of(str(layer), layer.config.get(given))
    if quantizer is None:
        refuse(str(layer), f"has no {given}: its weights are floats", "Train with QKeras' layers and quantisers")
    values = (quantizer.integers(array) * quantizer.step).astype(np.float32).transpose(perm)
    return build.quant(build.const(values, f"{layer.name}.{name}"), quantizer, f"{layer.name}_{name}_quant")


def _bias(build: Build, layer: Layer, array: np.ndarray | None) -> list[str]:
    if array is None:
        return []
    quantizer = quantizer_of(str(layer), layer.config.get("bias_quantizer"))
    if quantizer is None:
        return [build.const(array, f"{layer.name}.bias")]
    values = (quantizer.integers(array) * quantizer.step).astype(np.float32)
    return [build.quant(build.const(values, f"{layer.name}.bias"), quantizer, f"{layer.name}_bias_quant")]


def _parameters(layer: Layer, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """(kernel, bias); of a layer fused with batch norm, folded in float32 in the order in which QKeras does it."""
    kernel = _variable(layer, name, "0")
    bias = _variable(layer, "bias", "1") if layer.config.get("use_bias", True) else None
    if not layer.kind.endswith("Batchnorm"):
        return kernel, bias
    norm = _normalisation(layer, "batchnorm/")
    gain = (1 / np.sqrt(norm["moving_variance"] + np.float32(layer.config["epsilon"]))).astype(np.float32)
    gain = gain * norm.get("gamma", np.float32(1))
    offset = gain * ((np.float32(0) if bias is None else bias) - norm["moving_mean"]) + norm.get("beta", np.float32(0))
    along = gain.reshape(kernel.shape[-2:]) if name == "depthwise_kernel" else gain
    return along * kernel, offset


def _normalisation(layer: Layer, prefix: str = "") -> dict[str, np.ndarray]:
    """The variables of a batch norm, gamma and beta where it has them."""
    kept = {"gamma": layer.config.get("scale", True), "beta": layer.config.get("center", True)}
    names = [name for name in ("gamma", "beta", "moving_mean", "moving_variance") if kept.get(name, True)]
    return {name: _variable(layer, name, f"{prefix}{index}") for index, name in enumerate(names)}


def _variable(layer: Layer, name: str, number: str) -> np.ndarray:
    """A weight by its name, or in Keras 3's files by its number."""
    found = layer.weights.get(name, layer.weights.get(number))
    if found is None or found.dtype != np.float32:
        refuse(str(layer), f"has no weight '{name}' of float32", "Save the whole model: model.save(path)")
    return found


def _dense(build: Build, layer: Layer) -> None:
    kernel, bias = _parameters(layer, "kernel")
    inputs = [build.source(layer), _weight(build, layer, kernel, "kernel_quantizer", "kernel", (0, 1))]
    made = f"{layer.name}.product" if bias is not None or not _is_linear(layer) else layer.name
    made = build.node("MatMul", inputs, made)
    if bias is not None:
        summed = layer.name if _is_linear(layer) else f"{layer.name}.sum"
        made = build.node("Add", [made, *_bias(build, layer, bias)], summed)
    _finish(build, layer, made)


def _conv(build: Build, layer: Layer) -> None:
    config, depthwise = layer.config, "Depthwise" in layer.kind
    if config.get("data_format") not in (None, "channels_last") or config["padding"] not in ("same", "valid"):
        refuse(
            str(layer),
            f"is {config.get('data_format')}, padding {config['padding']}",
            "Use channels_last, same or valid",
        )
    name = "depthwise_kernel" if depthwise else "kernel"
    kernel, bias = _parameters(layer, name)
    rank, groups = kernel.ndim - 2, int(config.get("groups", 1))
    perm: tuple[int, ...] = (rank + 1, rank, *range(rank))
    if depthwise:  # (height, width, channels, multiplier) to (channels × multiplier, 1, height, width)
        groups = kernel.shape[2]
        weight = kernel.reshape(*kernel.shape[:2], 1, -1)
    else:
        weight = kernel
    attributes = {
        "kernel_shape": kernel.shape[:rank],
        "strides": config["strides"],
        "dilations": config["dilation_rate"],
        "auto_pad": {"same": "SAME_UPPER", "valid": "VALID"}[config["padding"]],
        "group": groups,
    }
    inputs = [_weight(build, layer, weight, f"{name}_quantizer".replace("_kernel_q", "_q"), "kernel", perm)]
    inputs += _bias(build, layer, bias)
    output = layer.name if _is_linear(layer) else f"{layer.name}.sum"
    made = build.channels_first(layer, rank, lambda x, y: build.node("Conv", [x, *inputs], y, **attributes), output)
    _finish(build, layer, made)


def _is_linear(layer: Layer) -> bool:
    return layer.config.get("activation") in (None, "linear")


def _finish(build: Build, layer: Layer, made: str) -> None:
    build.tensors[layer.name] = made if _is_linear(layer) else _activated(build, layer, made)


def _activated(build: Build, layer: Layer, source: str) -> str:
    """The activation that a layer's configuration names: a function, or a quantiser."""
    given = layer.config["activation"]
    if isinstance(given, str) and given in _FUNCTIONS:
        return build.node(_FUNCTIONS[given], [source], layer.name)
    if isinstance(given, str) and "quantized" not in given and given.split("(")[0] not in ("binary", "ternary"):
        refuse(str(layer), f"its activation '{given}' is not carried", f"Use a quantiser, or {', '.join(_FUNCTIONS)}")
    quantizer = quantizer_of(str(layer), given)
    assert quantizer is not None
    return activation_quant(build, str(layer), quantizer, source, layer.name)


_FUNCTIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softmax": "Softmax"}


def _activation(build: Build, layer: Layer) -> None:
    if _is_linear(layer):
        build.alias(layer)
    else:
        build.tensors[layer.name] = _activated(build, layer, build.source(layer))


def _relu(build: Build, layer: Layer) -> None:
    slope, threshold, high = (layer.config.get(k) for k in ("negative_slope", "threshold", "max_value"))
    if slope or threshold:
        refuse(str(layer), f"has negative_slope {slope} and threshold {threshold}", "Use a plain ReLU")
    if high is None:
        build.tensors[layer.name] = build.node("Relu", [build.source(layer)], layer.name)
        return
    bounds = [build.const(0, f"{layer.name}.low"), build.const(float(high), f"{layer.name}.high")]
    build.tensors[layer.name] = build.node("Clip", [build.source(layer), *bounds], layer.name)


def _batch_norm(build: Build, layer: Layer) -> None:
    found = _normalisation(layer)
    size = len(found["moving_mean"])
    full = {"gamma": np.ones(size), "beta": np.zeros(size), **found}
    inputs = [build.const(full[n], f"{layer.name}.{n}") for n in ("gamma", "beta", "moving_mean", "moving_variance")]
    axis = layer.config["axis"]
    rank = (axis[0] if isinstance(axis, list) else axis) - 1
    if rank < 0:
        refuse(str(layer), f"normalises axis {axis}", "Save the model after it was built: its last axis, as a number")
    epsilon = float(layer.config["epsilon"])
    build.tensors[layer.name] = build.channels_first(
        layer, rank, lambda x, y: build.node("BatchNormalization", [x, *inputs], y, epsilon=epsilon), layer.name
    )


def _pool(build: Build, layer: Layer) -> None:
    config = layer.config
    rank = 1 if layer.kind.endswith("1D") else 2
    if config.get("data_format") not in (None, "channels_last"):
        refuse(str(layer), f"is {config['data_format']}", "Use channels_last")
    attributes: dict[str, Any] = {}
    if not layer.kind.startswith("Global"):
        window, strides = ((n,) if isinstance(n, int) else n for n in (config["pool_size"], config["strides"]))
        mode = {"same": "SAME_UPPER", "valid": "VALID"}[config["padding"]]
        attributes = {"kernel_shape": window, "strides": strides, "auto_pad": mode}
    kind = _POOLS[layer.kind[:-2]]
    flat = layer.kind.startswith("Global") and not config.get("keepdims", False)
    made = build.channels_first(
        layer, rank, lambda x, y: build.node(kind, [x], y, **attributes), f"{layer.name}.kept" if flat else layer.name
    )
    build.tensors[layer.name] = build.node("Flatten", [made], layer.name) if flat else made


_POOLS = {
    "MaxPooling": "MaxPool",
    "AveragePooling": "AveragePool",
    "GlobalAveragePooling": "GlobalAveragePool",
    "GlobalMaxPooling": "GlobalMaxPool",
}


def _node(kind: str, **attributes: Any) -> Callable[[Build, Layer], None]:
    """A layer that is one ONNX node over all that it reads."""

    def convert(build: Build, layer: Layer) -> None:
        sources = [build.source(layer, position) for position in range(len(layer.inputs))]
        build.tensors[layer.name] = build.node(kind, sources, layer.name, **attributes)

    return convert


def _concatenate(build: Build, layer: Layer) -> None:
    _node("Concat", axis=int(layer.config["axis"]))(build, layer)


def _reshape(build: Build, layer: Layer) -> None:
    shape = build.const([0, *layer.config["target_shape"]], f"{layer.name}.shape", np.int64)
    build.tensors[layer.name] = build.node("Reshape", [build.source(layer), shape], layer.name)


def _permute(build: Build, layer: Layer) -> None:
    build.tensors[layer.name] = build.node(
        "Transpose", [build.source(layer)], layer.name, perm=[0, *layer.config["dims"]]
    )


_LAYERS: dict[str, Callable[[Build, Layer], None]] = {
    "Activation": _activation,
    "Add": _node("Add"),
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Dropout": Build.alias,
    "Flatten": _node("Flatten"),
    "Multiply": _node("Mul"),
    "Permute": _permute,
    "QActivation": _activation,
    "QConv1D": _conv,
    "QConv2D": _conv,
    "QConv2DBatchnorm": _conv,
    "QDense": _dense,
    "QDenseBatchnorm": _dense,
    "QDepthwiseConv2D": _conv,
    "QDepthwiseConv2DBatchnorm": _conv,
    "ReLU": _relu,
    "Reshape": _reshape,
    "SpatialDropout2D": Build.alias,
    "Subtract": _node("Sub"),
    **{f"{kind}{rank}D": _pool for kind in _POOLS for rank in (1, 2)},
}
_QUANTISED = {"Dense", "Conv1D", "Conv2D", "DepthwiseConv2D"}


def importer_of(layer: Layer) -> Callable[[Build, Layer], None]:
    found = _LAYERS.get(layer.kind.rsplit(">", 1)[-1])
    if found is None:
        fix = f"Use Q{layer.kind} of QKeras" if layer.kind in _QUANTISED else f"Carried are {', '.join(_LAYERS)}"
        refuse(str(layer), "cannot be carried exactly", fix)
    return found
