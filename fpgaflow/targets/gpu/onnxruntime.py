"""Running a QDQ model in ONNX Runtime on the CPU, with the settings under which its bits are known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime as ort
from onnx import ModelProto

_BATCH = 256
PLAIN_SESSION = {"session.disable_quant_qdq": "1"}  # no QDQ pair becomes an integer kernel


def run_onnx(model: ModelProto, inputs: Mapping[str, np.ndarray], *, plain: bool = False) -> list[np.ndarray]:
    """Outputs (N, ...) float32 for inputs (N, ...) by name.

    Args:
        plain: every node as it stands, in float32, and no integer kernel; else with every optimisation.
    """
    options = ort.SessionOptions()
    if plain:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        for key, value in PLAIN_SESSION.items():
            options.add_session_config_entry(key, value)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    count = len(next(iter(inputs.values())))
    parts = [
        session.run(None, {name: array[start : start + _BATCH] for name, array in inputs.items()})
        for start in range(0, count, _BATCH)
    ]
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]
