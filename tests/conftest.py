"""What tests share: a finished build; and hypothesis runs the same examples every time, on every machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fpgaflow.building import build
from tests.builds import write_project
from tests.stand_ins import install as install

settings.register_profile(
    "fixed",
    derandomize=True,
    deadline=None,  # no timing decides a test
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
# `pytest --hypothesis-profile=search` looks for new failures, with other examples at each run.
settings.register_profile("search", settings.get_profile("fixed"), derandomize=False, max_examples=2000)
settings.load_profile("fixed")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes never name a case: the workers must all collect the same names, and a gzip header holds the time."""
    return f"{len(val)}-bytes" if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `model.onnx`, `data.npz` and their finished `build`; read only."""
    folder = tmp_path_factory.mktemp("finished")
    write_project(folder)
    assert build(folder / "model.onnx", out=folder / "build", data=folder / "data.npz").ok
    return folder


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    """A copy of `finished` to work on."""
    return shutil.copytree(finished, tmp_path / "project")
