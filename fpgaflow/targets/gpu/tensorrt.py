"""TensorRT engines: ahead of time and without a GPU by TensorRT-RTX, else by full TensorRT where its GPU is.

The batch is fixed: engines with a range of batches come out different at every build.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from enum import Enum
from types import ModuleType
from typing import Any

from onnx import ModelProto

from fpgaflow.errors import BadInput, MissingTool, ToolFailed


class Flavour(Enum):
    RTX = "TensorRT-RTX"
    FULL = "TensorRT"


_MODULES = {Flavour.RTX: "tensorrt_rtx", Flavour.FULL: "tensorrt"}
TURING, HOPPER = 75, 90


@dataclass(frozen=True)
class TensorRT:
    """An installed TensorRT."""

    flavour: Flavour
    module: ModuleType

    @property
    def version(self) -> str:
        return str(self.module.__version__)

    @property
    def architectures(self) -> tuple[int, ...]:
        """Compute capabilities (75 for SM75) that it builds for ahead of time."""
        names = vars(getattr(self.module, "ComputeCapability", object))
        return tuple(sorted(int(name[2:]) for name in names if name.startswith("SM") and name[2:].isdigit()))


def find_tensorrt(flavour: Flavour | None = None) -> TensorRT:
    """TensorRT-RTX where it is installed, else full TensorRT; or the one asked for.

    Raises:
        MissingTool: neither is.
    """
    for each in Flavour if flavour is None else (flavour,):
        try:
            module = importlib.import_module(_MODULES[each])
            if hasattr(module, "Builder"):
                return TensorRT(each, module)
        except (ImportError, OSError):
            continue
    raise MissingTool(
        "TensorRT", "is not installed", "pip install 'fpgaflow[gpu]' (TensorRT-RTX, needs no GPU to build)"
    )


def checked_architectures(tensorrt: TensorRT, asked: tuple[int, ...]) -> tuple[int, ...]:
    """The compute capabilities to build for: those asked for, or all from Ampere on.

    One engine for Turing and others computes in float32 for all of them, so Turing has to be asked for.

    Raises:
        BadInput: this TensorRT does not build for one of them.
    """
    if tensorrt.flavour is Flavour.FULL:
        if asked:
            raise BadInput("--sm", "is TensorRT-RTX's", "Full TensorRT builds for the GPU it runs on: leave --sm out")
        return ()
    known = tensorrt.architectures
    unknown = [sm for sm in asked if sm not in known]
    if HOPPER in unknown:
        fix = "For H100 and H200 use full TensorRT, or --target inductor, on such a machine"
        raise BadInput("--sm 90", f"TensorRT-RTX {tensorrt.version} does not build for Hopper", fix)
    if unknown:
        listed = ", ".join(map(str, known))
        raise BadInput(
            f"--sm {unknown[0]}", f"TensorRT-RTX {tensorrt.version} builds for {listed}", "Name some of these"
        )
    return tuple(sorted(set(asked))) or tuple(sm for sm in known if sm > TURING)


def build_plan(tensorrt: TensorRT, model: ModelProto, architectures: tuple[int, ...], batch: int) -> bytes:
    """The serialised engine of a QDQ model for inputs (batch, ...), strongly typed, without TF32.

    Raises:
        ToolFailed: TensorRT does not parse or build the model; its own message is in the error's.
    """
    trt = tensorrt.module
    log = _logger(trt)
    builder = trt.Builder(log)
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model.SerializeToString()):
        found = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise ToolFailed(tensorrt.flavour.value, f"does not read the model: {found}", "Please report this model")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        port = network.get_input(index)
        shape = (batch, *tuple(port.shape)[1:])
        profile.set_shape(port.name, shape, shape, shape)
    config.add_optimization_profile(profile)
    if architectures:
        config.num_compute_capabilities = len(architectures)
        for index, sm in enumerate(architectures):
            config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{sm}"), index)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        found = log.messages[-1] if log.messages else "no message"
        raise ToolFailed(
            tensorrt.flavour.value, f"does not build the engine: {found}", "Choose other --sm, or report it"
        )
    return bytes(plan)


def _logger(trt: ModuleType) -> Any:
    """Keeps TensorRT's errors instead of printing them."""

    class Log(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.messages: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self.messages.append(message)

    return Log()
