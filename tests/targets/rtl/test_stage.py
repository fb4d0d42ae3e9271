"""`build --flow rtl` as people use it, on the small perceptron of the build tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fpgaflow.building import build
from fpgaflow.errors import CheckFailed
from fpgaflow.targets.interface import from_json
from fpgaflow.validate import validate
from tests.builds import SAMPLES, statuses, write_project

STAGES = ["import", "simulate", "qonnx", "fold", "verilog", "rtl", "synthesis"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rtl")
    write_project(folder)
    return folder


def test_a_build_of_verilog_proven_and_counted(project: Path) -> None:
    arguments = {"out": project / "build", "flow": "rtl", "data": project / "data.npz", "fps": 8e6}
    first = build(project / "model.onnx", **arguments)
    manifest = json.loads((project / "build" / "manifest.json").read_text())
    assert first.ok and manifest["flow"] == "rtl" and statuses(manifest) == dict.fromkeys(STAGES, "done")
    rtl = manifest["mismatches"]["rtl_vs_sim"]
    assert (rtl["samples"], rtl["values"], rtl["different"]) == (SAMPLES, 3 * SAMPLES, 0)
    assert {name: figure["source"] for name, figure in manifest["resources"].items()} == dict.fromkeys(
        ("lut", "ff", "dsp", "bram36"), "synthesised"
    )
    assert 0 < manifest["resources"]["lut"]["used"] < 3000
    assert manifest["timing"]["interval_cycles"] == {"value": 12, "source": "simulated"}  # 24 products on 2 multipliers
    assert manifest["timing"]["latency_cycles"]["source"] == "simulated"
    assert manifest["bitstream"] is None and "Vivado" in manifest["why_no_bitstream"]
    port = from_json((project / "build" / "rtl" / "interface.json").read_text()).input
    assert (port.shape, port.elements_per_beat, port.element_bits) == ((4,), 4, 8)
    assert "module fpgaflow_top(" in (project / "build" / "rtl" / "fpgaflow_top.v").read_text()

    again = build(project / "model.onnx", **arguments)
    assert statuses(again.manifest) == dict.fromkeys(STAGES, "skipped")
    validation = validate(project / "build", None, lambda _: None)
    assert validation.ok and [way.name for way in validation.ways] == ["qonnx", "reference", "fast", "rtl"]


def test_a_rate_beyond_the_ops_names_the_slowest(project: Path) -> None:
    result = build(project / "model.onnx", out=project / "fast", flow="rtl", data=project / "data.npz", fps=2e8)
    assert isinstance(result.failure, CheckFailed)
    assert "at 100 MHz. Ask for" in str(result.failure)
