"""Integers as canonical signed digits: the fewest non-zero digits of -1, 0 and 1, no two of them side by side.

Reitwiesner, "Binary arithmetic", Advances in Computers 1 (1960).
"""

from __future__ import annotations

import numpy as np


def signed_digits(value: int) -> list[tuple[int, int]]:
    """(place, sign) of each non-zero digit, the lowest place first: value = sum of sign × 2^place.

    >>> signed_digits(7)
    [(0, -1), (3, 1)]
    >>> signed_digits(-6)
    [(1, 1), (3, -1)]
    """
    found = []
    place = 0
    while value:
        if value & 1:
            sign = 2 - (value & 3)  # 1 where the digit above is 0, -1 where it is 1
            found.append((place, sign))
            value -= sign
        value >>= 1
        place += 1
    return found


def digit_count(matrix: np.ndarray) -> int:
    """Digits of all numbers of a matrix."""
    values, counts = np.unique(matrix, return_counts=True)
    return sum(len(signed_digits(int(v))) * int(n) for v, n in zip(values, counts, strict=True))
