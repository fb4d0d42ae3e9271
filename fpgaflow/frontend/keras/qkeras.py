"""Keras and QKeras model files to QONNX: each layer of the file becomes nodes with the quantisers spelled out."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from onnx import ModelProto, TensorProto, helper

from fpgaflow.errors import BadInput, ModelNote, Problem, UnsupportedModel
from fpgaflow.files import write_atomic
from fpgaflow.frontend.keras.file import KERAS_SUFFIXES, Layer, read_keras
from fpgaflow.frontend.keras.hgq import is_hgq
from fpgaflow.frontend.keras.layers import DOMAIN, Build, activation_quant, importer_of
from fpgaflow.frontend.keras.quantizers import quantizer_of
from fpgaflow.frontend.refuse import RefusedNodeError, refuse

_OPSET, _IR_VERSION = 17, 9


def keras_to_qonnx(spec: str, out: Path) -> bool:
    """Writes the QONNX file of `FILE.h5`, `FILE.keras` or either with `:QUANTISER` behind it; False if it is neither,
    or a model of HGQ2.

    Raises:
        FpgaflowError: as `qonnx_from_keras`.
    """
    if (named := _named(spec)) is None:
        return False
    model = qonnx_from_keras(Path(named[1]), named[2])
    write_atomic(out, model.SerializeToString(deterministic=True))
    return True


def is_keras(spec: str) -> bool:
    """Whether `keras_to_qonnx` writes a file for it."""
    return _named(spec) is not None


def _named(spec: str) -> re.Match[str] | None:
    """The file and the quantiser, if any, of a model of Keras or QKeras."""
    found = re.fullmatch(rf"(.*(?:{'|'.join(map(re.escape, KERAS_SUFFIXES))}))(?::(.*))?", spec)
    return None if found is None or is_hgq(Path(found[1])) else found


def qonnx_from_keras(path: Path, input_quantizer: str | None = None) -> ModelProto:
    """The QONNX model of a Keras 2 or 3 file; weights are quantised as QKeras does it at inference.

    A softmax that ends the model is left to the host, with a ModelNote: the output is then its argument, the logits.

    Args:
        input_quantizer: a QKeras quantiser put before every input, as `quantized_bits(8, 0, alpha=1)`; needed where
            the model itself takes real numbers.

    Raises:
        BadInput: the file is no whole Keras model.
        UnsupportedModel: names every layer that cannot be carried.
        MissingTool: h5py is not installed.
    """
    model = read_keras(path)
    build, problems, shapes = Build(), [], {}
    for layer in model.layers:
        if build.refused.intersection(layer.inputs):
            build.refused.add(layer.name)
            continue
        try:
            if layer.kind == "InputLayer":
                shapes[layer.name] = _shape(layer)
                _quantise_input(build, layer, input_quantizer)
            elif layer.name in model.outputs and _is_softmax(layer):
                note = f"{layer}: left to the host, the model's outputs are its logits"
                warnings.warn(note, ModelNote, stacklevel=2)
                build.alias(layer)
            else:
                importer_of(layer)(build, layer)
        except RefusedNodeError as refusal:
            problems.append(refusal.problem)
            build.refused.add(layer.name)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            found = f"its configuration is not understood ({type(error).__name__}: {error})"
            problems.append(Problem(str(layer), found, "Save it with the Keras or QKeras that made it"))
            build.refused.add(layer.name)
    if problems:
        raise UnsupportedModel(problems)
    if unknown := [name for name in model.outputs if name not in build.tensors]:
        raise BadInput(str(path), f"no layer is named '{unknown[0]}', which is its output", "Save the model again")
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    outputs = [helper.make_tensor_value_info(build.tensors[n], TensorProto.FLOAT, None) for n in model.outputs]
    graph = helper.make_graph(build.nodes, model.name, inputs, outputs, build.initialisers)
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="fpgaflow")


def _shape(layer: Layer) -> list[int]:
    shape = layer.config.get("batch_shape") or layer.config.get("batch_input_shape") or ()
    if len(shape) < 2 or not all(isinstance(n, int) and n > 0 for n in shape[1:]):
        refuse(str(layer), f"has the shape {shape}", "Give the model an input of fixed size: keras.Input((...))")
    return [1, *shape[1:]]


def _quantise_input(build: Build, layer: Layer, given: str | None) -> None:
    build.tensors[layer.name] = layer.name
    quantizer = quantizer_of("the input quantiser", given)
    if quantizer is not None:
        build.tensors[layer.name] = activation_quant(build, "the input quantiser", quantizer, layer.name, "input_quant")


def _is_softmax(layer: Layer) -> bool:
    return layer.kind == "Softmax" or (layer.kind == "Activation" and layer.config["activation"] == "softmax")
