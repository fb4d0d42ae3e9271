"""Quantisation-aware training: the only part of fpgaflow that needs torch and Brevitas."""

from __future__ import annotations

import warnings
from importlib import import_module

from fpgaflow.errors import MissingTool

try:
    with warnings.catch_warnings():
        # Brevitas recommends a CUDA package, for rotations that nothing here uses.
        warnings.filterwarnings("ignore", "fast_hadamard_transform", UserWarning)
        import_module("brevitas.export")
    import_module("onnxoptimizer")  # Brevitas imports it as it exports
    import_module("sklearn")
except ModuleNotFoundError as error:
    package = str(error.name).partition(".")[0]
    raise MissingTool("fpgaflow.training", f"{package} is not installed", "pip install 'fpgaflow[train]'") from None
