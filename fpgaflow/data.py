"""Where the files beside the code are, in a checkout or an installed wheel: `boards/`, `hls_templates/`, ..."""

from __future__ import annotations

from pathlib import Path

from fpgaflow.errors import BadInput

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: str) -> Path:
    """Folder `name` ("boards", "hls_templates", "examples/lenet_digits"): the wheel's, else the checkout's.

    Raises:
        BadInput: the installation lacks the folder.
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        folder = root / name
        if folder.is_dir():
            return folder
    raise BadInput(
        f"data folder '{name}'",
        f"not found beside {_PACKAGE}",
        "Reinstall fpgaflow: pip install --force-reinstall fpgaflow",
    )
