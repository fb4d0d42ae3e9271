"""The wheel: built, installed and run without the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str | Path, **options: object) -> str:
    """The output of a program that has to end well."""
    argv = [sys.executable, *map(str, arguments)]
    ran = subprocess.run(argv, check=False, capture_output=True, text=True, **options)  # type: ignore[call-overload]
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return str(ran.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run("-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel and nothing else."""
    target = tmp_path_factory.mktemp("site")
    run("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel)
    return target


def installed(site: Path, cwd: Path, *arguments: str) -> str:
    """Runs the installed package, in a folder from which the checkout is not importable."""
    return run(*arguments, cwd=cwd, env={**os.environ, "PYTHONPATH": str(site)})


def test_wheel_holds_the_package_and_its_data(wheel: Path) -> None:
    bundle = zipfile.ZipFile(wheel)
    names = bundle.namelist()
    packaged = {name for name in names if not name.startswith("fpgaflow-")}
    sources = {f"fpgaflow/{path.relative_to(ROOT / 'fpgaflow')}" for path in (ROOT / "fpgaflow").rglob("*.py")}
    assert sources <= packaged
    for folder in ("boards", "hls_templates", "examples/lenet_digits"):
        assert any(name.startswith(f"fpgaflow/_data/{folder}/") for name in packaged), folder
    assert all(name.startswith("fpgaflow/") for name in packaged), "nothing lands beside the package"
    assert any(name.endswith("licenses/LICENSE") for name in names)
    (entry_points,) = [name for name in names if name.endswith("entry_points.txt")]
    assert b"fpgaflow = fpgaflow.cli:main" in bundle.read(entry_points)


def test_installed_package_is_the_one_that_runs(site: Path, tmp_path: Path) -> None:
    assert installed(site, tmp_path, "-c", "import fpgaflow; print(fpgaflow.__file__)").startswith(str(site))


def test_installed_data_are_found(site: Path, tmp_path: Path) -> None:
    script = (
        "import json; from fpgaflow.data import data_dir;"
        "print(json.dumps([str(data_dir(n)) for n in ('boards', 'hls_templates', 'examples/lenet_digits')]))"
    )
    folders = [Path(folder) for folder in json.loads(installed(site, tmp_path, "-c", script))]
    assert all(folder.is_relative_to(site / "fpgaflow" / "_data") for folder in folders)
    boards, templates, example = folders
    assert {path.name for path in boards.glob("*.toml")} == {path.name for path in (ROOT / "boards").glob("*.toml")}
    assert (templates / "nnet_utils" / "nnet_threshold.h").is_file() and (
        templates / "firmware" / "hls.tcl.j2"
    ).is_file()
    assert (example / "model.onnx").is_file() and (example / "fpgaflow.yaml").is_file()


def test_installed_commands(site: Path, tmp_path: Path) -> None:
    listed = json.loads(installed(site, tmp_path, "-m", "fpgaflow.cli", "boards", "--json"))
    assert {board["name"] for board in listed["boards"]} == {path.stem for path in (ROOT / "boards").glob("*.toml")}
    assert (
        "digits" in json.loads(installed(site, tmp_path, "-m", "fpgaflow.cli", "init", "digits", "--json"))["project"]
    )
    argv = ("simulate", "digits/model.onnx", "--data", "digits/test.npz", "--json")
    assert json.loads(installed(site, tmp_path, "-m", "fpgaflow.cli", *argv))["accuracy"] > 0.9


def test_installed_templates_make_firmware(site: Path, tmp_path: Path) -> None:
    """Up to the plan: its C simulation is that of the checkout."""
    script = (
        "from fpgaflow.building import build; from fpgaflow.data import data_dir;"
        "r = build(data_dir('examples/lenet_digits') / 'model.onnx', out='build'); print(type(r.failure).__name__)"
    )
    environment = {**os.environ, "PYTHONPATH": str(site), "PATH": str(tmp_path)}
    assert run("-c", script, cwd=tmp_path, env=environment).strip() == "MissingTool"  # g++
    assert (tmp_path / "build" / "firmware" / "hls" / "firmware" / "fpgaflow_axi.cpp").is_file()


def test_checkout_data_are_found() -> None:
    for name in ("boards", "hls_templates", "examples/lenet_digits"):
        assert data_dir(name) == ROOT / name


def test_missing_data_are_told() -> None:
    with pytest.raises(BadInput, match="data folder 'nothing'"):
        data_dir("nothing")
