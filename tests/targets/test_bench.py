"""Measuring: what is counted, what idling takes off, and which engines are refused. No figure is asserted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fpgaflow.cli import main
from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput
from fpgaflow.targets.bench import OnDevice, cpu_counter, measure, offline, on_device, single_stream
from fpgaflow.targets.gpu.tensorrt_run import check_engine
from fpgaflow.targets.steps import Steps

LENET = data_dir("examples/lenet_digits") / "model.onnx"


class Work:
    """A step that takes a millijoule each time, beside an idling machine that takes none."""

    def __init__(self) -> None:
        self.runs = 0

    def step(self) -> None:
        self.runs += 1

    def joules(self) -> float:
        return self.runs * 1e-3


def test_single_stream() -> None:
    work = Work()
    found = single_stream(work.step, 0.01, work.joules)
    assert found.runs >= 50 and work.runs == found.runs + 20
    assert 0 < found.p50 <= found.p90 <= found.p99
    assert found.joules == pytest.approx(1e-3)


def test_offline() -> None:
    work = Work()
    found = offline(work.step, 8, 0.01, work.joules)
    assert found.samples_per_second > 0 and found.joules == pytest.approx(1e-3 / 8)
    assert offline(work.step, 8, 0.001, None).joules is None


def test_on_device() -> None:
    """What the run itself says that it took, not the wall clock."""
    told = iter(range(1, 1_000_000))
    found = on_device(lambda: float(next(told)), 0.001)
    assert found.runs >= 50 and found.p50 >= 21 + found.runs / 2 - 1 and found.p50 <= found.p90 <= found.p99


def test_all_that_steps_have_is_measured() -> None:
    work = Work()
    plain = Steps(work.step, work.step, 4, "a device", None, lambda xs: xs)
    assert list(measure(plain, 0.001)) == ["single_stream", "offline"]
    stages: list[str] = []
    gpu = replace(
        plain,
        one_with_transfers=work.step,
        many_with_transfers=work.step,
        one_on_device=lambda: 1.0,
        many_on_device=lambda: 2.0,
    )
    found = measure(gpu, 0.001, stages.append)
    assert list(found) == [
        "single_stream",
        "offline",
        "single_stream_with_transfers",
        "offline_with_transfers",
        "single_stream_on_device",
        "batch_on_device",
    ]
    assert stages == [name.replace("_", " ") for name in found]
    batch = found["batch_on_device"]
    assert isinstance(batch, OnDevice) and batch.p50 == 2.0


def test_rapl(tmp_path: Path) -> None:
    assert cpu_counter(tmp_path) is None
    for name, microjoules in (("intel-rapl:0", 1_500_000), ("intel-rapl:1", 500_000), ("intel-rapl:0:0", 9)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{microjoules}\n")
    counter = cpu_counter(tmp_path)
    assert counter is not None and counter() == pytest.approx(2.0)  # packages, not their parts


@pytest.mark.parametrize("target", ["onnxruntime", "stablehlo", "tflite"])
def test_the_command(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if target == "stablehlo":
        pytest.importorskip("jax", reason="JAX: pip install 'fpgaflow[tpu]'")
    if target == "tflite":
        pytest.importorskip("ai_edge_litert", reason="LiteRT: pip install 'fpgaflow[tpu]'")
    folder = str(tmp_path / "engine")
    assert main(["engine", str(LENET), "--target", target, "--out", folder]) == 0
    capsys.readouterr()
    assert main(["bench", folder, "--seconds", "0.05", "--batch", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["source"] == "measured" and found["offline"]["batch"] == 4
    assert main(["bench", folder, "--seconds", "0"]) == 2
    assert main(["bench", folder, "--batch", "-1", "--seconds", "0.05"]) == 2
    assert main(["bench", str(tmp_path)]) == 2
    assert "holds no engine.json" in capsys.readouterr().err


BUILT = {"tool": "TensorRT-RTX", "version": "1.7.1.116", "architectures": [80, 86]}


def test_engines_for_others_are_refused() -> None:
    check_engine(BUILT, 86, "1.7.0.1")
    with pytest.raises(BadInput, match="is for SM80, SM86, and this GPU is SM90"):
        check_engine(BUILT, 90, "1.7.1.116")
    with pytest.raises(BadInput, match=r"was built by TensorRT-RTX 1.7.1.116, and here is 1.8.0"):
        check_engine(BUILT, 86, "1.8.0")


def test_a_tensorrt_engine_needs_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX: pip install 'fpgaflow[gpu]'")
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    folder = str(tmp_path / "engine")
    assert main(["engine", str(LENET), "--target", "tensorrt", "--sm", "86", "--out", folder]) == 0
    assert main(["bench", folder, "--seconds", "0.05"]) == 2
    assert "a CUDA GPU: is not here" in capsys.readouterr().err
