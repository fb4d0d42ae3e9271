"""Families of the other layers: pooling, merges, places, activations, softmax, norms, quantisers, recurrent layers."""

from __future__ import annotations

from math import prod

from tests.conformance.steps import Family, Step, Tensor
from tests.frontend.hls4ml_layer_groups import pool1d, pool2d
from tests.frontend.test_hls4ml_activations import OVERFLOW, ROUNDING, per_element
from tests.frontend.test_hls4ml_recurrent import FEATURES, STEPS, both_ways, cell, dense, for_each_step


def _pool(step: Step) -> Tensor | None:
    if len(step.shape) not in (2, 3):
        return None
    *size, channels = step.shape
    window = tuple(step.number(1, min(3, n)) for n in size)
    free = not step.stream or (len(size) == 1 and step.chance(0.5))
    strides = tuple(step.number(1, 3) if free else w for w in window)
    padded = not step.stream and step.chance(0.5)
    pads = tuple(step.number(0, (w - 1) // 2 + (w == 2)) if padded else 0 for w in window for _ in range(2))
    types = {"accum": step.accumulator(), **step.result()}
    kind, rest = step.pick(["Max", "Average"]), {"count_pad": step.chance(0.5)}
    totals = [n + sum(pads[2 * axis : 2 * axis + 2]) for axis, n in enumerate(size)]
    out = tuple((n - w) // s + 1 for n, w, s in zip(totals, window, strides, strict=True))
    add = pool1d if len(size) == 1 else pool2d
    sizes = (window[0], strides[0]) if len(size) == 1 else (window, strides)
    add(step.net, step.name, step.x, step.shape, *sizes, types, pads, kinds=(kind,), **rest)  # type: ignore
    return f"{step.name}_{kind}", (*out, channels)


def _global_pool(step: Step) -> Tensor | None:
    if len(step.shape) not in (2, 3):
        return None
    *size, channels = step.shape
    names = {"n_in": size[0]} if len(size) == 1 else {"in_height": size[0], "in_width": size[1]}
    kind = f"Global{step.pick(['Max', 'Average'])}Pooling{len(size)}D"
    types = {"accum": step.accumulator(), **step.result()}
    return step.add(kind, types, (channels,), data_format="channels_last", n_filt=channels, **names)


def _merge(step: Step) -> Tensor:
    op = step.pick(["add", "subtract", "multiply", "average", "maximum", "minimum"])
    inputs = [step.x, step.alike()]
    return step.add("Merge", step.result(), step.shape, tuple(inputs[:: step.pick([1, -1])]), op=op)


def _broadcast(step: Step) -> Tensor | None:
    """Streams only those that Vivado's backend adds a layer for."""
    if len(step.shape) != 3 or (step.stream and step.net.backend != "Vivado"):
        return None
    *size, channels = step.shape
    small = step.pick([(1, 1, channels), (*size, 1)]) if step.stream else (1, 1, channels)
    other = step.input(*small)
    return step.add("Merge", step.result(), step.shape, (step.x, other), op=step.pick(["add", "subtract", "multiply"]))


def _concatenate(step: Step) -> Tensor | None:
    rank = len(step.shape)
    if rank > 3:
        return None
    axes = [rank, -1] if rank < 3 else [1, 2, 3, -1]
    axis = -1 if step.quantised else step.pick(axes)
    place = rank - 1 if axis == -1 else axis - 1
    shape = (*step.shape[:place], 2 * step.shape[place], *step.shape[place + 1 :])
    rest = {"axis": axis, "op": f"concatenate{rank}d"}
    return step.add("Concatenate", step.result(), shape, (step.x, step.alike()), **rest)


def _sides(step: Step, prefix: str, highest: int) -> tuple[dict[str, int], list[int]]:
    names = (("top", "bottom"), ("left", "right"))[-(len(step.shape) - 1) :]
    sides = {f"{prefix}_{side}": step.number(0, highest) for pair in names for side in pair}
    return sides, [sum(sides[f"{prefix}_{side}"] for side in pair) for pair in names]


def _around(step: Step, kind: str) -> Tensor | None:
    if len(step.shape) not in (2, 3):
        return None
    *size, channels = step.shape
    sides, totals = _sides(step, "crop" if kind == "Cropping" else "pad", 1)
    sign = -1 if kind == "Cropping" else 1
    out = tuple(n + sign * total for n, total in zip(size, totals, strict=True))
    if min(out) < 1:
        return None
    axes = ("height", "width")[-len(size) :]
    sizes = {f"in_{axis}": n for axis, n in zip(axes, size, strict=True)}
    sizes |= {f"out_{axis}": n for axis, n in zip(axes, out, strict=True)}
    rest = {"n_chan": channels, "data_format": "channels_last", **sizes, **sides}
    return step.add(f"{kind}{len(size)}D", step.result(), (*out, channels), **rest)


def _zero_padding(step: Step) -> Tensor | None:
    return _around(step, "ZeroPadding")


def _cropping(step: Step) -> Tensor | None:
    return _around(step, "Cropping")


def _resize(step: Step) -> Tensor | None:
    if len(step.shape) not in (2, 3) or prod(step.shape) > 60:
        return None
    *size, channels = step.shape
    old = (1, *size)[-2:]
    out = tuple(n * step.number(1, 2) if step.stream or step.chance(0.5) else n + step.number(0, 3) for n in old)
    out = (1, out[1]) if len(size) == 1 else out
    sizes = {"in_height": old[0], "in_width": old[1], "out_height": out[0], "out_width": out[1]}
    rest = {"n_chan": channels, "data_format": "channels_last", "algorithm": "nearest"}
    return step.add("Resize", step.result(), (*out[-len(size) :], channels), **rest, **sizes)


def _transpose(step: Step) -> Tensor | None:
    rank = len(step.shape)
    if rank not in (2, 3):
        return None
    perm = [int(axis) for axis in step.draw.random.permutation(rank)]
    return step.add("Transpose", step.result(), tuple(step.shape[axis] for axis in perm), perm=perm)


def _reshape(step: Step) -> Tensor | None:
    size, last = prod(step.shape), step.shape[-1]
    shapes = [
        (size // n, n)
        for n in range(1, size + 1)
        if size % n == 0 and (not step.stream or not max(n, last) % min(n, last))
    ]
    if not step.stream:
        shapes += [(size,), (size,)]
    shape = step.pick(shapes)
    return step.add("Reshape", {}, shape, target_shape=list(shape))


def _flatten(step: Step) -> Tensor:
    """What most streaming networks do before their dense layers."""
    size, outputs = prod(step.shape), step.number(1, 6)
    flat, _ = step.add("Reshape", {}, (size,), wish="_flat", target_shape=[size])
    types = {"accum": step.accumulator(), "result": step.type_()}
    types |= {"weight": step.draw.type_(4, 8), "bias": step.draw.type_(6, 10)}
    data = {"weight_data": step.net.numbers(size, outputs), "bias_data": step.net.numbers(outputs)}
    return step.add("Dense", types, (outputs,), flat, n_in=size, n_out=outputs, **data)


def _activation(step: Step) -> Tensor:
    _, _, layer, types = step.draw.activation(step.net)
    rest = dict(layer)
    return step.add(rest.pop("kind"), types, step.shape, **rest)


def _prelu(step: Step) -> Tensor:
    rest = per_element(step.net, prod(step.shape))
    return step.add(rest.pop("kind"), {"param": step.draw.type_(10), **step.result()}, step.shape, **rest)


def _unary_lut(step: Step) -> Tensor:
    """On data of a few bits, which an activation brings it to."""
    width = step.number(1, 8)
    source = f"ap_{step.pick(['', 'u'])}fixed<{width},{step.number(0, width)}>"
    x = step.input(*step.shape, type_=source)
    table = {"table_data": step.net.numbers(1 << width) * 3, "n_in": prod(step.shape)}
    return step.add("UnaryLUT", step.result(), step.shape, x, activation="unary_lut", **table)


def _softmax(step: Step) -> Tensor:
    _, shape, layer, types = step.draw.softmax(step.net, step.shape)
    rest = dict(layer)
    return step.add(rest.pop("kind"), types, shape, **rest)


def _layer_norm(step: Step) -> Tensor | None:
    if step.stream or len(step.shape) != 2:
        return None
    _, shape, layer, types = step.draw.norm(step.net, step.shape)
    rest = dict(layer)
    return step.add(rest.pop("kind"), types, shape, **rest)


def _quantiser(step: Step) -> Tensor | None:
    if step.stream:
        return None
    return step.quantiser(step.x, step.shape, step.name), step.shape


def _recurrent(step: Step) -> Tensor | None:
    """A cell on a tensor, or both directions or a layer for each step on a new input."""
    same = f"ap_fixed<{step.number(8, 20)},{step.number(2, 6)},{step.pick(ROUNDING)},{step.pick(OVERFLOW)}>"
    kind, units, sequence = step.pick(["LSTM", "GRU"]), step.number(1, 4), step.chance(0.6)
    types = {"accum": same, "result": same, "Static": step.chance(0.6)}
    types |= {"weight": step.draw.type_(8), "recurrent_weight": step.draw.type_(8)}
    if not step.stream and step.chance(0.25):
        x, mode = step.input(STEPS, FEATURES, type_=same), step.pick(["both", "steps"])
        if mode == "both":
            types |= {"Static": True}
            both_ways(step.net, step.name, x, (kind, units), ("GRU", 2), types, return_sequences=sequence)
            return step.name, (*([STEPS] if sequence else []), units + 2)
        inner = dense(step.net, f"{step.name}_fc", FEATURES, units, {"result": same, "accum": step.accumulator()})
        return for_each_step(step.net, step.name, x, inner, (STEPS, units), {"result": same}), (STEPS, units)
    steps, features = step.shape if len(step.shape) == 2 else (STEPS, FEATURES)
    x = step.x if len(step.shape) == 2 and kind == "GRU" else step.input(steps, features, type_=same)
    rest = {"return_sequences": sequence, "pytorch": step.chance(0.3), "n_timesteps": steps}
    if kind == "GRU":
        types |= {"accum": step.draw.type_(12, 16, least=6), "result": step.draw.type_(12, 16, least=6)}
    if step.chance(0.3):
        types |= {"Strategy": "Resource", "ReuseFactor": step.pick([1, 2, 3])}
    cell(step.net, kind, step.name, x, units, types, features, **rest)
    return step.name, (*([steps] if sequence else []), units)


OTHER: dict[str, Family] = {
    "pool": _pool,
    "global pool": _global_pool,
    "merge": _merge,
    "broadcast": _broadcast,
    "concatenate": _concatenate,
    "zero padding": _zero_padding,
    "cropping": _cropping,
    "resize": _resize,
    "transpose": _transpose,
    "reshape": _reshape,
    "flatten": _flatten,
    "activation": _activation,
    "prelu": _prelu,
    "unary LUT": _unary_lut,
    "softmax": _softmax,
    "layer norm": _layer_norm,
    "quantiser": _quantiser,
    "recurrent": _recurrent,
}
