"""FIFO depths: simulated, emitted, and tried in hls4ml's own C++, whose layers run as threads between such FIFOs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpgaflow.errors import ToolFailed
from fpgaflow.sim.run import Simulator
from fpgaflow.targets.hls.csim import CSim
from fpgaflow.targets.hls.depths import SHALLOW, Fifo, fifo_depths, simulate
from fpgaflow.targets.hls.layers import HlsOptions, IOType, Strategy
from fpgaflow.targets.hls.processes import Dataflow, Process, Stream
from fpgaflow.targets.hls.project import Project, make_project
from tests.conformance.test_ops_on_targets import NAMED
from tests.targets.hls.hls_graphs import U4, Net

STREAM_H = (Path(__file__).parent / "cpp" / "bounded_stream.h").read_text()
OPTIONS = HlsOptions(part="xc7z020clg400-1", io_type=IOType.STREAM, strategy=Strategy.RESOURCE)


def process(name: str, reads: str, writes: str, *needs: list[int], cost: int = 1, hold: int = 0) -> Process:
    """Streams are letters; each input's beats are those that its last need names."""
    arrays = tuple(np.array(need) for need in needs)
    return Process(name, tuple(reads), tuple(writes), arrays, tuple(need[-1] for need in needs), cost=cost, hold=hold)


def flow(processes: list[Process], whole: dict[str, int], beats: int) -> Dataflow:
    streams = {name: Stream(None, depth, 8) for name, depth in whole.items()}
    return Dataflow(processes, streams, {"x": beats}, {"y": beats})


def fork_and_join(beats: int, lag: int, hold: int = 0) -> Dataflow:
    """x is cloned; one branch gives beat n once it has n + lag; both are joined."""
    each = list(range(1, beats + 1))
    late = [min(n + lag, beats) for n in each]
    return flow(
        [
            process("clone", "x", "ab", each),
            process("late", "a", "c", late, hold=hold),
            process("join", "bc", "y", each, each),
        ],
        {"a": beats, "b": beats, "c": beats},
        beats,
    )


@pytest.mark.parametrize(("lag", "least"), [(0, 1), (1, 2), (5, 6), (20, 21)])
def test_a_branch_that_waits_needs_a_fifo_for_what_it_waits_for(lag: int, least: int) -> None:
    dataflow = fork_and_join(40, lag)
    depths = {"a": 40, "b": least, "c": 40}
    assert simulate(dataflow, depths) is not None
    if least > 1:
        assert simulate(dataflow, depths | {"b": least - 1}) is None, "a deadlock"


def test_depths_keep_the_speed_of_whole_samples() -> None:
    dataflow = fork_and_join(1000, 100)
    found = fifo_depths(dataflow)
    assert found is not None
    assert {name: fifo.depth for name, fifo in found.fifos.items()} == {"a": SHALLOW, "b": 128, "c": SHALLOW}
    assert simulate(dataflow, {"a": 1000, "b": 1000, "c": 1000}) == simulate(dataflow, dict.fromkeys("abc", 1000))
    runs = [simulate(dataflow, depths) for depths in (dict.fromkeys("abc", 1000), {"a": 32, "b": 128, "c": 32})]
    assert runs[0] is not None and runs[1] is not None and runs[0].ends == runs[1].ends


def test_a_fifo_is_never_deeper_than_a_sample() -> None:
    found = fifo_depths(fork_and_join(20, 18))
    assert found is not None and {fifo.depth for fifo in found.fifos.values()} == {20}


def test_a_fast_layer_waits_for_a_slow_one_without_a_deep_fifo() -> None:
    each = list(range(1, 501))
    dataflow = flow([process("fast", "x", "a", each), process("slow", "a", "y", each, cost=40)], {"a": 500}, 500)
    found = fifo_depths(dataflow)
    assert found is not None and found.fifos == {"a": Fifo(SHALLOW, 8, 500)} and found.interval == 500 * 40


def test_what_is_too_large_is_not_simulated() -> None:
    assert fifo_depths(fork_and_join(1000, 0), most_beats=100) is None


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 60), st.integers(0, 70), st.integers(0, 20), st.integers(1, 9))
def test_found_depths_never_deadlock(beats: int, lag: int, hold: int, cost: int) -> None:
    dataflow = fork_and_join(beats, lag, hold)
    dataflow.processes[1] = replace(dataflow.processes[1], cost=cost)
    found = fifo_depths(dataflow)
    assert found is not None
    assert simulate(dataflow, {name: fifo.depth for name, fifo in found.fifos.items()}, samples=5) is not None


def residual() -> Net:
    """Two convolutions over two rows each beside a convolution of one tap."""
    net = Net()
    x = net.input((12, 14, 2), U4)
    y = net.cast(net.conv(x, 3, (3, 3), padding=((1, 1), (1, 1)), bt=None), U4)
    y = net.cast(net.conv(y, 2, (3, 3), padding=((1, 1), (1, 1)), bt=None), U4)
    net.output(net.add(y, net.cast(net.conv(x, 2, (1, 1), bt=None), U4)))
    return net


def depths_in(project: Project) -> dict[str, int]:
    source = project.files[f"firmware/{project.name}.cpp"]
    pragmas = re.findall(r"#pragma HLS STREAM variable=(\w+) depth=(\d+)", source)
    return {name: int(depth) for name, depth in pragmas}


def test_the_project_has_the_depths() -> None:
    project = make_project(residual().graph(), OPTIONS)
    assert project.fifos is not None
    assert depths_in(project) == {name: fifo.depth for name, fifo in project.fifos.fifos.items()}
    skip = max(project.fifos.fifos.values(), key=lambda fifo: fifo.depth)
    assert SHALLOW < skip.depth <= 12 * 14, "what the two convolutions wait for"
    assert sum(fifo.depth == SHALLOW for fifo in project.fifos.fifos.values()) >= 5


def test_arrays_have_no_fifos() -> None:
    assert (
        make_project(residual().graph(), replace(OPTIONS, io_type=IOType.PARALLEL, strategy=Strategy.LATENCY)).fifos
        is None
    )


def in_threads(project: Project, depths: dict[str, int]) -> Project:
    """The project with each layer in a thread of its own, and FIFOs that hold so many words."""
    name = f"firmware/{project.name}.cpp"
    source, calls = re.subn(
        r"^    (nnet::\w+<[^;]*;)(?= // )", r"    bounded::start([&] { \1 });", project.files[name], flags=re.M
    )
    assert calls > 1
    end = source.rindex("}")
    rows = "".join(f'{{"{stream}", {depth}}},\n' for stream, depth in depths.items())
    files = {
        **project.files,
        name: source[:end] + "    bounded::join();\n}\n",
        "firmware/ap_types/hls_stream.h": STREAM_H.replace("// DEPTHS", rows),
    }
    return replace(project, files=files)


def test_the_layers_themselves_run_through_these_fifos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """hls4ml's loops read and write as the simulation does: no deadlock at these depths, one at less."""
    graph = residual().graph()
    project = make_project(graph, OPTIONS)
    compiled = CSim(in_threads(project, depths_in(project)), tmp_path, level=0)
    (port,), (result,) = graph.inputs, graph.outputs
    type_ = graph.type_of(port.tensor)
    shape = (3, *graph.tensors[port.tensor].shape)
    codes = np.random.default_rng(7).integers(type_.low, type_.high + 1, shape)
    (found,) = compiled.predict_integers([codes])
    expected = Simulator(graph).predict_integers({port.name: codes * type_.scale})
    assert np.array_equal(found, expected[result.name])
    monkeypatch.setenv("MOST_WORDS", "4")
    with pytest.raises(ToolFailed, match="status 3"):
        compiled.predict_integers([codes])


@pytest.mark.parametrize("name", ["add", "concat", "conv", "depth_to_space", "matmul", "pool"])
def test_every_kind_of_layer_has_an_order(name: str) -> None:
    net = Net()
    NAMED[name](net)
    project = make_project(net.graph(), OPTIONS)
    assert project.fifos is not None and set(project.fifos.fifos) == set(depths_in(project))
