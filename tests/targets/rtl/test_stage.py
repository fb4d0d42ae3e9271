"""`build --flow rtl` as people use it: on a Zynq board up to a firmware for Vivado, on an open board to a bitstream."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fpgaflow.boards import load_board
from fpgaflow.building import build, hardware_problems
from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput, CheckFailed, UnsupportedModel
from fpgaflow.frontend.load import load
from fpgaflow.targets.interface import from_json, interface_for
from fpgaflow.targets.rtl.board import platform
from fpgaflow.targets.rtl.board.route import route
from fpgaflow.targets.rtl.proof import SYNTHESIS, verilog_of
from fpgaflow.targets.rtl.synth import synthesise
from fpgaflow.targets.rtl.top import TOP
from fpgaflow.validate import validate
from tests.builds import SAMPLES, install_vendor_tools, path_with, statuses, write_project

STAGES = ["import", "simulate", "qonnx", "fold", "verilog", "rtl", "synthesis", "netlist", "firmware"]
EXAMPLE = Path(__file__).parents[3] / "examples" / "mlp_digits"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rtl")
    write_project(folder)
    return folder


def test_a_build_of_verilog_proven_and_counted(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {"out": project / "build", "flow": "rtl", "data": project / "data.npz", "fps": 8e6}
    first = build(project / "model.onnx", **arguments)
    manifest = json.loads((project / "build" / "manifest.json").read_text())
    assert first.ok and manifest["flow"] == "rtl" and statuses(manifest) == dict.fromkeys(STAGES, "done")
    rtl = manifest["mismatches"]["rtl_vs_sim"]
    assert (rtl["samples"], rtl["values"], rtl["different"]) == (SAMPLES, 3 * SAMPLES, 0)
    netlist = manifest["mismatches"]["netlist_vs_sim"]
    assert (netlist["samples"], netlist["values"], netlist["different"]) == (5, 15, 0)
    assert {name: figure["source"] for name, figure in manifest["resources"].items()} == dict.fromkeys(
        ("lut", "ff", "dsp", "bram36"), "synthesised"
    )
    assert 0 < manifest["resources"]["lut"]["used"] < 3000
    assert manifest["timing"]["interval_cycles"] == {"value": 12, "source": "simulated"}  # 24 products on 2 multipliers
    assert manifest["timing"]["latency_cycles"]["source"] == "simulated"
    assert manifest["rtl"] == "rtl"
    port = from_json((project / "build" / "rtl" / "interface.json").read_text()).input
    assert (port.shape, port.elements_per_beat, port.element_bits) == ((4,), 4, 8)
    assert "module fpgaflow_top(" in (project / "build" / "rtl" / "fpgaflow_top.v").read_text()

    again = build(project / "model.onnx", **arguments)
    assert statuses(again.manifest) == dict.fromkeys(STAGES, "skipped")
    validation = validate(project / "build", None, lambda _: None)
    assert validation.ok and [way.name for way in validation.ways] == ["qonnx", "reference", "fast", "rtl", "netlist"]

    firmware = project / "build" / "firmware"
    assert manifest["bitstream"] is None
    assert manifest["why_no_bitstream"].startswith(f"vivado not found: run `sh {firmware}")
    script = (firmware / "vivado" / "block_design.tcl").read_text()
    for name in ("fpgaflow_top.v", "layer_n_hidden.v"):
        assert (firmware / "rtl" / name).read_text() == (project / "build" / "rtl" / name).read_text()
        assert f"../rtl/{name}" in script
    assert "-reference fpgaflow_axi" in script and "xilinx.com:hls" not in script
    assert (firmware / "board" / "selftest.py").is_file()

    install_vendor_tools(project / "tools")
    monkeypatch.setenv("PATH", path_with(project / "tools"))
    reported = build(project / "model.onnx", **arguments).manifest
    assert reported["bitstream"] == "firmware/board/fpgaflow.bit" and reported["why_no_bitstream"] is None
    assert reported["resources"]["lut"]["source"] == reported["timing"]["fmax_mhz"]["source"] == "reported"
    assert reported["timing"]["interval_cycles"] == manifest["timing"]["interval_cycles"]


def test_a_rate_beyond_the_ops_names_the_slowest(project: Path) -> None:
    result = build(project / "model.onnx", out=project / "fast", flow="rtl", data=project / "data.npz", fps=2e8)
    assert isinstance(result.failure, CheckFailed)
    assert "at 100 MHz. Ask for" in str(result.failure)


def test_what_an_open_board_cannot_do_is_said(project: Path) -> None:
    model, data = project / "model.onnx", project / "data.npz"
    with pytest.raises(BadInput, match=r"flow 'hls': makes nothing for nextpnr-ice40 of icebreaker\. Use rtl"):
        build(model, "icebreaker", project / "hls", "hls", data=data)
    result = build(model, "icebreaker", project / "uart", data=data, fps=20_000)
    assert result.manifest["flow"] == "rtl" and isinstance(result.failure, CheckFailed)
    assert "the UART of icebreaker carries 6,667 of them at 1,000,000 baud. Ask for 6666 at most" in str(result.failure)
    with pytest.raises(UnsupportedModel, match="board 'arty-a7-100t': samples reach it by uart"):
        raise build(model, "arty-a7-100t", project / "arty", "rtl", data=data).failure or AssertionError


def test_what_a_board_carries() -> None:
    lenet = load(data_dir("examples/lenet_digits") / "model.onnx")
    assert hardware_problems(lenet, load_board("ulx3s-85f")) == ()
    (problem,) = hardware_problems(lenet, load_board("icebreaker"))
    assert "of icebreaker" in problem.found


def test_an_open_board_without_its_tools_ends_at_the_netlist(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "find_executable", lambda _: None)
    result = build(project / "model.onnx", "icebreaker", project / "ice", data=project / "data.npz")
    assert result.ok and result.manifest["bitstream"] is None
    assert result.manifest["why_no_bitstream"].startswith("nextpnr-ice40: not found. Install it: pip install")
    assert result.manifest["resources"]["lut"]["source"] == "synthesised"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of the digits MLP for icebreaker, with 30 samples."""
    pytest.importorskip("amaranth_boards", reason="amaranth-boards is not installed: pip install 'fpgaflow[openfpga]'")
    folder = tmp_path_factory.mktemp("digits")
    samples = np.load(EXAMPLE / "test.npz")
    np.savez(folder / "data.npz", x=samples["x"][:30], y=samples["y"][:30])
    assert build(EXAMPLE / "model.onnx", "icebreaker", folder / "build", data=folder / "data.npz").ok
    return folder


def test_a_bitstream_for_icebreaker(digits: Path) -> None:
    manifest = json.loads((digits / "build" / "manifest.json").read_text())
    assert manifest["mismatches"]["rtl_vs_sim"]["different"] == 0
    assert list(statuses(manifest)) == [*STAGES[:-1], "route"]
    bitstream = digits / "build" / manifest["bitstream"]
    assert bitstream.name == "fpgaflow.bin" and bitstream.stat().st_size == 104_090  # of every UP5K
    assert bitstream.read_bytes()[:4] == b"\xff\x00\x00\xff"  # Lattice FPGA-TN-02001: comment before the preamble
    assert hashlib.sha256(bitstream.read_bytes()).hexdigest() == manifest["router"]["sha256"]
    clock, fmax = manifest["timing"]["clock_mhz"], manifest["timing"]["fmax_mhz"]
    assert fmax["source"] == "reported" and fmax["value"] >= clock == 24
    used, available = manifest["router"]["utilisation"]["ICESTORM_LC"]
    assert 0 < used < available == 5_280
    assert manifest["resources"]["lut"] == {"used": used, "available": available, "source": "reported"}
    assert manifest["link"]["samples_per_second"]["value"] == pytest.approx(1e5 / 71, abs=0.1)
    bundle = json.loads((bitstream.parent / "bundle.json").read_text())
    assert bundle["uart"] == {"baud": 1_000_000} and len(bundle["design"]) == 16
    assert "import serial" in (bitstream.parent / "fpgaflow_driver.py").read_text()
    for log in ("yosys.log", "route.log", "pack.log"):
        assert (digits / "build" / "firmware" / "route" / log).is_file()


def test_the_same_design_gives_the_same_bitstream(digits: Path, tmp_path: Path) -> None:
    """Placed and routed anew elsewhere; the layers come from the cache."""
    shutil.copytree(digits / "build" / SYNTHESIS, tmp_path / "build" / SYNTHESIS)
    again = build(EXAMPLE / "model.onnx", "icebreaker", tmp_path / "build", data=digits / "data.npz")
    before = json.loads((digits / "build" / "manifest.json").read_text())
    assert again.manifest["router"] == before["router"]
    resumed = build(EXAMPLE / "model.onnx", "icebreaker", tmp_path / "build", data=digits / "data.npz")
    assert set(statuses(resumed.manifest).values()) == {"skipped"}
    assert resumed.manifest["bitstream"] == before["bitstream"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("example", "board", "suffix"),
    [
        ("mlp_digits", "upduino", ".bin"),
        ("mlp_digits", "ulx3s-25f", ".bit"),
        ("mlp_digits", "ulx3s-85f", ".bit"),
        ("mlp_digits", "orangecrab", ".bit"),
        ("mlp_digits", "tang-nano-9k", ".fs"),
        ("lenet_digits", "ulx3s-85f", ".bit"),
    ],
)
def test_bitstreams_for_the_other_boards(tmp_path: Path, example: str, board: str, suffix: str) -> None:
    pytest.importorskip("amaranth_boards", reason="amaranth-boards is not installed: pip install 'fpgaflow[openfpga]'")
    folder = EXAMPLE.parent / example
    result = build(folder / "model.onnx", board, tmp_path / "build", data=folder / "test.npz")
    assert result.ok, result.failure
    manifest = result.manifest
    assert manifest["mismatches"]["rtl_vs_sim"]["different"] == 0
    assert (tmp_path / "build" / manifest["bitstream"]).suffix == suffix
    assert manifest["timing"]["fmax_mhz"]["value"] >= manifest["timing"]["clock_mhz"]
    print(f"{example} on {board}: {manifest['timing']['fmax_mhz']['value']} MHz, {manifest['router']['utilisation']}")


@pytest.mark.slow
def test_the_clock_follows_the_router(project: Path) -> None:
    """A board file that asks for more than its part can do."""
    pytest.importorskip("amaranth_boards", reason="amaranth-boards is not installed: pip install 'fpgaflow[openfpga]'")
    text = (EXAMPLE.parents[1] / "boards" / "icebreaker.toml").read_text()
    text = text.replace('name = "icebreaker"', 'name = "hasty"').replace("design_mhz = 24.0", "design_mhz = 72.0")
    (project / "hasty.toml").write_text(text)
    board, arguments = str(project / "hasty.toml"), {"data": project / "data.npz"}
    result = build(project / "model.onnx", board, project / "hasty", **arguments)
    timing = result.manifest["timing"]
    assert result.ok and 12 < timing["clock_mhz"] <= timing["fmax_mhz"]["value"] < 72
    assert result.manifest["router"]["asked_mhz"] == 72
    made, graph = project / "hasty", load(project / "model.onnx")
    netlists = synthesise(verilog_of(made), load_board(board), made / SYNTHESIS, None)
    assert netlists is not None
    top = verilog_of(made)[f"{TOP}.v"]
    with pytest.raises(CheckFailed, match=r"reaches .* MHz, and the clock has to have 72\. Ask for \d\d% of the rate"):
        route(load_board(board), interface_for(graph), bytes(14), netlists, top, project / "late", 72.0)
