"""What goes to the board, run for real above a model of PYNQ's buffers and of the DMA's registers."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fpgaflow.data import data_dir
from fpgaflow.ir.graph import Graph
from fpgaflow.targets.hls.firmware import Vectors
from fpgaflow.targets.interface import from_json, interface_for, pack, unpack
from tests.targets.hls.hls_graphs import Net
from tests.targets.hls.pynq_model import Fpga
from tests.targets.hls.test_firmware import dense_net, made, outputs_of, relu_net, wide_net

SOURCES = data_dir("hls_templates") / "firmware"


@dataclass
class Bench:
    """A board folder with its model FPGA."""

    fpga: Fpga
    driver: Any
    selftest: Any
    vectors: Vectors
    folder: Path


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Net], Bench]:
    def make(net: Net, samples: int = 9) -> Bench:
        graph, vectors, files = made(net, samples)
        folder = tmp_path / "board"
        folder.mkdir()
        for name, content in files.items():
            if name.startswith("board/"):
                (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        for name in ("fpgaflow.bit", "fpgaflow.hwh"):
            (folder / name).touch()
        fpga = Fpga(network_of(graph))
        modules = load(folder, fpga.module(), monkeypatch)
        monkeypatch.setattr(modules[0], "LOCK", tmp_path / "lock")
        return Bench(fpga, *modules, vectors, folder)

    return make


def network_of(graph: Graph) -> Callable[[bytes], bytes]:
    """The hardware: what fpgaflow's own packing and the reference kernels make of a batch."""
    interface = interface_for(graph)

    def network(data: bytes) -> bytes:
        beats = np.frombuffer(data, dtype=np.uint8).reshape(-1, interface.input.beats, interface.input.tdata_bits // 8)
        return pack(outputs_of(graph, unpack(beats, interface.input)), interface.output).tobytes()

    return network


def load(folder: Path, pynq: ModuleType, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The driver and self-test of `folder`, importing that pynq."""
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setitem(sys.modules, "pynq", pynq)
    names = ("fpgaflow_samples", "fpgaflow_driver", "selftest")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    _, driver, selftest = (importlib.import_module(name) for name in names)
    monkeypatch.setattr(selftest, "LATENCY_RUNS", 3)
    monkeypatch.setattr(selftest, "BATCH_RUNS", 2)
    return driver, selftest


@pytest.mark.parametrize("net", [dense_net, wide_net, lambda: relu_net(3, 3, 3)])
@pytest.mark.parametrize("batch", [None, 4])
def test_codes_and_values_are_those_of_the_reference(
    bench: Callable[[Net], Bench], net: Callable[[], Net], batch: int | None
) -> None:
    board = bench(net())
    with board.driver.Accelerator(batch=batch) as accelerator:
        assert np.array_equal(accelerator.predict_codes(board.vectors.x_codes), board.vectors.y_codes)
        assert np.array_equal(accelerator.codes(board.vectors.x), board.vectors.x_codes)
        scale = float(from_json((board.folder / "interface.json").read_text()).output.scale[0])
        assert np.array_equal(accelerator.predict(board.vectors.x), board.vectors.y_codes * scale)
        size = accelerator.input.sample_bytes
    assert board.fpga.transfers[: len(board.fpga.transfers) // 2] == (
        [9 * size] if batch is None else [4 * size, 4 * size, size]
    )
    assert board.fpga.downloads == [str(board.folder / "fpgaflow.bit")]


def test_the_empty_batch(bench: Callable[[Net], Bench]) -> None:
    board = bench(dense_net())
    with board.driver.Accelerator() as accelerator:
        assert accelerator.predict(np.zeros((0, 6))).shape == (0, 5)
    assert board.fpga.transfers == []


def test_a_network_that_never_answers_ends_in_a_timeout_with_registers(bench: Callable[[Net], Bench]) -> None:
    board = bench(dense_net())
    board.fpga.polls = None
    with board.driver.Accelerator(timeout_s=0.05) as accelerator:
        with pytest.raises(TimeoutError, match=r"within 0\.05 s: MM2S_DMASR is 0x00000000, S2MM_DMASR is 0x00000000"):
            accelerator.predict_codes(board.vectors.x_codes)
        board.fpga.polls = 0
        with pytest.raises(RuntimeError, match="left data in the network"):
            accelerator.predict_codes(board.vectors.x_codes)
        assert board.fpga.resets == 0
    assert board.fpga.resets == 1, "a DMA that may still write is stopped before its buffers are freed"
    with board.driver.Accelerator() as accelerator:
        assert np.array_equal(accelerator.predict_codes(board.vectors.x_codes), board.vectors.y_codes)


def test_a_short_answer_is_told(bench: Callable[[Net], Bench]) -> None:
    board = bench(dense_net())
    network = board.fpga.network
    board.fpga.network = lambda data: network(data)[:-4]
    with board.driver.Accelerator() as accelerator:
        whole = 9 * accelerator.output.sample_bytes
        with pytest.raises(board.driver.TransferError, match=f"answered {whole - 4} bytes to 9 samples, not {whole}"):
            accelerator.predict_codes(board.vectors.x_codes)


def test_an_error_of_the_dma_is_told(bench: Callable[[Net], Bench]) -> None:
    board = bench(dense_net())
    board.fpga.decode_error = True
    with (
        board.driver.Accelerator() as accelerator,
        pytest.raises(board.driver.TransferError, match="stopped with an error: MM2S_DMASR is 0x00000041"),
    ):
        accelerator.predict_codes(board.vectors.x_codes)


def test_two_users_exclude_each_other(bench: Callable[[Net], Bench]) -> None:
    board = bench(dense_net())
    with board.driver.Accelerator(), pytest.raises(RuntimeError, match="in use by process"):
        board.driver.Accelerator()
    assert len(board.fpga.downloads) == 1, "the second user does not touch the FPGA"
    with board.driver.Accelerator():
        pass


def test_a_lock_dies_with_its_process(bench: Callable[[Net], Bench]) -> None:
    board = bench(dense_net())
    lock = "import fcntl, os, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); f.write(f'{os.getpid()}'); f.flush()"
    other = subprocess.Popen(
        [sys.executable, "-c", lock + "; print('locked', flush=True); sys.stdin.read()", str(board.driver.LOCK)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(RuntimeError, match=f"in use by process {other.pid} "):
            board.driver.Accelerator()
        other.kill()
    board.driver.Accelerator().close()


def test_a_failed_download_gives_the_lock_back(bench: Callable[[Net], Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    board = bench(dense_net())
    with monkeypatch.context() as broken:
        broken.setattr(board.driver.pynq, "allocate", None)
        with pytest.raises(TypeError):
            board.driver.Accelerator()
    board.driver.Accelerator().close()


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        (np.zeros((2, 7)), ValueError, r"shape \(2, 7\): the network takes \(N, 6\)"),
        (np.zeros(6), ValueError, r"shape \(6,\)"),
        (np.zeros((1, 6), complex), TypeError, "are complex128: give real numbers"),
        (np.array([["a"] * 6]), TypeError, "give real numbers"),
        (np.full((1, 6), np.nan), ValueError, r"nan at index \(0, 0\)"),
    ],
)
def test_wrong_inputs_are_told(
    bench: Callable[[Net], Bench], samples: np.ndarray, error: type[Exception], message: str
) -> None:
    with bench(dense_net()).driver.Accelerator() as accelerator, pytest.raises(error, match=message):
        accelerator.predict(samples)


def test_wrong_codes_batches_and_folders_are_told(bench: Callable[[Net], Bench]) -> None:
    board = bench(dense_net())
    with board.driver.Accelerator() as accelerator:
        with pytest.raises(TypeError, match="give integers"):
            accelerator.predict_codes(np.zeros((1, 6)))
        with pytest.raises(ValueError, match="reach from 32 to 32, the input takes -32 to 31"):
            accelerator.predict_codes(np.full((1, 6), 32))
    with pytest.raises(RuntimeError, match="closed"):
        accelerator.predict_codes(board.vectors.x_codes)
    for batch in (0, 1 << 26):
        with pytest.raises(ValueError, match="batch is"):
            board.driver.Accelerator(batch=batch)
    (board.folder / "fpgaflow.hwh").unlink()
    with pytest.raises(FileNotFoundError, match=r"fpgaflow\.hwh is missing"):
        board.driver.Accelerator()


def test_the_self_test_passes_and_reports(bench: Callable[[Net], Bench], capsys: pytest.CaptureFixture[str]) -> None:
    board = bench(dense_net())
    assert board.selftest.main(board.folder) == 0
    report = json.loads((board.folder / "board.json").read_text())
    assert report["test"] == {"samples": 9, "values": 45, "different": 0, "different_inputs": 0, "passed": True}
    assert report["clock_mhz"] == {"asked": 100.0, "actual": 99.999}
    assert report["speed"]["source"] == "measured"
    assert set(report["speed"]["latency_us"]) == {"transfer", "codes", "values"}
    assert capsys.readouterr().out.startswith("PASS")
    assert [path.name for path in board.folder.glob(".*")] == []


def test_the_self_test_finds_one_wrong_bit(bench: Callable[[Net], Bench], capsys: pytest.CaptureFixture[str]) -> None:
    board = bench(dense_net())
    network = board.fpga.network

    def wrong(data: bytes) -> bytes:
        answer = bytearray(network(data))
        size = len(answer) // (len(data) // 8)
        answer[(3 * size if len(data) > 8 * 3 else 0) + 2] ^= 1  # element 1 of sample 3
        return bytes(answer)

    board.fpga.network = wrong
    assert board.selftest.main(board.folder) == 1
    test = json.loads((board.folder / "board.json").read_text())["test"]
    right = int(board.vectors.y_codes[3, 1])
    assert test["first"] == {"index": [3, 1], "expected": right, "found": right ^ 1}
    assert (test["different"], test["passed"]) == (1, False)
    assert capsys.readouterr().out.startswith("FAIL")


def test_the_notebook_runs_from_top_to_bottom(
    bench: Callable[[Net], Bench], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    board = bench(dense_net())
    monkeypatch.chdir(board.folder)
    notebook = json.loads((board.folder / "fpgaflow.ipynb").read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    scope: dict[str, Any] = {}
    for cell in notebook["cells"]:
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | (
            {"outputs", "execution_count"} if cell["cell_type"] == "code" else set()
        )
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            exec(compile("".join(cell["source"]), cell["id"], "exec"), scope)  # noqa: S102
    assert "'different': 0" in capsys.readouterr().out
    board.driver.Accelerator().close()


def test_the_notebook_fails_on_wrong_bits(bench: Callable[[Net], Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    board = bench(dense_net())
    board.fpga.network = lambda data: bytes(len(data) // 8 * 12)
    monkeypatch.chdir(board.folder)
    cells = json.loads((board.folder / "fpgaflow.ipynb").read_text())["cells"]
    with pytest.raises(AssertionError, match="other bits than the simulator"):
        exec("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"), {})  # noqa: S102


@pytest.mark.parametrize("name", ["fpgaflow_driver.py", "fpgaflow_driver_xrt.py", "fpgaflow_samples.py", "selftest.py"])
def test_the_board_needs_python_3_8_numpy_and_pynq_or_xrt_only(name: str) -> None:
    tree = ast.parse((SOURCES / name).read_text(), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    others = {name.split(".")[0] for name in imported} - sys.stdlib_module_names
    assert others <= {"numpy", "pyxrt" if "xrt" in name else "pynq", "fpgaflow_driver", "fpgaflow_samples"}


def test_values_per_channel(bench: Callable[[Net], Bench]) -> None:
    board = bench(relu_net(2, 3, 4))
    path = board.folder / "interface.json"
    fields = json.loads(path.read_text())
    fields["output"] |= {"scale": [0.5, 1.0, 2.0], "offset": [0.0, 1.0, -1.0], "axis": 1}
    path.write_text(json.dumps(fields))
    with board.driver.Accelerator() as accelerator:
        values = accelerator.predict(board.vectors.x)
    expected = board.vectors.y_codes * np.array([0.5, 1, 2])[:, None] + np.array([0, 1, -1])[:, None]
    assert np.array_equal(values, expected)
