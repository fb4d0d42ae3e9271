"""`validate --vcd`: the signals of a build, by name, over its cycles."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from fpgaflow.errors import BadInput
from fpgaflow.files import write_atomic
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.types import FixedType
from fpgaflow.targets.rtl.folding import fold_for
from fpgaflow.targets.rtl.generate import generate
from fpgaflow.targets.rtl.waves import write_waves
from tests.targets.hls.hls_graphs import U4, Net


def small() -> Graph:
    net = Net()
    net.output(net.cast(net.dense(net.input((4,), FixedType(True, 5, 2)), 2), U4))
    return net.graph()


def test_every_module_is_in_the_waves(tmp_path: Path) -> None:
    graph = small()
    (tmp_path / "rtl").mkdir()
    for name, text in generate(graph, fold_for(graph, 8)).files().items():
        write_atomic(tmp_path / "rtl" / name, text)
    x = np.random.default_rng(0).uniform(-4, 4, (10, 4)).astype(np.float32)
    run = write_waves(graph, tmp_path, x, tmp_path / "waves.vcd")
    text = (tmp_path / "waves.vcd").read_text()
    assert len(run.codes) == 3 and "$timescale 1 ns $end" in text
    names = set(re.findall(r"\$var \w+ \d+ \S+ (\S+)", text))
    assert {"aclk", "aresetn", "s_axis_tdata", "m_axis_tvalid"} <= names
    assert {"u_layer_dense0", "u_layer_cast1"} <= set(re.findall(r"\$scope module (\S+)", text))
    assert f"#{10 * (run.cycles - 1)}\n" in text
    with pytest.raises(BadInput, match="no folder"):
        write_waves(graph, tmp_path, x, tmp_path / "missing" / "waves.vcd")
