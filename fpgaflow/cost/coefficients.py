"""Coefficients of LUTs in `hls_layers.py`, as `python benchmarks/estimates.py --fit` prints them from all reports.

They weigh what C synthesis reports. The last two are what Vivado made of such figures: LUTs 0.45, 0.50, 0.53 and 0.60
times, flip-flops 0.30, 0.70 and 0.83 times, in hls4ml designs that have both reports (docs/estimates.md).
"""

COEFFICIENTS: dict[str, tuple[float, ...]] = {
    "constant.lut": (1.153,),
    "encoded_pool.lut": (518.7, 79.32, 3.592),
    "folded.lut": (1.06,),
    "padding.lut": (137.9, 44.0),
    "pool.lut": (518.0, 0.0, 6.234),
    "relu.vitis.lut": (189.7, 1.0, 3.998),
    "relu.vivado.lut": (127.5, 1.061, 6.202),
}
LUT_AFTER_SYNTHESIS = 0.6  # the most that any of them kept
FF_AFTER_SYNTHESIS = 0.85
