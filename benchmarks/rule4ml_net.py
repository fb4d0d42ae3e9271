"""What rule4ml predicts of designs whose reports are here: its part of the table in docs/estimates.md.

    pip install rule4ml        in an environment of its own: it brings TensorFlow and is under the GPL
    python benchmarks/rule4ml_net.py

It takes one precision, one reuse factor and one of four boards for a whole network: the nearest are given. It predicts
the whole top function, so that it is compared with the report's total, and `benchmarks/estimates.py` with the layers
that it estimates.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
from rule4ml.models.wrappers import MultiModelWrapper


@dataclass(frozen=True)
class Design:
    """`sizes` of the MLP; the report's totals of LUT, FF, DSP and BRAM18."""

    name: str
    sizes: tuple[int, ...]
    board: str
    strategy: str
    precision: str
    reuse: int
    report: tuple[int, int, int, int]


DESIGNS = (
    Design(
        "jets-6bit-resource", (16, 64, 32, 32, 5), "pynq-z2", "Resource", "ap_fixed<7, 1>", 64, (33085, 10771, 21, 20)
    ),
    Design("iris-16bit-latency", (4, 8, 8, 3), "pynq-z2", "Latency", "ap_fixed<16, 6>", 1, (4725, 13240, 110, 3)),
    Design(
        "jets-6bit-latency", (16, 64, 32, 32, 5), "alveo-u250", "Latency", "ap_fixed<6, 1>", 1, (42082, 12513, 34, 8)
    ),
)
NAMES = ("LUT", "FF", "DSP", "BRAM")


def mlp(sizes: tuple[int, ...]) -> keras.Model:
    """Dense layers with relus between them and a softmax behind the last."""
    x = inputs = keras.layers.Input(shape=(sizes[0],))
    for size in sizes[1:-1]:
        x = keras.layers.Dense(size, activation="relu")(x)
    model = keras.Model(inputs, keras.layers.Dense(sizes[-1], activation="softmax")(x))
    model.build((None, sizes[0]))
    return model


def main() -> None:
    estimator = MultiModelWrapper()
    estimator.load_default_models()
    print("| design | " + " | ".join(NAMES) + " |\n| --- |" + " --- |" * len(NAMES))
    for design in DESIGNS:
        model = {"strategy": design.strategy, "precision": design.precision, "reuse_factor": design.reuse}
        found = estimator.predict(mlp(design.sizes), hls_configs={"board": design.board, "model": model})
        cells = [
            f"{found[name].mean():,.0f} of {real:,} ({found[name].mean() / real - 1:+.0%})"
            for name, real in zip(NAMES, design.report, strict=True)
        ]
        print(f"| {design.name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
