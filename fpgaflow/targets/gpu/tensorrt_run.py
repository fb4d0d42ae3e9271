"""Running a TensorRT engine on this machine's GPU, through torch's memory and streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fpgaflow.errors import BadInput, ToolFailed
from fpgaflow.targets.gpu.cuda_run import CudaRun, gpu_capability
from fpgaflow.targets.gpu.tensorrt import Flavour, find_tensorrt


def tensorrt_run(manifest: Mapping[str, Any], plan: bytes, *, graphs: bool = True) -> CudaRun:
    """What runs an engine, of a fixed batch.

    Raises:
        MissingTool: no GPU, or no TensorRT of the kind that built the engine.
        BadInput: the engine is for another GPU or another version.
        ToolFailed: TensorRT does not load it.
    """
    built = manifest["engine"]
    here = gpu_capability()
    tensorrt = find_tensorrt(Flavour(built["tool"]))
    check_engine(built, here, tensorrt.version)
    import torch

    trt, batch = tensorrt.module, int(built["batch"])
    runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise ToolFailed(built["tool"], "does not load the engine", "Build it again on this machine")
    context = engine.create_execution_context()

    def buffers(ports: list[dict[str, Any]]) -> dict[str, Any]:
        return {p["name"]: torch.zeros((batch, *p["shape"]), device="cuda") for p in ports}

    inputs, outputs = buffers(manifest["inputs"]), buffers(_tensorrt_outputs(engine, trt, manifest))
    for name, tensor in {**inputs, **outputs}.items():
        context.set_tensor_address(name, tensor.data_ptr())

    def compute(alive: tuple[Any, ...] = (runtime, engine)) -> list[Any]:
        if not context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise ToolFailed("TensorRT", "does not run the engine", "Build it again on this machine")
        return list(outputs.values())

    return CudaRun(compute, list(inputs.values()), batch=batch, graphs=graphs)


def _tensorrt_outputs(engine: Any, trt: Any, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The manifest's outputs under the engine's names: one that an input's name clashes with bears another there."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    outputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT]
    known = set(outputs)
    return [
        {**port, "name": port["name"] if port["name"] in known else f"{port['name']}.out"}
        for port in manifest["outputs"]
    ]


def check_engine(built: Mapping[str, Any], capability: int, version: str) -> None:
    """Refuses an engine that is not for this GPU, or not for this TensorRT.

    Raises:
        BadInput: names both sides.
    """
    architectures = built["architectures"]
    if architectures and capability not in architectures:
        listed = ", ".join(f"SM{sm}" for sm in architectures)
        found = f"is for {listed}, and this GPU is SM{capability}"
        raise BadInput("the engine", found, f"fpgaflow engine --target tensorrt --sm {capability}")
    if built["version"].split(".")[:2] != version.split(".")[:2]:
        found = f"was built by {built['tool']} {built['version']}, and here is {version}"
        raise BadInput("the engine", found, "Build it again with the version that runs it")
