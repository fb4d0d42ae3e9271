"""The vendor scripts, run by a real Tcl interpreter: what they ask of Vivado and Vitis HLS, and how they fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tkinter", reason="this Python has no Tcl interpreter")

from fpgaflow.boards import load_board
from fpgaflow.targets.hls.firmware import hls_command, rtl_firmware_files, vivado_command
from fpgaflow.targets.interface import interface_for
from tests.targets.hls.test_firmware import dense_net, made
from tests.targets.hls.vendor_tcl import ScriptFailed, VitisHls, Vivado

REPORTS = ("clock.json", "utilization.rpt", "utilization_hierarchical.rpt", "timing.rpt", "power.rpt")


def scripts(folder: Path, board: str = "pynq-z2", **options: Any) -> Path:
    """The text files of the firmware, written."""
    for name, content in made(dense_net(), 1, board, **options)[2].items():
        if isinstance(content, str):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
    return folder


def vivado(board: str = "pynq-z2") -> Vivado:
    part = load_board(board).board_part
    assert part is not None
    return Vivado({part})


def build(folder: Path, tool: Vivado) -> Vivado:
    tool.run(folder / "vivado" / "block_design.tcl")
    return tool


STREAMS = {
    ("control_bus/M00_AXI", "axi_dma/S_AXI_LITE"),
    ("axi_dma/M_AXI_MM2S", "memory_bus/S00_AXI"),
    ("axi_dma/M_AXI_S2MM", "memory_bus/S01_AXI"),
    ("axi_dma/M_AXIS_MM2S", "network/s_axis"),
    ("network/m_axis", "axi_dma/S_AXIS_S2MM"),
}
RESETS = {
    ("reset/peripheral_aresetn", sink)
    for sink in ("control_bus/aresetn", "memory_bus/aresetn", "axi_dma/axi_resetn", "network/ap_rst_n")
}
CLOCKED = (
    *("reset/slowest_sync_clk", "control_bus/aclk", "memory_bus/aclk", "network/ap_clk"),
    *("axi_dma/s_axi_lite_aclk", "axi_dma/m_axi_mm2s_aclk", "axi_dma/m_axi_s2mm_aclk"),
)


def test_zynq_7000_from_processor_to_bitstream(tmp_path: Path) -> None:
    tool = build(scripts(tmp_path, tdata_bits=64, clock_mhz=125.0), vivado())
    assert tool.called("create_project")[0][-1] == "xc7z020clg400-1"
    assert tool.properties["project"]["board_part"] == "tul.com.tw:pynq-z2:part0:1.0"
    clocked = (*CLOCKED, "ps/M_AXI_GP0_ACLK", "ps/S_AXI_HP0_ACLK")
    assert tool.nets == STREAMS | RESETS | {("ps/FCLK_CLK0", sink) for sink in clocked} | {
        ("ps/FCLK_RESET0_N", "reset/ext_reset_in"),
        ("ps/M_AXI_GP0", "control_bus/S00_AXI"),
        ("memory_bus/M00_AXI", "ps/S_AXI_HP0"),
    }
    assert tool.cells["network"] == "fpgaflow_axi"
    assert tool.properties["ps"]["CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ"] == "125"
    dma = tool.properties["axi_dma"]
    assert (dma["CONFIG.c_include_sg"], dma["CONFIG.c_sg_length_width"], dma["CONFIG.c_addr_width"]) == (
        "0",
        "26",
        "32",
    )
    assert dma["CONFIG.c_m_axis_mm2s_tdata_width"] == dma["CONFIG.c_s_axis_s2mm_tdata_width"] == "64"
    repository = tool.properties["project"]["ip_repo_paths"]
    assert Path(repository).resolve() == tmp_path / "hls/fpgaflow_prj/solution1/impl/ip"
    order = [call[0] for call in tool.calls]
    assert order.index("assign_bd_address") < order.index("validate_bd_design") < order.index("launch_runs")


def test_zynq_ultrascale_differs_in_the_processor_only(tmp_path: Path) -> None:
    tool = build(scripts(tmp_path, "zcu104", clock_mhz=200.0), vivado("zcu104"))
    clocked = (*CLOCKED, "ps/maxihpm0_fpd_aclk", "ps/saxihp0_fpd_aclk")
    assert tool.nets == STREAMS | RESETS | {("ps/pl_clk0", sink) for sink in clocked} | {
        ("ps/pl_resetn0", "reset/ext_reset_in"),
        ("ps/M_AXI_HPM0_FPD", "control_bus/S00_AXI"),
        ("memory_bus/M00_AXI", "ps/S_AXI_HP0_FPD"),
    }
    assert tool.properties["ps"]["CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"] == "200"
    assert tool.properties["axi_dma"]["CONFIG.c_addr_width"] == "40"
    assert tool.properties["axi_dma"]["CONFIG.c_m_axis_mm2s_tdata_width"] == "32"


def test_an_rtl_top_is_a_module_of_the_same_ports(tmp_path: Path) -> None:
    graph, vectors, _ = made(dense_net(), 1)
    files = rtl_firmware_files(
        graph,
        load_board("pynq-z2"),
        interface_for(graph),
        sources=["rtl/fpgaflow_top.v"],
        clock_mhz=100.0,
        vectors=vectors,
    )
    (tmp_path / "vivado").mkdir()
    (tmp_path / "vivado/block_design.tcl").write_text(str(files["vivado/block_design.tcl"]))
    tool = build(tmp_path, vivado())
    (sources,) = (words[-1] for words in tool.called("add_files"))
    paths = [Path(word).resolve() for word in tool.words(sources)]
    assert paths == [tmp_path / "vivado/fpgaflow_axi.v", tmp_path / "rtl/fpgaflow_top.v"]
    assert ("-type", "module", "-reference", "fpgaflow_axi", "network") in map(tuple, tool.called("create_bd_cell"))


@pytest.mark.parametrize("generated", ["gen", "srcs"])
def test_the_outputs_of_the_command_are_all_there(tmp_path: Path, generated: str) -> None:
    tool = vivado()
    tool.generated = generated
    build(scripts(tmp_path), tool)
    for output in vivado_command().outputs:
        assert (tmp_path / output).is_file(), output
    assert (tmp_path / "board/fpgaflow.bit").read_text() == "fpgaflow_wrapper.bit"
    assert json.loads((tmp_path / "reports/clock.json").read_text()) == {"asked_mhz": 100, "actual_mhz": 99.999001}


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("run", ["synth_1", "impl_1"])
def test_a_failed_run_ends_the_script(tmp_path: Path, run: str, raises: bool) -> None:
    tool = vivado()
    tool.progress[run], tool.raises_on_failed_runs = "42%", raises
    with pytest.raises(ScriptFailed, match=rf"{run} ended at 42% with 'ERROR': read .*{run}/runme\.log\nexit 1"):
        build(scripts(tmp_path), tool)
    assert tool.called("launch_runs")[-1][0] == run
    assert not list(tmp_path.glob("board/*.bit"))


@pytest.mark.parametrize(("kind", "slack"), [("WNS", "-0.001"), ("WHS", "-1"), ("WNS", "")])
def test_missed_timing_leaves_reports_and_no_bitstream(tmp_path: Path, kind: str, slack: str) -> None:
    tool = vivado()
    tool.slack[kind] = slack
    with pytest.raises(ScriptFailed, match=rf"timing is not met at 99\.999001 MHz: {kind} is '{slack}' ns"):
        build(scripts(tmp_path), tool)
    assert all((tmp_path / "reports" / name).is_file() for name in REPORTS)
    assert not list(tmp_path.glob("board/*.bit"))


def test_missing_board_files_end_the_script_before_any_work(tmp_path: Path) -> None:
    tool = Vivado({"tul.com.tw:pynq-z2:part0:9.9"})
    with pytest.raises(ScriptFailed, match=r"no board files .*part0:1\.0 \(of this board it has: .*part0:9\.9\)"):
        build(scripts(tmp_path), tool)
    assert not tool.called("create_project")


def test_a_missing_ip_is_named(tmp_path: Path) -> None:
    tool = vivado()
    tool.ips.remove("fpgaflow_axi")
    with pytest.raises(ScriptFailed, match=r"no IP xilinx\.com:hls:fpgaflow_axi"):
        build(scripts(tmp_path), tool)


def test_c_synthesis_of_both_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts(tmp_path, clock_mhz=125.0)
    (tmp_path / "hls/firmware/fpgaflow.cpp").touch()
    monkeypatch.chdir(tmp_path)
    tool = VitisHls()
    tool.run(tmp_path / "hls/hls.tcl")
    assert [call[0] for call in tool.calls if call[0] != "puts"] == [
        *("open_project", "set_top", "add_files", "add_files", "open_solution", "set_part", "create_clock"),
        *("config_compile", "config_schedule", "csynth_design", "export_design", "exit"),
    ]
    assert tool.called("set_top") == [["fpgaflow_axi"]]
    assert tool.called("set_part") == [["xc7z020clg400-1"]]
    assert tool.called("create_clock") == [["-period", "8.000", "-name", "default"]]
    assert [words[0] for words in tool.called("add_files")] == ["firmware/fpgaflow.cpp", "firmware/fpgaflow_axi.cpp"]
    for output in hls_command().outputs:
        assert (tmp_path / output).is_file(), output


def test_a_failed_export_ends_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts(tmp_path)
    (tmp_path / "hls/firmware/fpgaflow.cpp").touch()
    monkeypatch.chdir(tmp_path)
    tool = VitisHls()
    tool.export_fails = True
    with pytest.raises(ScriptFailed, match=r"(?s)exporting the IP failed.*y2k22 patch.*exit 1"):
        tool.run(tmp_path / "hls/hls.tcl")
    assert not (tmp_path / "reports/csynth.xml").exists()
