"""Graphs survive the disk whole; a file that was changed, cut or made up is refused in one message."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from fpgaflow.errors import BadInput, FpgaflowError
from fpgaflow.frontend.load import load
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.store import load_graph, save_graph
from tests.frontend.test_qonnx import lenet
from tests.graphs import graphs
from tests.models import graph_of


def assert_equal(found: Graph, wanted: Graph) -> None:
    for field in ("name", "inputs", "outputs", "ops", "digest"):
        assert getattr(found, field) == getattr(wanted, field)
    assert dict(found.tensors) == dict(wanted.tensors)
    assert list(found.tensors) == list(wanted.tensors), "their order names traces"
    assert found.constants.keys() == wanted.constants.keys()
    for name, array in wanted.constants.items():
        assert found.constants[name].dtype == np.int64
        assert np.array_equal(found.constants[name], array)


@given(graphs())
@settings(max_examples=60)
def test_random_graphs_survive(graph: Graph) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.json"
        save_graph(graph, path)
        assert_equal(load_graph(path), graph)
        assert sorted(p.name for p in Path(folder).iterdir()) == ["graph.json", "graph.safetensors"]


def test_imported_graph_survives(tmp_path: Path) -> None:
    graph = graph_of(lenet().model("y"))
    save_graph(graph, tmp_path / "deep" / "net.json")
    assert_equal(load(tmp_path / "deep" / "net.json"), graph)


def test_two_writings_are_the_same_bytes(tmp_path: Path) -> None:
    graph = graph_of(lenet().model("y"))
    for name in ("one", "two"):
        save_graph(graph, tmp_path / f"{name}.json")
    for suffix in ("json", "safetensors"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "graph.json"
    save_graph(graph_of(lenet().model("y")), path)
    return path


def edited(path: Path, edit: Callable[[Any], object]) -> None:
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def each_op(**fields: Any) -> Callable[[Any], object]:
    def edit(document: Any) -> None:
        for op in document["ops"]:
            op.update({name: value for name, value in fields.items() if name in op})

    return edit


EDITS: dict[str, Callable[[Any], object]] = {
    "another format": lambda d: d.update(format=2),
    "no format": lambda d: d.pop("format"),
    "no ops": lambda d: d.pop("ops"),
    "ops of another kind": lambda d: d.update(ops={}),
    "an unknown op": lambda d: d["ops"][0].update(op="Softmax"),
    "an op without its kind": lambda d: d["ops"][0].pop("op"),
    "an op that is a number": lambda d: d.update(ops=[3]),
    "an unknown field": lambda d: d["ops"][0].update(speed=3),
    "a missing field": lambda d: d["ops"][0].pop("name"),
    "a text for a number": lambda d: d["tensors"][0]["type"].update(width="8"),
    "a truth for a number": lambda d: d["tensors"][0]["type"].update(width=True),
    "no width": lambda d: d["tensors"][0]["type"].update(width=0),
    "an absurd width": lambda d: d["tensors"][0]["type"].update(width=10**15),
    "absurd fractions": each_op(accum={"signed": True, "width": 8, "fraction": 10**15}),
    "a fraction over zero": lambda d: d["inputs"][0].update(gain="1/0"),
    "no fraction": lambda d: d["inputs"][0].update(gain="one"),
    "an unknown rounding": lambda d: d["inputs"][0].update(rounding="NEAREST"),
    "strides of zero": each_op(strides=[0, 0]),
    "strides of one axis": each_op(strides=[1]),
    "ops without inputs": each_op(inputs=[]),
    "one weight more": lambda d: d["inputs"][0].update(low=-7),
    "another name": lambda d: d.update(name="other"),
    "another digest": lambda d: d.update(digest="0" * 64),
    "a list": lambda d: d.clear(),
}


@pytest.mark.parametrize("edit", EDITS)
def test_edited(saved: Path, edit: str) -> None:
    edited(saved, EDITS[edit])
    with pytest.raises(BadInput, match=r"graph\.json"):
        load_graph(saved)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe", b"[" * 100_000, b'{"format": 1e999}']
)
def test_no_graph_at_all(saved: Path, content: bytes) -> None:
    saved.write_bytes(content)
    with pytest.raises(BadInput, match=r"graph\.json"):
        load_graph(saved)


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_missing_file(saved: Path, suffix: str) -> None:
    saved.with_suffix(f".{suffix}").unlink()
    with pytest.raises(BadInput, match=r"graph\.json"):
        load_graph(saved)


def test_constants_of_another_graph(saved: Path) -> None:
    graph = load_graph(saved)
    one = dict(graph.constants)
    name = next(key for key, array in one.items() if array.ndim > 1)
    for arrays in (
        {},
        {**one, "more": one[name]},
        {**one, name: one[name] + 1},
        {**one, name: one[name].astype(np.int32)},
        {**one, name: one[name].reshape(-1)},
    ):
        saved.with_suffix(".safetensors").write_bytes(save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))
        with pytest.raises(BadInput, match=r"graph\.json"):
            load_graph(saved)


@given(st.data())
@settings(max_examples=150)
def test_damaged_bytes(data: st.DataObject) -> None:
    """Any byte changed or any tail cut off: refused, or the very same graph (white space, say)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.json"
        graph = SMALL
        save_graph(graph, path)
        victim = path.with_suffix(data.draw(st.sampled_from([".json", ".safetensors"])))
        content = bytearray(victim.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            del content[at:]
        else:
            content[at] ^= data.draw(st.integers(1, 255))
        victim.write_bytes(bytes(content))
        try:
            found = load_graph(path)
        except FpgaflowError as error:
            assert "graph.json" in str(error)
        else:
            assert_equal(found, graph)


SMALL = graph_of(lenet().model("y"))
