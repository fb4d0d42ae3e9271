"""What `bench` repeats: one run of an engine on inputs that are ready, for each kind of engine."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fpgaflow.errors import BadInput
from fpgaflow.targets.bench import Joules, Step, cpu_counter, gpu_counter
from fpgaflow.targets.engine import ONNX, PLAN, PT2, STABLEHLO, Target, load_engine


@dataclass(frozen=True)
class Steps:
    """One sample, a batch of `batch`, the device, its energy counter. Transfers to a GPU are no part of the steps."""

    one: Step
    many: Step
    batch: int
    device: str
    counter: Joules | None


def steps_of(folder: Path, batch: int | None) -> Steps:
    """The steps of an engine folder. Inputs are random reals of [-1, 1): time does not depend on them.

    Raises:
        BadInput, MissingTool: no engine there, or one that does not run here.
    """
    if batch is not None and batch < 1:
        raise BadInput("--batch", f"is {batch}", "Give 1 or more")
    manifest, files = load_engine(folder)
    match Target(manifest["target"]):
        case Target.ONNXRUNTIME:
            return _onnxruntime(manifest, files[ONNX], batch or 256)
        case Target.STABLEHLO:
            return _stablehlo(manifest, files[STABLEHLO], batch or 256)
        case Target.INDUCTOR:
            return _inductor(manifest, files[PT2], batch or 256)
        case Target.TENSORRT:
            return _tensorrt(manifest, files[PLAN], batch)


def _inputs(manifest: Mapping[str, Any], batch: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {p["name"]: random.uniform(-1, 1, (batch, *p["shape"])).astype(np.float32) for p in manifest["inputs"]}


def _cpu() -> str:
    return platform.processor() or platform.machine()


def _onnxruntime(manifest: Mapping[str, Any], model: bytes, batch: int) -> Steps:
    import onnxruntime as ort

    options = ort.SessionOptions()
    for key, value in manifest["engine"]["session"].items():
        options.add_session_config_entry(key, value)
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    one, many = _inputs(manifest, 1), _inputs(manifest, batch)
    return Steps(lambda: session.run(None, one), lambda: session.run(None, many), batch, _cpu(), cpu_counter())


def _stablehlo(manifest: Mapping[str, Any], artefact: bytes, batch: int) -> Steps:
    import jax
    from jax import export

    call = jax.jit(export.deserialize(bytearray(artefact)).call)
    device = jax.devices()[0]
    one, many = ([jax.device_put(x) for x in _inputs(manifest, n).values()] for n in (1, batch))
    counter = gpu_counter() if device.platform == "gpu" else cpu_counter()
    return Steps(
        lambda: jax.block_until_ready(call(*one)),
        lambda: jax.block_until_ready(call(*many)),
        batch,
        str(device.device_kind),
        counter,
    )


def _inductor(manifest: Mapping[str, Any], package: bytes, batch: int) -> Steps:
    import torch

    from fpgaflow.targets.gpu.inductor import load_inductor

    device = manifest["engine"]["platforms"][0]
    run = load_inductor(package)
    one, many = ([torch.from_numpy(x).to(device) for x in _inputs(manifest, n).values()] for n in (1, batch))
    if device == "cpu":
        return Steps(lambda: run(*one), lambda: run(*many), batch, _cpu(), cpu_counter())

    def step(inputs: list[Any]) -> None:
        run(*inputs)
        torch.cuda.synchronize()

    return Steps(lambda: step(one), lambda: step(many), batch, torch.cuda.get_device_name(), gpu_counter())


def _tensorrt(manifest: Mapping[str, Any], plan: bytes, batch: int | None) -> Steps:
    from fpgaflow.targets.gpu.tensorrt_run import TensorRTRunner

    built = int(manifest["engine"]["batch"])
    if batch not in (None, built):
        raise BadInput(
            "--batch", f"is {batch}, and the engine is for {built}", "Build one with --batch, or leave it out"
        )
    runner = TensorRTRunner(manifest, plan)
    import torch

    return Steps(runner.step, runner.step, built, torch.cuda.get_device_name(), gpu_counter())
