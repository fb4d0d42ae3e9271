"""QKeras' quantisers as data: which levels each has, and what it makes of weights.

The arithmetic is that of qkeras/quantizers.py (0.9.0) at inference: float32, ties to even, no noise. One thing is left
out: QKeras returns x + (q - x), to pass gradients, which in float32 may miss q by a last digit; here it is q.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fpgaflow.frontend.refuse import refuse

_MAX_BITS, _MAX_EXPONENT = 32, 64


@dataclass(frozen=True)
class FixedQuantizer:
    """q = round(x / 2^exponent) within [low, high], ties to even; binary: -1 or +1 by sign, zero counting as positive;
    ternary: sign(x) where |x| reaches `threshold`, else 0. The value is q × 2^exponent.
    """

    bits: int
    signed: bool
    exponent: int
    low: int
    high: int
    binary: bool = False
    threshold: float | None = None

    @property
    def step(self) -> float:
        return 2.0**self.exponent

    def integers(self, x: np.ndarray) -> np.ndarray:
        """The codes of weights, float32."""
        x = x.astype(np.float32)
        if self.binary:
            return np.where(x >= 0, 1, -1).astype(np.int64)
        if self.threshold is not None:
            return (np.sign(x) * (np.abs(x) >= np.float32(self.threshold))).astype(np.int64)
        scaled = np.round(x * np.float32(2.0**-self.exponent))
        return np.clip(scaled, self.low, self.high).astype(np.int64)


def quantizer_of(where: str, given: Any) -> FixedQuantizer | None:
    """The quantiser that a layer's configuration gives, {"class_name": ..., "config": {...}} or text; None for none.

    Raises:
        RefusedNodeError: it is of unknown kind, or has settings that are not carried.
    """
    if given is None:
        return None
    name, settings = _parsed(where, given)
    make = _QUANTISERS.get(name)
    if make is None:
        refuse(where, f"its quantiser {name} is not carried", f"Use one of {', '.join(_QUANTISERS)}")
    for key, plain in _PLAIN.items():
        if settings.get(key, plain) not in (plain, float(plain)):
            refuse(where, f"its quantiser {name} has {key} = {settings[key]!r}", f"Use {key}={plain!r}")
    return make(where, settings)


_PLAIN = {"qnoise_factor": 1, "negative_slope": 0, "use_sigmoid": 0, "use_01": 0}  # what is carried of each


def _parsed(where: str, given: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(given, Mapping):
        name, config = given.get("class_name"), given.get("config", {})
        if not isinstance(name, str) or not isinstance(config, Mapping):
            refuse(where, f"its quantiser {given!r:.80} has no class_name", "Save the model again")
        return name.rsplit(">", 1)[-1], dict(config)
    try:
        call = ast.parse(str(given), mode="eval").body
        if isinstance(call, ast.Name):
            return call.id, {}
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError
        names = _POSITIONAL.get(call.func.id, ())
        settings = {name: ast.literal_eval(value) for name, value in zip(names, call.args, strict=False)}
        settings |= {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
        return call.func.id, settings
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        refuse(where, f"its quantiser '{str(given)[:80]}' cannot be read", "Write it as quantized_bits(8, 0, alpha=1)")


_POSITIONAL = {
    "quantized_bits": ("bits", "integer", "symmetric", "keep_negative", "alpha"),
    "quantized_relu": ("bits", "integer", "use_sigmoid", "negative_slope"),
    "binary": ("use_01", "alpha"),
    "ternary": ("alpha", "threshold"),
}


def _integer(where: str, settings: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
    found = settings.get(key, default)
    if not isinstance(found, int | float) or found != int(found) or not low <= found <= high:
        refuse(where, f"its quantiser has {key} = {found!r}", f"Give an integer from {low} to {high}")
    return int(found)


def _unscaled(where: str, settings: Mapping[str, Any]) -> None:
    if settings.get("alpha") not in (None, 1, 1.0):
        refuse(
            where,
            f"its quantiser has alpha = {settings['alpha']!r}, a scale that depends on the data",
            "Use alpha=1: a fixed-point type with no scale of its own",
        )


def _bits(where: str, settings: Mapping[str, Any]) -> FixedQuantizer:
    """quantized_bits: step 2^(integer - bits without sign); `symmetric` leaves out the lowest level."""
    _unscaled(where, settings)
    signed = bool(settings.get("keep_negative", True))
    bits = _integer(where, settings, "bits", 8, 1, _MAX_BITS)
    integer = _integer(where, settings, "integer", 0, -_MAX_EXPONENT, _MAX_EXPONENT)
    magnitude = bits - signed
    if magnitude == 0:
        return FixedQuantizer(1, True, 0, -1, 1, binary=True)
    narrow = int(bool(settings.get("symmetric", 0)))
    low = -(1 << magnitude) + narrow if signed else 0
    return FixedQuantizer(bits, signed, integer - magnitude, low, (1 << magnitude) - 1)


def _relu(where: str, settings: Mapping[str, Any]) -> FixedQuantizer:
    """quantized_relu: unsigned, step 2^(integer - bits); relu_upper_bound does nothing beside its default clipping."""
    bits = _integer(where, settings, "bits", 8, 1, _MAX_BITS)
    integer = _integer(where, settings, "integer", 0, -_MAX_EXPONENT, _MAX_EXPONENT)
    if not settings.get("is_quantized_clip", True):
        refuse(where, "its quantized_relu has is_quantized_clip=False", "Leave is_quantized_clip at its default")
    return FixedQuantizer(bits, False, integer - bits, 0, (1 << bits) - 1)


def _binary(where: str, settings: Mapping[str, Any]) -> FixedQuantizer:
    _unscaled(where, settings)
    return FixedQuantizer(1, True, 0, -1, 1, binary=True)


def _ternary(where: str, settings: Mapping[str, Any]) -> FixedQuantizer:
    _unscaled(where, settings)
    threshold = settings.get("threshold")
    if threshold is not None and not isinstance(threshold, int | float):
        refuse(where, f"its quantiser has threshold = {threshold!r}", "Give a number")
    return FixedQuantizer(2, True, 0, -1, 1, threshold=0.33 if threshold is None else float(threshold))


_QUANTISERS = {"quantized_bits": _bits, "quantized_relu": _relu, "binary": _binary, "ternary": _ternary}
