"""QONNX out of a Brevitas model."""

# mypy: disallow-subclassing-any=False
from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import brevitas.export
import onnx
from brevitas.quant_tensor import QuantTensor
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueParameterTensors, RemoveUnusedTensors
from qonnx.transformation.infer_shapes import InferShapes
from torch import Tensor, fx, nn

from fpgaflow.files import write_atomic

_QUANT_OPS = ["Quant", "BipolarQuant", "Trunc"]

# Scopes that Brevitas puts between a layer's name and its operator.
_BREVITAS_SCOPES = ("export_handler", "activation_impl")
_WRAPPED = "wrapped"


class _PlainOutput(nn.Module):
    """The model, its output a tensor: of a QuantTensor the exporter writes outputs that nothing makes."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.add_module(_WRAPPED, model)

    def forward(self, x: Tensor) -> Any:
        made = self.get_submodule(_WRAPPED)(x)
        return made.value if isinstance(made, QuantTensor) else made


def export_qonnx(model: nn.Module, example_input: Tensor, path: Path) -> None:
    """Writes `model` in eval mode as QONNX with a batch of 1, each quantiser one `Quant` node, nodes named by layer.

    The batch is fixed because qonnx's executor, hls4ml and FINN want every shape; qonnx's `ChangeBatchSize` alters it.
    `model` itself is left as it was; Brevitas would leave its handlers and caches in it.
    """
    model = _PlainOutput(_flat(copy.deepcopy(model))).eval()
    with warnings.catch_warnings():
        # They are about the exporter's own future and about tracing; callers compare the file's outputs bit by bit.
        warnings.simplefilter("ignore")
        # The TorchScript exporter keeps the layers' names, torch.export does not.
        exported = brevitas.export.export_qonnx(
            model, args=example_input[:1], dynamo=False, keep_initializers_as_inputs=False
        )
        wrapper = ModelWrapper(exported)
        for transformation in (
            InferShapes(),
            GiveUniqueParameterTensors(),  # Brevitas shares equal scales between layers
            FoldConstants(exclude_op_types=_QUANT_OPS),
            RemoveUnusedTensors(),
        ):
            wrapper = wrapper.transform(transformation)
        _name_nodes(wrapper.model.graph)
        wrapper = wrapper.transform(GiveReadableTensorNames())
    write_atomic(path, wrapper.model.SerializeToString(deterministic=True))


def _flat(model: nn.Module) -> nn.Module:
    """'block1.conv1' → 'block1_conv1': of a layer in a graph the exporter keeps the last part of its name only."""
    if isinstance(model, fx.GraphModule):
        for node in model.graph.nodes:
            if node.op == "call_module" and "." in node.target:
                flat = node.target.replace(".", "_")
                model.add_submodule(flat, model.get_submodule(node.target))
                node.target = flat
        model.delete_all_unused_submodules()
        model.recompile()
    return model


def _name_nodes(graph: onnx.GraphProto) -> None:
    """'/conv1/weight_quant/export_handler/Quant' → 'conv1_weight_quant', '/relu1/act_quant/.../Relu' → 'relu1'."""
    taken: set[str] = set()
    for node in graph.node:
        path = node.name.strip("/").split("/")[:-1]
        scopes = [scope.removeprefix(f"{_WRAPPED}.") for scope in path if scope not in (*_BREVITAS_SCOPES, _WRAPPED)]
        if scopes and scopes[-1] == "act_quant":
            scopes[-1:] = ["quant"] if node.op_type in _QUANT_OPS else []
        base = "_".join(scopes) or node.op_type.lower()
        name, count = base, 1
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        taken.add(name)
        node.name = name
