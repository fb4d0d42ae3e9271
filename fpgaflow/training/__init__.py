"""Quantisation-aware training: the only part of fpgaflow that needs torch and Brevitas."""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.util import find_spec

from fpgaflow.errors import MissingTool

try:
    with warnings.catch_warnings():
        # Brevitas recommends a CUDA package, for rotations that nothing here uses.
        warnings.filterwarnings("ignore", "fast_hadamard_transform", UserWarning)
        import_module("brevitas.export")
    for name in ("onnxoptimizer", "sklearn"):  # Brevitas imports the former as it exports
        import_module(name)
    if find_spec("lightning") is None:  # slow to import, and not all parts need it
        raise ModuleNotFoundError(name="lightning")
except ModuleNotFoundError as error:
    package = str(error.name).partition(".")[0]
    raise MissingTool("fpgaflow.training", f"{package} is not installed", "pip install 'fpgaflow[train]'") from None
