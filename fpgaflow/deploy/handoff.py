"""What the hardware handoff (.hwh) of a bitstream tells a driver: where the DMA's registers are."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from fpgaflow.errors import BadInput

_LARGEST = 64 * 2**20  # bytes; real ones are below one megabyte


def dma_base(path: Path, instance: str = "axi_dma") -> int | None:
    """The address of the DMA's registers as the processor sees them; None where the handoff does not say.

    Raises:
        BadInput: not such a file, or one with a DOCTYPE (entities could expand without bound).
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise BadInput(str(path), "is too large for a hardware handoff", "Take the .hwh that Vivado wrote")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadInput(str(path), f"cannot be read ({error.strerror})", "Build again") from error
    if "<!DOCTYPE" in text:
        raise BadInput(str(path), "has a DOCTYPE, which no handoff has", "Take the .hwh that Vivado wrote")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  # no DOCTYPE, so no entities; size is bounded
        for entry in root.iter("MEMRANGE"):
            if entry.get("INSTANCE") == instance and entry.get("BASEVALUE"):
                return int(entry.get("BASEVALUE", ""), 16)
    except (ElementTree.ParseError, ValueError) as error:
        raise BadInput(str(path), f"is no hardware handoff ({error})", "Take the .hwh that Vivado wrote") from error
    return None
