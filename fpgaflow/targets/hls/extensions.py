"""Ops that hls4ml lacks, as hls4ml extensions: a layer class, its code templates and its HLS source for each.

The layers' attributes come from extension_rows.py, and frontend/hls4ml/extensions.py reads them back. Numbers that
are no types are plain integers; a constant's shape says how many entries there are.
"""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

from hls4ml.backends import get_backend
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.model.attributes import Attribute, TypeAttribute, WeightAttribute
from hls4ml.model.layers import Layer, layer_map, register_layer

from fpgaflow.data import data_dir


def _attributes(*names: str, constants: tuple[str, ...] = (), types: tuple[str, ...] = ()) -> list[Attribute]:
    """Numbers by name, constants with their types, and further types."""
    numbers = [Attribute(name) for name in names]
    return numbers + [WeightAttribute(name) for name in constants] + [TypeAttribute(t) for t in (*constants, *types)]


class _Extension(Layer):  # type: ignore[misc]
    """`_constants` are those that the layer's function takes, in its order."""

    _constants: ClassVar[tuple[str, ...]] = ()

    def initialize(self) -> None:
        self.add_output_variable(self._shape())
        for name in self._constants:
            self.add_weights_variable(name=name, var_name=f"{name}{{index}}")

    def _shape(self) -> list[int]:
        return list(self.get_input_variable().shape)


class FpgaflowThreshold(_Extension):
    """Threshold: `threshold` is (channels, levels), `sign` (channels,), 1 where the input is negated."""

    _constants = ("threshold", "sign")
    _expected_attributes: ClassVar = _attributes("n_inner", "offset", "step", "search", constants=_constants)


class FpgaflowIndexMap(_Extension):
    """IndexMap: the tables and numbers of `index_map.BeatTables`; `value` is an integer of the input's type."""

    _constants = ("outer", "inner", "arrivals")
    _expected_attributes: ClassVar = _attributes(
        "value", "in_size", "depth", "banks", "steps", "serial", constants=_constants
    )

    def _shape(self) -> list[int]:
        return list(self.get_attr("target_shape"))


class FpgaflowLookup(_Extension):
    """Lookup, or an Embed where `n_columns` is not 0: `table` is (rows,) or (rows, columns), from input `low` on."""

    _constants = ("table",)
    _expected_attributes: ClassVar = _attributes("low", "n_columns", constants=_constants)

    def _shape(self) -> list[int]:
        columns = self.get_attr("n_columns")
        return super()._shape() + ([columns] if columns else [])


class FpgaflowPiecewise(_Extension):
    """Piecewise: `slope` and `offset` are (rows, pieces), for the elements in turn; `knot` (pieces - 1,), or zeros."""

    _constants = ("knot", "slope", "offset")
    _expected_attributes: ClassVar = _attributes("n_pieces", constants=_constants)


class FpgaflowMatMul(_Extension):
    """MatMul of two inputs; `accum` holds every sum."""

    _expected_attributes: ClassVar = _attributes(types=("accum",))

    def _shape(self) -> list[int]:
        left, right = (self.get_input_variable(name).shape for name in self.inputs)
        return [*left[:-1], right[-1]]


class FpgaflowOneHotMax(_Extension):
    """OneHotMax."""


def _threshold(node: Any) -> dict[str, Any]:
    channels, levels = node.get_weights("threshold").shape
    return {"n_channels": channels, "n_levels": levels}


def _index_map(node: Any) -> dict[str, Any]:
    in_size, arrivals = node.get_attr("in_size"), node.get_weights("arrivals").shape[0]
    outer, inner = (node.get_weights(key).shape[0] for key in ("outer", "inner"))
    out_size = node.get_output_variable().size() // (arrivals - 1)
    return {
        "in_beats": node.get_input_variable().size() // in_size,
        "out_beats": arrivals - 1,
        "out_size": out_size,
        "n_outer": outer,
        "n_inner": inner,
    }


def _lookup(node: Any) -> dict[str, Any]:
    return {"n_rows": node.get_weights("table").shape[0], "n_columns": node.get_attr("n_columns") or 1}


def _piecewise(node: Any) -> dict[str, Any]:
    return {"n_rows": node.get_weights("slope").shape[0]}


def _matmul(node: Any) -> dict[str, Any]:
    left, right = (node.get_input_variable(name).shape for name in node.inputs)
    return {"n_batch": prod(left[:-2]), "n_rows": left[-2], "n_inner": left[-1], "n_columns": right[-1]}


def _one_hot_max(node: Any) -> dict[str, Any]:
    return {"n_classes": node.get_output_variable().shape[-1]}


_FUNCTIONS = {  # of the HLS source nnet_<name>.h, and what its configuration has beside the attributes
    FpgaflowThreshold: ("threshold", _threshold),
    FpgaflowIndexMap: ("index_map", _index_map),
    FpgaflowLookup: ("lookup", _lookup),
    FpgaflowPiecewise: ("piecewise", _piecewise),
    FpgaflowMatMul: ("matmul", _matmul),
    FpgaflowOneHotMax: ("one_hot_max", _one_hot_max),
}


def _config(kind: type[_Extension], node: Any) -> str:
    """A struct with every number, and every type but the result's."""
    name, extra = _FUNCTIONS[kind]
    numbers = {"n_in": node.get_input_variable().size(), "reuse_factor": node.get_attr("reuse_factor")}
    numbers |= {a.name: node.get_attr(a.name) for a in kind._expected_attributes if type(a) is Attribute}
    types = [a.name for a in kind._expected_attributes if isinstance(a, TypeAttribute)]
    lines = [f"    static const long long {key} = {value};" for key, value in (numbers | extra(node)).items()]
    lines += [f"    typedef {node.get_attr(key).name} {key};" for key in types]
    return "\n".join([f"struct config{node.index} : nnet::{name}_config {{", *lines, "};\n"])


def _call(kind: type[_Extension], node: Any) -> str:
    name = _FUNCTIONS[kind][0] + ("_serial" if node.get_attr("serial", 0) else "")
    inputs = [node.get_input_variable(source) for source in node.inputs]
    types = ", ".join(variable.type.name for variable in (*inputs, node.get_output_variable()))
    arguments = [*inputs, node.get_output_variable(), *(node.get_weights(key) for key in kind._constants)]
    return f"nnet::{name}<{types}, config{node.index}>({', '.join(a.name for a in arguments)});"


def _templates(kind: type[_Extension]) -> tuple[type, type]:
    class Config(LayerConfigTemplate):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(kind)

        def format(self, node: Any) -> str:
            return _config(kind, node)

    class Call(FunctionCallTemplate):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(kind, include_header=[f"nnet_utils/nnet_{_FUNCTIONS[kind][0]}.h"])

        def format(self, node: Any) -> str:
            return _call(kind, node)

    return Config, Call


def register(backend_name: str) -> None:
    """Makes the extensions known to hls4ml's backend of that name; again is harmless."""
    backend = get_backend(backend_name)
    for kind, (name, _) in _FUNCTIONS.items():
        if kind.__name__ in layer_map:
            continue
        register_layer(kind.__name__, kind)
        for template in _templates(kind):
            template.__name__ = f"{kind.__name__}{template.__name__}"
            backend.register_template(template)
        backend.register_source(data_dir("hls_templates") / "nnet_utils" / f"nnet_{name}.h")
