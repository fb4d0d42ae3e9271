"""Runs a compiled C simulation over raw float64 files; a process of its own, so that a crash stays in it.

Started as a script, with: library, function, samples, then `i` or `o` and `PATH=ELEMENTS` for each port in order.
"""

import ctypes
import sys
from pathlib import Path

import numpy as np

_REPORT_EVERY = 64  # samples


def main(library: str, function: str, samples: str, *ports: str) -> None:
    top = getattr(ctypes.CDLL(str(Path(library).resolve())), function)
    top.restype = None
    arrays, results = [], []
    for kind, port in zip(ports[::2], ports[1::2], strict=True):
        path, elements = port.rsplit("=", 1)
        if kind == "i":
            array = np.fromfile(path).reshape(int(samples), int(elements))
        else:
            array = np.zeros((int(samples), int(elements)))
            results.append((path, array))
        arrays.append(array)
    for sample in range(int(samples)):
        top(*(array[sample].ctypes.data_as(ctypes.c_void_p) for array in arrays))
        if (sample + 1) % _REPORT_EVERY == 0:
            sys.stdout.write(f"{sample + 1}\n")
            sys.stdout.flush()
    for path, array in results:
        array.tofile(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
