"""fpgaflow as a backend of hls4ml: `backend="fpgaflow"` converts as Vitis does, simulates in an instant, builds RTL.

hls4ml finds `register` through the entry point group `hls4ml.backends`. Nothing of hls4ml is imported before it calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

NAME = "fpgaflow"


def register(register_backend: Callable[[str, Any], None], register_writer: Callable[[str, Any], None]) -> None:
    """Adds the backend to hls4ml."""
    from hls4ml.writer.vitis_writer import VitisWriter

    from fpgaflow.plugin.backend import FpgaflowBackend

    register_writer(NAME, VitisWriter)  # hls4ml's base class asks for one by the backend's name
    register_backend(NAME, FpgaflowBackend)
