"""What the generated Triton kernels are made of: sums of products on matrix units, and exact integer arithmetic.

This file is copied in front of the generated kernels. All functions work on tiles: `row` (M,) counts samples times
places, `col` (N,) counts channels, values are int32 (M, N). Upper-case arguments are compile-time constants.
"""

# ruff: noqa: N803
# mypy: ignore-errors
import triton
import triton.language as tl


@triton.jit
def product(a, b, total, UNITS: tl.constexpr, SHIFTED: tl.constexpr):
    """total + a (M, K) × b (K, N). SHIFTED moves uint8 down by 128, into int8: the bias puts that back."""
    if SHIFTED:
        a = (a.to(tl.int32) - 128).to(tl.int8)
    if UNITS == "int8":
        total = tl.dot(a, b, total, out_dtype=tl.int32)
    elif UNITS == "fp16":
        total = tl.dot(a.to(tl.float16), b.to(tl.float16), total)
    elif UNITS == "fp8":  # e4m3
        total = tl.dot(a.to(tl.float16).to(tl.float8e4nv), b.to(tl.float16).to(tl.float8e4nv), total)
    else:
        total = tl.dot(a.to(tl.float32), b.to(tl.float32), total, input_precision="ieee")
    return total


@triton.jit
def zeros(M: tl.constexpr, N: tl.constexpr, UNITS: tl.constexpr):
    return tl.zeros((M, N), dtype=tl.int32 if UNITS == "int8" else tl.float32)


@triton.jit
def dense_sum(
    x,
    weights,
    row,
    col,
    rows,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    TERMS: tl.constexpr,
    PITCH: tl.constexpr,
    UNITS: tl.constexpr,
    SHIFTED: tl.constexpr,
):
    """Products of x (rows, TERMS) and weights (columns, PITCH), which zeros fill up."""
    total = zeros(M, N, UNITS)
    for start in range(0, PITCH, K):
        k = start + tl.arange(0, K)
        inside = (row < rows)[:, None] & (k < TERMS)[None, :]
        a = tl.load(x + row[:, None] * TERMS + k[None, :], mask=inside, other=0)
        b = tl.load(weights + col[None, :] * PITCH + k[:, None])
        total = product(a, b, total, UNITS, SHIFTED)
    return total.to(tl.int32)


@triton.jit
def conv_sum(
    x,
    weights,
    row,
    col,
    rows,
    first,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    TERMS: tl.constexpr,
    PITCH: tl.constexpr,
    UNITS: tl.constexpr,
    SHIFTED: tl.constexpr,
    SOURCE: tl.constexpr,
    PLACES: tl.constexpr,
    KERNEL: tl.constexpr,
    STRIDES: tl.constexpr,
    DILATIONS: tl.constexpr,
    PADDING: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """A convolution as an implicit matrix product over (taps, CHANNELS).

    x is (N, *SOURCE) with SOURCE = (height, width, all channels); `first` is the first channel of the group, CHANNELS
    their number. PLACES is (height, width) of the result, PADDING what goes before.
    """
    sample, place = row // (PLACES[0] * PLACES[1]), row % (PLACES[0] * PLACES[1])
    top = place // PLACES[1] * STRIDES[0] - PADDING[0]
    left = place % PLACES[1] * STRIDES[1] - PADDING[1]
    total = zeros(M, N, UNITS)
    for start in range(0, PITCH, K):
        k = start + tl.arange(0, K)
        if CHANNELS % K == 0:  # one tap at a time, its channels side by side
            tap = start // CHANNELS + tl.zeros((K,), tl.int32)
            channel = start % CHANNELS + tl.arange(0, K)
        else:
            tap, channel = k // CHANNELS, k % CHANNELS
        y = top[:, None] + (tap // KERNEL[1] * DILATIONS[0])[None, :]
        z = left[:, None] + (tap % KERNEL[1] * DILATIONS[1])[None, :]
        inside = (row < rows)[:, None] & (k < TERMS)[None, :]
        inside = inside & (y >= 0) & (y < SOURCE[0]) & (z >= 0) & (z < SOURCE[1])
        at = ((sample[:, None] * SOURCE[0] + y) * SOURCE[1] + z) * SOURCE[2] + first + channel[None, :]
        a = tl.load(x + at, mask=inside, other=0)
        b = tl.load(weights + col[None, :] * PITCH + k[:, None])
        total = product(a, b, total, UNITS, SHIFTED)
    return total.to(tl.int32)


@triton.jit
def depthwise_sum(
    x,
    weights,
    row,
    col,
    rows,
    M: tl.constexpr,
    N: tl.constexpr,
    PITCH: tl.constexpr,
    SOURCE: tl.constexpr,
    PLACES: tl.constexpr,
    KERNEL: tl.constexpr,
    STRIDES: tl.constexpr,
    DILATIONS: tl.constexpr,
    PADDING: tl.constexpr,
):
    """One filter for each channel: weights (taps, PITCH), multiplied in int32."""
    sample, place = row // (PLACES[0] * PLACES[1]), row % (PLACES[0] * PLACES[1])
    top = place // PLACES[1] * STRIDES[0] - PADDING[0]
    left = place % PLACES[1] * STRIDES[1] - PADDING[1]
    total = tl.zeros((M, N), dtype=tl.int32)
    for tap in range(0, KERNEL[0] * KERNEL[1]):
        y, z = top + tap // KERNEL[1] * DILATIONS[0], left + tap % KERNEL[1] * DILATIONS[1]
        inside = (row < rows) & (y >= 0) & (y < SOURCE[0]) & (z >= 0) & (z < SOURCE[1])
        at = ((sample * SOURCE[0] + y) * SOURCE[1] + z)[:, None] * SOURCE[2] + col[None, :]
        a = tl.load(x + at, mask=inside[:, None] & (col < SOURCE[2])[None, :], other=0).to(tl.int32)
        total += a * tl.load(weights + tap * PITCH + col).to(tl.int32)[None, :]
    return total


@triton.jit
def pooled(
    x,
    row,
    col,
    rows,
    M: tl.constexpr,
    N: tl.constexpr,
    SOURCE: tl.constexpr,
    PLACES: tl.constexpr,
    SIZE: tl.constexpr,
    STRIDES: tl.constexpr,
    PADDING: tl.constexpr,
    MAXIMUM: tl.constexpr,
):
    """The sum, or the maximum, over the window of each place; padding adds zeros."""
    sample, place = row // (PLACES[0] * PLACES[1]), row % (PLACES[0] * PLACES[1])
    top = place // PLACES[1] * STRIDES[0] - PADDING[0]
    left = place % PLACES[1] * STRIDES[1] - PADDING[1]
    total = tl.full((M, N), -2147483648 if MAXIMUM else 0, dtype=tl.int32)
    for tap in range(0, SIZE[0] * SIZE[1]):
        y, z = top + tap // SIZE[1], left + tap % SIZE[1]
        inside = (row < rows) & (y >= 0) & (y < SOURCE[0]) & (z >= 0) & (z < SOURCE[1])
        at = ((sample * SOURCE[0] + y) * SOURCE[1] + z)[:, None] * SOURCE[2] + col[None, :]
        a = tl.load(x + at, mask=inside[:, None] & (col < SOURCE[2])[None, :], other=0).to(tl.int32)
        total = tl.maximum(total, a) if MAXIMUM else total + a
    return total


@triton.jit
def rounded(x, DROP: tl.constexpr, MODE: tl.constexpr):
    """x × 2^-DROP, 0 < DROP < 31: the floor, and one more where the rest says so (ap_fixed's quantisation modes)."""
    floor, rest = x >> DROP, x & ((1 << DROP) - 1)
    half: tl.constexpr = 1 << (DROP - 1)
    if MODE == "TRN":
        up = rest < 0
    elif MODE == "TRN_ZERO":
        up = (x < 0) & (rest > 0)
    elif MODE == "RND":
        up = rest >= half
    elif MODE == "RND_MIN_INF":
        up = rest > half
    elif MODE == "RND_INF":
        up = (rest > half) | ((rest == half) & (x >= 0))
    elif MODE == "RND_ZERO":
        up = (rest > half) | ((rest == half) & (x < 0))
    else:  # RND_CONV
        up = (rest > half) | ((rest == half) & ((floor & 1) == 1))
    return floor + up.to(tl.int32)


@triton.jit
def fitted(x, LOW: tl.constexpr, HIGH: tl.constexpr, MODE: tl.constexpr):
    """x brought into [LOW, HIGH] (ap_fixed's overflow modes)."""
    if MODE == "WRAP":
        x = ((x - LOW) & (HIGH - LOW)) + LOW  # a power of two of integers
    elif MODE == "SAT_ZERO":
        x = tl.where((x < LOW) | (x > HIGH), 0, x)
    else:
        x = tl.minimum(tl.maximum(x, LOW), HIGH)
    return x


@triton.jit
def counted(x, edges, index, LEVELS: tl.constexpr):
    """How many of edges[index, :] (…, LEVELS), ascending, each x reaches."""
    count = tl.zeros_like(x)
    for level in tl.static_range(LEVELS):
        count += (x >= tl.load(edges + index * LEVELS + level)).to(tl.int32)
    return count


@triton.jit
def searched(x, edges, index, LEVELS: tl.constexpr, STEPS: tl.constexpr):
    """What `counted` counts, by halving: 2^STEPS > LEVELS."""
    count = tl.zeros_like(x)
    for step in tl.static_range(STEPS):
        next = count + (1 << (STEPS - 1 - step))
        edge = tl.load(edges + index * LEVELS + next - 1, mask=next <= LEVELS, other=2147483647)
        count = tl.where((next <= LEVELS) & (x >= edge), next, count)
    return count


@triton.jit
def along_line(x, slope, intercept, LEVELS: tl.constexpr):
    """Thresholds that lie on a straight line; proven for every integer, however the two steps are rounded."""
    straight = tl.floor(x.to(tl.float32) * slope + intercept)
    return tl.minimum(tl.maximum(straight, 0.0), LEVELS * 1.0).to(tl.int32)


@triton.jit
def nearest(y, MODE: tl.constexpr):
    """Reals rounded to whole float32 (ap_fixed's quantisation modes); the rest of a magnitude is exact."""
    size = tl.abs(y)
    whole = tl.floor(size)
    rest = size - whole
    if MODE == "TRN":
        up = (y < 0) & (rest > 0)
    elif MODE == "TRN_ZERO":
        up = rest > 1.0
    elif MODE == "RND":
        up = (rest > 0.5) | ((rest == 0.5) & (y >= 0))
    elif MODE == "RND_MIN_INF":
        up = (rest > 0.5) | ((rest == 0.5) & (y < 0))
    elif MODE == "RND_INF":
        up = rest >= 0.5
    elif MODE == "RND_ZERO":
        up = rest > 0.5
    else:  # RND_CONV: ties to even
        up = (rest > 0.5) | ((rest == 0.5) & (whole - 2.0 * tl.floor(whole * 0.5) == 1.0))
    whole += up.to(tl.float32)
    return tl.where(y < 0, -whole, whole)


@triton.jit
def quantised(x, GAIN: tl.constexpr, OFFSET: tl.constexpr, LOW: tl.constexpr, HIGH: tl.constexpr, MODE: tl.constexpr):
    """The saturating quantiser at the border: clamped first, so that what is rounded is small."""
    y = x * GAIN
    if OFFSET != 0.0:
        y = y + OFFSET
    y = tl.minimum(tl.maximum(y, LOW * 1.0), HIGH * 1.0)
    return nearest(y, MODE).to(tl.int32)


@triton.jit
def quantised_round(
    x,
    GAIN: tl.constexpr,
    OFFSET: tl.constexpr,
    LOW: tl.constexpr,
    HIGH: tl.constexpr,
    ROUNDING: tl.constexpr,
    OVERFLOW: tl.constexpr,
):
    """The quantiser at the border that wraps, or zeroes, what lies beyond [LOW, HIGH]."""
    y = x * GAIN
    if OFFSET != 0.0:
        y = y + OFFSET
    whole = nearest(y, ROUNDING)
    if OVERFLOW == "SAT_ZERO":
        whole = tl.where((whole < LOW) | (whole > HIGH), 0.0, whole)
    else:
        whole -= tl.floor((whole - LOW) * (1.0 / (HIGH - LOW + 1))) * (HIGH - LOW + 1)  # each step exact
    return whole.to(tl.int32)
