"""Compiles Triton kernels for a GPU that need not be there, or runs them on the CPU by Triton's interpreter.

A process of its own: Triton decides at its import which of the two it does. Started as a script, with `compile` and the
compute capability, or with `run`; then folders that hold what `workshop.py` writes.
"""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fpgaflow.targets.gpu.triton.program import Launch, Program, Variant, parse_program
from fpgaflow.targets.gpu.triton.workshop import (
    COMPILED,
    CONSTANTS,
    INPUTS,
    OUTPUTS,
    PROGRAM,
    SOURCE,
    Compiled,
    dtype_of,
    stem,
    write_json,
)

_POINTERS = {"int8": "*i8", "uint8": "*u8", "int16": "*i16", "int32": "*i32", "float32": "*fp32"}
_WARP = 32


def _load(folder: Path) -> tuple[Program, ModuleType]:
    with np.load(folder / CONSTANTS, allow_pickle=False) as constants:
        program = parse_program((folder / PROGRAM).read_text(), dict(constants))
    spec = importlib.util.spec_from_file_location(f"kernels_{folder.name}", folder / SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return program, module


def compile_folder(folder: Path, capability: int) -> None:
    program, module = _load(folder)
    found = {}
    for launch in program.launches:
        for variant in launch.variants:
            found[stem(launch, variant)] = _compiled(folder, program, launch, variant, module, capability)
    write_json(folder / COMPILED, found)


def _compiled(
    folder: Path, program: Program, launch: Launch, variant: Variant, module: ModuleType, capability: int
) -> Compiled:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    function = getattr(module, launch.kernel)
    names = function.arg_names[: len(launch.arguments)]
    signature = {
        name: _POINTERS[dtype_of(program, argument)] for name, argument in zip(names, launch.arguments, strict=True)
    }
    signature |= {"rows": "i32", "M": "constexpr"}
    aligned = {(place,): [["tt.divisibility", 16]] for place in range(len(names))}
    source = ASTSource(function, signature, {"M": variant.rows}, aligned)
    options = {"num_warps": variant.warps, "enable_fp_fusion": False}
    made: Any = triton.compile(source, target=GPUTarget("cuda", capability, _WARP), options=options)
    ptx = made.asm["ptx"]
    name = stem(launch, variant)
    (folder / f"{name}.ptx").write_text(ptx)
    (folder / f"{name}.cubin").write_bytes(made.asm["cubin"])
    entry = re.search(r"\.entry\s+(\w+)\(([^)]*)\)", ptx)
    assert entry is not None and made.metadata.global_scratch_size == 0
    scratch = entry[2].count(".param") - len(names) - 1
    return Compiled(entry[1], int(made.metadata.shared), int(made.metadata.num_warps) * _WARP, scratch)


def run_folder(folder: Path) -> None:
    import torch

    program, module = _load(folder)
    with np.load(folder / INPUTS, allow_pickle=False) as file:
        given = dict(file)
    fills = int(given.pop("fills"))
    samples = len(given[program.inputs[0]])
    held = {
        name: torch.zeros(samples * buffer.elements, dtype=getattr(torch, buffer.dtype))
        for name, buffer in program.buffers.items()
    }
    held |= {name: torch.from_numpy(np.array(array)) for name, array in program.constants.items()}
    for name, array in given.items():
        held[name].copy_(torch.from_numpy(array.reshape(-1)))
    for launch in program.launches:
        variant = launch.variant(samples, fills)
        tensors = [held[name] for name in launch.arguments]
        kernel = getattr(module, launch.kernel)
        kernel[launch.grid(samples, variant)](*tensors, samples * launch.places, M=variant.rows)
    np.savez(folder / OUTPUTS, **{name: held[name].numpy().reshape(samples, -1) for name in program.outputs})


def main(mode: str, *rest: str) -> None:
    if mode == "compile":
        for name in rest[1:]:
            compile_folder(Path(name), int(rest[0]))
    else:
        for name in rest:
            run_folder(Path(name))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # of many kinds; the parent tells the user
        sys.stderr.write(json.dumps(f"{type(error).__name__}: {error}") + "\n")
        raise
