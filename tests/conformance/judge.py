"""hls4ml's C++ as the judge of many models: one program, a namespace for each model, a process for each when it runs.

What stops one model (an assertion, a stream that loses data, C++ that does not compile) leaves the others judged.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any
from unittest.mock import patch

import hls4ml
import numpy as np
from hls4ml.writer.vivado_writer import VivadoWriter

TEMPLATES = Path(hls4ml.__file__).parent / "templates"
# build_lib.sh's flags, but without the optimisation that takes most of g++'s time and changes no bit
FLAGS = ("-O0", "-w", "-std=c++23", "-fno-gnu-unique", '-DWEIGHTS_DIR="firmware/weights"')
_INCLUDE = re.compile(r'#include "(nnet_utils/[\w.]+)"')
_WRITTEN = ("project_dir", "project_cpp", "project_header", "weights", "defines", "parameters")
_SECONDS = 20  # for one model's samples

_HEAD = """#include <algorithm>
#include <array>
#include <cassert>
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <sys/wait.h>
#include <tuple>
#include <unistd.h>
#include <vector>
#include "ap_fixed.h"
#include "ap_int.h"
#include "hls_stream.h"
#include "nnet_utils/nnet_types.h"
#include "nnet_utils/nnet_helpers.h"
"""
_TRACE = """namespace nnet {
bool trace_enabled = true;
std::map<std::string, void *> *trace_outputs = new std::map<std::string, void *>;
size_t trace_type_size = sizeof(double);
}
using Samples = std::vector<double>;
"""
_TAIL = """
template <class Run> void judge(const char *name, int samples, Run run) {
    if (fork() == 0) {
        if (chdir(name) != 0) _exit(1);
        alarm(SECONDS);
        if (!freopen("log", "w", stdout) || !freopen("log", "a", stderr)) _exit(1);
        run(samples);
        std::cout.flush();
        fclose(fopen("done", "w"));
        _exit(0);
    }
    wait(nullptr);
}
Samples read(const char *path, size_t count) {
    Samples x(count);
    std::ifstream(path, std::ios::binary).read((char *)x.data(), count * sizeof(double));
    return x;
}
void write(const std::string &path, const double *y, size_t count) {
    std::ofstream(path, std::ios::binary | std::ios::app).write((const char *)y, count * sizeof(double));
}
"""


@dataclass(frozen=True)
class Verdict:
    """What hls4ml's C++ gave: each layer's results (samples, elements) by name, or why it gave none."""

    results: dict[str, np.ndarray]
    failure: str = ""


def judge(models: dict[str, Any], inputs: dict[str, list[np.ndarray]], folder: Path) -> dict[str, Verdict]:
    """Verdicts by name on models of one backend, whose project names are all "top".

    Args:
        inputs: for each model one array (samples, ...) per input.
    """
    verdicts: dict[str, Verdict] = {}
    written: dict[str, Any] = {}
    for name, model in models.items():
        try:
            _write(model, folder / name)
        except Exception as error:  # hls4ml's own defect
            verdicts[name] = Verdict({}, f"is not written: {type(error).__name__}: {error}")
            continue
        written[name] = model
        for index, x in enumerate(inputs[name]):
            x.astype(np.float64).tofile(folder / name / f"x{index}")
    failures = _compile(written, folder)
    verdicts |= {name: Verdict({}, failure) for name, failure in failures.items()}
    samples = {len(x) for arrays in inputs.values() for x in arrays}.pop()
    if kept := {name: model for name, model in written.items() if name not in failures}:
        subprocess.run([str(folder / "program"), str(samples)], cwd=folder, check=True)
    return verdicts | {name: _verdict(model, folder / name, samples) for name, model in kept.items()}


def _write(model: Any, folder: Path) -> None:
    model.config.config["OutputDir"] = str(folder)
    with patch.object(np, "product", np.prod, create=True):  # model/types.py writes exponents by numpy 1's name for it
        for part in _WRITTEN:
            getattr(VivadoWriter(), f"write_{part}")(model)


def _compile(models: dict[str, Any], folder: Path) -> dict[str, str]:
    """Makes the program; gives what it had to leave out because it does not compile."""
    failures: dict[str, str] = {}
    kept = dict(models)
    _link_utils(folder, {str(model.config.backend.name).lower() for model in kept.values()})
    paths = [f"-I{path}" for path in (folder, TEMPLATES / "vivado" / "ap_types")]
    while kept:
        (folder / "program.cpp").write_text(_program(kept, folder))
        command = ["g++", *FLAGS, *paths, "program.cpp", "-o", "program"]
        run = subprocess.run(command, cwd=folder, capture_output=True, check=False, text=True)
        if run.returncode == 0:
            break
        blamed = _in_errors(run.stderr, kept) or set(kept)
        for name in blamed:
            failures[name] = f"does not compile: {_first_error(run.stderr, name)}"
            del kept[name]
    return failures


def _in_errors(text: str, names: dict[str, Any]) -> set[str]:
    """The models in whose own files or namespaces errors are, or from which failing templates are instantiated."""
    return {name for name in names if re.search(rf"(^|from |\s){name}/|\b{name}::", text, re.MULTILINE)}


def _first_error(text: str, name: str) -> str:
    errors = [line for line in text.splitlines() if "error:" in line]
    own = [line for line in errors if name in line]
    return (own or errors or [text[-300:]])[0][:300]


def _link_utils(folder: Path, backends: set[str]) -> None:
    """nnet_utils as the writers make it: Vivado's headers, some of them replaced by Vitis' own."""
    target = folder / "nnet_utils"
    target.mkdir()
    for source in ("vivado", "vitis") if "vitis" in backends else ("vivado",):
        for header in (TEMPLATES / source / "nnet_utils").glob("*.h"):
            (target / header.name).unlink(missing_ok=True)
            (target / header.name).symlink_to(header)


def _program(models: dict[str, Any], folder: Path) -> str:
    headers: dict[str, None] = {"nnet_utils/nnet_code_gen.h": None}
    bodies, calls = [], []
    for name, model in models.items():
        written = folder / name / "firmware"
        headers |= dict.fromkeys(_INCLUDE.findall((written / "parameters.h").read_text()))
        guards = ["DEFINES_H_", "PARAMETERS_H_", "TOP_H_"]
        guards += [f"{path.stem.upper()}_H_" for path in sorted((written / "weights").glob("*.h"))]
        generated = "".join(str(code) for layer in model.get_layers() for code in layer.code.values())
        bodies += [f"#undef {guard}\n" for guard in guards]
        bodies.append(f"namespace {name} {{ namespace nnet {{ using namespace ::nnet;\n{generated}\n}}\n")
        bodies.append(f'#include "{name}/firmware/top.cpp"\n{_bridge(model)}}}\n')
        calls.append(f'    judge("{name}", samples, {name}::run);\n')
    head = _HEAD.replace("SECONDS", str(_SECONDS)) + _TRACE
    includes = []
    for header in headers:
        if header.endswith(("nnet_sepconv1d.h", "nnet_sepconv2d.h")):
            includes.append("#undef NNET_SEPARABLE_CONV2D_LATENCY_H_\n")  # two headers have this one guard
        includes.append(f'#include "{header}"\n')
    tail = _TAIL.replace("SECONDS", str(_SECONDS))
    main = f"int main(int, char **argv) {{\n    int samples = std::atoi(argv[1]);\n{''.join(calls)}}}\n"
    return head + "".join(includes) + tail + "".join(bodies) + main


def _bridge(model: Any) -> str:
    """The samples through the model's top function, as VivadoWriter.write_bridge converts them."""
    inputs, outputs = model.get_input_variables(), model.get_output_variables()
    lines = ["static void run(int samples) {\n"]
    for layer in _traced(model):
        size = layer.get_output_variable().size_cpp()
        lines.append(f'(*::nnet::trace_outputs)["{layer.name}"] = malloc(({size}) * sizeof(double));\n')
    for index, port in enumerate(inputs):
        lines.append(f'Samples x{index} = ::read("x{index}", size_t({port.size_cpp()}) * samples);\n')
    lines.append("for (int sample = 0; sample < samples; sample++) {\n")
    for index, port in enumerate(inputs):
        size = port.size_cpp()
        lines.append(f"{port.definition_cpp(name_suffix='_ap')};\n")
        convert = f"nnet::convert_data<double, {port.type.name}, {size}>"
        lines.append(f"{convert}(x{index}.data() + sample * ({size}), {port.name}_ap);\n")
    lines += [f"{port.definition_cpp(name_suffix='_ap')};\n" for port in outputs]
    lines.append(f"top({', '.join(f'{port.name}_ap' for port in (*inputs, *outputs))});\n")
    for port in outputs:
        size = port.size_cpp()
        lines.append(f"double {port.name}_d[{size}];\n")
        lines.append(f"nnet::convert_data<{port.type.name}, double, {size}>({port.name}_ap, {port.name}_d);\n")
        lines.append(f'::write("y.{port.name}", {port.name}_d, {size});\n')
    for layer in _traced(model):
        size = layer.get_output_variable().size_cpp()
        lines.append(f'::write("t.{layer.name}", (double *)(*::nnet::trace_outputs)["{layer.name}"], {size});\n')
    return "".join([*lines, "}\n}\n"])


def _traced(model: Any) -> list[Any]:
    """The layers whose results hls4ml's C++ saves (vivado_writer.py, write_project_cpp)."""
    return [x for x in model.get_layers() if x.get_attr("function_cpp") and x.get_attr("trace") and x.outputs]


def _verdict(model: Any, folder: Path, samples: int) -> Verdict:
    log = (folder / "log").read_text(errors="replace") if (folder / "log").exists() else ""
    if not (folder / "done").exists():
        return Verdict({}, f"csim stops: {log[-300:]}")
    if "Hls::stream" in log:  # hls_stream.h warns of a stream read while empty, or left with data
        return Verdict({}, f"a stream loses data: {log[-300:]}")
    found = {}
    for port in model.get_output_variables():
        found[f"y.{port.name}"] = np.fromfile(folder / f"y.{port.name}").reshape(samples, prod(port.shape))
    for layer in _traced(model):
        size = prod(layer.get_output_variable().shape)
        found[f"t.{layer.name}"] = np.fromfile(folder / f"t.{layer.name}").reshape(samples, size)
    return Verdict(found)
