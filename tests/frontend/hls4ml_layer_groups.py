"""Groups of hls4ml layers of one family, in many types and settings, for one compile each."""

from __future__ import annotations

from typing import Any

import numpy as np
from hls4ml.model.quantizers import BinaryQuantizer, TernaryQuantizer
from hls4ml.model.types import IntegerPrecisionType, XnorPrecisionType

from tests.frontend.hls4ml_nets import Net

SOURCES = ["ap_fixed<8,3>", "ap_fixed<6,0>", "ap_ufixed<5,1>"]
ACCUMULATORS = [
    "ap_fixed<10,4>",
    "ap_fixed<8,3,AP_RND,AP_SAT>",
    "ap_fixed<7,3,AP_RND_CONV,AP_WRAP>",
    "ap_fixed<9,3,AP_TRN,AP_SAT_SYM>",
    "ap_int<5>",
    "ap_fixed<6,3,AP_TRN_ZERO,AP_SAT_ZERO>",
    "ap_ufixed<9,4,AP_RND_MIN_INF,AP_SAT>",
    "ap_fixed<40,20,AP_RND,AP_SAT>",
]
RESULTS = ["ap_fixed<9,4,AP_RND,AP_SAT>", "ap_int<4>"]
WEIGHTS = ["ap_fixed<6,2>", "ap_int<2>", "ap_fixed<5,0>", "ap_uint<3>"]
Types = dict[str, Any]


def linear_types(k: int, **more: Any) -> Types:
    """The k-th mixture of types: accumulators that round or saturate, weights that are ternary, integers."""
    return {
        "weight": WEIGHTS[k % 4],
        "bias": "ap_fixed<9,3,AP_RND,AP_SAT>",
        "accum": ACCUMULATORS[k % 8],
        "result": RESULTS[k % 2],
        **more,
    }


def strategies(net: Net, few: bool) -> list[dict[str, Any]]:
    folded = [("Resource", 2)] if few else [("Resource", 1), ("Resource", 2), ("Resource", 3)]
    return [{"Strategy": s, "ReuseFactor": r} for s, r in (("Latency", 1), *folded)]


def window2d(
    shape: tuple[int, int, int], size: tuple[int, int], strides: tuple[int, int], pads: tuple[int, int, int, int]
) -> dict[str, Any]:
    """Where a convolution's taps lie."""
    height, width, channels = shape
    out = (height + sum(pads[:2]) - size[0]) // strides[0] + 1, (width + sum(pads[2:]) - size[1]) // strides[1] + 1
    return {
        "data_format": "channels_last",
        **{"in_height": height, "in_width": width, "n_chan": channels, "out_height": out[0], "out_width": out[1]},
        **{"filt_height": size[0], "filt_width": size[1], "stride_height": strides[0], "stride_width": strides[1]},
        **dict(zip(("pad_top", "pad_bottom", "pad_left", "pad_right"), pads, strict=True)),
    }


def window1d(shape: tuple[int, int], size: int, stride: int, pads: tuple[int, int]) -> dict[str, Any]:
    width, channels = shape
    return {
        "data_format": "channels_last",
        **{"in_width": width, "n_chan": channels, "filt_width": size, "stride_width": stride},
        **{"out_width": (width + sum(pads) - size) // stride + 1, "pad_left": pads[0], "pad_right": pads[1]},
    }


def conv2d(
    net: Net,
    name: str,
    x: str,
    shape: tuple[int, int, int],
    filters: int,
    size: tuple[int, int],
    types: Types,
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    **rest: Any,
) -> str:
    attributes = {
        **window2d(shape, size, strides, pads),
        **{"n_filt": filters, "bias_data": net.numbers(filters)},
        "weight_data": net.numbers(*size, shape[-1], filters) * 1.5,
    }
    return net.add("Conv2D", name, x, types, **{**attributes, **rest})


def depthwise2d(
    net: Net,
    name: str,
    x: str,
    shape: tuple[int, int, int],
    size: tuple[int, int],
    types: Types,
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> str:
    channels = shape[-1]
    data = {"depthwise_data": net.numbers(*size, channels, 1) * 1.5, "bias_data": net.numbers(channels)}
    data |= {"n_filt": channels}
    net.add("DepthwiseConv2D", name, x, types, **window2d(shape, size, strides, pads), **data)
    return name


def depthwise1d(
    net: Net,
    name: str,
    x: str,
    shape: tuple[int, int],
    size: int,
    types: Types,
    stride: int = 1,
    pads: tuple[int, int] = (0, 0),
) -> str:
    channels = shape[-1]
    data = {"depthwise_data": net.numbers(size, channels, 1) * 1.5, "bias_data": net.numbers(channels)}
    data |= {"n_filt": channels}
    return net.add("DepthwiseConv1D", name, x, types, **window1d(shape, size, stride, pads), **data)


def separable(
    net: Net,
    name: str,
    x: str,
    shape: tuple[int, ...],
    filters: int,
    size: tuple[int, ...],
    types: Types,
    strides: tuple[int, ...],
    pads: tuple[int, ...],
) -> str:
    """A depthwise convolution and a pointwise one, as one layer."""
    channels, rank = shape[-1], len(shape) - 1
    window = window2d(shape, size, strides, pads) if rank == 2 else window1d(shape, *size, *strides, pads)  # type: ignore
    data = {"depthwise_data": net.numbers(*size, channels, 1), "bias_data": net.numbers(filters)}
    data |= {"pointwise_data": net.numbers(*(1,) * rank, channels, filters), "n_filt": filters, "depth_multiplier": 1}
    return net.add(f"SeparableConv{rank}D", name, x, types, **window, **data)


def conv1d(
    net: Net,
    name: str,
    x: str,
    shape: tuple[int, int],
    filters: int,
    size: int,
    types: Types,
    stride: int = 1,
    pads: tuple[int, int] = (0, 0),
    **rest: Any,
) -> str:
    attributes = {
        **window1d(shape, size, stride, pads),
        **{"n_filt": filters, "bias_data": net.numbers(filters)},
        "weight_data": net.numbers(size, shape[-1], filters) * 1.5,
    }
    return net.add("Conv1D", name, x, types, **{**attributes, **rest})


def dense(net: Net, name: str, x: str, n_in: int, n_out: int, types: Types, **rest: Any) -> str:
    data = {"weight_data": net.numbers(n_in, n_out) * 2, "bias_data": net.numbers(n_out) * 2}
    return net.add("Dense", name, x, types, n_in=n_in, n_out=n_out, **{**data, **rest})


def pool2d(
    net: Net,
    name: str,
    x: str,
    shape: tuple[int, int, int],
    size: tuple[int, int],
    strides: tuple[int, int],
    types: Types,
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    kinds: tuple[str, ...] = ("Max", "Average"),
    **rest: Any,
) -> None:
    height, width, channels = shape
    out = (height + sum(pads[:2]) - size[0]) // strides[0] + 1, (width + sum(pads[2:]) - size[1]) // strides[1] + 1
    for kind in kinds:
        net.add(
            f"{kind}Pooling2D",
            f"{name}_{kind}",
            x,
            types,
            data_format="channels_last",
            **{"in_height": height, "in_width": width, "n_filt": channels},
            **{"out_height": out[0], "out_width": out[1], "pool_height": size[0], "pool_width": size[1]},
            **{"stride_height": strides[0], "stride_width": strides[1]},
            **dict(zip(("pad_top", "pad_bottom", "pad_left", "pad_right"), pads, strict=True)),
            **rest,
        )


def pool1d(
    net: Net,
    name: str,
    x: str,
    shape: tuple[int, int],
    size: int,
    stride: int,
    types: Types,
    pads: tuple[int, int] = (0, 0),
    kinds: tuple[str, ...] = ("Max", "Average"),
    **rest: Any,
) -> None:
    width, channels = shape
    for kind in kinds:
        net.add(
            f"{kind}Pooling1D",
            f"{name}_{kind}",
            x,
            types,
            data_format="channels_last",
            **{"n_in": width, "n_filt": channels, "n_out": (width + sum(pads) - size) // stride + 1},
            **{"pool_width": size, "stride_width": stride, "pad_left": pads[0], "pad_right": pads[1]},
            **rest,
        )


def batch_norms(net: Net, few: bool) -> None:
    x = net.input("bx", 3, 4, 2)
    types = {"scale": "ap_fixed<7,3>", "bias": "ap_fixed<9,2,AP_RND,AP_SAT>"}
    for name, kind, result in (
        ("bn", "BatchNormalization", "ap_fixed<9,4,AP_RND_CONV,AP_SAT_SYM>"),
        ("alpha", "ApplyAlpha", "ap_fixed<9,4,AP_TRN_ZERO,AP_SAT_ZERO>"),
    ):
        data = {"scale_data": net.numbers(2), "bias_data": net.numbers(2)}
        net.add(kind, name, x, {**types, "result": result}, n_in=24, n_filt=2, **data)
    u = net.input("bu", 6, type_="ap_ufixed<5,0>")
    data = {"scale_data": net.numbers(6), "bias_data": net.numbers(6)}
    net.add("BatchNormalization", "bn_each", u, {"result": "ap_int<4>"}, n_in=6, **data)
    data["scale_data"] = np.array([1.0, -1, 0, -2, 1, -1])
    types = {"scale": "ap_int<2>", "bias": "ap_int<3>", "result": "ap_fixed<12,4>"}
    net.add("BatchNormalization", "bn_ternary", u, types, n_in=6, **data)


def merges(net: Net, few: bool) -> None:
    pairs = [("x", "y", "ap_fixed<7,3,AP_RND,AP_SAT>"), ("y", "z", "ap_int<4>"), ("z", "x", "ap_fixed<16,8>")]
    for op in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"):
        for letter, type_ in (("x", "ap_fixed<8,3>"), ("y", "ap_ufixed<6,1>"), ("z", "ap_int<5>")):
            net.input(f"{op}_{letter}", 4, 3, type_=type_)
        for left, right, result in pairs:
            inputs = (f"{op}_{left}", f"{op}_{right}")
            net.add("Merge", f"{op}_{left}{right}", inputs, {"result": result}, op=op.lower())


def broadcasts(net: Net, few: bool) -> None:
    """hls4ml streams broadcasts for Vivado alone."""
    if net.stream and net.backend != "Vivado":
        return
    x, y, z = net.input("ex", 2, 3, 4), net.input("ey", 1, 1, 4, type_="ap_int<4>"), net.input("ez", 2, 3, 1)
    net.add("Merge", "e_add", (x, y), {}, op="add")
    net.add("Merge", "e_subtract", (y, x), {}, op="subtract")
    net.add("Merge", "e_multiply", (x, z), {}, op="multiply")


def concatenations(net: Net, few: bool) -> None:
    for rank, axes in ((1, (-1,)), (2, (1, -1)), (3, (1, 2, -1))):
        shape = (2, 5, 3)[-rank:]
        inputs = net.input(f"ca{rank}", *shape), net.input(f"cb{rank}", *shape, type_="ap_ufixed<6,1>")
        for axis in axes:
            result = {"result": RESULTS[axis % 2]}
            net.add("Concatenate", f"c{rank}_{axis % 4}", inputs, result, axis=axis, op=f"concatenate{rank}d")


def pools(net: Net, few: bool) -> None:
    for k, accum in enumerate(ACCUMULATORS[1::3] if few else ACCUMULATORS):
        types = {"accum": accum, "result": RESULTS[k % 2]}
        x, y = net.input(f"px{k}", 4, 6, 2, type_=SOURCES[k % 3]), net.input(f"py{k}", 7, 2, type_=SOURCES[k % 3])
        pool2d(net, f"p{k}", x, (4, 6, 2), (2, 3), (2, 3), types)
        pool1d(net, f"q{k}", y, (7, 2), 3, 2, types)
        if not net.stream:
            pool2d(net, f"pp{k}", x, (4, 6, 2), (2, 3), (2, 2), types, (1, 0, 1, 1))
            pool2d(net, f"pc{k}", x, (4, 6, 2), (3, 3), (1, 2), types, (1, 1, 1, 1), count_pad=True)
            pool1d(net, f"qc{k}", y, (7, 2), 4, 3, types, (2, 1), count_pad=True)
        for kind in ("Max", "Average"):
            name, last = f"Global{kind}Pooling", {"data_format": "channels_last", "n_filt": 2}
            net.add(f"{name}2D", f"g{k}_{kind}", x, types, in_height=4, in_width=6, **last)
            net.add(f"{name}1D", f"h{k}_{kind}", y, types, n_in=7, **last)


def places(net: Net, few: bool) -> None:
    x, y, last = net.input("sx", 4, 5, 3), net.input("sy", 6, 4), {"data_format": "channels_last"}
    size = {"in_height": 4, "in_width": 5, "n_chan": 3, **last}
    pads = {"pad_top": 1, "pad_bottom": 2, "pad_left": 0, "pad_right": 1}
    crops = {"crop_top": 1, "crop_bottom": 1, "crop_left": 0, "crop_right": 2}
    result = {"result": "ap_fixed<6,3,AP_RND,AP_SAT>"}
    net.add("ZeroPadding2D", "zero", x, result, out_height=7, out_width=6, **size, **pads)
    net.add("Cropping2D", "crop", x, {"result": "ap_int<3>"}, out_height=2, out_width=3, **size, **crops)
    net.add("Resize", "larger", x, {}, out_height=8, out_width=15, algorithm="nearest", **size)
    if not net.stream:
        net.add("Resize", "other", x, {}, out_height=7, out_width=9, algorithm="nearest", **size)
    net.add("Transpose", "turned", x, result, perm=[2, 0, 1])
    line = {"in_width": 6, "n_chan": 4}
    net.add("ZeroPadding1D", "zero1", y, result, out_width=9, pad_left=1, pad_right=2, **line, **last)
    net.add("Cropping1D", "crop1", y, result, out_width=3, crop_left=1, crop_right=2, **line)
    wide = {"in_height": 1, "out_height": 1, "out_width": 12, "algorithm": "nearest"}
    net.add("Resize", "larger1", y, {}, **wide, **line, **last)
    pool1d(net, "after", "zero1", (9, 4), 3, 3, {})
    net.add("Transpose", "turned1", y, result, perm=[1, 0])


def sums(net: Net, few: bool) -> None:
    """Dense layers and convolutions whose accumulators round and saturate at each step."""
    n = 0
    for setting in strategies(net, few):
        for k in range(2, 8, 3) if few else range(8):
            types = linear_types(k, **setting)
            x = net.input(f"lx{n}", 4, 5, 2, type_=SOURCES[n % 3])
            dense(net, f"d{n}", net.input(f"lz{n}", 6, type_=SOURCES[n % 3]), 6, 4, types)
            conv2d(net, f"k{n}", x, (4, 5, 2), 3, (2, 3), types, (1, 2), (1, 0, 1, 1))
            two = {**types, "ReuseFactor": min(types["ReuseFactor"], 2)}  # others are not legal
            conv2d(net, f"w{n}", x, (4, 5, 2), 3, (1, 1), two, (1, 2))
            types = {**types, "ParallelizationFactor": 3}
            conv1d(net, f"l{n}", net.input(f"ly{n}", 6, 2), (6, 2), 3, 3, types, 2, (1, 1))
            if net.stream or setting["Strategy"] == "Latency":
                depthwise2d(net, f"v{n}", x, (4, 5, 2), (2, 3), linear_types(k, **setting))
            n += 1


def quantised_weights(net: Net, few: bool) -> None:
    """Binary and ternary weights, on fixed-point data and on binary data."""
    n = 0
    for setting in strategies(net, few):
        for accum in ["ap_fixed<10,4>", "ap_int<5>"] if few else ["ap_fixed<10,4>", "ap_int<5>", "ap_fixed<7,5>"]:
            types = {"accum": accum, "result": "ap_fixed<12,6>", "bias": "ap_int<3>", **setting}
            for quantizer in (BinaryQuantizer(1), TernaryQuantizer(), BinaryQuantizer(2)):
                x, y = net.input(f"qx{n}", 6), net.input(f"qy{n}", 4, 4, 2)
                dense(net, f"qd{n}", x, 6, 4, types, weight_quantizer=quantizer)
                conv2d(net, f"qc{n}", y, (4, 4, 2), 3, (2, 2), types, weight_quantizer=quantizer)
                bits = {"activation": "binary_tanh", "quantizer_precision": XnorPrecisionType()}
                u, v = net.input(f"qu{n}", 6), net.input(f"qv{n}", 4, 4, 2)
                net.add("Activation", f"qa{n}", u, {}, **bits)
                net.add("Activation", f"qb{n}", v, {}, **bits)
                dense(net, f"qe{n}", f"qa{n}", 6, 4, types, weight_quantizer=quantizer)
                pads = (1, 0, 0, 1)
                conv2d(net, f"qf{n}", f"qb{n}", (4, 4, 2), 3, (2, 2), types, (1, 1), pads, weight_quantizer=quantizer)
                n += 1


def binary_networks(net: Net, few: bool) -> None:
    """Batch norms that hls4ml merges with the binary or ternary activation behind them."""
    for name, kind, precision in (
        ("binary", "Activation", XnorPrecisionType()),
        ("ternary", "TernaryTanh", IntegerPrecisionType(2)),
    ):
        activation = {"activation": f"{name}_tanh", "quantizer_precision": precision}
        quantizer = BinaryQuantizer(1) if name == "binary" else TernaryQuantizer()
        dense(net, f"{name}1", net.input(f"{name}_x", 6), 6, 8, {"result": "ap_fixed<12,6>"})
        data = {"scale_data": np.abs(net.numbers(8)) + 0.1, "bias_data": net.numbers(8)}
        net.add("BatchNormalization", f"{name}2", f"{name}1", {}, n_in=8, n_filt=-1, **data)
        net.add(kind, f"{name}3", f"{name}2", {}, **activation)
        dense(net, f"{name}4", f"{name}3", 8, 5, {}, bias_data=None, weight_quantizer=quantizer)
        data = {"scale_data": net.numbers(5), "bias_data": net.numbers(5)}
        net.add("BatchNormalization", f"{name}5", f"{name}4", {}, n_in=5, n_filt=-1, **data)
        net.add(kind, f"{name}6", f"{name}5", {}, **activation)
        conv2d(net, f"{name}7", net.input(f"{name}_y", 3, 4, 2), (3, 4, 2), 3, (2, 2), {"result": "ap_fixed<12,6>"})
        data = {"scale_data": net.numbers(3), "bias_data": net.numbers(3)}
        net.add("BatchNormalization", f"{name}8", f"{name}7", {}, n_in=18, n_filt=3, **data)
        net.add(kind, f"{name}9", f"{name}8", {}, **activation)


def tables(net: Net, few: bool) -> None:
    x = net.input("tx", 5, type_="ap_uint<4>")
    types = {"embeddings": "ap_fixed<8,3>", "result": "ap_fixed<6,3,AP_RND,AP_SAT>"}
    net.add("Embedding", "rows", x, types, n_in=5, n_out=3, vocab_size=16, embeddings_data=net.numbers(16, 3))


def products(net: Net, few: bool) -> None:
    """Products of two tensors, and of a tensor with a matrix, which hls4ml has for io_parallel alone."""
    if net.stream:
        return
    equations = [
        ("ij,jk->ik", (3, 4), (4, 5), (3, 5)),
        ("ij,ij->i", (3, 4), (3, 4), (3,)),
        ("ijk,ikl->lij", (2, 3, 4), (2, 4, 5), (5, 2, 3)),
        ("i,j->ij", (4,), (3,), (4, 3)),
    ]
    for k, accum in enumerate(ACCUMULATORS[:4] if few else ACCUMULATORS):
        equation, left, right, out = equations[k % 4]
        types = {"accum": accum, "result": RESULTS[k % 2]}
        x = net.input(f"mx{k}", *left, type_=SOURCES[k % 3])
        y = net.input(f"my{k}", *right, type_=["ap_int<2>", "ap_fixed<8,3>", "ap_ufixed<6,1>"][k % 3])
        shapes = {"equation": equation, "out_shape": out}
        net.add("Einsum", f"es{k}", (x, y), types, inp0_shape=left, inp1_shape=right, **shapes)
        types = {"weight": "ap_fixed<7,2>", "bias": "ap_fixed<8,3>", **types}
        data = {"weight_data": net.numbers(*right), "bias_data": net.numbers(*out)}
        net.add("EinsumDense", f"ed{k}", x, types, inp_shape=left, **shapes, **data)
        vectors = net.input(f"dx{k}", 6), net.input(f"dy{k}", 6, type_="ap_ufixed<6,1>")
        net.add("Dot", f"dot{k}", vectors, {"accum": accum, "result": RESULTS[k % 2]}, op="dot1d", axes=1)


def wide_types(net: Net, few: bool) -> None:
    """Beyond float64 and int64 on the way."""
    narrow, other, result = "ap_fixed<40,12>", "ap_fixed<50,9>", {"result": "ap_fixed<75,30>"}
    for op in ("add", "subtract", "multiply", "average", "maximum", "minimum"):
        inputs = net.input(f"{op}1", 4, 3, type_=narrow), net.input(f"{op}2", 4, 3, type_=other)
        net.add("Merge", f"wide_{op}", inputs, result, op=op)
    data = {"scale_data": net.numbers(3) * 50, "bias_data": net.numbers(3) * 9}
    types = {"scale": "ap_fixed<30,10>", "bias": "ap_fixed<20,10>", **result}
    net.add("BatchNormalization", "wide_bn", net.input("wb", 4, 3, type_=narrow), types, n_in=12, n_filt=3, **data)
    z = net.input("wz", 4, 4, 2, type_=narrow)
    for k, accum in enumerate(["ap_fixed<70,20,AP_RND,AP_SAT>", "ap_fixed<64,20>", "ap_fixed<41,12,AP_RND,AP_SAT>"]):
        pool2d(net, f"wp{k}", z, (4, 4, 2), (2, 2), (2, 2), {"accum": accum, **result})
    x = net.input("wx", 6, type_=narrow)
    for k, accum in enumerate(
        ["ap_fixed<90,40>", "ap_fixed<60,20,AP_RND,AP_SAT>", "ap_fixed<66,13,AP_TRN_ZERO,AP_SAT_ZERO>"]
    ):
        types = {"weight": "ap_fixed<36,8>", "bias": "ap_fixed<30,8>", "accum": accum, **result}
        dense(net, f"wd{k}", x, 6, 3, types)


GROUPS = {
    group.__name__: group
    for group in (
        *(batch_norms, merges, broadcasts, concatenations, pools, places),
        *(sums, quantised_weights, binary_networks, tables, products, wide_types),
    )
}
