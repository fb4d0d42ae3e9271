"""A TFLite file under construction, by the schema that LiteRT carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_IDENTIFIER, _SCHEMA = b"TFL3", 3
_DTYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "int32": schema.TensorType.INT32,
}
_VERSIONS = {"FULLY_CONNECTED": 4, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "ADD": 2, "MAX_POOL_2D": 2, "TRANSPOSE": 2}
_OLD_CODES = 127  # what the field of the first schema holds


@dataclass(frozen=True)
class Scaled:
    """value = scale × (integer - zero); one scale for all, or one for each entry along an axis."""

    scale: tuple[float, ...]
    zero: int = 0
    axis: int = 0


class ModelFile:
    """Tensors and operators of the one subgraph; both are numbered."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._graph = schema.SubGraphT(tensors=[], operators=[], inputs=[], outputs=[], name="main")
        self._buffers = [schema.BufferT()]
        self._codes: list[str] = []

    def tensor(self, name: str, shape: Sequence[int], dtype: str, scaled: Scaled | None = None) -> int:
        """A tensor (batch, *shape)."""
        return self._tensor(name, (self._batch, *shape), dtype, scaled, 0)

    def constant(self, name: str, array: np.ndarray, scaled: Scaled | None = None) -> int:
        self._buffers.append(schema.BufferT(data=np.frombuffer(np.ascontiguousarray(array).tobytes(), dtype=np.uint8)))
        return self._tensor(name, array.shape, str(array.dtype), scaled, len(self._buffers) - 1)

    def _tensor(self, name: str, shape: Sequence[int], dtype: str, scaled: Scaled | None, buffer: int) -> int:
        made = schema.TensorT(shape=list(shape), type=_DTYPES[dtype], name=name, buffer=buffer)
        if scaled is not None:
            made.quantization = schema.QuantizationParametersT(
                scale=list(scaled.scale), zeroPoint=[scaled.zero] * len(scaled.scale), quantizedDimension=scaled.axis
            )
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def operator(self, kind: str, inputs: Sequence[int], output: int, options: Any = None) -> None:
        """An operator of the builtin `kind`; `options` are the schema's, or None."""
        if kind not in self._codes:
            self._codes.append(kind)
        made = schema.OperatorT(opcodeIndex=self._codes.index(kind), inputs=list(inputs), outputs=[output])
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            made.builtinOptionsType, made.builtinOptions = getattr(schema.BuiltinOptions, name), options
        self._graph.operators.append(made)

    def ports(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        self._graph.inputs, self._graph.outputs = list(inputs), list(outputs)

    def content(self) -> bytes:
        codes = []
        for kind in self._codes:
            code = getattr(schema.BuiltinOperator, kind)
            old = min(code, _OLD_CODES)
            version = _VERSIONS.get(kind, 1)
            codes.append(schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=old, version=version))
        model = schema.ModelT(
            version=_SCHEMA,
            operatorCodes=codes,
            subgraphs=[self._graph],
            buffers=self._buffers,
            description="fpgaflow",
        )
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
        return bytes(builder.Output())
