"""The UART top, cycle by cycle, against the real driver and self-test through a pseudo-terminal, with faults."""

from __future__ import annotations

import ast
import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

pytest.importorskip("serial", reason="pyserial is not installed: pip install 'fpgaflow[openfpga]'")

from fpgaflow.boards import load_board
from fpgaflow.frontend.load import load
from fpgaflow.ir.graph import Graph
from fpgaflow.sim.run import Simulator
from fpgaflow.targets.hls.firmware import Vectors, board_files
from fpgaflow.targets.hls.templates import templates
from fpgaflow.targets.rtl.board.link import WINDOW, Command, Status, identity
from fpgaflow.targets.rtl.board.top import LinkSettings
from fpgaflow.targets.rtl.folding import fold_for
from fpgaflow.targets.rtl.generate import generate
from tests.models import Net
from tests.targets.rtl.board.wire import BROKEN, BYTE, DIVISOR, RESET, TIMING, Symbols, Wire, board, compile_board

DESIGN = "00112233445566aa"
FRAME = 7 + 4  # bytes of a frame with a sample of the network
MORE = {"design": DESIGN, "uart": {"baud": 1_000_000}}


OUTPUTS = 24  # so that a result takes longer than a sample


def network() -> ModelProto:
    """4-24, 4 bits."""
    net = Net(4)
    weights = np.random.default_rng(0).normal(size=(4, OUTPUTS))
    net.node("MatMul", net.quant("x", 1 / 16, 8), net.quant(weights, 1 / 8, 4), output="scores")
    return net.model("scores")


@dataclass(frozen=True)
class Bench:
    graph: Graph
    program: Path
    bundle: Path
    vectors: Vectors


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A network behind a UART, compiled once, and the folder that a host gets."""
    folder = tmp_path_factory.mktemp("uart")
    (folder / "model.onnx").write_bytes(network().SerializeToString())
    graph = load(folder / "model.onnx")
    design = generate(graph, fold_for(graph, 12))
    settings = LinkSettings(design.interface, identity(design.interface, DESIGN), DIVISOR, TIMING)
    program = compile_board(settings, design.verilog(), folder)
    x = np.random.default_rng(0).uniform(-4, 4, (20, 4)).astype(np.float32)
    simulator = Simulator(graph)
    (codes,), (results,) = simulator.input_integers(x).values(), simulator.predict_integers(x).values()
    vectors = Vectors(x, codes, results)
    bundle = folder / "board"
    files = board_files(graph, load_board("icebreaker"), design.interface, 24.0, vectors, MORE)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return Bench(graph, program, bundle, vectors)


@pytest.fixture
def wire(bench: Bench) -> Iterator[Wire]:
    with board(bench.program) as running:
        yield running


@pytest.fixture
def host(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules `fpgaflow_driver` and `selftest` of the bundle."""
    monkeypatch.syspath_prepend(bench.bundle)
    for name in ("fpgaflow_samples", "fpgaflow_driver", "selftest"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    selftest = importlib.import_module("selftest")
    monkeypatch.setattr(selftest, "LATENCY_RUNS", 2)
    monkeypatch.setattr(selftest, "BATCH_RUNS", 2)
    return selftest


def open_at(wire: Wire, bench: Bench, host: Any, **settings: Any) -> Any:
    return host.Accelerator(bench.bundle, port=wire.port, **{"timeout_s": 5.0, "batch": 20, **settings})


def test_self_test_compares_every_bit_and_measures(wire: Wire, bench: Bench, host: Any) -> None:
    assert host.main(bench.bundle, port=wire.port, batch=20) == 0
    report = json.loads((bench.bundle / "board.json").read_text())
    assert report["test"] == {
        "samples": 20,
        "values": 20 * OUTPUTS,
        "different": 0,
        "different_inputs": 0,
        "passed": True,
    }
    assert report["speed"]["samples_per_second"]["transfer"] > 0 and report["repeated"] == 0
    (bench.bundle / "board.json").unlink()


def flip(place: int) -> Any:
    return lambda at, byte: [(BYTE, byte ^ (0x10 if at == place else 0))]


def drop(first: int, count: int) -> Any:
    return lambda at, byte: [] if first <= at < first + count else [(BYTE, byte)]


def broken(at: int, byte: int) -> Symbols:
    return [(BROKEN if at == 20 else BYTE, byte)]


def reset(at: int, byte: int) -> Symbols:
    return [(BYTE, byte), *([(RESET, 3)] if at == FRAME + 6 else [])]


def longer(at: int, byte: int) -> Symbols:
    return [(BYTE, byte), *([(BYTE, 0x77)] * 3 if at == 2 * FRAME - 1 else [])]


@pytest.mark.parametrize(
    "fault",
    [
        *(flip(place) for place in range(FRAME, 2 * FRAME)),  # each field of a frame
        drop(FRAME + 3, 1),
        drop(FRAME, FRAME),  # a whole frame
        drop(FRAME + 8, 20),  # the line is cut in the middle of one
        broken,
        reset,
        longer,
    ],
)
def test_a_fault_on_the_way_to_the_board_changes_no_bit(wire: Wire, bench: Bench, host: Any, fault: Any) -> None:
    with open_at(wire, bench, host, timeout_s=1.5) as accelerator:
        wire.fault(sent=fault)
        answers = accelerator.predict_codes(bench.vectors.x_codes)
        assert np.array_equal(answers, bench.vectors.y_codes)
        assert accelerator.repeated > 0 or fault is longer
        wire.fault()
        assert np.array_equal(accelerator.predict_codes(bench.vectors.x_codes), bench.vectors.y_codes)


@pytest.mark.parametrize("place", range(0, 16, 3))
def test_a_fault_on_the_way_back_changes_no_bit(wire: Wire, bench: Bench, host: Any, place: int) -> None:
    with open_at(wire, bench, host, timeout_s=1.5) as accelerator:
        wire.fault(answered=lambda at, byte: bytes([byte ^ (1 if at == place else 0)]))
        assert np.array_equal(accelerator.predict_codes(bench.vectors.x_codes), bench.vectors.y_codes)
        assert accelerator.repeated > 0


@pytest.mark.parametrize(
    ("command", "payload", "cut", "status"),
    [
        (Command.SAMPLE, b"\0" * 5, 0, Status.LENGTH),
        (Command.SAMPLE, b"", 0, Status.LENGTH),
        (Command.IDENTIFY, b"\0", 0, Status.LENGTH),
        (9, b"", 0, Status.COMMAND),
        (Command.SAMPLE, b"\0" * 4, 3, Status.TRUNCATED),
    ],
)
def test_what_the_board_refuses_it_names(
    wire: Wire, bench: Bench, host: Any, command: int, payload: bytes, cut: int, status: Status
) -> None:
    with open_at(wire, bench, host) as accelerator:
        if cut:
            wire.fault(sent=drop(FRAME - cut, cut))
        number = accelerator._send(command, payload)
        with pytest.raises(Exception, match=f"refused a frame: {driver(host).STATUS[status]}"):
            accelerator._receive({number: 0}, OUTPUTS)
        wire.fault()
        accelerator._settle()
        assert np.array_equal(accelerator.predict_codes(bench.vectors.x_codes), bench.vectors.y_codes)


def test_frames_beyond_the_window_are_refused_and_spoil_nothing(wire: Wire, bench: Bench, host: Any) -> None:
    """Twenty samples at once: those that found a buffer are answered, right and in order; then comes a refusal."""
    with open_at(wire, bench, host) as accelerator:
        data = np.zeros((20, accelerator.input.sample_bytes), np.uint8)
        accelerator.input.pack(bench.vectors.x_codes, data)
        numbers = [accelerator._send(Command.SAMPLE, sample.tobytes()) for sample in data]
        answers = []
        with pytest.raises(Exception, match=f"refused a frame: {driver(host).STATUS[Status.BUSY]}"):
            while True:
                answers.append(accelerator._receive(dict.fromkeys(numbers, 0), accelerator.output.sample_bytes))
        assert WINDOW <= len(answers) < len(numbers)
        assert [number for number, _ in answers] == numbers[: len(answers)]
        results = np.zeros((len(answers), OUTPUTS), np.int64)
        received = np.frombuffer(b"".join(payload for _, payload in answers), np.uint8)
        accelerator.output.unpack(received.reshape(len(answers), -1), results)
        assert np.array_equal(results, bench.vectors.y_codes[: len(answers)])
        accelerator._settle()
        assert np.array_equal(accelerator.predict_codes(bench.vectors.x_codes), bench.vectors.y_codes)


def test_a_dead_line_ends_in_a_timeout(wire: Wire, bench: Bench, host: Any) -> None:
    with open_at(wire, bench, host) as accelerator:
        accelerator.timeout_s = 0.2
        wire.fault(sent=lambda *_: [])
        with pytest.raises(TimeoutError, match=r"no sample got through in 4 attempts: nothing more came within 0\.2 s"):
            accelerator.predict_codes(bench.vectors.x_codes)
        wire.fault()
        with pytest.raises(RuntimeError, match="transfer failed before"):
            accelerator.predict_codes(bench.vectors.x_codes)


def test_another_design_on_the_board_is_told(wire: Wire, bench: Bench, host: Any, tmp_path: Path) -> None:
    for name in ("interface.json", "bundle.json"):
        (tmp_path / name).write_text((bench.bundle / name).read_text().replace(DESIGN, "f" * 16))
    with pytest.raises(RuntimeError, match="holds another network: load this folder's bitstream"):
        host.Accelerator(tmp_path, port=wire.port)


def driver(host: Any) -> Any:
    return sys.modules["fpgaflow_driver"]


def test_statuses_of_board_and_driver_agree(host: Any) -> None:
    assert len(driver(host).STATUS) == len(Status)
    assert (driver(host).SAMPLE, driver(host).IDENTIFY) == (Command.SAMPLE, Command.IDENTIFY)


def test_the_host_needs_python_3_8_numpy_and_pyserial_only() -> None:
    tree = ast.parse((templates() / "fpgaflow_driver_uart.py").read_text(), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - sys.stdlib_module_names == {"numpy", "serial", "fpgaflow_samples"}
