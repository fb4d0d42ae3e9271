"""Running a TensorRT engine on this machine's GPU, through torch's memory and streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fpgaflow.errors import BadInput, MissingTool, ToolFailed
from fpgaflow.targets.gpu.tensorrt import Flavour, find_tensorrt


class TensorRTRunner:
    """An engine of a fixed batch. Batches are filled up with their last sample, and cut again.

    With `graphs` a run is captured as a CUDA graph once and replayed: what a small network's launches cost is gone.
    """

    def __init__(self, manifest: Mapping[str, Any], plan: bytes, *, graphs: bool = True) -> None:
        """
        Raises:
            MissingTool: no GPU, or no TensorRT of the kind that built the engine.
            BadInput: the engine is for another GPU or another version.
            ToolFailed: TensorRT does not load it.
        """
        built = manifest["engine"]
        check_engine(built, _capability(), find_tensorrt(Flavour(built["tool"])).version)
        import torch

        trt = find_tensorrt(Flavour(built["tool"])).module
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise ToolFailed(built["tool"], "does not load the engine", "Build it again on this machine")
        self._context = self._engine.create_execution_context()
        self.batch = int(built["batch"])
        self._stream = torch.cuda.Stream()

        def buffers(ports: list[dict[str, Any]]) -> dict[str, Any]:
            return {p["name"]: torch.zeros((self.batch, *p["shape"]), device="cuda") for p in ports}

        self.inputs, self.outputs = buffers(manifest["inputs"]), buffers(manifest["outputs"])
        for name, tensor in {**self.inputs, **self.outputs}.items():
            self._context.set_tensor_address(name, tensor.data_ptr())
        self._graph: Any = None
        self.step()  # loads kernels, which a capture must not
        if graphs:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=self._stream):
                self._launch()

    def _launch(self) -> None:
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise ToolFailed("TensorRT", "does not run the engine", "Build it again on this machine")

    def step(self) -> None:
        """Computes `outputs` from `inputs`, which are on the GPU, and waits for them."""
        if self._graph is None:
            self._launch()
        else:
            import torch

            with torch.cuda.stream(self._stream):
                self._graph.replay()
        self._stream.synchronize()

    def run(self, x: np.ndarray) -> list[np.ndarray]:
        """Outputs (N, ...) float32 of a model with one input (N, ...)."""
        import torch

        (port,) = self.inputs.values()
        parts: list[list[np.ndarray]] = []
        for start in range(0, len(x), self.batch):
            chunk = np.ascontiguousarray(x[start : start + self.batch], dtype=np.float32)
            port[: len(chunk)].copy_(torch.from_numpy(chunk))
            torch.cuda.synchronize()
            self.step()
            parts.append([tensor[: len(chunk)].cpu().numpy() for tensor in self.outputs.values()])
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def _capability() -> int:
    """Compute capability of this machine's GPU, 86 for SM86."""
    try:
        import torch
    except ImportError:
        raise MissingTool("PyTorch", "is not installed", "pip install torch, with CUDA") from None
    if not torch.cuda.is_available():
        raise MissingTool("a CUDA GPU", "is not here", "Run the engine on a machine with an NVIDIA GPU")
    major, minor = torch.cuda.get_device_capability()
    return 10 * int(major) + int(minor)


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
