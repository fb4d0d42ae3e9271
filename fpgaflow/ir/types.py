"""Number formats of the integer graph: what a tensor's integers mean, and how a cast maps values onto them.

Semantics follow AMD's ap_fixed (Vitis HLS user guide UG1399, "Arbitrary Precision Fixed-Point Data Types").
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Rounding(Enum):
    """What a cast does with fraction bits that do not fit (ap_fixed quantisation modes)."""

    TRN = "TRN"  # toward minus infinity
    TRN_ZERO = "TRN_ZERO"  # toward zero
    RND = "RND"  # nearest, ties toward plus infinity
    RND_ZERO = "RND_ZERO"  # nearest, ties toward zero
    RND_INF = "RND_INF"  # nearest, ties away from zero
    RND_MIN_INF = "RND_MIN_INF"  # nearest, ties toward minus infinity
    RND_CONV = "RND_CONV"  # nearest, ties to even


class Overflow(Enum):
    """What a cast does with values outside the range (ap_fixed overflow modes)."""

    WRAP = "WRAP"  # keep the low bits
    SAT = "SAT"  # clamp to the range
    SAT_ZERO = "SAT_ZERO"  # becomes zero
    SAT_SYM = "SAT_SYM"  # clamp to the range without the most negative value


@dataclass(frozen=True, order=True)
class FixedType:
    """A fixed-point format: value = integer × 2^-fraction, the integer having `width` bits in all.

    `fraction` may be negative or exceed `width`, as in ap_fixed. `width` of a signed type includes the sign.
    """

    signed: bool
    width: int
    fraction: int

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"a fixed-point type needs at least 1 bit, got {self.width}")

    @property
    def low(self) -> int:
        """Smallest integer."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest integer."""
        return (1 << (self.width - 1 if self.signed else self.width)) - 1

    @property
    def integer_bits(self) -> int:
        """Bits left of the binary point, the sign included: the I of ap_fixed<W, I>."""
        return self.width - self.fraction

    @property
    def scale(self) -> float:
        """Value of one unit in the last place."""
        return float(2.0**-self.fraction)

    def __str__(self) -> str:
        return f"{'fixed' if self.signed else 'ufixed'}<{self.width},{self.integer_bits}>"


def type_for(low: int, high: int, fraction: int) -> FixedType:
    """The narrowest type that holds every integer of [low, high]; unsigned exactly when low is not negative.

    >>> type_for(-8, 7, 2)
    FixedType(signed=True, width=4, fraction=2)
    >>> type_for(0, 255, 8)
    FixedType(signed=False, width=8, fraction=8)
    """
    if low > high:
        raise ValueError(f"empty range [{low}, {high}]")
    if low >= 0:
        return FixedType(False, max(1, high.bit_length()), fraction)
    return FixedType(True, max((-low - 1).bit_length(), high.bit_length()) + 1, fraction)
