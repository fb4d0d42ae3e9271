"""The backend itself: Vitis' passes, types and numbers, with the simulator where Vitis compiles C++.

Imported by `register`, while hls4ml loads its backends: import hls4ml, not this.
"""

from __future__ import annotations

from typing import Any, NoReturn

from hls4ml.backends.vitis.vitis_backend import VitisBackend
from hls4ml.backends.vivado.vivado_backend import VivadoBackend
from hls4ml.model.flow import update_flow
from hls4ml.model.optimizer import model_optimizer

from fpgaflow.errors import BadInput
from fpgaflow.plugin import NAME


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
        _refuse("write")

    def build(self, model: Any, **_options: Any) -> NoReturn:
        _refuse("build")


def _refuse(method: str) -> NoReturn:
    fix = "Convert the model with backend='Vitis', or export QONNX and run `fpgaflow build`"
    raise BadInput(f"{method}() of backend '{NAME}'", "it simulates, and makes no hardware yet", fix)
