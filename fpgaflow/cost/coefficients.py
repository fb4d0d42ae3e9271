"""Coefficients of `hls_layers.py`, as `python benchmarks/estimates.py --fit` prints them from all reports.

They weigh what C synthesis reports. The last two are what Vivado made of such figures: LUTs 0.45, 0.50, 0.53 and 0.60
times, flip-flops 0.30, 0.70 and 0.83 times, in hls4ml designs that have both reports (docs/estimates.md).
"""

COEFFICIENTS: dict[str, tuple[float, ...]] = {
    "constant.ff": (0.9467,),
    "constant.lut": (1.153,),
    "folded.ff": (1.123,),
    "folded.lut": (1.126,),
    "padding.ff": (26.91,),
    "padding.lut": (137.9, 44.0),
    "pool.ff": (1003.0, 8.061, 4.291),
    "pool.lut": (538.2, 77.63, 3.664),
    "relu.vitis.ff": (230.8, 0.000314),
    "relu.vitis.lut": (189.7, 1.0, 3.998),
    "relu.vivado.ff": (13.97, 0.0),
    "relu.vivado.lut": (98.29, 1.174, 6.244),
}
LUT_AFTER_SYNTHESIS = 0.6  # the most that any of them kept
FF_AFTER_SYNTHESIS = 0.85
