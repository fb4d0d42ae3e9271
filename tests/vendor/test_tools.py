from __future__ import annotations

import pytest

from fpgaflow.vendor.tools import HlsTool, Version, frequency_option, hls_argv, hls_tool, parse_version, version_of
from tests.stand_ins import Install


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Vivado v2019.2 (64-bit)\nSW Build 2708876 on Wed Nov  6 21:39:14 MST 2019", Version(2019, 2)),
        ("****** v++ v2021.1.1 (64-bit)\n  **** SW Build 3278995 on 2021-07-20-20:33:48", Version(2021, 1)),
        ("Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v2025.1 (64-bit)", Version(2025, 1)),
        ("bash: vivado: cannot execute", None),
    ],
)
def test_versions_as_the_tools_print_them(text: str, version: Version | None) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("there", "tool", "argv"),
    [
        ({"vivado_hls"}, HlsTool.VIVADO_HLS, ("vivado_hls", "-f", "hls.tcl")),
        ({"vivado_hls", "vitis_hls"}, HlsTool.VITIS_HLS, ("vitis_hls", "-f", "hls.tcl")),
        ({"vitis_hls", "vitis-run"}, HlsTool.VITIS_HLS, ("vitis_hls", "-f", "hls.tcl")),
        ({"vitis-run"}, HlsTool.VITIS_RUN, ("vitis-run", "--mode", "hls", "--tcl", "hls.tcl")),
        (set(), HlsTool.VITIS_HLS, ("vitis_hls", "-f", "hls.tcl")),
    ],
)
def test_the_program_that_runs_a_script(there: set[str], tool: HlsTool, argv: tuple[str, ...]) -> None:
    assert hls_tool(lambda name: name if name in there else None) is tool
    assert hls_argv(tool, "hls.tcl") == argv


@pytest.mark.parametrize(
    ("version", "option"),
    [
        (Version(2019, 2), "--kernel_frequency"),
        (Version(2023, 1), "--kernel_frequency"),
        (Version(2023, 2), "--freqhz"),
        (Version(2025, 1), "--freqhz"),
        (None, "--freqhz"),
    ],
)
def test_the_clock_of_a_kernel(version: Version | None, option: str) -> None:
    assert frequency_option(version) == option


def test_a_tool_is_asked_for_its_version(install: Install) -> None:
    version_of.cache_clear()
    install("vivado", '[ "$1" = -version ] && echo "Vivado v2022.2 (64-bit)"')
    install("v++", "echo broken; exit 1")
    assert version_of("vivado") == Version(2022, 2)
    assert version_of("v++") is None
    assert version_of("vitis_hls") is None
    version_of.cache_clear()
