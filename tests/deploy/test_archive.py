"""The archive of a build as `fpgaflow build` leaves it, read back and run; handoff and board results as input."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fpgaflow.boards import load_board
from fpgaflow.deploy.archive import deploy
from fpgaflow.deploy.handoff import dma_base
from fpgaflow.deploy.results import read_results
from fpgaflow.errors import BadInput
from tests.deploy.test_xrt import files_of
from tests.targets.hls.test_firmware import dense_net, made

HWH = """<?xml version="1.0"?><EDKSYSTEM><MODULES><MODULE INSTANCE="ps"><MEMORYMAP>
<MEMRANGE ADDRESSBLOCK="Reg" BASENAME="C_BASEADDR" BASEVALUE="0x40420000" HIGHVALUE="0x4042FFFF" INSTANCE="axi_dma"/>
</MEMORYMAP></MODULE></MODULES></EDKSYSTEM>"""


def built(folder: Path, board: str = "pynq-z2", **manifest: Any) -> Path:
    """What `build` leaves behind, as far as `deploy` reads it."""
    chosen = load_board(board)
    _, _, files = made(dense_net(), 4) if chosen.platform is None else files_of(dense_net(), 4)
    for name, content in files.items():
        path = folder / "firmware" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    document = {
        "graph": "graph.json",
        "board": board,
        "part": chosen.part,
        "firmware": "firmware",
        "why_no_bitstream": "vivado not found: run `sh build/firmware/build.sh` on a machine that has them",
    }
    (folder / "manifest.json").write_text(json.dumps(document | manifest))
    return folder


def test_an_archive_without_a_bitstream_says_how_to_get_it(tmp_path: Path) -> None:
    archive = deploy(built(tmp_path / "build"))
    assert archive.path == tmp_path / "build/net-pynq-z2.zip"
    assert archive.missing == ("fpgaflow.bit", "fpgaflow.hwh") and "vivado not found" in str(archive.why)
    with zipfile.ZipFile(archive.path) as bundle:
        names = {name.removeprefix("net-pynq-z2/") for name in bundle.namelist()}
        readme = bundle.read("net-pynq-z2/README.md").decode()
    plan = {name for name in names if name.startswith("build/")}
    assert plan == {
        *("build/hls/hls.tcl", "build/vivado/block_design.tcl"),
        *(f"build/hls/firmware/fpgaflow_axi.{suffix}" for suffix in ("cpp", "h")),
    }
    c_files = "fpgaflow.c fpgaflow.h fpgaflow_model.h fpgaflow_vectors.h Makefile platform_linux.c platform_baremetal.c"
    assert names == set(archive.files)
    assert names - plan == {
        *("README.md", "bundle.json", "interface.json", "test_vectors.npz"),
        *("fpgaflow_driver.py", "fpgaflow_samples.py", "selftest.py", "fpgaflow.ipynb"),
        *(f"c/{name}" for name in [*c_files.split(), "selftest.c"]),
    }
    assert "sh build/build.sh" in readme and "**not here yet**" in readme


def test_an_archive_with_a_bitstream_is_the_same_every_time(tmp_path: Path) -> None:
    build = built(tmp_path / "build", why_no_bitstream=None)
    (build / "firmware/board/fpgaflow.bit").write_bytes(b"bits")
    (build / "firmware/board/fpgaflow.hwh").write_text(HWH)
    archive = deploy(build, tmp_path / "a.zip")
    assert archive.missing == () and archive.why is None
    with zipfile.ZipFile(archive.path) as bundle:
        assert bundle.read("a/fpgaflow.bit") == b"bits"
        assert "0x40420000u /* of fpgaflow.hwh */" in bundle.read("a/c/fpgaflow_model.h").decode()
        assert "not here yet" not in bundle.read("a/README.md").decode()
    first = archive.path.read_bytes()
    assert deploy(build, tmp_path / "a.zip").path.read_bytes() == first
    (build / "firmware/board/fpgaflow.hwh").unlink()
    assert "fpgaflow.bit" not in deploy(build, tmp_path / "a.zip").files, "half a bitstream is none"


def test_an_alveo_card_gets_its_own_driver(tmp_path: Path) -> None:
    build = built(tmp_path / "build", "alveo-u55c")
    (build / "firmware/board/fpgaflow.xclbin").write_bytes(b"program")
    archive = deploy(build)
    assert archive.missing == () and not any(name.startswith("c/") for name in archive.files)
    with zipfile.ZipFile(archive.path) as bundle:
        assert b"import pyxrt" in bundle.read("net-alveo-u55c/fpgaflow_driver.py")
        assert "xilinx_u55c_gen3x16" in bundle.read("net-alveo-u55c/README.md").decode()


def test_a_board_at_a_serial_port_gets_its_driver_and_bitstream(tmp_path: Path) -> None:
    build = built(tmp_path / "build", bitstream="firmware/board/fpgaflow.fs", flow="rtl")
    bundle = json.loads((build / "firmware/board/bundle.json").read_text())
    bundle |= {"interface": "uart", "family": "gowin", "uart": {"baud": 1_000_000}}
    (build / "firmware/board/bundle.json").write_text(json.dumps(bundle))
    (build / "firmware/board/fpgaflow.fs").write_bytes(b"bits")
    archive = deploy(build)
    assert archive.missing == () and not any(name.startswith("c/") for name in archive.files)
    with zipfile.ZipFile(archive.path) as files:
        readme = files.read("net-pynq-z2/README.md").decode()
    assert "openFPGALoader fpgaflow.fs" in readme and "--port /dev/ttyUSB0" in readme


def test_what_cannot_be_deployed_says_why(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no manifest"):
        deploy(tmp_path)
    build = built(tmp_path / "build", firmware=None, failure="board 'pynq-z2': needs lut 120%")
    with pytest.raises(BadInput, match=r"nothing that goes to a board \(board 'pynq-z2': needs lut 120%\)"):
        deploy(build)
    build = built(tmp_path / "build")
    (build / "firmware/board/test_vectors.npz").write_bytes(b"PK broken")
    with pytest.raises(BadInput, match=r"test_vectors\.npz: is damaged"):
        deploy(build)
    build = built(tmp_path / "build")
    with pytest.raises(BadInput, match="cannot be written"):
        deploy(build, build / "manifest.json" / "x.zip")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<a", "is no hardware handoff"),
        ("<!DOCTYPE a><a/>", "DOCTYPE"),
        (HWH.replace("0x4042", "zz"), "is no hardware"),
    ],
)
def test_a_broken_handoff_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.hwh"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        dma_base(path)


def test_a_handoff_without_the_dma_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.hwh"
    path.write_text(HWH.replace("axi_dma", "other"))
    assert dma_base(path) is None


MANIFEST = {"board": "pynq-z2", "part": "xc7z020clg400-1"}
GOOD: dict[str, Any] = {
    **MANIFEST,
    "model": "net",
    "graph": "abc",
    "clock_mhz": {"asked": 100.0, "actual": 99.999},
    "test": {"samples": 64, "values": 640, "different": 0, "different_inputs": 0, "passed": True},
    "speed": {
        "source": "measured",
        "batch": 1024,
        "latency_us": {"transfer": 310.5, "codes": 350.0, "values": 402.0},
        "samples_per_second": {"transfer": 51_000.0, "codes": 40_000.0, "values": 20_000.0},
        "interval_us": 19.2,
    },
}


def read(tmp_path: Path, content: Any) -> Any:
    path = tmp_path / "board.json"
    path.write_text(json.dumps(content))
    return read_results(path, MANIFEST, "abc")


def test_board_results_are_read(tmp_path: Path) -> None:
    results = read(tmp_path, GOOD)
    assert results.ok and results.mismatches.values == 640 and results.interval_us == 19.2
    assert results.as_json()["source"] == "measured" and results.latency_us["values"] == 402.0


def without(*keys: str) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


def put(value: Any, *keys: str) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("def", "graph"), "graph: is 'def', and the build's is 'abc'"),
        (put("zcu104", "board"), "board: is 'zcu104'"),
        (without("test", "values"), r"test\.values: is missing"),
        (put(-1, "test", "different"), r"test\.different: is -1, no count"),
        (put(True, "test", "samples"), r"test\.samples: is True"),
        (put(641, "test", "different"), "counts 641 of 640 values"),
        (put(float("nan"), "speed", "latency_us", "codes"), r"latency_us\.codes: is nan, no measured number"),
        (put({}, "speed", "latency_us"), "holds no 'transfer'"),
        (put("fast", "speed", "interval_us"), r"speed\.interval_us: is 'fast'"),
    ],
)
def test_damaged_or_foreign_results_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    content = json.loads(json.dumps(GOOD))
    change(content)
    with pytest.raises(BadInput, match=message):
        read(tmp_path, content)


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "board.json"
    for text in ("", "[" * 100_000, '{"a": '):
        path.write_text(text)
        with pytest.raises(BadInput, match="is not JSON"):
            read_results(path, MANIFEST, "abc")
    with pytest.raises(BadInput, match="cannot be read"):
        read_results(tmp_path / "none.json", MANIFEST, "abc")
