"""The firmware's files and commands, and the AXI4-Stream shell compiled around real hls4ml projects: bit for bit."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fpgaflow.boards import Board, load_board
from fpgaflow.errors import BadInput
from fpgaflow.ir.graph import Graph, Ints
from fpgaflow.ir.types import FixedType
from fpgaflow.sim.kernels import run_op
from fpgaflow.targets.hls.firmware import (
    HlsTool,
    Vectors,
    firmware_commands,
    firmware_files,
    rtl_firmware_files,
    vivado_command,
)
from fpgaflow.targets.hls.layers import HlsOptions, IOType
from fpgaflow.targets.hls.project import make_project
from fpgaflow.targets.interface import from_json, interface_for, pack, unpack
from fpgaflow.targets.plan import BuildPlan
from tests.targets.hls.hls_graphs import Net

CPP = Path(__file__).parent / "cpp"
Made = tuple[Graph, Vectors, dict[str, str | bytes]]


def outputs_of(graph: Graph, codes: Ints) -> Ints:
    """The reference kernels' output integers."""
    values = {graph.inputs[0].tensor: codes}
    for op in graph.ops:
        values[op.output] = run_op(op, graph, *(values[name] for name in op.inputs))
    return values[graph.outputs[0].tensor]


def made(net: Net, samples: int, board: str = "pynq-z2", **options: Any) -> Made:
    """The net's graph with random vectors, and its firmware files."""
    graph = net.graph()
    codes = net.random_input(samples)[0]
    x = codes.astype(np.float32) / float(graph.inputs[0].gain)
    vectors = Vectors(x, codes, outputs_of(graph, codes))
    interface = interface_for(graph, options.pop("tdata_bits", None))
    defaults: dict[str, Any] = {"project_name": "fpgaflow", "io_type": IOType.STREAM, "clock_mhz": 100.0}
    return graph, vectors, firmware_files(graph, load_board(board), interface, vectors=vectors, **defaults | options)


def dense_net() -> Net:
    net = Net()
    net.output(net.dense(net.input((6,), FixedType(True, 6, 3)), 5))
    return net


def relu_net(*shape: int) -> Net:
    net = Net()
    net.output(net.relu(net.input(shape, FixedType(True, 7, 3))))
    return net


def conv_net() -> Net:
    """Three channels in, five out: neither divides the elements of a beat."""
    net = Net()
    net.output(net.conv(net.input((4, 5, 3), FixedType(True, 6, 3)), 5, (3, 3)))
    return net


def wide_net() -> Net:
    """Elements of 18 bits, in slots of 24."""
    net = Net()
    x = net.input((5,), FixedType(False, 9, 4))
    net.output(net.dense(x, 7, accum=FixedType(True, 18, 7)))
    return net


CASES: dict[str, tuple[Callable[[], Net], dict[str, Any]]] = {
    "stream conv": (conv_net, {}),
    "stream conv, 64 bits": (conv_net, {"tdata_bits": 64}),
    "stream, one channel": (lambda: relu_net(3, 3, 1), {}),
    "stream, eight channels": (lambda: relu_net(2, 2, 8), {"project_name": "shell"}),
    "stream, an odd sample": (lambda: relu_net(3, 3, 3), {}),
    "parallel dense": (wide_net, {"io_type": IOType.PARALLEL, "tdata_bits": 64, "project_name": "network"}),
    "parallel, 32 bits": (lambda: relu_net(7), {"io_type": IOType.PARALLEL}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_shell_around_a_real_project_gives_the_expected_bits(case: str, tmp_path: Path) -> None:
    samples = 5
    make, options = CASES[case]
    graph, vectors, files = made(make(), samples, **options)
    name, io_type = options.get("project_name", "fpgaflow"), options.get("io_type", IOType.STREAM)
    project = make_project(graph, HlsOptions("xc7z020clg400-1", io_type=io_type, project_name=name), tmp_path / "hls")
    assert project.name == name
    bench = compile_bench(files, tmp_path, name)

    interface = from_json(files["board/interface.json"])
    size = interface.input.tdata_bits // 8
    words = pack(vectors.x_codes, interface.input).view(f"<u{size}").reshape(samples, -1)
    # TLAST after the second sample and after the last one, as two transfers of a DMA give it.
    marked = {1, samples - 1}
    beats = [
        f"{word:x} {int(sample in marked and index == words.shape[1] - 1)}\n"
        for sample, row in enumerate(words.tolist())
        for index, word in enumerate(row)
    ]
    run = subprocess.run(
        [bench, str(samples)], input="".join(beats), capture_output=True, text=True, check=True, cwd=tmp_path
    )

    rows = np.array([[int(field, 16) for field in line.split()] for line in run.stdout.splitlines()], dtype=np.uint64)
    port = interface.output
    size = port.tdata_bits // 8
    answers = rows[:, 0].astype(f"<u{size}").view(np.uint8).reshape(samples, port.beats, size)
    assert np.array_equal(unpack(answers, port), vectors.y_codes)
    assert np.array_equal(answers, pack(vectors.y_codes, port)), "padding is zero, elements fill their slots"
    assert (rows[:, 1:3] == (1 << size) - 1).all(), "TKEEP and TSTRB are all ones"
    last = np.zeros((samples, port.beats))
    last[list(marked), -1] = 1
    assert np.array_equal(rows[:, 3].reshape(samples, port.beats), last)


def compile_bench(files: dict[str, str | bytes], folder: Path, name: str) -> Path:
    """g++ with all warnings as errors for the shell, none of hls4ml's."""
    own = folder / "own"  # apart from hls4ml's headers, which are full of warnings
    own.mkdir()
    for suffix in ("h", "cpp"):
        content = files[f"hls/firmware/fpgaflow_axi.{suffix}"]
        assert isinstance(content, str)
        (own / f"fpgaflow_axi.{suffix}").write_text(content)
    firmware = folder / "hls" / "firmware"
    includes: list[str | Path] = [f"-I{own}", "-isystem", CPP, "-isystem", firmware, "-isystem", firmware / "ap_types"]
    strict = ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
    sources = {own / "fpgaflow_axi.cpp": strict, CPP / "axi_bench.cpp": strict, firmware / f"{name}.cpp": ["-w"]}
    objects = []
    for source, flags in sources.items():
        objects.append(folder / f"{source.stem}.o")
        define = f'-DWEIGHTS_DIR="{firmware}/weights"'
        subprocess.run(
            ["g++", "-std=c++11", "-O0", *flags, *includes, define, "-c", source, "-o", objects[-1]], check=True
        )
    subprocess.run(["g++", *objects, "-o", folder / "bench"], check=True)
    return folder / "bench"


def test_a_shell_for_another_type_does_not_compile(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    graph, vectors, _ = made(dense_net(), 1)
    make_project(graph, HlsOptions("xc7z020clg400-1", io_type=IOType.STREAM), tmp_path / "hls")
    interface = interface_for(graph)
    other = replace(interface, output=replace(interface.output, width=interface.output.width + 1))
    options: dict[str, Any] = {"project_name": "fpgaflow", "io_type": IOType.STREAM, "clock_mhz": 100.0}
    files = firmware_files(graph, load_board("pynq-z2"), other, vectors=vectors, **options)
    with pytest.raises(subprocess.CalledProcessError):
        compile_bench(files, tmp_path, "fpgaflow")
    assert "the network's type is not that of interface.json" in capfd.readouterr().err


def test_files_and_commands_make_a_plan() -> None:
    graph, vectors, files = made(dense_net(), 3)
    project = make_project(graph, HlsOptions("xc7z020clg400-1", io_type=IOType.STREAM))
    everything = {f"hls/{name}": content for name, content in project.files.items()} | files
    assert len(everything) == len(project.files) + len(files), "no file replaces one of hls4ml's"
    plan = BuildPlan(everything, firmware_commands())
    again = BuildPlan(
        {f"hls/{name}": text for name, text in project.files.items()} | made(dense_net(), 3)[2], firmware_commands()
    )
    assert plan.digest == again.digest
    assert [command.tool for command in plan.commands] == ["vitis_hls", "vivado"]
    assert "board/fpgaflow.bit" in plan.commands[1].outputs
    assert len(vectors.x) == 3


def test_newer_tools_run_the_same_script_by_another_name() -> None:
    assert firmware_commands(HlsTool.VITIS_RUN)[0].argv == ("vitis-run", "--mode", "hls", "--tcl", "hls.tcl")
    assert firmware_commands()[0].argv == ("vitis_hls", "-f", "hls.tcl")


def test_the_bundle_says_what_it_is() -> None:
    graph, vectors, files = made(dense_net(), 3)
    bundle = json.loads(files["board/bundle.json"])
    assert bundle == {
        "model": "net",
        "graph": graph.digest,
        "board": "pynq-z2",
        "part": "xc7z020clg400-1",
        "clock_mhz": 100.0,
        "title": "TUL PYNQ-Z2",
        "family": "zynq-7000",
        "interface": "axi-stream-dma",
        "platform": None,
    }
    assert from_json(files["board/interface.json"]) == interface_for(graph)
    assert {name for name in files if name.startswith("board/")} == {
        f"board/{name}"
        for name in (
            *("bundle.json", "interface.json", "test_vectors.npz"),
            *("fpgaflow_driver.py", "fpgaflow_samples.py", "selftest.py", "fpgaflow.ipynb"),
        )
    }
    assert len(vectors.y_codes) == 3


def test_an_rtl_top_gets_the_same_system() -> None:
    graph, vectors, hls = made(dense_net(), 3)
    board = load_board("pynq-z2")
    files = rtl_firmware_files(
        graph, board, interface_for(graph), sources=["rtl/fpgaflow_top.v"], clock_mhz=100.0, vectors=vectors
    )
    plan = BuildPlan({**files, "rtl/fpgaflow_top.v": ""}, (vivado_command(),))
    assert "vivado/fpgaflow_axi.v" in plan.files
    assert "fpgaflow_top core" in str(files["vivado/fpgaflow_axi.v"])
    assert all(files[name] == hls[name] for name in files if name.startswith("board/"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda board: load_board("arty-a7-100t"), "without the processor"),
        (lambda board: replace(board, board_part=None), "board_part None"),
    ],
)
def test_boards_that_have_no_such_firmware_are_refused(change: Callable[[Board], Board], message: str) -> None:
    graph, vectors, _ = made(dense_net(), 1)
    with pytest.raises(BadInput, match=message):
        rtl_firmware_files(
            graph, change(load_board("pynq-z2")), interface_for(graph), sources=(), clock_mhz=100.0, vectors=vectors
        )


def test_vectors_that_do_not_fit_are_refused() -> None:
    graph, vectors, _ = made(dense_net(), 2)
    board, interface = load_board("pynq-z2"), interface_for(graph)
    broken = [
        (replace(vectors, x=vectors.x[:1]), "have the shapes"),
        (replace(vectors, x=vectors.x[:, :-1]), "have the shapes"),
        (replace(vectors, x_codes=vectors.x_codes + 64), "reach from"),
        (replace(vectors, y_codes=vectors.y_codes[:, :-1]), "have shape"),
    ]
    for wrong, message in broken:
        with pytest.raises(BadInput, match=message):
            rtl_firmware_files(graph, board, interface, sources=(), clock_mhz=100.0, vectors=wrong)
