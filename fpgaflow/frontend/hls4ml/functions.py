"""The functions that hls4ml tabulates, in C++'s arithmetic: float32, and double wherever a double constant stands."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import numpy as np

from fpgaflow.frontend.hls4ml.tables import Floats, c_float32, sigmoid, tanh

__all__ = ["elu", "exponential", "selu", "sigmoid", "softplus", "softsign", "tanh"]


def exponential(x: Floats) -> Floats:
    """std::exp of a float."""
    return c_float32("expf", x)


def _double(x: Floats) -> np.ndarray:
    return x.astype(np.float64)


def softplus(x: Floats) -> Floats:
    """nnet_activation.h, softplus_fcn_float."""
    sums = _double(exponential(x)) + 1.0
    return np.array([_c_log()(value) for value in sums.tolist()]).astype(np.float32)


@cache
def _c_log() -> Callable[[float], float]:
    function = ctypes.CDLL(None).log
    function.argtypes, function.restype = [ctypes.c_double], ctypes.c_double
    return function


def softsign(x: Floats) -> Floats:
    """nnet_activation.h, softsign_fcn_float."""
    return (_double(x) / (_double(np.abs(x)) + 1.0)).astype(np.float32)


def elu(x: Floats) -> Floats:
    """nnet_activation.h, elu_fcn_float."""
    return (_double(exponential(x)) - 1.0).astype(np.float32)


def selu(x: Floats) -> Floats:
    """nnet_activation.h, selu_fcn_float."""
    inner = 1.6732632423543772848170429916717 * (_double(exponential(x)) - 1.0)
    return (1.0507009873554804934193349852946 * inner).astype(np.float32)
