"""What a training that was killed goes on from: tensors and plain values in one file, replaced as a whole."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import fpgaflow
from fpgaflow.errors import BadInput
from fpgaflow.files import write_atomic
from fpgaflow.training.checkpoint import load_tensors
from fpgaflow.training.data import Dataset

FILE = "resume.pt"
PACKAGES = ("torch", "lightning", "brevitas", "qonnx", "numpy", "scikit-learn")


def key_of(data: Dataset, **described: Any) -> str:
    """The digest of all that decides the weights: plain values, training samples, versions of packages."""
    state = hashlib.sha256()
    described |= {"versions": [fpgaflow.__version__, *map(version, PACKAGES)]}
    state.update(json.dumps(described, sort_keys=True).encode())
    for array in (data.x_train, data.y_train):
        if array is not None:
            state.update(str(array.shape).encode())
            state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()


@dataclass
class PhaseState:
    """Where a phase is: `batches` done, and what decides the rest. Data order is a function of seed and batch."""

    batches: int = 0
    model: dict[str, Tensor] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    random: list[Tensor] = field(default_factory=list)
    loss_sum: float = 0.0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_score: float | None = None
    waited: int = 0
    finished: bool = False


@dataclass
class RunState:
    """`key` is that of recipe, data and versions; `phases` are those begun, by name, `epochs` the rows of the log."""

    key: str
    phases: dict[str, PhaseState] = field(default_factory=dict)
    epochs: list[dict[str, Any]] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        content = {
            "key": self.key,
            "phases": {str(name): dict(vars(state)) for name, state in self.phases.items()},
            "epochs": self.epochs,
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomic(folder / FILE, buffer.getvalue())


def load_state(folder: Path, key: str) -> RunState:
    """The state in `folder`, if it is of the training with that key; else a new one."""
    path = folder / FILE
    if not path.is_file():
        return RunState(key)
    try:
        content = load_tensors(path, "is no half-finished training")
        if content["key"] != key:
            return RunState(key)
        phases = {name: PhaseState(**state) for name, state in content["phases"].items()}
        return RunState(key, phases, content["epochs"])
    except (BadInput, KeyError, TypeError, AttributeError):
        found = "is no half-finished training of fpgaflow"
        raise BadInput(str(path), found, "Remove it to begin anew.") from None


def copied(net: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers as they are now, on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in net.state_dict().items()}
