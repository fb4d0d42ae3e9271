"""Models that are no ONNX: FILE.py:FUNCTION, checkpoints of `fpgaflow train`, QKeras. All become QONNX first."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from fpgaflow.errors import BadInput, FpgaflowError
from fpgaflow.frontend.keras.qkeras import keras_to_qonnx

_RETURNS = "Return (module, input_shape), input_shape without the batch, or the path of an .onnx file"


def to_qonnx(spec: str, out: Path) -> Path:
    """The QONNX file of a model named by the user: itself if it is one, else exported to `out`.

    `FILE.py:FUNCTION` runs FUNCTION() of that file, which returns (torch module, input shape), or a path. QKeras files
    are `FILE.h5` or `FILE.keras`, with `:QUANTISER` behind where the model itself takes real numbers.

    Raises:
        BadInput: no such file or function, or it does not give a model.
        MissingTool: torch and Brevitas are needed, and are not installed.
    """
    if keras_to_qonnx(spec, out):
        return out
    made = python_model(spec)
    return _export(*made, out, spec) if isinstance(made, tuple) else made


def python_model(spec: str) -> Path | tuple[Any, tuple[int, ...]]:
    """(torch module, shape of one input sample) that `spec` names, else the path of a model file.

    Raises:
        BadInput: no such file or function, or it does not give a model.
        MissingTool: torch and Brevitas are needed, and are not installed.
    """
    path, colon, function = spec.rpartition(":")
    if colon and path.endswith(".py"):
        return _from_function(Path(path), function)
    if spec.endswith(".py"):
        raise BadInput(spec, "names no function", f"Write {spec}:FUNCTION")
    if Path(spec).suffix == ".pt":
        return _from_checkpoint(Path(spec))
    return Path(spec)


def _from_function(path: Path, name: str) -> Path | tuple[Any, tuple[int, ...]]:
    where = f"{path}:{name}"
    module_spec = importlib.util.spec_from_file_location(path.stem, path) if path.is_file() else None
    if module_spec is None or module_spec.loader is None:
        raise BadInput(str(path), "is no Python file", "Give FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(module_spec)
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for our own result
            module_spec.loader.exec_module(module)
            if not callable(getattr(module, name, None)):
                raise BadInput(where, "is no function there", "Name a function of the file that takes no arguments")
            made = getattr(module, name)()
    except FpgaflowError:
        raise
    except (Exception, SystemExit) as error:  # the user's code raises whatever it likes
        raise BadInput(where, f"{type(error).__name__}: {error}", "Mend the function; it takes no arguments") from error
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
    if isinstance(made, str | Path):
        return path.parent / made
    if not (isinstance(made, tuple) and len(made) == 2 and _is_shape(made[1]) and hasattr(made[0], "eval")):
        raise BadInput(where, f"returns {type(made).__name__}", _RETURNS)
    return made[0], tuple(made[1])


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) > 0 and all(isinstance(n, int) and n > 0 for n in value)


def _from_checkpoint(path: Path) -> tuple[Any, tuple[int, ...]]:
    from fpgaflow.training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(path)
    return checkpoint.model, checkpoint.input_shape


def _export(module: Any, shape: tuple[int, ...], out: Path, where: str) -> Path:
    from fpgaflow.training.export import export_qonnx  # says how to get torch where it is missing

    import torch  # isort: skip

    try:
        with contextlib.redirect_stdout(sys.stderr):
            export_qonnx(module.eval(), torch.zeros(1, *shape), out)
    except FpgaflowError:
        raise
    except Exception as error:  # torch's exporter raises whatever it meets
        raise BadInput(where, f"torch cannot export it: {error}", "Use layers of torch and Brevitas") from error
    return out
