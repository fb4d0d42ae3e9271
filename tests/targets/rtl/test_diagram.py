"""The drawing of the dataflow: every layer and stream, nothing over anything, the same each time."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from fpgaflow.ir.graph import Graph
from fpgaflow.targets.rtl.diagram import dataflow_svg
from fpgaflow.targets.rtl.folding import fold_for
from fpgaflow.targets.rtl.generate import Design, generate
from tests.targets.hls.hls_graphs import S6, Net
from tests.targets.rtl.unrolled.test_component import branches

SVG = "{http://www.w3.org/2000/svg}"


def skips() -> Graph:
    """A branch that passes several rows, and one that passes none."""
    net = Net()
    x = net.cast(net.input((2, 3), S6), S6)
    y = net.cast(net.relu(net.cast(x, S6)), S6)
    net.output(net.reshape(net.add(x, y), (6,)))
    return net.graph()


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("graph", [skips(), branches()], ids=["skips", "branches"])
def test_every_layer_is_drawn_once(graph: Graph) -> None:
    design: Design = generate(graph, fold_for(graph, 1))
    text = dataflow_svg(design)
    assert text == dataflow_svg(generate(graph, fold_for(graph, 1)))
    root = ElementTree.fromstring(text)  # noqa: S314  # our own
    boxes = root.findall(f"{SVG}g")
    titles = [box.find(f"{SVG}text").text for box in boxes]
    assert titles[0].startswith("s_axis") and titles[-1].startswith("m_axis")
    assert sorted(titles[1:-1]) == sorted(design.modules.values())
    frames = [box.find(f"{SVG}rect").attrib for box in boxes]
    places = [tuple(float(frame[key]) for key in ("x", "y", "width", "height")) for frame in frames]
    width, height = float(root.get("width")), float(root.get("height"))
    for number, (x, y, w, h) in enumerate(places):
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
        assert all(x + w <= a or a + b <= x or y + h <= c or c + d <= y for a, c, b, d in places[:number])
    inputs = sum(len(op.inputs) for op in graph.ops if op.name in design.layers)
    assert len(root.findall(f"{SVG}path")) == inputs + 1
    # Each arrow ends at the top of a box.
    tops = {(x + w / 2, y) for x, y, w, _ in places}
    for path in root.findall(f"{SVG}path"):
        assert tuple(map(float, re.findall(r"([\d.]+),([\d.]+)$", path.get("d"))[0])) in tops
