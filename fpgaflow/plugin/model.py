"""An hls4ml model whose compile, predict and trace are fpgaflow's simulator: the bits of hls4ml's own, without g++.

Its build makes Verilog.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hls4ml.model.graph import ModelGraph

from fpgaflow.errors import BadInput
from fpgaflow.plugin import NAME
from fpgaflow.sim.run import Simulator

Array = np.ndarray


class SimulatedModel(ModelGraph):  # type: ignore[misc]
    """What hls4ml returns with `backend="fpgaflow"`."""

    _simulator: Simulator | None = None

    def compile(self) -> None:
        """Makes the model ready for `predict`, as it is now.

        Raises:
            UnsupportedModel: names each layer that the simulator cannot hold exactly.
        """
        self._compile()

    def _compile(self) -> None:
        self._simulator = Simulator(self)

    def _predict(self, x: Any) -> Any:
        inputs, dtype = self._inputs(x)
        simulator = self._compiled()
        return self._unbatched(simulator.predict(simulator.by_name(inputs)), len(inputs[0]), dtype)

    def build(self, **options: Any) -> Any:
        """Verilog, proven: see `FpgaflowBackend.build`. hls4ml's own would have a C++ project written first."""
        return self.config.backend.build(self, **options)

    def trace(self, x: Any) -> tuple[Any, dict[str, Array]]:
        """Outputs, and the values of each layer whose configuration says `Trace`."""
        self.compile()
        inputs, dtype = self._inputs(x)
        simulator = self._compiled()
        tensors = simulator.trace(simulator.by_name(inputs))
        traced = {}
        for layer in self.get_layers():
            if not (layer.get_attr("function_cpp", None) and layer.get_attr("trace", False)):
                continue
            if layer.name not in tensors:
                found = "its values stand nowhere in the simulated graph"
                raise BadInput(f"layer '{layer.name}'", found, "Leave out its Trace")
            traced[layer.name] = tensors[layer.name].astype(dtype)
        return self._predict(x), traced

    def _compiled(self) -> Simulator:
        if self._simulator is None:
            raise BadInput(f"model of backend '{NAME}'", "it is not compiled", "Call compile() first")
        return self._simulator

    def _inputs(self, x: Any) -> tuple[list[Array], Any]:
        """hls4ml takes samples in any shape of the right size, and answers in the type of the first input."""
        variables = self.get_input_variables()
        arrays = [x] if len(variables) == 1 else list(x)
        if len(arrays) != len(variables):
            raise BadInput("inputs", f"{len(arrays)} arrays for {len(variables)} inputs", "Give one array per input")
        shaped = []
        for array, variable in zip(arrays, variables, strict=True):
            if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64):
                found = f"{getattr(array, 'dtype', type(array).__name__)}"
                raise BadInput(f"input '{variable.name}'", found, "Give an array of float32 or float64")
            if array.size % variable.size():
                expected = f"Give samples of shape {tuple(variable.shape)}"
                raise BadInput(f"input '{variable.name}'", f"shape {array.shape}", expected)
            shaped.append(array.reshape(-1, *variable.shape))
        return shaped, shaped[0].dtype

    def _unbatched(self, outputs: Any, samples: int, dtype: Any) -> Any:
        """The outputs as hls4ml gives them: flat, one sample without its axis, one output without its list."""
        arrays = outputs if isinstance(outputs, list) else [outputs]
        flat = [array.reshape(samples, -1).astype(dtype) for array in arrays]
        unpacked = [array[0] for array in flat] if samples == 1 else flat
        return unpacked[0] if len(unpacked) == 1 else unpacked
