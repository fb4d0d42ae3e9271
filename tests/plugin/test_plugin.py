"""backend="fpgaflow" in hls4ml: what backend="Vitis" gives after its C++ was compiled, bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import hls4ml
import numpy as np
import pytest
from hls4ml.backends import get_available_backends, get_backend
from hls4ml.model import ModelGraph

from fpgaflow.errors import BadInput, CheckFailed, UnsupportedModel
from fpgaflow.sim.run import Simulator
from tests.frontend.test_hls4ml import Layer, activation, conv, dense, inp, pool, reshape

LAYERS = [
    inp(4, 5, 2),
    conv("conv", (4, 5, 2), 3),
    activation("relu", "relu"),
    pool("max", "Max", (4, 4, 3), (2, 2)),
    reshape("flat", 12),
    dense("fc", 12, 4),
    activation("out", "linear"),
]
PRECISION = {
    "x": "ap_fixed<8,3,RND_INF,SAT_SYM>",
    "relu": "ap_ufixed<7,3,RND_ZERO,SAT>",
    "fc": "ap_fixed<10,5,TRN_ZERO,SAT_ZERO>",
    "out": "ap_fixed<7,4,RND,WRAP>",
}


def model(backend: str, folder: Path, layers: list[Layer] = LAYERS, io_type: str = "io_parallel", **rest: Any) -> Any:
    config = get_backend(backend).create_initial_config(io_type=io_type)
    config |= {"OutputDir": str(folder), "ProjectName": "user", "Backend": backend}
    names = {
        layer["name"]: {"Precision": {"result": PRECISION.get(layer["name"], "ap_fixed<16,6>")}, "Trace": True}
        for layer in layers
    }
    common = {"Precision": "ap_fixed<16,6>", "ReuseFactor": 1, "Strategy": "Latency"}
    config["HLSConfig"] = {"Model": common, "LayerName": names}
    return ModelGraph.from_layer_list(config, [dict(layer) for layer in layers], **rest)


def assert_equal(found: Any, wanted: Any) -> None:
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
def test_predictions_and_traces_are_those_of_vitis(io_type: str, tmp_path: Path) -> None:
    theirs, ours = (model(backend, tmp_path / backend, io_type=io_type) for backend in ("Vitis", "fpgaflow"))
    x = (np.random.default_rng(0).normal(size=(60, 4, 5, 2)) * 3).astype(np.float32)
    want, want_trace = theirs.trace(x)  # compiles
    found, found_trace = ours.trace(x)
    assert np.unique(want).size > 20
    assert_equal(found, want)
    assert list(found_trace) == list(want_trace)
    for name, values in want_trace.items():
        assert_equal(found_trace[name], values)
    for samples in (x, x[:1], x[0], x.reshape(60, -1), x.astype(np.float64)):
        assert_equal(ours.predict(samples), theirs.predict(samples))
    assert not (tmp_path / "fpgaflow").exists()  # nothing was written


def test_hls4mls_converters_take_the_backend(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3)).eval()
    config = hls4ml.utils.config_from_pytorch_model(net, (5,), granularity="name", backend="fpgaflow")
    made, vitis = (
        hls4ml.converters.convert_from_pytorch_model(
            net, output_dir=str(tmp_path), project_name="user", hls_config=config, backend=backend
        )
        for backend in ("fpgaflow", "Vitis")
    )
    made.compile()
    x = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    assert_equal(made.predict(x), Simulator(vitis).predict(x).astype(np.float32))
    assert made.config.config["Backend"] == "fpgaflow"


def test_several_inputs_and_outputs_come_as_lists(tmp_path: Path) -> None:
    layers = [
        inp(3),
        {"class_name": "InputLayer", "name": "z", "input_shape": [3]},
        {"class_name": "Merge", "name": "sum", "inputs": ["x", "z"], "op": "add"},
        dense("fc", 3, 2, inputs=["sum"]),
    ]
    made = model("fpgaflow", tmp_path, layers, inputs=["x", "z"], outputs=["fc", "sum"])
    made.compile()
    x, z = np.ones((4, 3), np.float32), np.full((4, 3), 0.5, np.float32)
    found = made.predict([x, z])
    want = Simulator(made).predict([x, z])
    assert [array.shape for array in found] == [(4, 2), (4, 3)]
    for a, b in zip(found, want, strict=True):
        assert_equal(a, b.astype(np.float32))
    assert [array.shape for array in made.predict([x[:1], z[:1]])] == [(2,), (3,)]


def test_a_change_counts_after_the_next_compile(tmp_path: Path) -> None:
    made = model("fpgaflow", tmp_path)
    made.compile()
    x = np.random.default_rng(0).normal(size=(5, 4, 5, 2))
    before = made.predict(x)
    made.graph["fc"].weights["weight"].data[...] = 0
    assert_equal(made.predict(x), before)
    made.compile()
    assert np.unique(made.predict(x), axis=0).shape[0] == 1


def test_what_it_cannot_do_is_refused(tmp_path: Path) -> None:
    made = model("fpgaflow", tmp_path)
    with pytest.raises(BadInput, match=r"not compiled.*Call compile\(\)"):
        made.predict(np.zeros((1, 4, 5, 2)))
    with pytest.raises(BadInput, match=r"makes no C\+\+ project.*build\(\)"):
        made.write()
    assert list(tmp_path.iterdir()) == []
    made.compile()
    for x, match in [
        (np.zeros((1, 4, 5)), r"shape \(1, 4, 5\).*\(4, 5, 2\)"),
        (np.zeros((1, 4, 5, 2), np.int64), "int64.*float32"),
        ([[1.0]], "list.*float32"),
        (np.full((1, 4, 5, 2), np.nan), "finite"),
    ]:
        with pytest.raises(BadInput, match=match):
            made.predict(x)
    with pytest.raises(UnsupportedModel, match="layer 'act'"):
        model("fpgaflow", tmp_path, [inp(3), activation("act", "no_such_function")]).compile()


def test_build_writes_verilog_and_proves_it(tmp_path: Path) -> None:
    for package in ("amaranth", "pyosys"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    stages: list[str] = []
    made = model("fpgaflow", tmp_path / "out", [inp(3), dense("fc", 3, 2), activation("relu", "relu")])
    report = made.build(fps=1e6, progress=lambda stage, _: stages.append(stage))
    assert report["CosimReport"]["Status"] == "Pass" and report["CosimReport"]["RTL"] == "Verilog"
    assert 0 < int(report["CosimReport"]["IntervalMax"]) <= 100  # of 100 MHz
    assert 0 < int(report["YosysSynthReport"]["LUT"]) < 2000 and "rtl" in stages
    assert "module fpgaflow_top(" in (tmp_path / "out" / "rtl" / "fpgaflow_top.v").read_text()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["flow"] == "rtl" and manifest["mismatches"]["rtl_vs_sim"]["different"] == 0
    with pytest.raises(CheckFailed, match="Ask for"):
        made.build(fps=1e9)
    with pytest.raises(BadInput, match="board"):
        made.build(board="no-such-board")


@pytest.mark.parametrize(
    "first", ["hls4ml", "hls4ml.model.graph", "fpgaflow.plugin", "fpgaflow.plugin.model", "fpgaflow"]
)
def test_hls4ml_finds_the_backend_whatever_is_imported_first(first: str) -> None:
    code = f"import {first}, hls4ml; from hls4ml.backends import get_available_backends as b; print(b()[-1])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["fpgaflow"]
    assert "fpgaflow" in get_available_backends()


@pytest.mark.slow
def test_build_of_several_inputs_and_outputs(tmp_path: Path) -> None:
    for package in ("amaranth", "pyosys"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    layers = [
        {**inp(3), "name": "a"},
        {**inp(4), "name": "b"},
        dense("fa", 3, 2, inputs=["a"]),
        dense("fb", 4, 1, inputs=["b"]),
    ]
    made = model("fpgaflow", tmp_path / "out", layers, inputs=["a", "b"], outputs=["fa", "fb"])
    assert made.build()["CosimReport"]["Status"] == "Pass"
    described = json.loads((tmp_path / "out" / "rtl" / "interface.json").read_text())
    names = {way: [part["name"] for part in described[way]["parts"]] for way in ("input", "output")}
    assert [len(each) for each in names.values()] == [2, 2]
    x = np.random.default_rng(0).normal(size=(9, 7)).astype(np.float32)
    np.savez(tmp_path / "data.npz", **dict(zip(names["input"], (x[:, :3], x[:, 3:]), strict=True)))
    made.build(data=tmp_path / "data.npz")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["mismatches"]["rtl_vs_sim"] == {"samples": 9, "values": 27, "different": 0, "first_sample": None}
