"""Running a Triton engine's compiled kernels on this machine's GPU, by CUDA's driver and torch's memory.

Triton itself is not needed: kernels are launched as its own launcher does (`triton/backends/nvidia/driver.c`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fpgaflow.errors import BadInput, MissingTool, ToolFailed
from fpgaflow.targets.gpu.cuda_run import CudaRun, gpu_capability
from fpgaflow.targets.gpu.triton.emit import ARCHITECTURE_SPECIFIC_FROM
from fpgaflow.targets.gpu.triton.program import Launch, Program
from fpgaflow.targets.gpu.triton.workshop import Compiled, stem

_MAX_DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
_STATIC_SHARED = 48 * 1024  # what needs no attribute
_MOST_ELEMENTS = (1 << 31) - 1  # kernels count elements in int32


def check_capability(built: int, here: int) -> None:
    """Refuses an engine whose kernels do not run on this GPU.

    Raises:
        BadInput: names both sides.
    """
    same = built == here if built >= ARCHITECTURE_SPECIFIC_FROM else built // 10 == here // 10 and built <= here
    if not same:
        found = f"is for SM{built}, and this GPU is SM{here}"
        raise BadInput("the engine", found, f"fpgaflow engine --target triton --sm {here}")


def triton_run(
    program: Program,
    cubins: Mapping[str, bytes],
    compiled: Mapping[str, Compiled],
    capability: int,
    shapes: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]],
    batch: int,
    *,
    graphs: bool = True,
) -> CudaRun:
    """What runs a program on batches of `batch`.

    Args:
        cubins, compiled: by the stem of their file.
        capability: what the kernels are for.
        shapes: of inputs and outputs, without the batch.

    Raises:
        MissingTool: no GPU here.
        BadInput: the engine is for another GPU, or the batch is too large.
        ToolFailed: CUDA does not load or launch a kernel.
    """
    check_capability(capability, gpu_capability())
    largest = max(buffer.elements for buffer in program.buffers.values())
    if batch * largest > _MOST_ELEMENTS:
        raise BadInput("--batch", f"is {batch}", f"Give {_MOST_ELEMENTS // largest} at most")
    import torch

    held = {
        name: torch.zeros(batch * buffer.elements, dtype=getattr(torch, buffer.dtype), device="cuda")
        for name, buffer in program.buffers.items()
    }
    held |= {name: torch.from_numpy(array).to("cuda") for name, array in program.constants.items()}
    driver = _Driver()
    fills = int(torch.cuda.get_device_properties(0).multi_processor_count)
    launches = [_prepared(driver, launch, batch, fills, held, cubins, compiled) for launch in program.launches]
    inputs, outputs = (
        [held[name].view(batch, *shape) for name, shape in zip(names, each, strict=True)]
        for names, each in zip((program.inputs, program.outputs), shapes, strict=True)
    )

    def compute() -> list[Any]:
        stream = torch.cuda.current_stream().cuda_stream
        for launch in launches:
            launch(stream)
        return outputs

    return CudaRun(compute, inputs, batch=batch, graphs=graphs)


def _prepared(
    driver: _Driver,
    launch: Launch,
    batch: int,
    fills: int,
    held: Mapping[str, Any],
    cubins: Mapping[str, bytes],
    compiled: Mapping[str, Compiled],
) -> Callable[[int], None]:
    """What launches a kernel on a stream."""
    variant = launch.variant(batch, fills)
    name = stem(launch, variant)
    made = compiled[name]
    function = driver.function(cubins[name], made)
    tensors = [held[argument] for argument in launch.arguments]
    values: list[Any] = [ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors]
    values += [ctypes.c_int32(batch * launch.places), *[ctypes.c_void_p(0)] * made.scratch]
    parameters = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
    grid = launch.grid(batch, variant)

    def launched(stream: int, alive: tuple[Any, ...] = (tensors, values)) -> None:
        driver.call(
            "cuLaunchKernel",
            function,
            *map(ctypes.c_uint, (*grid, made.threads, 1, 1, made.shared)),
            ctypes.c_void_p(stream),
            parameters,
            None,
        )

    return launched


class _Driver:
    """CUDA's driver, in the context that torch has made current."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError:
            raise MissingTool("libcuda.so.1", "is not here", "Install NVIDIA's driver") from None

    def call(self, name: str, *arguments: Any) -> None:
        """
        Raises:
            ToolFailed: the function returns an error.
        """
        status = int(getattr(self._library, name)(*arguments))
        if status:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(status, ctypes.byref(text))
            reason = text.value.decode() if text.value else f"error {status}"
            raise ToolFailed("CUDA", f"{name}: {reason}", "Build the engine again on this machine")

    def function(self, cubin: bytes, made: Compiled) -> ctypes.c_void_p:
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("cuModuleLoadData", ctypes.byref(module), cubin)
        self.call("cuModuleGetFunction", ctypes.byref(function), module, made.entry.encode())
        if made.shared > _STATIC_SHARED:
            shared = ctypes.c_int(made.shared)
            self.call("cuFuncSetAttribute", function, ctypes.c_int(_MAX_DYNAMIC_SHARED), shared)
        return function
