"""hls4ml projects: the same everywhere, silent, and never with anything changed behind the user's back."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hls4ml.model import ModelGraph

import fpgaflow.targets.hls.project as module
from fpgaflow.errors import CheckFailed, ToolFailed, UnsupportedModel
from fpgaflow.ir.ops import PoolKind
from fpgaflow.ir.ops_merge import Pad
from fpgaflow.ir.ops_table import Lookup
from fpgaflow.ir.types import FixedType
from fpgaflow.targets.hls.layers import HlsOptions, IOType, Strategy
from fpgaflow.targets.hls.project import make_project
from tests.targets.hls.hls_graphs import S6, U4, Net, lenet

PART = "xc7z020clg400-1"


def two_layers() -> Net:
    net = Net()
    net.output(net.dense(net.cast(net.dense(net.input((4,), S6), 3), U4), 2))
    return net


@pytest.mark.parametrize("io_type", list(IOType))
def test_files_are_complete_the_same_and_of_no_place(io_type: IOType, tmp_path: Path) -> None:
    options = HlsOptions(PART, io_type, project_name="digits")
    graph = lenet(PoolKind.MAX).graph()
    project = make_project(graph, options, tmp_path / "a")
    again = make_project(graph, options)
    assert project.files == again.files
    wanted = {"firmware/digits.cpp", "firmware/parameters.h", "build_prj.tcl", "project.tcl", "digits_test.cpp"}
    assert wanted < set(project.files)
    written = {
        p.relative_to(tmp_path / "a").as_posix(): p.read_text() for p in (tmp_path / "a").rglob("*") if p.is_file()
    }
    assert written == project.files
    assert os.access(tmp_path / "a" / "build_lib.sh", os.X_OK)
    own = {
        name: text for name, text in project.files.items() if not name.startswith(("firmware/nnet_", "firmware/ap_"))
    }
    for name, text in own.items():
        assert "fpgaflow-hls4ml-" not in text and str(Path.home()) not in text, name
        assert not re.search(r"20[2-9]\d-[01]\d", text), name


def test_the_configuration_stays_usable() -> None:
    options = HlsOptions(PART, clock_period_ns=6.5, reuse_factors={"dense0": 2})
    project = make_project(two_layers().graph(), options)
    config = yaml.safe_load(project.files["hls4ml_config.yml"])
    assert (config["Part"], config["ClockPeriod"], config["OutputDir"]) == (PART, 6.5, ".")
    assert config["HLSConfig"]["LayerName"]["dense0"]["ReuseFactor"] == 2
    assert 'set part "xc7z020clg400-1"' in project.files["project.tcl"]
    assert "set clock_period 6.5" in project.files["project.tcl"]


def test_types_reach_the_cpp() -> None:
    defines = make_project(two_layers().graph(), HlsOptions(PART)).files["firmware/defines.h"]
    assert "typedef ap_fixed<6,3> input_t;" in defines
    assert "typedef ap_ufixed<4,2,AP_RND_CONV,AP_SAT,0> layer2_t;" in defines
    assert "typedef ap_fixed<4,1> dense0_weight_t;" in defines


def test_nothing_is_printed_and_the_folder_stays(capfd: pytest.CaptureFixture[str]) -> None:
    before = Path.cwd()
    net = Net()
    net.output(net.conv(net.input((4, 4, 2), S6), 2, (1, 1), strides=(2, 2)))
    project = make_project(net.graph(), HlsOptions(PART, strategy=Strategy.RESOURCE))
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert Path.cwd() == before
    assert isinstance(project.log, str)


def test_ports_are_those_of_the_graph() -> None:
    net = Net()
    net.output(net.reshape(net.dense(net.input((2, 3), S6), 4), (8,)))
    graph = net.graph()
    project = make_project(graph, HlsOptions(PART))
    assert project.inputs == (graph.tensors["x0"],)
    assert project.outputs == (graph.tensors[graph.outputs[0].tensor],)


def test_problems_are_raised_before_any_work() -> None:
    net = Net()
    net.output(net.dense(net.input((2,), S6), 2, wt=FixedType(True, 54, 0)))
    with pytest.raises(UnsupportedModel, match=r"Dense 'dense0'.*weights of 54 bits"):
        make_project(net.graph(), HlsOptions(PART))


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second line of defence alone: what `check` would refuse reaches hls4ml."""
    monkeypatch.setattr(module, "check", lambda graph, options: ())


@pytest.mark.usefixtures("unchecked")
def test_a_reuse_factor_that_hls4ml_replaces_is_caught() -> None:
    net = Net()
    net.output(net.dense(net.input((4,), S6), 4))
    with pytest.raises(CheckFailed, match="hls4ml layer 'dense0': ReuseFactor 3 became 2"):
        make_project(net.graph(), HlsOptions(PART, strategy=Strategy.RESOURCE, reuse_factor=3))


def _tampered(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """hls4ml, with one more pass that changes its model silently."""
    real = ModelGraph.from_layer_list.__func__  # type: ignore[attr-defined]

    def from_layer_list(cls: Any, *args: Any, **kwargs: Any) -> Any:
        model = real(cls, *args, **kwargs)
        change({layer.name: layer for layer in model.get_layers()})
        return model

    monkeypatch.setattr(ModelGraph, "from_layer_list", classmethod(from_layer_list))


def _weight(layers: dict[str, Any]) -> None:
    layers["dense0"].weights["weight"].data[0, 0] += 0.125


def _result(layers: dict[str, Any]) -> None:
    layers["dense0"].get_output_variable().type.precision.saturation_mode = "WRAP"


def _accumulator(layers: dict[str, Any]) -> None:
    layers["dense2"].attributes["accum_t"].precision.width += 1


def test_an_error_inside_hls4ml_is_a_tool_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(layers: dict[str, Any]) -> None:
        raise KeyError("no layer of that name")

    _tampered(monkeypatch, fail)
    with pytest.raises(ToolFailed, match=r"hls4ml: KeyError: 'no layer of that name'"):
        make_project(two_layers().graph(), HlsOptions(PART))


@pytest.mark.parametrize(
    ("change", "expected"),
    [(_weight, "'dense0'.*weights"), (_result, "'dense0'.*overflow"), (_accumulator, "'dense2'.*(accum|type)")],
)
def test_silent_changes_are_caught(change: Any, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net = two_layers()
    net.constants["dense0.w"][0, 0] = 0
    graph = net.graph()
    make_project(graph, HlsOptions(PART))
    _tampered(monkeypatch, change)
    with pytest.raises(CheckFailed, match=expected):
        make_project(graph, HlsOptions(PART))


def _move(entries: np.ndarray) -> None:
    entries[len(entries) // 2, 1] = 1  # another lane of the beat


@pytest.mark.parametrize("io_type", list(IOType))
def test_silent_changes_of_our_own_layers_are_caught(io_type: IOType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of indices, a value around, a table of entries."""
    net = Net()
    x = net.input((3, 4), S6)
    padded = net.op(Pad, [x], (5, 4), S6, padding=((1, 1), (0, 0)), value=3)
    table = {"table": np.arange(64)}
    net.output(net.op(Lookup, [padded], (5, 4), FixedType(False, 6, 0), table))
    graph = net.graph()
    changes = (
        lambda layers: _move(layers["pad0"].weights["inner"].data),
        lambda layers: layers["pad0"].set_attr("value", 2),
        lambda layers: layers["lookup1"].weights["table"].data.__setitem__(5, 4),
    )
    make_project(graph, HlsOptions(PART, io_type))
    for change in changes:
        with monkeypatch.context() as patch:
            _tampered(patch, change)
            with pytest.raises(CheckFailed, match="hls4ml changed it"):
                make_project(graph, HlsOptions(PART, io_type))


def test_wide_constants_keep_every_digit() -> None:
    net = Net()
    name = net.dense(net.input((2,), S6), 1, wt=FixedType(True, 53, 60), bt=None)
    net.constants[f"{name}.w"] = np.array([[(1 << 52) - 1], [-(1 << 52) + 1]])
    net.output(name)
    text = make_project(net.graph(), HlsOptions(PART)).files["firmware/weights/w2.txt"]
    assert [float(number) for number in text.split(", ")] == [((1 << 52) - 1) / 2**60, (-(1 << 52) + 1) / 2**60]
