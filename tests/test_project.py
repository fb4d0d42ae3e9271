from __future__ import annotations

from pathlib import Path

import pytest

from fpgaflow.errors import BadInput
from fpgaflow.project import FILE, NO_PROJECT, Flow, bundled_project, find_project, load_project


def written(folder: Path, text: str | bytes) -> Path:
    (folder / FILE).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder / FILE


def test_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "model: net/model.onnx\ndata: /data/x.npz\nboard: pynq-z1\nflow: hls\nfps: 1000\ntrain: {model: lenet5}\n"
    path = written(tmp_path, text)
    project = load_project(path)
    assert project.model == tmp_path / "net" / "model.onnx" and project.data == Path("/data/x.npz")
    assert (project.board, project.flow, project.fps, project.has_recipe) == ("pynq-z1", Flow.HLS, 1000.0, True)
    monkeypatch.chdir(tmp_path)
    assert load_project(Path(FILE)).model == project.model, "paths are of the file's folder, and absolute"


def test_keys_left_out(tmp_path: Path) -> None:
    project = load_project(written(tmp_path, "fps: 0.5\n"))
    assert project.fps == 0.5
    assert (project.model, project.data, project.board, project.flow) == (None,) * 4 and not project.has_recipe
    assert (NO_PROJECT.model, NO_PROJECT.data, NO_PROJECT.fps) == (None,) * 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: a.onnx", "modle: is not a known key. Did you mean model?"),
        ("xyz: 1", "xyz: is not a known key. Known keys: model, input_type, data, board, flow, fps, train"),
        ("1: 2", "1: is not a known key"),
        ("[a]: 2", "cannot be read"),
        ("model: 3", "model: 3 is no text"),
        ("model: null", "model: None is no text"),
        ("model: [a.onnx]", "is no text"),
        ("fps: fast", "fps: 'fast' is no number"),
        ("fps: true", "fps: True is no number"),
        ("fps: 0", "fps: 0 is not positive"),
        ("fps: -3", "fps: -3 is not positive"),
        ("fps: .nan", "fps: nan is not positive"),
        ("flow: verilog", "flow: 'verilog' is unknown. Choose one of hls, rtl"),
        ("train: 5 epochs", "is no mapping"),
        ("", "holds no keys"),
        ("- a\n- b\n", "holds no keys"),
        ("model: [", "cannot be read"),
        ("a: !!python/object/apply:os.system [ls]", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        ("a: " + "[" * 5000, "cannot be read"),
    ],
)
def test_wrong_file(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadInput) as caught:
        load_project(path)
    assert str(path) in caught.value.problem.where
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        load_project(tmp_path / name)


def test_project_of_a_folder(tmp_path: Path) -> None:
    assert find_project(tmp_path) is None
    path = written(tmp_path, "board: pynq-z2\n")
    assert find_project(tmp_path) == load_project(path)


def test_bundled_project() -> None:
    project = bundled_project()
    assert project.model is not None and project.model.is_file()
    assert project.data is not None and project.data.is_file()
    assert project.board == "pynq-z2" and project.has_recipe
