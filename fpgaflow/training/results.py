"""What a training leaves: the exported file, proven equal to the trained network, and the files beside it."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fpgaflow.errors import CheckFailed
from fpgaflow.files import write_atomic
from fpgaflow.frontend.load import load
from fpgaflow.frontend.qonnx.executor import run_qonnx
from fpgaflow.sim.run import Simulator
from fpgaflow.training.checkpoint import Checkpoint, save_checkpoint
from fpgaflow.training.data import Dataset
from fpgaflow.training.export import export_qonnx
from fpgaflow.training.objective import Task
from fpgaflow.training.recipe import Recipe

_BATCH = 256
_EXECUTOR_SAMPLES = 300  # QONNX's own executor is slow; the simulator compares all
_FIX = "Please report it: this is a defect of fpgaflow."


@dataclass(frozen=True)
class Trained:
    """The quantised network, its QONNX file, the scores of its float twin and of it, and what pruning saved."""

    checkpoint: Checkpoint
    onnx: bytes
    float_score: float
    quantised_score: float
    pruning: dict[str, Any] | None


def outputs_of(net: nn.Module, x: Tensor) -> Tensor:
    """What the network gives for x (N, ...) in eval mode."""
    net.eval()
    with torch.no_grad():
        return torch.cat([net(batch) for batch in x.split(_BATCH)])


def exported(net: nn.Module, x: npt.NDArray[np.float32], outputs: Tensor) -> bytes:
    """The QONNX file of `net`, once the simulator, and QONNX's executor on some samples, give the bits of `outputs`.

    Raises:
        CheckFailed: they do not.
        UnsupportedModel: the simulator cannot carry the network.
    """
    expected = outputs.numpy()
    with tempfile.TemporaryDirectory() as aside:
        path = Path(aside) / "model.onnx"
        export_qonnx(net, torch.from_numpy(x[:1]), path)
        simulated = Simulator(load(path)).predict(x)
        assert isinstance(simulated, np.ndarray)
        _compare("the simulator", simulated, expected)
        (executed,) = run_qonnx(path, x[:_EXECUTOR_SAMPLES]).values()
        _compare("QONNX's executor", executed, expected[:_EXECUTOR_SAMPLES])
        return path.read_bytes()


def _compare(who: str, found: npt.NDArray[np.floating], expected: npt.NDArray[np.floating]) -> None:
    different = int(np.count_nonzero(found != expected))
    if different:
        raise CheckFailed(who, f"{different} of {expected.size} outputs differ from the trained network's", _FIX)


def write(trained: Trained, recipe: Recipe, data: Dataset, out: Path, versions: Mapping[str, str]) -> None:
    """Writes checkpoint.pt, model.onnx, test.npz and, last, train.json."""
    test = io.BytesIO()
    arrays: dict[str, Any] = {"x": data.x_test} if data.y_test is None else {"x": data.x_test, "y": data.y_test}
    np.savez_compressed(test, **arrays)
    scaled = data.standardisation
    summary = {
        **scores_of(recipe.objective, trained.float_score, trained.quantised_score, len(data.x_test)),
        "different_from_simulator": 0,
        "model_sha256": hashlib.sha256(trained.onnx).hexdigest(),
        "seed": recipe.seed,
        "recipe": asdict(recipe),
        "pruning": trained.pruning,
        "standardisation": None if scaled is None else {"mean": scaled[0].tolist(), "deviation": scaled[1].tolist()},
        "versions": dict(versions),
    }
    save_checkpoint(trained.checkpoint, out / "checkpoint.pt")
    write_atomic(out / "model.onnx", trained.onnx)
    write_atomic(out / "test.npz", test.getvalue())
    write_atomic(out / "train.json", json.dumps(summary, indent=2) + "\n")


def scores_of(
    task: Task, float_score: float, quantised_score: float, samples: int
) -> dict[str, dict[str, float | None]]:
    """As train.json and `--json` have them: `accuracy`, empty for a reconstruction, which has an error instead."""
    found: dict[str, float | None] = {"float": float_score, "quantized": quantised_score}
    if task is Task.CLASSIFICATION:
        return {"accuracy": {**found, "samples": samples}}
    empty = dict.fromkeys(found)
    return {"accuracy": {**empty, "samples": samples}, "mean_squared_error": {**found, "samples": samples}}
