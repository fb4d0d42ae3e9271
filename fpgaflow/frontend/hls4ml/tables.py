"""The tables that hls4ml's C++ fills at start-up, in its own float32 and by the C library that it would call."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from fpgaflow.frontend.hls4ml.reader import AP_INTS, fixed_type
from fpgaflow.ir.graph import Input, Ints
from fpgaflow.ir.types import FixedType
from fpgaflow.sim.fixed_point import limits, quantise

Floats = np.ndarray  # float32

REACH = {"sigmoid": 8, "tanh": 4}  # a table covers the inputs from -REACH to REACH


def c_float32(name: str, x: Floats) -> Floats:
    """A float32 function of the C library, as `expf`: other libraries round some of its results otherwise."""
    function = _c_function(name)
    return np.array([function(value) for value in x.ravel().tolist()], dtype=np.float32).reshape(x.shape)


@cache
def _c_function(name: str) -> Callable[[float], float]:
    function = getattr(ctypes.CDLL(None), name)
    function.argtypes, function.restype = [ctypes.c_float], ctypes.c_float
    return function


def table_inputs(size: int, reach: int) -> Floats:
    """What hls4ml's float tables of `size` entries are computed at (nnet_activation.h: in_val)."""
    return (2.0 * reach * (np.arange(size) - size / 2.0) / size).astype(np.float32)


def sigmoid(x: Floats) -> Floats:
    """nnet_activation.h, sigmoid_fcn_float."""
    return (1.0 / (np.float32(1) + c_float32("expf", -x)).astype(np.float64)).astype(np.float32)


def tanh(x: Floats) -> Floats:
    """nnet_activation.h, init_tanh_table: float32's tanh, although its name is written without std."""
    return c_float32("tanhf", x)


def activation_table(function: str, size: int, precision: Any) -> tuple[Ints, FixedType]:
    """The table of "sigmoid" or "tanh" (nnet_activation.h): its integers, in the hls4ml type `precision`."""
    floats = {"sigmoid": sigmoid, "tanh": tanh}[function](table_inputs(size, REACH[function]))
    return table_integers(floats, precision)


def table_integers(floats: Floats, precision: Any) -> tuple[Ints, FixedType]:
    """Float entries in the table's type, which rounds and saturates by its modes."""
    type_, rounding, overflow = fixed_type(precision)
    gain = Fraction(2) ** type_.fraction
    low, high = limits(type_, overflow)
    ap_int = isinstance(precision, AP_INTS)
    port = Input("table", "table", gain, Fraction(0), rounding, overflow, low, high, ap_int)
    return quantise(floats, port, type_), type_
