"""Triton engines: compiled without a GPU, twice alike, audited; refused where they do not run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fpgaflow.cli import main
from fpgaflow.errors import BadInput, MissingTool
from fpgaflow.ir.graph import Graph
from fpgaflow.samples import generated_samples
from fpgaflow.targets.engine import EngineOptions, Target, build_engine, load_engine
from fpgaflow.targets.engine_layers import LoadedEngine, load_for
from fpgaflow.targets.gpu.triton.emit import audit_ptx, checked_capability, emit_triton
from fpgaflow.targets.gpu.triton.program import Launch, Variant, parse_program
from fpgaflow.targets.gpu.triton.run import check_capability
from fpgaflow.targets.gpu.triton.units import Units
from fpgaflow.targets.gpu.triton.workshop import compile_program
from tests.conformance.test_engines import Small, mlp, residual
from tests.models import graph_of
from tests.targets.gpu.triton.test_lower import NEEDS_TRITON


def tiny() -> Graph:
    net = Small(4, 16)
    x = net.act(net.dense(net.quant("x", 0.25, 8), 16, 8))
    return graph_of(net.model(net.dense(x, 8, 3)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph, path = tiny(), tmp_path_factory.mktemp("engine")
    build_engine(graph, EngineOptions(Target.TRITON), path, generated_samples(graph, 4), "tiny")
    return path


@NEEDS_TRITON
def test_the_folder(folder: Path) -> None:
    manifest, files = load_engine(folder)
    assert manifest["exact"] and manifest["engine"]["architectures"] == [90]
    assert manifest["mismatches"]["triton_interpreted_vs_sim"]["different"] == 0
    names = {f"kernels/{name}.{kind}" for name in manifest["engine"]["kernels"] for kind in ("cubin", "ptx")}
    assert set(files) == {"program.json", "constants.safetensors", "kernels.py", "exactness.json", *names}
    ptx = files["kernels/k1_n_gemm2_128.ptx"].decode()
    assert re.search(r"wgmma\.mma_async\S*\.s32\.s8\.s8", ptx) and ".target sm_90a" in ptx
    assert re.search(r"mma\.sync\S*\.s32\.s8\.s8", files["kernels/k1_n_gemm2_16.ptx"].decode())


@NEEDS_TRITON
def test_compiled_twice_alike(folder: Path) -> None:
    program = emit_triton(tiny()).program
    again = compile_program(program, 90)
    _, files = load_engine(folder)
    assert {f"kernels/{name}": content for name, content in again.files.items()} == {
        name: content for name, content in files.items() if name.startswith("kernels/")
    }


@NEEDS_TRITON
def test_the_audit(folder: Path) -> None:
    _, files = load_engine(folder)
    program = emit_triton(tiny()).program
    ptx = {Path(name).stem: text.decode() for name, text in files.items() if name.endswith(".ptx")}
    assert audit_ptx(program, ptx, 90) == []
    assert {p.found for p in audit_ptx(program, ptx, 80)} == {"is not for SM80"}
    other = {name: text.replace("s32.s8.s8", "s32.u8.u8") for name, text in ptx.items()}
    found = audit_ptx(program, other, 90)
    assert len(found) == 4 and {p.found for p in found} == {"has no instruction of int8 units"}
    assert len(audit_ptx(program, {}, 90)) == len(ptx)
    rounded = {**ptx, "k1_n_gemm2_16": ptx["k1_n_gemm2_16"] + "mma.f32.tf32.tf32"}
    assert [p.found for p in audit_ptx(program, rounded, 90)] == ["rounds float32 operands to TF32"]


@NEEDS_TRITON
def test_the_engine_against_the_simulator(folder: Path) -> None:
    graph = tiny()
    engine, x = load_for(graph, folder), generated_samples(graph, 4).x
    assert engine.title == "triton's kernels, interpreted" and engine.exact
    assert engine.first_difference(x) is None
    (port,) = graph.outputs
    assert engine.output_integers(x)[port.name].shape == (4, 3)


@NEEDS_TRITON
def test_python_out_of_a_folder_is_not_run(folder: Path) -> None:
    graph = tiny()
    engine = load_for(graph, folder)
    other = LoadedEngine(
        graph, engine.target, {**engine.files, "kernels.py": b"raise SystemExit"}, engine.manifest, True
    )
    with pytest.raises(BadInput, match="are not those that this version of fpgaflow makes of the graph"):
        other.output_integers(generated_samples(graph, 2).x)


@NEEDS_TRITON
def test_bench_needs_a_gpu(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    assert main(["bench", str(folder)]) == 2
    assert "a CUDA GPU: is not here" in capsys.readouterr().err


@NEEDS_TRITON
def test_a_damaged_manifest_is_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, files = load_engine(folder)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    del manifest["engine"]["kernels"]
    (tmp_path / "engine.json").write_text(json.dumps(manifest))
    assert main(["bench", str(tmp_path)]) == 2
    assert "does not describe its engine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "units", "message"),
    [
        ((80, 90), Units.INT8, "names several"),
        ((70,), Units.INT8, "Triton engines are for 80, 86"),
        ((80,), Units.FP8, "SM80 has no FP8 units"),
    ],
)
def test_bad_options(asked: tuple[int, ...], units: Units, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        checked_capability(asked, units)


@pytest.mark.parametrize(("built", "here"), [(90, 100), (90, 89), (89, 86), (80, 90), (120, 121)])
def test_engines_for_other_gpus_are_refused(built: int, here: int) -> None:
    with pytest.raises(BadInput, match=f"is for SM{built}, and this GPU is SM{here}"):
        check_capability(built, here)


@pytest.mark.parametrize(("built", "here"), [(90, 90), (80, 86), (86, 86), (120, 120)])
def test_engines_for_this_gpu(built: int, here: int) -> None:
    check_capability(built, here)


def test_a_program_as_json() -> None:
    program = emit_triton(tiny()).program
    again = parse_program(program.as_json(), program.constants, program.source)
    assert (again.launches, again.buffers, again.inputs) == (program.launches, dict(program.buffers), program.inputs)
    with pytest.raises(ValueError, match="nothing is called"):
        parse_program(program.as_json(), {})


def test_tiles_grow_with_the_batch() -> None:
    launch = Launch("k", (), 4, 2, 1, (Variant(16, 4), Variant(128, 4)), "int8")
    assert launch.variant(1, 132) == Variant(16, 4)
    assert launch.variant(4096, 132) == Variant(128, 4)
    assert launch.grid(100, Variant(128, 4)) == (4, 2, 1)


@NEEDS_TRITON
@pytest.mark.slow
@pytest.mark.parametrize(
    ("capability", "units"), [(80, "int8"), (89, "fp8"), (90, "fp8"), (90, "fp16"), (100, "int8"), (120, "int8")]
)
def test_other_gpus_and_units(capability: int, units: str) -> None:
    """What else Triton compiles for, audited."""
    for make in (mlp, residual):
        program = emit_triton(graph_of(make(4)), Units(units)).program
        ptx = {
            name[:-4]: text.decode()
            for name, text in compile_program(program, capability).files.items()
            if name.endswith(".ptx")
        }
        assert audit_ptx(program, ptx, capability) == []


def test_without_triton(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingTool, match="Triton: is not installed"):
        build_engine(tiny(), EngineOptions(Target.TRITON), tmp_path / "e", generated_samples(tiny(), 2), "tiny")
    assert not (tmp_path / "e").exists()
