"""The arguments of the commands that take many."""

from __future__ import annotations

import argparse
from typing import Any

MODEL_HELP = (
    "an .onnx file (QONNX), FILE.py:FUNCTION, a checkpoint of `fpgaflow train` (.pt), a QKeras file (.h5, .keras; with "
    "a quantiser for its input if it has none: m.h5:'quantized_bits(8, 0, alpha=1)'), or a saved graph.json"
)


def quantize_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "model",
        metavar="MODEL",
        help="a float .onnx file, FILE.py:FUNCTION that returns (torch module, input shape), or a float .pt checkpoint",
    )
    sub.add_argument(
        "--data",
        metavar="CALIB.npz",
        required=True,
        help="x (N, ...) in the model's input layout, typical of its use; and labels y (N,) to measure accuracy with",
    )
    sub.add_argument("--weight-bits", type=int, default=8, metavar="N", help="2 to 8; default: 8")
    sub.add_argument(
        "--activation-bits", type=int, default=8, metavar="N", help="2 to 8; default: 8, which the input always has"
    )
    sub.add_argument(
        "--scale",
        choices=["power-of-two", "float"],
        default="power-of-two",
        help="default: power-of-two, shifts in hardware; float: one per weight channel, thresholds in hardware",
    )
    sub.add_argument("--bias-correction", action="store_true", help="shift biases by the mean error of each channel")
    sub.add_argument("--equalize", action="store_true", help="even out weight ranges between layers before")
    sub.add_argument("--gptq", action="store_true", help="choose each weight's rounding by the layer's output error")
    sub.add_argument("--out", metavar="FILE.onnx", default="quantized.onnx", help="default: quantized.onnx")


def model_argument(sub: argparse.ArgumentParser, **settings: Any) -> None:
    """MODEL, and the types of its inputs."""
    sub.add_argument("model", **settings)
    sub.add_argument(
        "--input-type",
        action="append",
        metavar="[NAME=]TYPE",
        help="the type of an input that the model leaves float: int8, uint8/255 (integers times 1/255), int8*0.5, or "
        "fixed<8,1> (width and integer bits); once for each input",
    )


def engine_arguments(sub: argparse.ArgumentParser) -> None:
    model_argument(sub, metavar="MODEL", help=f"a build folder, or {MODEL_HELP}")
    sub.add_argument(
        "--target",
        choices=["tensorrt", "onnxruntime", "inductor", "triton", "stablehlo", "tflite"],
        required=True,
        help="what runs the engine",
    )
    sub.add_argument("--out", metavar="DIR", default="engine", help="default: engine")
    sub.add_argument(
        "--sm",
        metavar="LIST",
        help="compute capabilities that the engine is for: TensorRT-RTX, as 86,89, default: all from SM80 on; "
        "Triton, one of them, default: 90",
    )
    sub.add_argument(
        "--batch", type=int, default=1, metavar="N", help="samples per run of a TensorRT or TFLite engine; default: 1"
    )
    sub.add_argument(
        "--units",
        choices=["int8", "fp16", "fp8"],
        help="matrix units of a Triton engine; layers that these cannot carry exactly use int8; default: int8",
    )
    sub.add_argument("--data", metavar="X.npz", help="samples to compare on; default: generated inputs")


def compare_arguments(sub: argparse.ArgumentParser) -> None:
    model_argument(
        sub,
        nargs="?",
        metavar="MODEL",
        help=f"{MODEL_HELP}, or a folder with a fpgaflow.yaml; default: this folder's, else the bundled LeNet",
    )
    sub.add_argument(
        "--targets",
        metavar="LIST",
        default="pynq-z2,cpu,gpu,tpu",
        help="boards, cpu, gpu, tpu, or devices as gpu:rtx-4090, tpu:edge-tpu; default: pynq-z2,cpu,gpu,tpu",
    )
    sub.add_argument("--data", metavar="X.npz", help="x (N, ...) and labels y (N,): the same for every target")
    sub.add_argument("--flow", choices=["hls", "rtl"], help="default: rtl where it carries model and board, else hls")
    sub.add_argument("--fps", type=float, metavar="N", help="samples per second that each board has to reach")
    sub.add_argument(
        "--sweep",
        action="append",
        metavar="AXIS=A,B",
        help="many builds: bits=2,3,4,8 (trains by the recipe, or quantises a float model), fps=1000,10000; repeatable",
    )
    sub.add_argument("--workers", type=int, metavar="N", help="builds at a time; default: half the cores in a sweep")
    sub.add_argument(
        "--scheduler", metavar="ADDRESS", help="spread builds over a Dask scheduler's workers, which see the same files"
    )
    sub.add_argument(
        "--board-results",
        nargs="+",
        action="extend",
        metavar="[TARGET=]FILE",
        help="what a board measured: its board.json, or the log of an MLPerf Tiny runner",
    )
    sub.add_argument(
        "--gpu-results",
        nargs="+",
        action="extend",
        metavar="[TARGET=]FILE",
        help="what `fpgaflow bench --json` printed on another machine",
    )
    sub.add_argument("--cost", action="append", metavar="NAME=USD", help="your price of a target; repeatable")
    sub.add_argument(
        "--max-drop", type=float, default=0.01, metavar="SHARE", help="accuracy that a target may lose; default: 0.01"
    )
    sub.add_argument(
        "--seconds", type=float, default=1.0, metavar="S", help="how long each measurement here runs; default: 1"
    )
    sub.add_argument("--out", metavar="DIR", default="compare", help="default: compare")


def goal_arguments(sub: argparse.ArgumentParser) -> None:
    """What a build has to reach, and where a vendor's tools make its bitstream."""
    sub.add_argument(
        "--fps", type=float, metavar="N", help="samples per second to reach; default: the fastest that fits the board"
    )
    sub.add_argument("--latency-us", type=float, metavar="N", help="microseconds that a sample may take")
    sub.add_argument(
        "--max-utilisation",
        type=float,
        metavar="SHARE",
        help="share of each of the part's resources that may be used; default: 0.7",
    )
    sub.add_argument("--remote", metavar="USER@HOST", help="run the vendor's tools there, through ssh")
    sub.add_argument(
        "--tool-timeout", type=float, metavar="MINUTES", help="stop a vendor's tool that runs longer; default: never"
    )


def validate_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("build", metavar="BUILD", help="a folder that `fpgaflow build` wrote")
    sub.add_argument("--data", metavar="X.npz", help="other samples than the build's own")
    sub.add_argument("--netlist", action="store_true", help="simulate the netlist of an RTL build even if that is slow")
    sub.add_argument("--vcd", metavar="FILE", help="waveforms of the first samples through the Verilog of an RTL build")
    sub.add_argument(
        "--engine", metavar="DIR", help="compare an engine that `fpgaflow engine` made from this build too"
    )
    sub.add_argument(
        "--board-results", metavar="board.json", help="what selftest.py wrote on the board; goes into the manifest"
    )


def deploy_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("build", metavar="BUILD", help="a folder that `fpgaflow build` wrote")
    sub.add_argument("--out", metavar="FILE.zip", help="default: BUILD/MODEL-BOARD.zip")


def search_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "recipe",
        nargs="?",
        metavar="RECIPE",
        help="as of `fpgaflow train`; a section `search:` beside `train:` says what may be chosen",
    )
    sub.add_argument("--board", metavar="NAME", default="pynq-z2", help="default: pynq-z2")
    sub.add_argument("--fps", type=float, required=True, metavar="N", help="samples per second to reach")
    sub.add_argument(
        "--accuracy-drop",
        type=float,
        default=1.0,
        metavar="POINTS",
        help="percentage points below the float network that are allowed; default: 1",
    )
    sub.add_argument(
        "--trials",
        type=int,
        default=100,
        metavar="N",
        help="networks to try, earlier ones in --out included; default: 100",
    )
    sub.add_argument("--epochs", type=int, default=3, metavar="N", help="epochs that tune each of them; default: 3")
    sub.add_argument("--workers", type=int, metavar="N", help="networks tuned at a time, a process each; default: 1")
    sub.add_argument(
        "--scheduler", metavar="ADDRESS", help="spread them over a Dask scheduler's workers, which see the same files"
    )
    sub.add_argument("--out", metavar="DIR", default="search", help="default: search; run there again to go on")
