"""The backend itself: Vitis' passes, types and numbers; the simulator where Vitis compiles C++, RTL where it makes HLS.

Imported by `register`, while hls4ml loads its backends: import hls4ml, not this.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from hls4ml.backends.vitis.vitis_backend import VitisBackend
from hls4ml.backends.vivado.vivado_backend import VivadoBackend
from hls4ml.model.flow import update_flow
from hls4ml.model.optimizer import model_optimizer

from fpgaflow.errors import BadInput
from fpgaflow.plugin import NAME
from fpgaflow.plugin.report import Report, report_of
from fpgaflow.project import Flow

Progress = Callable[[str, str], None]  # stage, detail


class FpgaflowBackend(VitisBackend):  # type: ignore[misc]
    """Converts models as hls4ml's Vitis backend does."""

    def __init__(self) -> None:
        super(VivadoBackend, self).__init__(NAME)  # the classes between would give their own names
        self._register_layer_attributes()
        self._register_flows()

    def _register_flows(self) -> None:
        super()._register_flows()
        update_flow(self.get_default_flow(), add_optimizers=[f"{NAME}:simulated"])

    @model_optimizer()  # type: ignore[untyped-decorator]
    def simulated(self, model: Any) -> None:
        """The last pass: from here on the model's compile, predict and trace are the simulator's."""
        from fpgaflow.plugin.model import SimulatedModel  # hls4ml loads its models after its backends

        model.__class__ = SimulatedModel

    def write(self, model: Any) -> NoReturn:
        fix = "Call build(), which writes Verilog, or convert the model with backend='Vitis'"
        raise BadInput(f"write() of backend '{NAME}'", "it makes no C++ project", fix)

    def build(
        self,
        model: Any,
        board: str = "pynq-z2",
        fps: float | None = None,
        data: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Report:
        """Writes Verilog of the model as it is now into its output directory, and proves it against the simulator.

        It is `fpgaflow.build` with flow 'rtl': so are the arguments, and what lies in the directory afterwards.

        Returns:
            The report, as `fpgaflow.plugin.report.report_of` lays it out.

        Raises:
            FpgaflowError: a layer that no hardware computes, a rate or board that does not do, or bits that differ.
        """
        from fpgaflow.building import build  # the whole of fpgaflow, where a conversion needs a part of it
        from fpgaflow.frontend.hls4ml.model import from_hls4ml

        folder = Path(model.config.get_output_dir())
        result = build(from_hls4ml(model), board, folder, Flow.RTL, data=data, fps=fps, progress=progress)
        if result.failure is not None:
            raise result.failure
        return report_of(result.manifest)
