"""Where third-party models and data lie: the folder in FPGAFLOW_TEST_DATA, else `shared/models` beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "models"


def third_party_folder() -> Path:
    """The folder, whether it is there or not."""
    return Path(os.environ.get("FPGAFLOW_TEST_DATA", _BESIDE))


def third_party(name: str) -> Path:
    """A file or folder of third-party data; skips the test where it is absent."""
    path = third_party_folder() / name
    if not path.exists():
        pytest.skip(f"third-party test data is absent ({path}); set FPGAFLOW_TEST_DATA to its folder")
    return path
