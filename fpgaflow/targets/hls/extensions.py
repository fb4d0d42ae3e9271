"""Ops that hls4ml lacks, as hls4ml extensions: a layer class, its code templates and its HLS source."""

from __future__ import annotations

from typing import Any, ClassVar

from hls4ml.backends import get_backend
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.model.attributes import Attribute, TypeAttribute, WeightAttribute
from hls4ml.model.layers import Layer, layer_map, register_layer

from fpgaflow.data import data_dir


class FpgaflowThreshold(Layer):  # type: ignore[misc]
    """The graph's Threshold: `threshold` is (channels, levels), `sign` (channels,), 1 where the input is negated."""

    _expected_attributes: ClassVar = [
        Attribute("n_in"),
        Attribute("n_inner"),
        Attribute("offset"),
        Attribute("step"),
        WeightAttribute("threshold"),
        WeightAttribute("sign"),
        TypeAttribute("threshold"),
        TypeAttribute("sign"),
    ]

    def initialize(self) -> None:
        variable = self.get_input_variable()
        self.set_attr("n_in", variable.size())
        self.add_output_variable(variable.shape)
        self.add_weights_variable(name="threshold", var_name="t{index}")
        self.add_weights_variable(name="sign", var_name="s{index}")


_CONFIG = """struct config{index} : nnet::threshold_config {{
    static const unsigned n_in = {n_in};
    static const unsigned n_levels = {n_levels};
    static const unsigned n_channels = {n_channels};
    static const unsigned n_inner = {n_inner};
    static const long long offset = {offset};
    static const long long step = {step};
    static const unsigned reuse_factor = {reuse};
    typedef {threshold_t.name} threshold_t;
    typedef {sign_t.name} sign_t;
}};\n"""
_CALL = "nnet::threshold<{input_t}, {output_t}, {config}>({input}, {output}, {thresholds}, {signs});"


class _ThresholdConfig(LayerConfigTemplate):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(FpgaflowThreshold)

    def format(self, node: Any) -> str:
        channels, levels = node.get_weights("threshold").shape
        return _CONFIG.format(**self._default_config_params(node), n_channels=channels, n_levels=levels)


class _ThresholdCall(FunctionCallTemplate):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(FpgaflowThreshold, include_header=["nnet_utils/nnet_threshold.h"])

    def format(self, node: Any) -> str:
        names = {"thresholds": node.get_weights("threshold").name, "signs": node.get_weights("sign").name}
        return _CALL.format(**self._default_function_params(node), **names)


def register(backend_name: str) -> None:
    """Makes the extensions known to hls4ml's backend of that name; again is harmless."""
    if FpgaflowThreshold.__name__ in layer_map:
        return
    register_layer(FpgaflowThreshold.__name__, FpgaflowThreshold)
    backend = get_backend(backend_name)
    backend.register_template(_ThresholdConfig)
    backend.register_template(_ThresholdCall)
    backend.register_source(data_dir("hls_templates") / "nnet_utils" / "nnet_threshold.h")
