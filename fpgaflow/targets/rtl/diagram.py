"""The dataflow as a drawing: a box for each layer with its rate and the width of its stream; as SVG.

Layers stand in the row of their longest way from the input. An arrow that passes rows has a place of its own in each,
so that no arrow runs through a box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from fpgaflow.ir.ops import Op
from fpgaflow.targets.interface import StreamPort
from fpgaflow.targets.rtl.generate import Design
from fpgaflow.targets.rtl.stream import Chain
from fpgaflow.targets.rtl.unrolled.component import Unrolled

_BOX, _HEIGHT, _LANE, _GAP, _ROW, _MARGIN = 244, 84, 40, 36, 128, 24  # pixels
_CLASSES = ("title", "line", "line", "stream")
_INPUT, _OUTPUT = "s_axis", "m_axis"
_STYLE = """
text { font: 12px 'DejaVu Sans', Verdana, sans-serif; fill: #1f2933; text-anchor: middle; }
.title { font-weight: bold; font-size: 13px; }
.stream { font-size: 11px; fill: #486581; }
rect { fill: #e6f0fa; stroke: #3e7cb1; stroke-width: 1.5; }
.port rect { fill: #f0f4f8; stroke: #829ab1; }
.slowest rect { fill: #fff3d6; stroke: #c98a1b; }
path { fill: none; stroke: #829ab1; stroke-width: 1.5; marker-end: url(#end); }
""".strip()


@dataclass
class _Node:
    """A box, or with no lines the place of an arrow in a row that it passes."""

    name: str
    row: int
    lines: tuple[str, ...] = ()
    kind: str = "layer"
    before: list[_Node] = field(default_factory=list)
    x: float = 0.0  # of its middle

    @property
    def width(self) -> int:
        return _BOX if self.lines else _LANE

    @property
    def top(self) -> int:
        return _MARGIN + self.row * _ROW


def dataflow_svg(design: Design) -> str:
    """The drawing of a design; the same text for the same design."""
    rows = _placed(_nodes(design))
    nodes = [node for row in rows for node in row]
    width = max(node.x + node.width / 2 for node in nodes) + _MARGIN
    height = nodes[-1].top + _HEIGHT + _MARGIN
    title = f"{design.graph.name}: a sample every {design.folding.interval:,} cycles"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        '<defs><marker id="end" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" style="fill: #829ab1; stroke: none"/></marker></defs>',
        f'<rect width="{width:g}" height="{height:g}" style="fill: white; stroke: none"/>',
        *(_arrow(source, node) for node in nodes if node.lines for source in node.before),
        *(_box(node) for node in nodes if node.lines),
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _nodes(design: Design) -> list[_Node]:
    """The boxes, each after those before it."""
    graph, ports = design.graph, design.interface
    start = _Node(_INPUT, 0, _port_lines(_INPUT, ports.input), "port")
    nodes, made = [start], {port.tensor: start for port in graph.inputs}
    for op in graph.ops:
        sources = [made[name] for name in op.inputs]
        if op.name not in design.layers:
            made[op.output] = sources[0]
            continue
        slowest = op.name == design.folding.bottleneck and len(design.layers) > 1
        made[op.output] = _Node(
            op.name,
            1 + max(source.row for source in sources),
            _lines(op, design),
            "slowest" if slowest else "layer",
            sources,
        )
        nodes.append(made[op.output])
    last = list({id(made[port.tensor]): made[port.tensor] for port in graph.outputs}.values())
    row = 1 + max(node.row for node in nodes)
    return [*nodes, _Node(_OUTPUT, row, _port_lines(_OUTPUT, ports.output), "port", last)]


def _port_lines(name: str, port: StreamPort) -> tuple[str, ...]:
    shape = _shape(port.shape)
    stream = f"{port.elements_per_beat} × {port.width} bits in {port.tdata_bits} a beat"
    return f"{name}: {port.name}", "AXI4-Stream", f"{_counted(port.beats, 'beat')} a sample", f"{shape}: {stream}"


def _lines(op: Op, design: Design) -> tuple[str, ...]:
    fold, layer = design.folding.folds[op.name], design.layers[op.name]
    sums = layer.stages[-1][1] if isinstance(layer, Chain) else None
    if isinstance(sums, Unrolled):
        how = f"{_counted(len(sums.network.sums), 'adder')} in {_counted(sums.stages, 'stage')}"
    elif fold.multipliers > fold.lanes:
        how = f"PE {fold.pe} × SIMD {fold.simd}"
    else:
        how = _counted(fold.lanes, "lane")
    stream = f"{layer.result.lanes} × {layer.result.bits} bits a beat"
    shape = _shape(design.graph.tensors[op.output].shape)
    title = design.modules[op.name]
    return title, f"{type(op).__name__}, {how}", f"{_counted(fold.cycles, 'cycle')} a sample", f"{shape}: {stream}"


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _placed(nodes: Sequence[_Node]) -> list[list[_Node]]:
    """Rows of nodes and of the places of passing arrows, from left to right, each near what comes before it."""
    rows: list[list[_Node]] = [[] for _ in range(1 + max(node.row for node in nodes))]
    for node in nodes:
        node.before = [_through(source, node, rows) for source in node.before]
        rows[node.row].append(node)
    spans = [sum(node.width + _GAP for node in row) - _GAP for row in rows]
    for row, span in zip(rows, spans, strict=True):
        row.sort(key=_middle)  # stable: of equals, the one that comes first in the graph
        x = _MARGIN + (max(spans) - span) / 2
        for node in row:
            node.x = x + node.width / 2
            x += node.width + _GAP
    return rows


def _through(source: _Node, node: _Node, rows: list[list[_Node]]) -> _Node:
    """What stands right before `node` on the way from `source`: it, or a place in the row above."""
    for row in range(source.row + 1, node.row):
        source = _Node(f"{source.name} to {node.name}", row, before=[source])
        rows[row].append(source)
    return source


def _middle(node: _Node) -> float:
    return sum(source.x for source in node.before) / len(node.before) if node.before else 0.0


def _arrow(source: _Node, node: _Node) -> str:
    """From box to box, through the places between."""
    way = [source, node]
    while not way[0].lines:
        way.insert(0, way[0].before[0])
    x, y = way[0].x, way[0].top + _HEIGHT
    path = [f"M{x:g},{y:g}"]
    for place in way[1:]:
        middle = (y + place.top) / 2
        path.append(f"C{x:g},{middle:g} {place.x:g},{middle:g} {place.x:g},{place.top:g}")
        x, y = place.x, place.top
        if not place.lines:
            y += _HEIGHT
            path.append(f"V{y:g}")
    return f'<path d="{" ".join(path)}"/>'


def _box(node: _Node) -> str:
    left, step = node.x - _BOX / 2, _HEIGHT / (len(node.lines) + 1)
    lines = [
        f'<text class="{_CLASSES[number]}" x="{node.x:g}" y="{node.top + step * (number + 1) + 4:g}">'
        f"{escape(line)}</text>"
        for number, line in enumerate(node.lines)
    ]
    rect = f'<rect x="{left:g}" y="{node.top}" width="{_BOX}" height="{_HEIGHT}" rx="6"/>'
    return f'<g class="{node.kind}">{rect}{"".join(lines)}</g>'
