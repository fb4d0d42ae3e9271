"""A network on this machine's GPU over fixed buffers: as a CUDA graph, with and without transfers, by CUDA events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fpgaflow.errors import MissingTool

_WARM_UP = 3


def gpu_capability() -> int:
    """Compute capability of this machine's GPU, 86 for SM86.

    Raises:
        MissingTool: no GPU, or no torch that finds it.
    """
    try:
        import torch
    except ImportError:
        raise MissingTool("PyTorch", "is not installed", "pip install torch, with CUDA") from None
    if not torch.cuda.is_available():
        raise MissingTool("a CUDA GPU", "is not here", "Run the engine on a machine with an NVIDIA GPU")
    major, minor = torch.cuda.get_device_capability()
    return 10 * int(major) + int(minor)


class CudaRun:
    """One batch of a network.

    A run is captured as a CUDA graph once and replayed: what a small network's launches cost is gone.

    Args:
        compute: launches the network on torch's current stream, from `inputs`, and returns its outputs: the same
            tensors each time, or ones that the capture keeps.
        inputs: tensors (batch, ...) on the GPU.
    """

    def __init__(
        self, compute: Callable[[], Sequence[Any]], inputs: Sequence[Any], *, batch: int, graphs: bool = True
    ) -> None:
        import torch

        self.batch, self.inputs = batch, list(inputs)
        self._compute, self._stream = compute, torch.cuda.Stream()
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UP):  # loads kernels, which a capture must not
                self.outputs = list(compute())
        self._stream.synchronize()
        self._graph: Any = None
        if graphs:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=self._stream):
                self.outputs = list(compute())
        self._host = [[torch.empty(t.shape, dtype=t.dtype).pin_memory() for t in ts] for ts in self._ends()]
        self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]

    def _ends(self) -> tuple[list[Any], list[Any]]:
        return self.inputs, self.outputs

    def _launch(self) -> None:
        """On the current stream."""
        if self._graph is None:
            self.outputs = list(self._compute())
        else:
            self._graph.replay()

    def step(self) -> None:
        """Computes `outputs` from `inputs`, which are on the GPU, and waits for them."""
        import torch

        with torch.cuda.stream(self._stream):
            self._launch()
        self._stream.synchronize()

    def step_with_transfers(self) -> None:
        """The same from page-locked memory of the host, and back there."""
        import torch

        with torch.cuda.stream(self._stream):
            for device, host in zip(self.inputs, self._host[0], strict=True):
                device.copy_(host, non_blocking=True)
            self._launch()
            for device, host in zip(self.outputs, self._host[1], strict=True):
                host.copy_(device, non_blocking=True)
        self._stream.synchronize()

    def device_seconds(self) -> float:
        """What one step takes on the GPU, between two CUDA events."""
        import torch

        begin, end = self._events
        with torch.cuda.stream(self._stream):
            begin.record()
            self._launch()
            end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) * 1e-3

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Outputs (N, ...) for inputs (N, ...) of any N: batches are filled up with what they held, and cut again."""
        import torch

        parts: list[list[np.ndarray]] = []
        for start in range(0, len(arrays[0]), self.batch):
            chunk = [np.ascontiguousarray(x[start : start + self.batch], dtype=np.float32) for x in arrays]
            for device, x in zip(self.inputs, chunk, strict=True):
                device[: len(x)].copy_(torch.from_numpy(x))
            torch.cuda.synchronize()
            self.step()
            parts.append([tensor[: len(chunk[0])].cpu().numpy() for tensor in self.outputs])
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]
