"""Results from elsewhere: logs of real boards, self-tests, `bench --json`, and what is published of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fpgaflow.comparison.figures import Key, Provenance
from fpgaflow.comparison.imported import board_result, gpu_result, merged, published_results
from fpgaflow.errors import BadInput
from fpgaflow.stages import file_digest
from tests.third_party import third_party

BENCH: dict[str, Any] = {
    "engine": "engine",
    "device": "NVIDIA H200",
    "source": "measured",
    "single_stream": {"runs": 900, "p50": 1e-4, "p90": 2e-4, "p99": 3e-4, "joules": 0.01},
    "offline": {"batch": 256, "samples_per_second": 1e6, "joules": None},
}
SELF_TEST: dict[str, Any] = {
    "board": "pynq-z2",
    "graph": "abc",
    "clock_mhz": {"asked": 100.0, "actual": 99.999},
    "test": {"samples": 64, "values": 640, "different": 0},
    "speed": {
        "batch": 256,
        "latency_us": {"transfer": 120.0, "codes": 300.0, "values": 400.0},
        "samples_per_second": {"transfer": 50_000.0, "codes": 9_000.0, "values": 8_000.0},
    },
}


def write(folder: Path, document: Any) -> str:
    path = folder / "result.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def test_real_logs() -> None:
    folder = third_party("kws_w3a3_pynqz2/board_logs")
    speed = board_result(f"pynq-z2={folder}/pynq-z2.performance.txt", "")
    assert speed.figures[Key.RATE].value == 57268.135
    assert speed.figures[Key.LATENCY_P50].value == 1 / 57268.135
    power = board_result(f"pynq-z2={folder}/pynq-z2.power.txt", "")
    assert power.figures[Key.ENERGY_SINGLE_BOARD].value == pytest.approx(30.667e-6)
    assert power.figures[Key.POWER_BOARD].value == pytest.approx(1.756065658)
    assert Key.ENERGY_SINGLE not in power.figures  # the board's, never the chip's
    accuracy = board_result(f"pynq-z2={folder}/pynq-z2.accuracy.txt", "")
    assert accuracy.figures[Key.ACCURACY].value == pytest.approx(0.825)
    assert {f.provenance for t in (speed, power, accuracy) for f in t.figures.values()} == {Provenance.MEASURED}
    with pytest.raises(BadInput, match="which board"):
        board_result(f"{folder}/pynq-z2.power.txt", "")


def test_logs_of_one_board_are_one_row() -> None:
    folder = third_party("kws_w3a3_pynqz2/board_logs")
    logs = [board_result(f"pynq-z2={folder}/pynq-z2.{kind}.txt", "") for kind in ("performance", "power", "accuracy")]
    other = board_result(f"arty={folder}/arty-a7-100t.performance.txt", "")
    row, arty = merged([*logs, other])
    assert (row.name, arty.name) == ("pynq-z2, board", "arty, board") and len(row.notes) == 3
    assert row.figures[Key.RATE].value == 57268.135  # the first log's, not the 57,257 of the energy run
    assert {Key.ENERGY_SINGLE_BOARD, Key.POWER_BOARD, Key.ACCURACY} <= row.figures.keys()


def test_finn_s_published_figures_are_those_of_the_logs() -> None:
    folder = third_party("kws_w3a3_pynqz2")
    found = {target.name: target for target in published_results(file_digest(folder / "QONNX_model.onnx"))}
    assert found.keys() == {"FINN on pynq-z2", "FINN on arty-a7-100t"}
    for board in ("pynq-z2", "arty-a7-100t"):
        ours = found[f"FINN on {board}"].figures
        for log, keys in (("performance", [Key.RATE]), ("power", [Key.ENERGY_SINGLE_BOARD, Key.POWER_BOARD])):
            theirs = board_result(f"{board}={folder}/board_logs/{board}.{log}.txt", "").figures
            assert [ours[key].value for key in keys] == pytest.approx([theirs[key].value for key in keys])
        assert {figure.provenance for figure in ours.values()} == {Provenance.PUBLISHED}
    assert published_results("0" * 64) == ()


def test_bench_of_a_gpu(tmp_path: Path) -> None:
    name, target = gpu_result(write(tmp_path, BENCH))
    assert name is None and target.device == "NVIDIA H200"
    assert target.figures[Key.LATENCY_P99].value == 3e-4 and target.figures[Key.THROUGHPUT].value == 1e6
    assert target.figures[Key.ENERGY_SINGLE].value == 0.01 and Key.ENERGY_OFFLINE not in target.figures
    assert gpu_result(f"gpu:h200={write(tmp_path, BENCH)}")[0] == "gpu:h200"


def test_self_test_of_a_board(tmp_path: Path) -> None:
    target = board_result(write(tmp_path, SELF_TEST), "abc")
    assert target.name == "pynq-z2, board" and target.figures[Key.DIFFERENCES].value == 0
    assert target.figures[Key.LATENCY_P50].value == pytest.approx(120e-6)
    assert target.figures[Key.CLOCK].value == pytest.approx(99.999e6)
    with pytest.raises(BadInput, match="another graph"):
        board_result(write(tmp_path, SELF_TEST), "def")


def test_figures_with_provenance(tmp_path: Path) -> None:
    latency = {"value": 1e-6, "unit": "s", "provenance": "measured", "source": "an oscilloscope"}
    document = {"name": "mine", "device": "my board", "figures": {"latency_p50": latency}}
    assert board_result(write(tmp_path, document), "").figures[Key.LATENCY_P50].source == "an oscilloscope"
    del latency["provenance"]
    with pytest.raises(BadInput, match="latency_p50"):
        board_result(write(tmp_path, document), "")


@pytest.mark.parametrize(
    "content",
    [
        *(
            "",
            "{",
            "{}",
            "[]",
            "null",
            '{"figures": []}',
            '{"figures": {"speed": 1}}',
            '{"device": "x"}',
            "[" * 100_000,
        ),
        json.dumps({**BENCH, "single_stream": {}}),
        json.dumps({**SELF_TEST, "speed": {"batch": "many"}}),
    ],
)
def test_anything_else_is_bad_input(content: str, tmp_path: Path) -> None:
    path = write(tmp_path, content)
    for read in (lambda: gpu_result(path), lambda: board_result(path, "abc"), lambda: board_result(f"x={path}", "abc")):
        with pytest.raises(BadInput):
            read()


def test_no_such_file() -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        gpu_result("missing.json")
