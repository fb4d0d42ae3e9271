"""Training: float with batch norm, batch norm folded, then the quantised network and its float twin tuned alike."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fpgaflow.errors import BadInput, CheckFailed
from fpgaflow.files import write_atomic
from fpgaflow.frontend.qonnx.executor import run_qonnx
from fpgaflow.training.data import DATASETS, Dataset
from fpgaflow.training.export import Checkpoint, export_qonnx, save_checkpoint
from fpgaflow.training.models import MODELS, Bits, fold_batch_norm
from fpgaflow.training.quantisers import fit_scales
from fpgaflow.training.recipe import Recipe
from fpgaflow.training.reproducible import reproducible


class Phase(StrEnum):
    FLOAT = "float with batch norm"
    TWIN = "float twin"
    QUANTISED = "quantised"


@dataclass(frozen=True)
class Progress:
    """One optimiser step done: `step` of `total` over all phases."""

    phase: Phase
    step: int
    total: int
    loss: float


@dataclass(frozen=True)
class TrainResult:
    """Where the files are, and the share of `samples` test samples classified right by each network."""

    out: Path
    float_accuracy: float
    quantised_accuracy: float
    samples: int
    seconds: float


def train(recipe: Recipe, out: Path, progress: Callable[[Progress], None] | None = None) -> TrainResult:
    """Trains as `recipe` says and writes checkpoint.pt, model.onnx, test.npz and, last, train.json into `out`.

    The accuracy is that of the exported file: its outputs on the test samples are compared bit by bit with those of
    the trained model. Everything is written after training, so a failed run leaves earlier files as they were.

    Raises:
        BadInput: the batch is larger than the data set.
        CheckFailed: the loss is no longer finite (the last good weights are in out/last_good.pt), or the exported
            file computes other bits than the model.
    """
    started = time.monotonic()
    data = DATASETS[recipe.dataset]()
    if recipe.batch_size > len(data.x_train):
        found = f"{recipe.batch_size} is more than the {len(data.x_train)} training samples"
        raise BadInput("train.batch_size", found, "Give a smaller one.")
    with reproducible(recipe.seed, recipe.threads):
        session = _Session(recipe, data, out, progress)
        with_norm = _untrained(recipe, None, norm=True)
        session.fit(with_norm, Phase.FLOAT, recipe.float_epochs, recipe.float_learning_rate)
        folded = fold_batch_norm(with_norm.model)

        twin = _untrained(recipe, None, norm=False)
        twin.model.load_state_dict(folded)
        session.fit(twin, Phase.TWIN, recipe.qat_epochs, recipe.qat_learning_rate)

        quantised = _untrained(recipe, recipe.bits, norm=False)
        quantised.model.load_state_dict(quantised.model.state_dict() | folded)
        fit_scales(quantised.model, session.images)
        session.fit(quantised, Phase.QUANTISED, recipe.qat_epochs, recipe.qat_learning_rate)

        float_accuracy = _accuracy(_logits(twin.model, data), data)
        logits = _logits(quantised.model, data)
    onnx_file = _exported(quantised, data, logits)
    seconds = time.monotonic() - started
    result = TrainResult(out, float_accuracy, _accuracy(logits, data), len(data.y_test), seconds)
    _write(result, recipe, data, quantised, onnx_file)
    return result


def _untrained(recipe: Recipe, bits: Bits | None, *, norm: bool) -> Checkpoint:
    return Checkpoint(recipe.model, bits, norm, MODELS[recipe.model].build(bits, norm=norm))


class _Session:
    """The training data as tensors, and the steps done over all phases."""

    def __init__(self, recipe: Recipe, data: Dataset, out: Path, progress: Callable[[Progress], None] | None) -> None:
        self.recipe = recipe
        self.out = out
        self.progress = progress
        self.images, self.labels = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
        self.steps_per_epoch = len(data.x_train) // recipe.batch_size
        self.total = (recipe.float_epochs + 2 * recipe.qat_epochs) * self.steps_per_epoch
        self.step = 0

    def fit(self, trained: Checkpoint, phase: Phase, epochs: int, learning_rate: float) -> None:
        """Adam with one learning-rate cycle (Smith and Topin, 2018); every phase draws the same batches and shifts."""
        model, batch_size = trained.model, self.recipe.batch_size
        generator = torch.Generator().manual_seed(self.recipe.seed)
        optimiser = torch.optim.Adam(model.parameters(), learning_rate, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, learning_rate, total_steps=epochs * self.steps_per_epoch, pct_start=0.2
        )
        last_good = copy.deepcopy(trained)
        for _ in range(epochs):
            model.train()
            order = torch.randperm(len(self.images), generator=generator)[: self.steps_per_epoch * batch_size]
            for batch in order.view(self.steps_per_epoch, batch_size):
                optimiser.zero_grad()
                images = shifted(self.images[batch], self.recipe.shift, generator)
                loss = functional.cross_entropy(model(images), self.labels[batch])
                loss.backward()
                optimiser.step()
                schedule.step()
                self._count(phase, loss.item(), last_good)
            if all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
                last_good.model.load_state_dict(model.state_dict())

    def _count(self, phase: Phase, loss: float, last_good: Checkpoint) -> None:
        self.step += 1
        if not math.isfinite(loss):
            kept = self.out / "last_good.pt"
            save_checkpoint(last_good, kept)
            key = "float_learning_rate" if phase is Phase.FLOAT else "qat_learning_rate"
            raise CheckFailed(
                f"training, phase '{phase}', step {self.step} of {self.total}",
                f"the loss is {loss}; the last good weights are in {kept}",
                f"Lower {key} ({getattr(self.recipe, key):g}).",
            )
        if self.progress is not None:
            self.progress(Progress(phase, self.step, self.total, loss))


def shifted(images: Tensor, limit: int, generator: torch.Generator) -> Tensor:
    """`images` (N, C, H, W) moved together by up to `limit` pixels up or down and left or right, zeros moved in."""
    height, width = images.shape[-2:]
    top, left = torch.randint(2 * limit + 1, (2,), generator=generator).tolist()
    return functional.pad(images, [limit] * 4)[..., top : top + height, left : left + width]


def _logits(model: nn.Module, data: Dataset) -> Tensor:
    model.eval()
    with torch.no_grad():
        return model(torch.from_numpy(data.x_test))


def _accuracy(logits: Tensor, data: Dataset) -> float:
    return float(np.mean(logits.numpy().argmax(axis=1) == data.y_test))


def _exported(trained: Checkpoint, data: Dataset, logits: Tensor) -> bytes:
    """The QONNX file of `trained`, once its outputs on the test samples are the bits of `logits`."""
    with tempfile.TemporaryDirectory() as aside:
        path = Path(aside) / "model.onnx"
        export_qonnx(trained.model, torch.zeros(1, *trained.input_shape), path)
        (outputs,) = run_qonnx(path, data.x_test).values()
        different = int(np.count_nonzero(outputs != logits.numpy()))
        if different:
            found = f"{different} of {logits.numel()} outputs differ from the trained model's"
            raise CheckFailed("QONNX export", found, "Please report it: this is a defect of fpgaflow.")
        return path.read_bytes()


def _write(result: TrainResult, recipe: Recipe, data: Dataset, trained: Checkpoint, onnx_file: bytes) -> None:
    test = io.BytesIO()
    np.savez_compressed(test, x=data.x_test, y=data.y_test)
    packages = ("torch", "brevitas", "qonnx", "numpy", "scikit-learn")
    summary = {
        "accuracy": {
            "float": result.float_accuracy,
            "quantized": result.quantised_accuracy,
            "samples": result.samples,
        },
        "model_sha256": hashlib.sha256(onnx_file).hexdigest(),
        "seed": recipe.seed,
        "recipe": asdict(recipe),
        "versions": {package: version(package) for package in packages},
    }
    save_checkpoint(trained, result.out / "checkpoint.pt")
    write_atomic(result.out / "model.onnx", onnx_file)
    write_atomic(result.out / "test.npz", test.getvalue())
    write_atomic(result.out / "train.json", json.dumps(summary, indent=2) + "\n")
