"""A small project that the build tests share: a two-layer perceptron whose C simulation compiles in seconds."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from tests.models import Net
from tests.report.test_parse import HLS_XML, POWER, TIMING, UTILIZATION

STAGES = ["import", "simulate", "qonnx", "fold", "firmware", "csim"]
SAMPLES = 150  # no whole number of the executor's batches


def perceptron(scale: float = 1 / 16) -> ModelProto:
    """4-6-3 with weights of 4 bits; float32 executes it exactly where the input's `scale` is a power of two."""
    random = np.random.default_rng(0)
    net = Net(4)
    x = net.quant("x", scale, 8)
    hidden = net.node("MatMul", x, net.quant(random.normal(size=(4, 6)) / 2, 1 / 8, 4), output="hidden")
    hidden = net.quant(net.node("Relu", hidden), 1 / 8, 4, signed=0)
    net.node("MatMul", hidden, net.quant(random.normal(size=(6, 3)) / 2, 1 / 8, 4), output="scores")
    return net.model("scores")


def write_project(folder: Path) -> None:
    """`model.onnx`, and `data.npz` with labels at random."""
    random = np.random.default_rng(1)
    (folder / "model.onnx").write_bytes(perceptron().SerializeToString())
    x = (random.integers(-128, 128, (SAMPLES, 4)) / 32).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=random.integers(0, 3, SAMPLES))


def command(*arguments: str | Path) -> list[str]:
    """The command line, to be started as a process."""
    return [sys.executable, "-m", "fpgaflow.cli", *map(str, arguments)]


def statuses(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in manifest["stages"]}


def digests(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {stage["name"]: stage["digest"] for stage in manifest["stages"]}


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a build but its manifests, by relative path."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("manifest"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.002)


def install(folder: Path, name: str, script: str) -> None:
    """A shell script as a stand-in for a tool; `folder` is then to go first on PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\nset -eu\n{script}\n")
    (folder / name).chmod(0o755)


def path_with(folder: Path) -> str:
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


REPORTS = {
    "csynth.xml": HLS_XML.replace("<Worst-caseLatency>undef", "<Worst-caseLatency>17").replace(
        "<Interval-max>undef", "<Interval-max>8"
    ),
    "utilization.rpt": UTILIZATION,
    "timing.rpt": TIMING.replace("-0.521", " 0.521"),
    "power.rpt": POWER,
    "clock.json": '{"asked_mhz": 100, "actual_mhz": 99.999001}\n',
}


def install_vendor_tools(folder: Path, reports: Mapping[str, str] = REPORTS) -> None:
    """Stand-ins for Vitis HLS and Vivado that leave what the real ones leave; each run adds a line to `runs`."""
    given = folder / "reports"
    given.mkdir(parents=True)
    for name, text in reports.items():
        (given / name).write_text(text)
    ip = "fpgaflow_prj/solution1/impl/ip"
    hls = f"mkdir -p ../reports {ip}; cp {given}/csynth.xml ../reports; echo ip >{ip}/component.xml"
    vivado = (
        f"mkdir -p ../reports; cp {given}/*.rpt {given}/clock.json ../reports"
        "; echo bits >../board/fpgaflow.bit; echo >../board/fpgaflow.hwh"
        "; echo >../reports/utilization_hierarchical.rpt"
    )
    install(folder, "vitis_hls", f'test "$*" = "-f hls.tcl"; echo hls >>{folder}/runs; {hls}')
    install(folder, "vivado", f"test -f block_design.tcl; echo vivado >>{folder}/runs; {vivado}")
