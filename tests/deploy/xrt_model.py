"""pyxrt as the driver sees it: buffers whose two sides only `sync` makes equal, and a kernel behind them."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from types import ModuleType
from typing import Any


class Direction(Enum):
    XCL_BO_SYNC_BO_TO_DEVICE = 0
    XCL_BO_SYNC_BO_FROM_DEVICE = 1


class State(Enum):
    ERT_CMD_STATE_COMPLETED = 4
    ERT_CMD_STATE_ERROR = 5
    ERT_CMD_STATE_ABORT = 6
    ERT_CMD_STATE_TIMEOUT = 8


class Card:
    """One card; `network` turns the bytes that arrive into those that leave; `state` is how a run ends."""

    def __init__(self, network: Callable[[bytes], bytes], input_bytes: int) -> None:
        self.network, self.input_bytes = network, input_bytes
        self.state = State.ERT_CMD_STATE_COMPLETED
        self.loaded: list[str] = []
        self.runs: list[int] = []
        self.waits: list[int] = []

    def module(self) -> ModuleType:
        card = self

        class Device:
            def __init__(self, number: int) -> None:
                assert number == 0

            def load_xclbin(self, program: str) -> str:
                card.loaded.append(program)
                return "uuid"

        class Bo:
            normal = "normal"

            def __init__(self, device: Device, size: int, flags: str, group: int) -> None:
                assert (flags, group) in (("normal", 10), ("normal", 11))
                self.host, self.memory = bytearray(b"\xa5" * size), bytearray(b"\x5a" * size)

            def map(self) -> bytearray:
                return self.host

            def sync(self, direction: Direction, size: int, offset: int) -> None:
                assert offset == 0 and 0 < size <= len(self.host)
                to_device = direction is Direction.XCL_BO_SYNC_BO_TO_DEVICE
                source, target = (self.host, self.memory) if to_device else (self.memory, self.host)
                target[:size] = source[:size]

        class Run:
            def wait(self, milliseconds: int) -> State:
                card.waits.append(milliseconds)
                return card.state

        class Kernel:
            exclusive = "exclusive"

            def __init__(self, device: Device, uuid: str, name: str, access: str) -> None:
                assert (uuid, name, access) == ("uuid", "fpgaflow_kernel", "exclusive")

            def group_id(self, argument: int) -> int:
                return 10 + argument

            def __call__(self, source: Bo, result: Bo, samples: int) -> Run:
                card.runs.append(samples)
                answer = card.network(bytes(source.memory[: samples * card.input_bytes]))
                if card.state is State.ERT_CMD_STATE_COMPLETED:
                    result.memory[: len(answer)] = answer
                return Run()

        pyxrt: Any = ModuleType("pyxrt")
        vars(pyxrt).update(device=Device, bo=Bo, kernel=Kernel, xclbin=str)
        vars(pyxrt).update(xclBOSyncDirection=Direction, ert_cmd_state=State)
        return pyxrt
