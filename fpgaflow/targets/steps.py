"""What `bench` repeats: one run of an engine on inputs that are ready, for each kind of engine."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load

from fpgaflow.errors import BadInput, MissingTool
from fpgaflow.targets.bench import Joules, Seconds, Step, cpu_counter, gpu_counter
from fpgaflow.targets.engine import load_engine
from fpgaflow.targets.engine_kinds import CONSTANTS, ONNX, PLAN, PROGRAM, PT2, STABLEHLO, TFLITE, Arrays, Run, Target

_BATCH = 256


@dataclass(frozen=True)
class Steps:
    """One sample, a batch of `batch`, the device, its energy counter. Transfers to a GPU are no part of the steps.

    `outputs` (N, ...) float32 of inputs (N, ...) come from the very engine that the steps run. On a GPU there are more
    steps: the same with transfers from the host and back, and what CUDA events measure of them.
    """

    one: Step
    many: Step
    batch: int
    device: str
    counter: Joules | None
    outputs: Run
    one_with_transfers: Step | None = None
    many_with_transfers: Step | None = None
    one_on_device: Seconds | None = None
    many_on_device: Seconds | None = None


def steps_of(folder: Path, batch: int | None) -> Steps:
    """The steps of an engine folder. Inputs are random reals of [-1, 1): time does not depend on them.

    Raises:
        BadInput, MissingTool: no engine there, or one that does not run here.
    """
    if batch is not None and batch < 1:
        raise BadInput("--batch", f"is {batch}", "Give 1 or more")
    manifest, files = load_engine(folder)
    try:
        target = Target(manifest["target"])
        match target:
            case Target.ONNXRUNTIME:
                return _onnxruntime(manifest, files[ONNX], batch or _BATCH)
            case Target.STABLEHLO:
                return _stablehlo(manifest, files[STABLEHLO], batch or _BATCH)
            case Target.INDUCTOR:
                return _inductor(manifest, files[PT2], batch or _BATCH)
            case Target.TENSORRT:
                return _tensorrt(manifest, files[PLAN], batch)
            case Target.TRITON:
                return _triton(manifest, files, batch or _BATCH)
            case Target.TFLITE:
                return _tflite(manifest, files[TFLITE], batch or _BATCH)
    except (KeyError, ValueError, TypeError) as error:
        raise BadInput(
            str(folder / "engine.json"), f"does not describe its engine ({error})", "Build the engine again"
        ) from None


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
    names = list(one)

    def outputs(arrays: Arrays) -> list[np.ndarray]:
        return list(session.run(None, dict(zip(names, arrays, strict=True))))

    def step(feeds: dict[str, np.ndarray]) -> Step:
        return lambda: session.run(None, feeds)

    return Steps(step(one), step(many), batch, _cpu(), cpu_counter(), outputs)


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
        lambda arrays: [np.asarray(y) for y in call(*map(jax.device_put, arrays))],
    )


def _tflite(manifest: Mapping[str, Any], content: bytes, batch: int) -> Steps:
    try:
        from fpgaflow.targets.tpu.tflite import Kernels, run_tflite, tflite_step
    except ImportError:
        raise MissingTool("LiteRT", "is not installed", "pip install 'fpgaflow[tpu]'") from None
    threads = os.cpu_count() or 1
    one, many = (tflite_step(content, list(_inputs(manifest, n).values()), threads) for n in (1, batch))

    def outputs(arrays: Arrays) -> list[np.ndarray]:
        return run_tflite(content, arrays, Kernels.OPTIMISED)

    return Steps(one, many, batch, _cpu(), cpu_counter(), outputs)


def _inductor(manifest: Mapping[str, Any], package: bytes, batch: int) -> Steps:
    import torch

    from fpgaflow.targets.gpu.inductor import load_inductor, run_inductor

    device = manifest["engine"]["platforms"][0]
    run = load_inductor(package)

    def outputs(arrays: Arrays) -> list[np.ndarray]:
        return run_inductor(package, list(arrays), device)

    if device == "cpu":
        one, many = ([torch.from_numpy(x) for x in _inputs(manifest, n).values()] for n in (1, batch))
        return Steps(lambda: run(*one), lambda: run(*many), batch, _cpu(), cpu_counter(), outputs)
    from fpgaflow.targets.gpu.cuda_run import CudaRun, gpu_capability

    gpu_capability()

    def made(count: int) -> CudaRun:
        inputs = [torch.from_numpy(x).to("cuda") for x in _inputs(manifest, count).values()]
        return CudaRun(lambda: run(*inputs), inputs, batch=count)

    return cuda_steps(made(1), made(batch))


def _triton(manifest: Mapping[str, Any], files: Mapping[str, bytes], batch: int) -> Steps:
    from fpgaflow.targets.gpu.triton.program import parse_program
    from fpgaflow.targets.gpu.triton.run import triton_run
    from fpgaflow.targets.gpu.triton.workshop import Compiled

    program = parse_program(files[PROGRAM].decode(), load(files[CONSTANTS]))
    engine = manifest["engine"]
    compiled = {str(name): Compiled(**one) for name, one in engine["kernels"].items()}
    cubins = {name: files[f"kernels/{name}.cubin"] for name in compiled}
    shapes = tuple([list(map(int, port["shape"])) for port in manifest[ports]] for ports in ("inputs", "outputs"))
    (capability,) = engine["architectures"]

    def made(count: int) -> Any:
        run = triton_run(program, cubins, compiled, int(capability), (shapes[0], shapes[1]), count)
        return fill(run, list(_inputs(manifest, count).values()))

    return cuda_steps(made(1), made(batch))


def _tensorrt(manifest: Mapping[str, Any], plan: bytes, batch: int | None) -> Steps:
    from fpgaflow.targets.gpu.tensorrt_run import tensorrt_run

    built = int(manifest["engine"]["batch"])
    if batch not in (None, built):
        raise BadInput(
            "--batch", f"is {batch}, and the engine is for {built}", "Build one with --batch, or leave it out"
        )
    run = fill(tensorrt_run(manifest, plan), list(_inputs(manifest, built).values()))
    return cuda_steps(run, run)


def fill(run: Any, arrays: Sequence[np.ndarray]) -> Any:
    """A `CudaRun` with these inputs in its buffers."""
    import torch

    for device, array in zip(run.inputs, arrays, strict=True):
        device.copy_(torch.from_numpy(array))
    torch.cuda.synchronize()
    return run


def cuda_steps(one: Any, many: Any) -> Steps:
    """The steps of a `CudaRun` of one sample and one of a batch."""
    import torch

    return Steps(
        one.step,
        many.step,
        many.batch,
        torch.cuda.get_device_name(),
        gpu_counter(),
        many.run,
        one.step_with_transfers,
        many.step_with_transfers,
        one.device_seconds,
        many.device_seconds,
    )
