"""The C driver, compiled for the host, above a model of the DMA's registers; its quantiser against the definition."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fpgaflow.deploy.c_driver import STATIC, float_step, model_header, vectors_header
from fpgaflow.ir.graph import Input
from fpgaflow.ir.types import FixedType, Overflow, Rounding
from fpgaflow.targets.hls.templates import templates
from fpgaflow.targets.interface import Interface, Quantiser, interface_for, pack
from tests.targets.hls.hls_graphs import Net
from tests.targets.hls.test_firmware import dense_net, made, relu_net, wide_net
from tests.targets.hls.test_firmware_quantiser import by_definition

C = Path(__file__).parent / "c"
STRICT = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wno-sign-conversion", "-Werror"]
BUNDLE = {"model": 'a "quoted" naïve\\net', "graph": "0" * 8, "board": "pynq-z2", "part": "p"}
DETAILS = {"clock_mhz": 100.0, "title": "T", "family": "zynq-7000", "interface": "axi-stream-dma", "platform": None}
ULTRASCALE = {**BUNDLE, **DETAILS, "family": "zynq-ultrascale+"}
Folder = Callable[..., Path]


def sources(folder: Path, net: Net, bundle: Mapping[str, Any] = BUNDLE | DETAILS) -> Path:
    """The archive's `c/` of a net, and beats.h for the model."""
    graph, vectors, _ = made(net, 5)
    interface = interface_for(graph)
    folder.mkdir(exist_ok=True)
    for name in STATIC:
        (folder / name).write_bytes((templates() / "c" / name).read_bytes())
    (folder / "fpgaflow_model.h").write_text(model_header(interface, bundle, None))
    (folder / "fpgaflow_vectors.h").write_text(vectors_header(interface, vars(vectors)))
    known, answers = pack(vectors.x_codes, interface.input), pack(vectors.y_codes, interface.output)
    lines = [f"#define BEATS_SAMPLES {len(known)}u"]
    for name, beats in (("INPUT", known), ("OUTPUT", answers)):
        rows = [", ".join(map(str, row)) for row in beats.reshape(len(beats), -1).tolist()]
        lines.append(f"static const uint8_t BEATS_{name}[][{beats[0].size}] = {{ {{ {' }, { '.join(rows)} }} }};")
    (folder / "beats.h").write_text("\n".join(lines) + "\n")
    return folder


def compiled(folder: Path, *files: Path, flags: tuple[str, ...] = ()) -> Path:
    program = folder / files[0].stem
    subprocess.run(
        ["gcc", *STRICT, *flags, f"-I{folder}", *files, folder / "fpgaflow.c", "-lm", "-o", program], check=True
    )
    return program


def run(program: Path, fault: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program], env={**os.environ, "FAULT": fault}, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("net", [dense_net, wide_net, lambda: relu_net(3, 3, 3)])
def test_the_self_test_passes_and_writes_board_json(net: Callable[[], Net], tmp_path: Path) -> None:
    folder = sources(tmp_path / "c", net())
    done = run(compiled(folder, folder / "selftest.c", C / "dma_model.c"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {key: report[key] for key in BUNDLE} == BUNDLE
    test = report["test"]
    assert (test["samples"], test["different"], test["different_inputs"], test["passed"]) == (5, 0, 0, True)
    assert set(report["speed"]["latency_us"]) == {"transfer", "codes", "values"}


def test_the_self_test_finds_one_wrong_bit(tmp_path: Path) -> None:
    folder = sources(tmp_path / "c", dense_net())
    header = (folder / "beats.h").read_text()
    start = header.index("BEATS_OUTPUT")
    first = header.index("{ { ", start) + 4
    end = header.index(",", first)
    wrong = header[:first] + str(int(header[first:end]) ^ 1) + header[end:]
    (folder / "beats.h").write_text(wrong)
    done = run(compiled(folder, folder / "selftest.c", C / "dma_model.c"))
    test = json.loads(done.stdout)["test"]
    assert done.returncode == 1 and not test["passed"] and test["different"] == 1
    assert test["first"]["element"] == 0 and test["first"]["found"] == test["first"]["expected"] ^ 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("stuck", "did not answer in time (MM2S_DMASR 0x00000000, S2MM_DMASR 0x00000000)"),
        ("short", "answered with fewer bytes than it owes"),
        ("error", "stopped with an error (AMD PG021) (MM2S_DMASR 0x00000041"),
        ("busy", "somebody else uses the FPGA"),
        ("reset", "did not answer in time"),
    ],
)
def test_faults_of_the_hardware_are_told(fault: str, message: str, tmp_path: Path) -> None:
    folder = sources(tmp_path / "c", dense_net())
    done = run(compiled(folder, folder / "selftest.c", C / "dma_model.c"), fault)
    assert done.returncode == 1 and message in done.stderr and done.stdout == ""
    resets = done.stderr.count("model: reset")
    opened = {"busy": 0, "reset": 1}.get(fault, 2)
    assert resets == opened, "a DMA that may still write is stopped before its buffers are freed"


def test_wrong_use_is_told(tmp_path: Path) -> None:
    folder = sources(tmp_path / "c", dense_net())
    program = compiled(folder, C / "wrong_use.c", C / "dma_model.c", flags=("-DFPGAFLOW_TOO_LARGE=32",))
    shape, done = "the counts are no whole samples, or not the same number of them", "done"
    assert run(program).stdout.splitlines() == [
        f"no batch: {shape}",
        f"large batch: {shape}",
        f"open: {done}",
        "second user: somebody else uses the FPGA",
        f"half a sample: {shape}",
        f"fewer results: {shape}",
        f"too many: {shape}",
        "out of range: an input is not finite, or outside of the input's type",
        f"all: {done}",
        "right: 1",
        f"again: {done}",
        "closed: the accelerator is closed",
        f"reopened: {done}",
    ]
    broken = run(program, "stuck").stdout
    assert "all: the network did not answer in time" in broken
    assert "again: a transfer failed before and left data in the network" in broken and f"reopened: {done}" in broken


@pytest.mark.parametrize(("net", "bundle"), [(dense_net, BUNDLE | DETAILS), (wide_net, ULTRASCALE)])
def test_platforms_compile_for_the_host_without_warnings(
    net: Callable[[], Net], bundle: Mapping[str, Any], tmp_path: Path
) -> None:
    folder = sources(tmp_path / "c", net(), bundle)
    for name, flags in (("platform_linux.c", ["-D_FILE_OFFSET_BITS=64"]), ("platform_baremetal.c", [f"-I{C / 'bsp'}"])):
        command = ["gcc", *STRICT, *flags, f"-I{folder}", "-c", folder / name, "-o", folder / "platform.o"]
        subprocess.run(command, check=True)
    subprocess.run(["make", "-C", folder, "CFLAGS=-Werror"], check=True, capture_output=True)
    done = subprocess.run([folder / "selftest"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and "no registers or buffers of the FPGA" in done.stderr


SHIFT = Quantiser(Fraction(8), Fraction(0), Rounding.RND, Overflow.SAT, -32, 31)
FLOAT_SCALE = Quantiser(Fraction(2**30, 11863283), Fraction(3), Rounding.RND_CONV, Overflow.SAT, -32, 31)


def reals(quantiser: Quantiser) -> list[float]:
    """Random floats, every border between two integers, and its neighbours."""
    random = np.random.default_rng(0)
    span = 1.5 * max(abs(quantiser.low), abs(quantiser.high)) / float(quantiser.gain)
    values = list(random.uniform(-span, span, 300).astype(np.float32))
    for code in range(quantiser.low - 2, quantiser.high + 3):
        for half in (Fraction(0), Fraction(1, 2)):
            border = np.float32(float((code + half - quantiser.offset) / quantiser.gain))
            values += [border, np.nextafter(border, np.float32(-inf)), np.nextafter(border, np.float32(inf))]
    return [
        float(value) for value in [*values, np.float32(0.0), np.float32(-0.0), np.float32(1e30), np.float32(-1e-38)]
    ]


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("quantiser", [SHIFT, FLOAT_SCALE])
def test_the_quantiser_is_that_of_the_definition(quantiser: Quantiser, rounding: Rounding, tmp_path: Path) -> None:
    overflows = [Overflow.SAT, Overflow.SAT_ZERO, *([Overflow.WRAP] if quantiser is SHIFT else [])]
    overflow = overflows[list(Rounding).index(rounding) % len(overflows)]
    quantiser = replace(quantiser, rounding=rounding, overflow=overflow)
    folder = sources(tmp_path / "c", dense_net())
    graph = made(dense_net(), 1)[0]
    interface = replace(interface_for(graph), quantisers=(quantiser,))
    assert interface.input.width == 6
    (folder / "fpgaflow_model.h").write_text(model_header(interface, BUNDLE | DETAILS, None))
    program = compiled(folder, C / "quantise.c", C / "dma_model.c")
    values = reals(quantiser)
    given = "".join(f"{struct.unpack('<I', struct.pack('<f', value))[0]:x}\n" for value in values)
    done = subprocess.run([program], input=given + "7fc00000\n7f800000\n", capture_output=True, text=True, check=True)
    *codes, nan, infinite = done.stdout.split()
    assert (nan, infinite) == ("refused", "refused")
    port = Input("x", "x", quantiser.gain, quantiser.offset, rounding, overflow, quantiser.low, quantiser.high)
    expected = [by_definition(value, port, FixedType(True, 6, 0)) for value in values]
    assert [int(code) for code in codes] == expected


def test_steps_beyond_all_floats() -> None:
    tiny = replace(FLOAT_SCALE, gain=Fraction(1, 2**140))
    assert float_step(tiny, 31) == inf and float_step(tiny, -20) == -float(np.finfo(np.float32).max)


def test_a_quantiser_that_no_table_holds_is_left_out(tmp_path: Path) -> None:
    graph, _, _ = made(dense_net(), 1)
    plain = interface_for(graph)
    wide = replace(
        plain,
        input=replace(plain.input, width=16, element_bits=16, elements_per_beat=2),
        quantisers=(replace(FLOAT_SCALE, low=-(2**15), high=2**15 - 1),),
    )
    text = model_header(wide, BUNDLE | DETAILS, 0x4000_0000)
    assert "FPGAFLOW_QUANTISER" not in text and "0x40000000u /* of fpgaflow.hwh */" in text


def test_an_interface_of_other_types() -> None:
    graph, _, _ = made(wide_net(), 1)
    interface: Interface = interface_for(graph)
    text = model_header(interface, ULTRASCALE, None)
    assert "typedef uint16_t fpgaflow_input_t;   /* shape 5, C order */" in text
    assert "#define FPGAFLOW_ADDRESS_BITS 40" in text and "0xA0000000u" in text
    assert "#define FPGAFLOW_INPUT_FITS(code) ((code) <= 511)" in text
