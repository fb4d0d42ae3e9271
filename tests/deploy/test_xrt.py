"""The XRT driver above a model of pyxrt, and the kernel around a real hls4ml project compiled by g++: bit for bit."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fpgaflow.boards import load_board
from fpgaflow.errors import BadInput
from fpgaflow.targets.hls.firmware import Vectors, kernel_commands, kernel_files
from fpgaflow.targets.hls.layers import HlsOptions, IOType
from fpgaflow.targets.hls.project import make_project
from fpgaflow.targets.interface import from_json, interface_for, pack, unpack
from tests.deploy.xrt_model import Card, State
from tests.targets.hls.hls_graphs import Net
from tests.targets.hls.test_firmware import CPP, conv_net, dense_net, made, wide_net
from tests.targets.hls.test_firmware_board import network_of

CARD = load_board("alveo-u55c")
HERE = Path(__file__).parent


@dataclass
class Bench:
    card: Card
    driver: Any
    selftest: Any
    vectors: Vectors
    folder: Path


def files_of(net: Net, samples: int = 5) -> tuple[Any, Vectors, dict[str, str | bytes]]:
    graph, vectors, _ = made(net, samples)
    settings: dict[str, Any] = {"project_name": "fpgaflow", "io_type": IOType.STREAM, "clock_mhz": 300.0}
    return graph, vectors, kernel_files(graph, CARD, interface_for(graph), vectors=vectors, **settings)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Net], Bench]:
    def make(net: Net) -> Bench:
        graph, vectors, files = files_of(net, 9)
        folder = tmp_path / "board"
        folder.mkdir()
        for name, content in files.items():
            if name.startswith("board/"):
                (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        (folder / "fpgaflow.xclbin").touch()
        card = Card(network_of(graph), interface_for(graph).input.sample_bytes)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setitem(sys.modules, "pyxrt", card.module())
        names = ("fpgaflow_samples", "fpgaflow_driver", "selftest")
        for name in names:
            monkeypatch.delitem(sys.modules, name, raising=False)
        _, driver, selftest = (importlib.import_module(name) for name in names)
        monkeypatch.setattr(driver.tempfile, "tempdir", str(tmp_path))
        monkeypatch.setattr(selftest, "LATENCY_RUNS", 3)
        monkeypatch.setattr(selftest, "BATCH_RUNS", 2)
        return Bench(card, driver, selftest, vectors, folder)

    return make


@pytest.mark.parametrize("net", [dense_net, wide_net])
def test_codes_and_values_are_those_of_the_reference(bench: Callable[[Net], Bench], net: Callable[[], Net]) -> None:
    board = bench(net())
    with board.driver.Accelerator(batch=4) as accelerator:
        assert np.array_equal(accelerator.predict_codes(board.vectors.x_codes), board.vectors.y_codes)
        assert np.array_equal(accelerator.codes(board.vectors.x), board.vectors.x_codes)
    assert board.card.runs == [4, 4, 1] and board.card.waits == [10_000] * 3
    assert board.card.loaded == [str(board.folder / "fpgaflow.xclbin")]


@pytest.mark.parametrize(
    ("state", "error"),
    [(State.ERT_CMD_STATE_TIMEOUT, TimeoutError), (State.ERT_CMD_STATE_ERROR, RuntimeError)],
)
def test_a_kernel_that_hangs_or_fails_is_told(
    bench: Callable[[Net], Bench], state: State, error: type[Exception]
) -> None:
    board = bench(dense_net())
    board.card.state = state
    with board.driver.Accelerator(timeout_s=0.25) as accelerator:
        with pytest.raises(error, match=f"its state is State.{state.name}"):
            accelerator.predict_codes(board.vectors.x_codes)
        with pytest.raises(RuntimeError, match="left data in the network"):
            accelerator.predict_codes(board.vectors.x_codes)
    assert board.card.waits == [250]


def test_two_users_exclude_each_other_and_wrong_shapes_are_told(bench: Callable[[Net], Bench]) -> None:
    board = bench(dense_net())
    with board.driver.Accelerator() as accelerator:
        with pytest.raises(RuntimeError, match="in use by process"):
            board.driver.Accelerator()
        with pytest.raises(ValueError, match=r"shape \(2, 7\): the network takes \(N, 6\)"):
            accelerator.predict(np.zeros((2, 7)))
    (board.folder / "fpgaflow.xclbin").unlink()
    with pytest.raises(FileNotFoundError, match=r"fpgaflow\.xclbin is missing"):
        board.driver.Accelerator()


def test_the_self_test_is_that_of_every_board(bench: Callable[[Net], Bench]) -> None:
    board = bench(dense_net())
    assert board.selftest.main(board.folder) == 0
    report = json.loads((board.folder / "board.json").read_text())
    assert report["test"]["different"] == 0 and report["clock_mhz"] == {"asked": 300.0, "actual": 300.0}


def test_the_kernel_around_a_real_project_gives_the_expected_bits(tmp_path: Path) -> None:
    graph, vectors, files = files_of(conv_net())
    make_project(graph, HlsOptions(CARD.part, io_type=IOType.STREAM), tmp_path / "hls")
    own = tmp_path / "own"
    own.mkdir()
    for name in ("fpgaflow_axi.h", "fpgaflow_axi.cpp", "fpgaflow_kernel.cpp"):
        (own / name).write_text(str(files[f"hls/firmware/{name}"]))
    interface = from_json(files["board/interface.json"])
    size = interface.input.tdata_bits // 8
    words = pack(vectors.x_codes, interface.input).view(f"<u{size}").ravel()
    (own / "bench.cpp").write_text(
        f"""#include "ap_int.h"
#include <cstdio>
extern "C" void fpgaflow_kernel(const ap_uint<{8 * size}> *, ap_uint<{interface.output.tdata_bits}> *, unsigned);
int main() {{
    static ap_uint<{8 * size}> x[] = {{ {", ".join(map(str, words.tolist()))} }};
    static ap_uint<{interface.output.tdata_bits}> y[{5 * interface.output.beats}];
    fpgaflow_kernel(x, y, 5);
    for (auto word : y) std::printf("%lu\\n", (unsigned long)word.to_uint64());
}}
"""
    )
    firmware = tmp_path / "hls/firmware"
    includes = [f"-I{own}", "-isystem", CPP, "-isystem", firmware, "-isystem", firmware / "ap_types"]
    strict = ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
    objects = []
    for source, flags in (
        *((own / name, strict) for name in ("fpgaflow_kernel.cpp", "fpgaflow_axi.cpp", "bench.cpp")),
        (firmware / "fpgaflow.cpp", ["-w", f'-DWEIGHTS_DIR="{firmware}/weights"']),
    ):
        objects.append(tmp_path / f"{source.stem}.o")
        subprocess.run(["g++", "-std=c++11", "-O0", *flags, *includes, "-c", source, "-o", objects[-1]], check=True)
    subprocess.run(["g++", *objects, "-o", tmp_path / "bench"], check=True)
    run = subprocess.run([tmp_path / "bench"], capture_output=True, text=True, check=True)
    port = interface.output
    answers = np.array([int(line) for line in run.stdout.split()], dtype=f"<u{port.tdata_bits // 8}")
    beats = answers.view(np.uint8).reshape(5, port.beats, port.tdata_bits // 8)
    assert np.array_equal(unpack(beats, port), vectors.y_codes)


def test_commands_of_the_kernel() -> None:
    compile_, link = kernel_commands(CARD, "fpgaflow", 300.0, "--freqhz")
    assert compile_.argv[:8] == ("v++", "-t", "hw", "--platform", CARD.platform, "--freqhz", "300000000", "-c")
    assert compile_.argv[-3:] == ("firmware/fpgaflow_kernel.cpp", "firmware/fpgaflow_axi.cpp", "firmware/fpgaflow.cpp")
    assert link.outputs == ("board/fpgaflow.xclbin",) and "../board/fpgaflow.xclbin" in link.argv
    assert kernel_commands(CARD, "fpgaflow", 300.0, "--kernel_frequency")[0].argv[5:7] == ("--kernel_frequency", "300")


def test_a_board_without_a_platform_is_refused() -> None:
    graph, vectors, _ = made(dense_net(), 1)
    settings: dict[str, Any] = {"project_name": "fpgaflow", "io_type": IOType.STREAM, "clock_mhz": 300.0}
    with pytest.raises(BadInput, match="has no Vitis platform"):
        kernel_files(graph, replace(CARD, platform=None), interface_for(graph), vectors=vectors, **settings)
