"""fpgaflow: trained low-bit networks to FPGA firmware and accelerator engines, proven bit by bit."""

from fpgaflow.api import build, check, compare, simulate
from fpgaflow.boards import Board
from fpgaflow.errors import (
    BadInput,
    BrokenGraph,
    CheckFailed,
    FpgaflowError,
    MissingTool,
    Problem,
    ToolFailed,
    UnsupportedModel,
)
from fpgaflow.frontend.load import load
from fpgaflow.ir.graph import Graph
from fpgaflow.sim.run import Simulator

__version__ = "0.1.0"

__all__ = [
    "BadInput",
    "Board",
    "BrokenGraph",
    "CheckFailed",
    "FpgaflowError",
    "Graph",
    "MissingTool",
    "Problem",
    "Simulator",
    "ToolFailed",
    "UnsupportedModel",
    "build",
    "check",
    "compare",
    "load",
    "simulate",
]
