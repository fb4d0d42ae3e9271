"""A graph as a complete hls4ml project, after proving that hls4ml's passes left every constant, type and mode alone."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hls4ml.backends import get_backend
from hls4ml.model import ModelGraph

from fpgaflow.errors import CheckFailed, ToolFailed, UnsupportedModel
from fpgaflow.files import write_atomic
from fpgaflow.frontend.hls4ml.model import from_hls4ml
from fpgaflow.ir.graph import Graph, Tensor
from fpgaflow.passes.rewrite import without_dead
from fpgaflow.targets.hls.check import check
from fpgaflow.targets.hls.depths import FifoDepths, fifo_depths
from fpgaflow.targets.hls.difference import difference
from fpgaflow.targets.hls.extensions import register
from fpgaflow.targets.hls.layers import HlsOptions, LayerList, layer_list
from fpgaflow.targets.hls.normal import normal_form
from fpgaflow.targets.hls.processes import dataflow_of

BACKEND = "Vitis"
_STAMP = "fpgaflow"  # hls4ml would draw a new one each time, for the name of its shared library
_CONFIG = "hls4ml_config.yml"


@dataclass(frozen=True)
class Project:
    """A hls4ml project: the same files for the same graph and options, anywhere.

    Attributes:
        files: relative path to text; `build_prj.tcl` is what Vitis HLS runs.
        name: of the top function and of the files named after it.
        inputs, outputs: the top function's tensors, in its order; elements in C order.
        log: what hls4ml printed.
        fifos: of io_stream; None where there are none, or the dataflow is not simulated: too large, or unknown.
    """

    files: Mapping[str, str]
    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    log: str
    fifos: FifoDepths | None = None


def make_project(graph: Graph, options: HlsOptions, folder: Path | None = None) -> Project:
    """The hls4ml project of a graph, also written to `folder` where one is given.

    Raises:
        UnsupportedModel: `check` found problems.
        CheckFailed: hls4ml changed something that was asked for; names its layer and the field.
        ToolFailed: hls4ml raised an error.
    """
    if problems := check(graph, options):
        raise UnsupportedModel(problems)
    plan = layer_list(graph, options)
    with tempfile.TemporaryDirectory(prefix="fpgaflow-hls4ml-") as scratch:
        out = Path(scratch) / "project"
        log = io.StringIO()
        with _quiet(log):
            model = _model(plan, options, out)
        _compare(plan, model)
        fifos = _set_depths(model) if plan.stream else None
        with _quiet(log):
            files = _written(model, out)
    project = Project(
        files,
        options.project_name,
        tuple(graph.tensors[port.tensor] for port in graph.inputs),
        tuple(graph.tensors[port.tensor] for port in graph.outputs),
        log.getvalue(),
        fifos,
    )
    if folder is not None:
        for name, content in files.items():
            write_atomic(folder / name, content)
        (folder / "build_lib.sh").chmod(0o755)
    return project


@contextlib.contextmanager
def _quiet(log: io.StringIO) -> Iterator[None]:
    """For hls4ml's code: what it prints and warns of goes to the log; its exceptions become ToolFailed."""
    try:
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log), warnings.catch_warnings():
            warnings.simplefilter("always")
            yield
    except Exception as error:  # hls4ml raises whatever its passes run into
        found = f"{type(error).__name__}: {error}"
        raise ToolFailed(
            "hls4ml", found, "Report it with the model: fpgaflow's check should have refused it"
        ) from error


def _model(plan: LayerList, options: HlsOptions, out: Path) -> Any:
    register(BACKEND)
    config = get_backend(BACKEND).create_initial_config(
        part=options.part, clock_period=options.clock_period_ns, io_type=options.io_type.value
    )
    config |= {"OutputDir": str(out), "ProjectName": options.project_name, "Backend": BACKEND, "Stamp": _STAMP}
    config["HLSConfig"] = plan.config
    return ModelGraph.from_layer_list(config, plan.layers, plan.inputs, plan.outputs)


def _compare(plan: LayerList, model: Any) -> None:
    """Raises CheckFailed unless hls4ml's model computes what was asked, with the reuse factors that were asked."""
    fix = "Change the model or the option that hls4ml overrode: fpgaflow does not go on with another design"
    made = normal_form(without_dead(from_hls4ml(model)), stream=plan.stream)
    if found := difference(plan.graph, made):
        raise CheckFailed(f"hls4ml layer '{found[0]}'", f"hls4ml changed it: {found[1]}", fix)
    for layer in model.get_layers():
        asked = plan.config["LayerName"].get(layer.name, {})
        for field, key in (("reuse_factor", "ReuseFactor"), ("strategy", "Strategy")):
            made = layer.get_attr(field)
            if key in asked and made is not None and str(made).lower() != str(asked[key]).lower():
                raise CheckFailed(f"hls4ml layer '{layer.name}'", f"{key} {asked[key]} became {made}", fix)


def _set_depths(model: Any) -> FifoDepths | None:
    """Makes the model's FIFOs as deep as they need to be, instead of a whole sample each."""
    if (dataflow := dataflow_of(model)) is None or (found := fifo_depths(dataflow)) is None:
        return None
    for name, fifo in found.fifos.items():
        variable = dataflow.streams[name].variable
        variable.pragma = (variable.pragma[0], fifo.depth)
    return found


def _written(model: Any, out: Path) -> dict[str, str]:
    """The project's files, without anything that differs from one run or machine to the next."""
    model.config.backend.writer.write_hls(model)
    (out / _CONFIG).write_text(yaml.safe_dump(_plain({**model.config.config, "OutputDir": "."})))
    return {path.relative_to(out).as_posix(): path.read_text() for path in sorted(out.rglob("*")) if path.is_file()}


def _plain(value: Any) -> Any:
    """The value in YAML's own types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
