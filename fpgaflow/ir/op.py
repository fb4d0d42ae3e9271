"""What all operations of the integer graph share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Op:
    """What all operations share. `node` is the node of the user's model that this op came from."""

    name: str
    inputs: tuple[str, ...]
    output: str
    node: str
