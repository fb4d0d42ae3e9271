"""Runs the network of this folder on an Alveo card, through XRT's Python (pyxrt of XRT 2.14 or newer, numpy).

with Accelerator() as accelerator:
    y = accelerator.predict(x)              # x (N, ...) real inputs, y (N, ...) float64 values
    q = accelerator.predict_codes(codes)    # the same in integers, as they travel to the card
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyxrt
from fpgaflow_samples import Driver, TransferError

HERE = Path(__file__).resolve().parent
XCLBIN, KERNEL = "fpgaflow.xclbin", "fpgaflow_kernel"
MAX_TRANSFER = (1 << 30) - 1  # of a batch: far below the memory of any card


class Accelerator(Driver):
    """Card number `device`, loaded with the network of folder `bundle`; one at a time on a card.

    `batch` samples go in one run of the kernel (default: 1024, fewer if large), which may take `timeout_s` seconds.

    Raises:
        FileNotFoundError: the folder lacks the xclbin or its description.
        RuntimeError: somebody else uses the card.
    """

    def __init__(self, bundle: Path = HERE, batch: int | None = None, timeout_s: float = 10.0, device: int = 0) -> None:
        self._number = device
        lock = Path(tempfile.gettempdir()) / f"fpgaflow.xrt{device}.lock"
        super().__init__(bundle, (XCLBIN,), lock, batch, MAX_TRANSFER, timeout_s)

    def _open(self, bundle: Path) -> None:
        self._device: Any = pyxrt.device(self._number)
        program = pyxrt.xclbin(str(bundle / XCLBIN))
        uuid = self._device.load_xclbin(program)
        self._kernel: Any = pyxrt.kernel(self._device, uuid, KERNEL, pyxrt.kernel.exclusive)
        self._input_bo, self._input = self._buffer(self.input.sample_bytes, 0)
        self._output_bo, self._output = self._buffer(self.output.sample_bytes, 1)

    def _buffer(self, sample_bytes: int, argument: int) -> tuple[Any, np.ndarray]:
        """Memory of the card near the kernel's `argument`, and the host's view of it."""
        size = self.batch * sample_bytes
        bo = pyxrt.bo(self._device, size, pyxrt.bo.normal, self._kernel.group_id(argument))
        return bo, np.frombuffer(bo.map(), dtype=np.uint8, count=size).reshape(self.batch, sample_bytes)

    def _release(self) -> None:
        # XRT aborts what still runs as the last handle goes, before it frees the memory.
        self._kernel = self._device = None
        self._input = self._output = None
        self._input_bo = self._output_bo = None

    def clock_mhz(self) -> float:
        """Asked for; XRT tells the actual one with `xbutil examine -r platform`."""
        return float(self.bundle["clock_mhz"])

    def transfer(self, samples: int) -> None:
        """As in the base class; what is raised tells the kernel's state."""
        self._begin()
        directions = pyxrt.xclBOSyncDirection
        self._input_bo.sync(directions.XCL_BO_SYNC_BO_TO_DEVICE, samples * self.input.sample_bytes, 0)
        run = self._kernel(self._input_bo, self._output_bo, samples)
        state = run.wait(max(1, round(self.timeout_s * 1000)))
        if state != pyxrt.ert_cmd_state.ERT_CMD_STATE_COMPLETED:
            if state in (pyxrt.ert_cmd_state.ERT_CMD_STATE_ERROR, pyxrt.ert_cmd_state.ERT_CMD_STATE_ABORT):
                raise TransferError(f"The kernel stopped with an error: its state is {state}")
            raise TimeoutError(f"The network did not answer within {self.timeout_s:g} s: its state is {state}")
        self._output_bo.sync(directions.XCL_BO_SYNC_BO_FROM_DEVICE, samples * self.output.sample_bytes, 0)
        self._failed = ""
