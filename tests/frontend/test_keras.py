"""QKeras files against QKeras' formulas, bit by bit; and files that are none, or want to be more than data."""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fpgaflow.cli import main
from fpgaflow.errors import BadInput, FpgaflowError, ModelNote, UnsupportedModel
from fpgaflow.frontend.keras.quantizers import quantizer_of
from fpgaflow.frontend.load import load
from fpgaflow.frontend.refuse import RefusedNodeError
from fpgaflow.sim.run import Simulator
from tests import qkeras
from tests.qkeras import Model, bits, relu
from tests.third_party import third_party

RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return (0.7 * RANDOM.normal(size=shape)).astype(np.float32)


def norm(channels: int) -> dict[str, np.ndarray]:
    named = {name: normal(channels) for name in ("gamma", "beta", "moving_mean")}
    return {**named, "moving_variance": np.abs(normal(channels)) + np.float32(0.1)}


def samples(*shape: int) -> np.ndarray:
    return (RANDOM.integers(-200, 200, shape) / 32).astype(np.float32)


def assert_conforms(path: Path, x: np.ndarray, quantizer: tuple[str, Any] | None = None) -> None:
    spec, given = (str(path), None) if quantizer is None else (f"{path}:{quantizer[0]}", quantizer[1])
    found = Simulator(load(spec)).predict(x)
    expected = qkeras.evaluate(path, x, given)
    assert found.shape == expected.shape and np.ptp(expected) > 0
    assert np.array_equal(found, expected)


CONV = {
    "strides": [1, 1],
    "dilation_rate": [1, 1],
    "padding": "same",
    "data_format": "channels_last",
    "activation": "linear",
}


def test_dense_network(tmp_path: Path) -> None:
    model = Model(10)
    model.add("QActivation", activation=bits(6, 2))
    weights = {"kernel": normal(10, 8), "bias": normal(8), **norm(8)}
    model.add("QDenseBatchnorm", weights=weights, kernel_quantizer=bits(5, 1), bias_quantizer=bits(6, 2), epsilon=1e-3)
    model.add("QActivation", activation="quantized_relu(4, 2)")
    model.layers[-1]["config"]["activation"] = relu(4, 2)
    model.add("Dropout", rate=0.5)
    model.add("Reshape", target_shape=[2, 4])
    model.add("Flatten")
    weights = {"kernel": normal(8, 5), "bias": normal(5)}
    model.add("QDense", weights=weights, kernel_quantizer=bits(1, 0), bias_quantizer=bits(4, 0), activation=relu(6, 3))
    model.add("QDense", weights={"kernel": normal(5, 3)}, kernel_quantizer=bits(4, 0, symmetric=1), use_bias=False)
    assert_conforms(model.write(tmp_path / "net.h5"), samples(40, 10))


def test_convolutional_network(tmp_path: Path) -> None:
    model = Model(9, 8, 3)
    model.add("QActivation", activation=bits(8, 3))
    weights = {"kernel": normal(3, 3, 3, 6), "bias": normal(6), **norm(6)}
    settings = {"kernel_quantizer": bits(5, 1), "bias_quantizer": bits(6, 2), "epsilon": 1e-3}
    model.add("QConv2DBatchnorm", weights=weights, **{**CONV, "strides": [2, 2]}, **settings)
    stem = model.add("QActivation", activation=relu(4, 2))
    weights = {"depthwise_kernel": normal(3, 2, 6, 1), "bias": normal(6)}
    settings = {"depthwise_quantizer": bits(4, 0), "bias_quantizer": bits(6, 2)}
    left = model.add("QDepthwiseConv2D", weights=weights, **{**CONV, "activation": relu(4, 2)}, **settings)
    binary = {"class_name": "binary", "config": {"alpha": 1}}
    settings = {"kernel_quantizer": binary, "use_bias": False}
    model.add("QConv2D", stem, weights={"kernel": normal(1, 1, 6, 6)}, **CONV, **settings)
    right = model.add("QActivation", activation=relu(4, 2))
    model.add("Add", left, right)
    model.add("QActivation", activation=bits(6, 3))
    model.add("MaxPooling2D", pool_size=[2, 2], strides=[2, 2], padding="valid")
    ternary = {"class_name": "ternary", "config": {"alpha": 1, "threshold": 0.2}}
    settings = {**CONV, "padding": "valid", "activation": "relu", "kernel_quantizer": ternary, "bias_quantizer": None}
    model.add("QConv2D", weights={"kernel": normal(2, 2, 6, 5), "bias": np.float32([0.5, -1, 2, 0, 1])}, **settings)
    model.add("QActivation", activation=relu(6, 3))
    model.add("Permute", dims=[2, 1, 3])
    model.add("Flatten")
    settings = {"kernel_quantizer": bits(6, 0), "bias_quantizer": bits(6, 0)}
    model.add("QDense", weights={"kernel": normal(5, 4), "bias": normal(4)}, **settings)
    assert_conforms(model.write(tmp_path / "net.h5"), samples(30, 9, 8, 3))


def test_one_dimension(tmp_path: Path) -> None:
    model = Model(16, 4)
    model.add("QActivation", activation=bits(6, 2))
    settings = {"strides": [2], "dilation_rate": [1], "padding": "same", "activation": "linear"}
    weights = {"kernel": normal(3, 4, 6), "bias": normal(6)}
    model.add("QConv1D", weights=weights, **settings, kernel_quantizer=bits(3, 0), bias_quantizer=bits(4, 1))
    model.add("QActivation", activation=relu(5, 3))
    model.add("MaxPooling1D", pool_size=[2], strides=[2], padding="valid")
    assert_conforms(model.write(tmp_path / "net.h5"), samples(40, 16, 4))


def test_last_softmax_is_left_to_the_host_aloud(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = Model(4)
    model.add("QActivation", activation=bits(6, 2))
    model.add("QDense", weights={"kernel": normal(4, 3), "bias": normal(3)}, kernel_quantizer=bits(4, 0))
    model.add("Activation", activation="softmax")
    note = "layer 'layer3' (Activation): left to the host, the model's outputs are its logits"
    path = model.write(tmp_path / "net.h5")
    with pytest.warns(ModelNote, match=re.escape(note)):
        load(path)
    assert main(["check", str(path)]) == 0
    assert capfd.readouterr().err.strip() == note


def keras3(model: Model, path: Path, *, kind: str = "Functional") -> Path:
    """The same model in Keras 3's archive: variables by number, below the class name in snake case."""
    names = {"QActivation": "q_activation", "QDense": "q_dense", "InputLayer": "input_layer"}
    layers, counts, buffer = [], dict.fromkeys(names, 0), io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for layer in model.layers:
            name, config = layer["class_name"], dict(layer["config"])
            if "batch_input_shape" in config:
                config["batch_shape"] = config.pop("batch_input_shape")
            stem = f"{names[name]}_{counts[name]}" if counts[name] else names[name]
            counts[name] += 1
            for index, array in enumerate(model.weights[config["name"]].values()):
                file[f"layers/{stem}/vars/{index}"] = array
            history = [
                {"class_name": "__keras_tensor__", "config": {"keras_history": e}}
                for e in chain.from_iterable(layer["inbound_nodes"])
            ]
            layers.append(
                {**layer, "config": config, "inbound_nodes": [{"args": history, "kwargs": {}}] if history else []}
            )
    last = layers[-1]["config"]["name"]
    config = {"name": "net", "layers": layers, "output_layers": [last, 0, 0]}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": kind, "config": config}))
        archive.writestr("model.weights.h5", buffer.getvalue())
    return path


@pytest.mark.parametrize("kind", ["Functional", "Sequential"])
def test_keras_3_archive(tmp_path: Path, kind: str) -> None:
    model = Model(6)
    model.add("QActivation", activation=bits(6, 2))
    for inputs, outputs in ((6, 5), (5, 3)):
        weights = {"kernel": normal(inputs, outputs), "bias": normal(outputs)}
        model.add(
            "QDense", weights=weights, kernel_quantizer=bits(4, 0), bias_quantizer=bits(4, 0), activation=relu(5, 2)
        )
    x, twin = samples(40, 6), keras3(model, tmp_path / "net.keras", kind=kind)
    expected = qkeras.evaluate(model.write(tmp_path / "net.h5"), x)
    assert np.array_equal(Simulator(load(twin)).predict(x), expected)


@pytest.mark.parametrize(
    ("name", "quantizer", "low", "grid"),
    [
        ("AD08_model", ("quantized_bits(8,7,alpha=1)", bits(8, 7)), -128, 1),
        ("RN07_model_best", ("quantized_relu(8,0)", relu(8, 0)), 0, 256),
    ],
)
def test_third_party_models(name: str, quantizer: tuple[str, Any], low: int, grid: int) -> None:
    path = third_party(f"qkeras_h5/{name}.h5")
    shape = (100, 64) if low else (20, 32, 32, 3)
    x = (RANDOM.integers(low, low + 256, shape) / grid).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_conforms(path, x, quantizer)
    if low:
        with pytest.raises(UnsupportedModel):
            load(path)  # its input is no integer


EDGES = np.float32([0, -0.0, 1e-9, -1e-9, 0.33, -0.33, *np.arange(-12, 12, 0.125), 1e6, -1e6])
QUANTISERS = [
    *(
        bits(b, i, keep_negative=k, symmetric=s)
        for b in (1, 2, 5, 8)
        for i in (-1, 0, 3)
        for k in (True, False)
        for s in (0, 1)
    ),
    *(relu(b, i) for b in (1, 4) for i in (-2, 0, 2)),
    {"class_name": "binary", "config": {"alpha": None}},
    {"class_name": "ternary", "config": {"alpha": 1.0, "threshold": 0.33}},
]


@pytest.mark.parametrize(
    "given", QUANTISERS, ids=lambda g: f"{g['class_name']}-{'-'.join(map(str, g['config'].values()))}"
)
def test_quantiser_of_weights(given: dict[str, Any]) -> None:
    quantizer = quantizer_of("here", given)
    assert quantizer is not None
    assert np.array_equal(quantizer.integers(EDGES) * quantizer.step, qkeras.quantised(given, EDGES))
    text = f"{given['class_name']}({', '.join(f'{k}={v!r}' for k, v in given['config'].items())})"
    assert quantizer_of("here", text) == quantizer


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (bits(8, 0, alpha="auto_po2"), "alpha = 'auto_po2'"),
        (bits(8, 0, alpha=2.0), "alpha = 2.0"),
        (bits(99, 0), "bits = 99"),
        (bits(8, 0.5), "integer = 0.5"),
        (bits(8, 0, qnoise_factor=0.5), "qnoise_factor = 0.5"),
        ({"class_name": "quantized_relu", "config": {"negative_slope": 0.25}}, "negative_slope = 0.25"),
        ({"class_name": "quantized_po2", "config": {}}, "quantized_po2 is not carried"),
        ({"config": {}}, "has no class_name"),
        ("quantized_bits(8, __import__('os').system('true'))", "cannot be read"),
        ("lambda x: x", "cannot be read"),
        ("[" * 9999, "cannot be read"),
    ],
)
def test_quantisers_that_are_refused(given: Any, message: str) -> None:
    with pytest.raises(RefusedNodeError) as caught:
        quantizer_of("here", given)
    assert message in caught.value.problem.found


def test_every_refusal_at_once(tmp_path: Path) -> None:
    model = Model(4, 4, 2)
    model.add("QActivation", activation=bits(6, 2))
    model.add("Conv2D", weights={"kernel": normal(1, 1, 2, 2)}, **CONV)
    model.add("Flatten")
    model.add("QDense", "layer1", weights={}, kernel_quantizer=bits(4, 0))
    model.add("QActivation", "layer1", activation="quantized_tanh(4)")
    model.add("Lambda", "layer1", function="print")
    with pytest.raises(UnsupportedModel) as caught:
        load(model.write(tmp_path / "net.h5"))
    assert [problem.where for problem in caught.value.problems] == [
        *("layer 'layer2' (Conv2D)", "layer 'layer4' (QDense)", "layer 'layer5' (QActivation)"),
        "layer 'layer6' (Lambda)",
    ]
    assert "Use QConv2D of QKeras" in str(caught.value) and "has no weight 'kernel'" in str(caught.value)


def external(file: h5py.File) -> None:
    group = file["model_weights/layer1/layer1"]
    del group["kernel:0"]
    group["kernel:0"] = h5py.ExternalLink("elsewhere.h5", "/kernel")


def external_storage(file: h5py.File) -> None:
    group = file["model_weights/layer1/layer1"]
    del group["kernel:0"]
    group.create_dataset("kernel:0", (4, 3), "f4", external=[("/etc/hostname", 0, 48)])


def soft(file: h5py.File) -> None:
    group = file["model_weights/layer1/layer1"]
    file["kept"] = group["kernel:0"]
    del group["kernel:0"]
    group["kernel:0"] = h5py.SoftLink("/kept")


def huge(file: h5py.File) -> None:
    group = file["model_weights/layer1/layer1"]
    del group["kernel:0"]
    group.create_dataset("kernel:0", (1 << 20, 1 << 20), "f4", chunks=(64, 64))


def edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        document = json.loads(file.attrs["model_config"])
        change(document)
        file.attrs["model_config"] = json.dumps(document)

    return edit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external, "has no weight 'kernel'"),
        (external_storage, "has no weight 'kernel'"),
        (soft, "has no weight 'kernel'"),
        (huge, "its weights are too large"),
        (edited(lambda d: d.update(class_name="Custom")), "model of class 'Custom'"),
        (edited(lambda d: d["config"]["layers"][1]["inbound_nodes"].append([])), "is called more than once"),
        (edited(lambda d: d["config"]["layers"][1]["config"].update(name="layer0")), "two layers share a name"),
        (edited(lambda d: d["config"].update(output_layers=[["none", 0, 0]])), "no layer is named 'none'"),
        (edited(lambda d: d["config"].pop("layers")), "is no whole Keras model (KeyError"),
        (lambda file: file.attrs.__delitem__("model_config"), "is no whole Keras model"),
    ],
)
def test_files_that_are_not_plain_data(
    tmp_path: Path, change: Callable[[h5py.File], Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Model(4)
    model.add("QDense", weights={"kernel": normal(4, 3), "bias": normal(3)}, kernel_quantizer=bits(4, 0))
    path = model.write(tmp_path / "net.h5")
    with h5py.File(path, "a") as file:
        change(file)
    assert main(["check", f"{path}:quantized_bits(8, 0)"]) in (1, 2)
    printed = capsys.readouterr()
    assert message in " ".join((printed.out + printed.err).split())


@pytest.mark.parametrize(
    ("name", "content"), [("a.h5", b"text"), ("a.keras", b"text"), ("a.keras", b""), ("no.h5", None)]
)
def test_no_keras_files(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=name):
        load(tmp_path / name)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_damaged_files(tmp_path: Path, suffix: str) -> None:
    """A graph or an error of ours, whatever bytes are changed or cut off."""
    model = Model(4)
    model.add("QActivation", activation=bits(6, 2))
    model.add("QDense", weights={"kernel": normal(4, 3), "bias": normal(3)}, kernel_quantizer=bits(4, 0))
    path = tmp_path / f"net{suffix}"
    whole = (keras3(model, path) if suffix == ".keras" else model.write(path)).read_bytes()
    random, refused = np.random.default_rng(0), 0
    for _ in range(12):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[random.integers(len(whole), size=random.integers(1, 12))] = random.integers(256)
        cut = len(whole) if random.random() < 0.9 else int(random.integers(len(whole)))
        path.write_bytes(damaged[:cut].tobytes())
        try:
            load(path)
        except FpgaflowError:
            refused += 1
    assert refused


def test_command_line_takes_the_input_quantiser(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Model(4)
    model.add("QDense", weights={"kernel": normal(4, 3), "bias": normal(3)}, kernel_quantizer=bits(4, 0))
    path = model.write(tmp_path / "net.h5")
    assert main(["check", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert main(["check", f"{path}:quantized_bits(8, 3, alpha=1)", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
