"""Merges, batch norms, pooling, paddings, weights of every kind and accumulators of every mode: hls4ml's bits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frontend.hls4ml_layer_groups import GROUPS
from tests.frontend.hls4ml_nets import Net, assert_same_trace

IO_TYPES = ("io_parallel", "io_stream")


@pytest.mark.parametrize(("io_type", "backend"), [("io_parallel", "Vitis"), ("io_stream", "Vivado")])
def test_layers_of_every_kind_have_hls4mls_bits(io_type: str, backend: str, tmp_path: Path) -> None:
    net = Net(io_type, backend)
    for group in GROUPS.values():
        group(net, True)
    assert len(assert_same_trace(net.model(tmp_path))) > 60


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["Vivado", "Vitis"])
@pytest.mark.parametrize("io_type", IO_TYPES)
@pytest.mark.parametrize("group", GROUPS)
def test_each_group_in_full(group: str, io_type: str, backend: str, tmp_path: Path) -> None:
    net = Net(io_type, backend)
    GROUPS[group](net, False)
    if not net.layers:
        pytest.skip("hls4ml has it for io_parallel alone")
    assert_same_trace(net.model(tmp_path))
