"""The kinds of engines, the names of their files, and what a target hands over."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from fpgaflow.targets.certificate import Certificate
from fpgaflow.targets.gpu.triton.units import Units

MANIFEST, EXACTNESS = "engine.json", "exactness.json"
ONNX, PLAN, PT2, STABLEHLO, MLIR = "model.onnx", "model.engine", "model.pt2", "model.stablehlo", "model.mlir"
TFLITE = "model.tflite"
PROGRAM, CONSTANTS, KERNELS = "program.json", "constants.safetensors", "kernels.py"
_FILES = {EXACTNESS, ONNX, PLAN, PT2, STABLEHLO, MLIR, TFLITE, PROGRAM, CONSTANTS, KERNELS}
_BINARY = re.compile(r"kernels/\w+\.(cubin|ptx)", re.ASCII)

Arrays = Sequence[np.ndarray]
Run = Callable[[Arrays], list[np.ndarray]]  # inputs (N, ...) float32 in the model's order to outputs (N, ...)


class Target(Enum):
    TENSORRT = "tensorrt"
    ONNXRUNTIME = "onnxruntime"
    INDUCTOR = "inductor"
    TRITON = "triton"
    STABLEHLO = "stablehlo"
    TFLITE = "tflite"


@dataclass(frozen=True)
class EngineOptions:
    """`architectures` are compute capabilities (86 for SM86), empty: the target's choice; `batch` is of engines of a
    fixed batch (TensorRT, TFLite); `units` are Triton's."""

    target: Target
    architectures: tuple[int, ...] = ()
    batch: int = 1
    units: Units = Units.INT8


@dataclass(frozen=True)
class Emitted:
    """What a target makes: files, the certificate, what the manifest says of the engine, and ways to run it here.

    `most_samples` is what those ways can do in reasonable time; None: any number.
    """

    files: Mapping[str, bytes]
    certificate: Certificate
    engine: Mapping[str, Any] | None
    runs: Mapping[str, Run]
    most_samples: int | None = None


def is_engine_file(name: str) -> bool:
    """Whether an engine may have a file of this name in its folder."""
    return name in _FILES or _BINARY.fullmatch(name) is not None
