"""The least hardware that keeps the accuracy: bits of each layer, width, channels and how it is tuned, by Optuna."""

from __future__ import annotations

from importlib import import_module

from fpgaflow.errors import MissingTool

try:
    import_module("optuna").logging.set_verbosity(40)  # ERROR
except ModuleNotFoundError:
    raise MissingTool("fpgaflow search", "Optuna is not installed", "pip install 'fpgaflow[train]'") from None
