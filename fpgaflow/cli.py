"""The command line: arguments only. What commands do is in `fpgaflow.commands`, how it looks in `fpgaflow.console`."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import fpgaflow
from fpgaflow.console import Console
from fpgaflow.errors import BadInput, FpgaflowError

_EXIT_CODES = "Exit status: 0 done, 1 something was checked and failed, 2 bad input or a missing tool."
_MODEL_HELP = (
    "an .onnx file (QONNX), FILE.py:FUNCTION, a checkpoint of `fpgaflow train` (.pt), a QKeras file (.h5, .keras; with "
    "a quantiser for its input if it has none: m.h5:'quantized_bits(8, 0, alpha=1)'), or a saved graph.json"
)


class _Parser(argparse.ArgumentParser):
    """Tells wrong arguments as every other bad input is told; takes no abbreviated options."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise BadInput(self.prog, message, f"See `{self.prog} --help`")


def _quantize_arguments(sub: argparse.ArgumentParser) -> None:
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


def _model_argument(sub: argparse.ArgumentParser, **settings: Any) -> None:
    """MODEL, and the types of its inputs."""
    sub.add_argument("model", **settings)
    sub.add_argument(
        "--input-type",
        action="append",
        metavar="[NAME=]TYPE",
        help="the type of an input that the model leaves float: int8, uint8/255 (integers times 1/255), int8*0.5, or "
        "fixed<8,1> (width and integer bits); once for each input",
    )


def _engine_arguments(sub: argparse.ArgumentParser) -> None:
    _model_argument(sub, metavar="MODEL", help=f"a build folder, or {_MODEL_HELP}")
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


def _compare_arguments(sub: argparse.ArgumentParser) -> None:
    _model_argument(
        sub,
        nargs="?",
        metavar="MODEL",
        help=f"{_MODEL_HELP}, or a folder with a fpgaflow.yaml; default: this folder's, else the bundled LeNet",
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


def _goal_arguments(sub: argparse.ArgumentParser) -> None:
    """What a build has to reach, and where a vendor's tools make its bitstream."""
    sub.add_argument(
        "--fps", type=float, metavar="N", help="samples per second to reach; default: the fastest that fits the board"
    )
    sub.add_argument("--latency-us", type=float, metavar="N", help="microseconds that a sample may take (flow hls)")
    sub.add_argument(
        "--max-utilisation",
        type=float,
        metavar="SHARE",
        help="share of each of the part's resources that may be used (flow hls); default: 0.7",
    )
    sub.add_argument("--remote", metavar="USER@HOST", help="run the vendor's tools there, through ssh")
    sub.add_argument(
        "--tool-timeout", type=float, metavar="MINUTES", help="stop a vendor's tool that runs longer; default: never"
    )


def _validate_arguments(sub: argparse.ArgumentParser) -> None:
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


def _deploy_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("build", metavar="BUILD", help="a folder that `fpgaflow build` wrote")
    sub.add_argument("--out", metavar="FILE.zip", help="default: BUILD/MODEL-BOARD.zip")


def _search_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "recipe",
        nargs="?",
        metavar="RECIPE",
        help="as of `fpgaflow train`; its epochs train the float network and the best",
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
        "--trials", type=int, default=60, metavar="N", help="networks to try, earlier ones in --out included"
    )
    sub.add_argument("--epochs", type=int, default=3, metavar="N", help="epochs that tune each of them; default: 3")
    sub.add_argument("--out", metavar="DIR", default="search", help="default: search; run there again to go on")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fpgaflow", description=fpgaflow.__doc__, epilog=_EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"fpgaflow {fpgaflow.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    def command(name: str, help_: str, description: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help_, description=description, epilog=_EXIT_CODES)
        sub.add_argument("--json", action="store_true", help="print one JSON object on stdout, and nothing else there")
        return sub

    command(
        "doctor", "list the optional tools", "Lists every optional tool: found or not, what it unlocks, how to get it."
    )

    sub = command("boards", "list the boards", "Lists the boards, or prints one in full.")
    sub.add_argument(
        "name", nargs="?", metavar="NAME", help="a board's name, or the path of your own board file (.toml)"
    )

    sub = command(
        "init", "start a project", "Makes a new project folder: fpgaflow.yaml, a trained model, data, README."
    )
    sub.add_argument("dir", metavar="DIR", help="the folder to make; it must be empty or not there")

    sub = command("train", "train a quantised network", "Quantisation-aware training; writes a checkpoint and QONNX.")
    sub.add_argument(
        "recipe",
        nargs="?",
        metavar="RECIPE",
        help="a fpgaflow.yaml with a `train:` section, or its folder; default: this folder's, else the bundled LeNet's",
    )
    sub.add_argument(
        "--out", metavar="DIR", help="where to write; default: the recipe's folder, ./lenet_digits for the bundled one"
    )
    sub.add_argument(
        "--distil",
        nargs="?",
        const="float",
        metavar="TEACHER.pt",
        help="let the float network, or that of a checkpoint, teach the quantised one",
    )

    _search_arguments(
        command(
            "search",
            "search the smallest network",
            "Searches bits of each layer, pruning and learning rate for the least hardware that keeps the accuracy; "
            "trains and builds the best.",
        )
    )

    _quantize_arguments(
        command(
            "quantize",
            "quantise a float model",
            "Quantises a trained float model with calibration data, without training, through Brevitas; writes QONNX.",
        )
    )

    sub = command(
        "check",
        "what cannot be carried exactly",
        "Says what in a model cannot be carried exactly, node by node, before any work.",
    )
    _model_argument(sub, metavar="MODEL", help=_MODEL_HELP)
    sub.add_argument("--board", metavar="NAME", help="check the hardware flow for this board too")
    sub.add_argument(
        "--for",
        dest="tool",
        choices=["tensorrt"],
        help="lint any QDQ file (.onnx) for what this tool would misread, instead",
    )

    sub = command(
        "build",
        "build firmware",
        "Builds everything up to the firmware bundle into a folder; resumes what an earlier run left there.",
    )
    _model_argument(
        sub,
        nargs="?",
        metavar="MODEL",
        help=f"{_MODEL_HELP}; default: fpgaflow.yaml in this folder, else the bundled LeNet",
    )
    sub.add_argument("--board", metavar="NAME", help="a board's name, or your own board file (.toml)")
    sub.add_argument("--flow", choices=["hls", "rtl"], help="default: hls; rtl for boards of nextpnr, their only one")
    _goal_arguments(sub)
    sub.add_argument(
        "--data",
        metavar="X.npz",
        help="x (N, ...) and labels y (N,) to measure accuracy with; default: generated inputs, no labels",
    )
    sub.add_argument("--out", metavar="DIR", default="build", help="default: build")

    _engine_arguments(
        command(
            "engine",
            "build an accelerator engine",
            "Builds an engine for a GPU or another accelerator from the same integers, with a proof of its bits.",
        )
    )

    sub = command(
        "bench",
        "measure an engine",
        "Measures an engine on this machine: latency one by one, throughput in batches, energy where it can be read.",
    )
    sub.add_argument("engine", metavar="ENGINE", help="a folder that `fpgaflow engine` wrote")
    sub.add_argument(
        "--batch", type=int, metavar="N", help="samples per batch; default: 256, TensorRT's is the engine's"
    )
    sub.add_argument("--seconds", type=float, default=2.0, metavar="S", help="how long to measure each; default: 2")

    _compare_arguments(
        command(
            "compare",
            "compare targets in one report",
            "Builds what is missing for every target and writes one page, every figure with its source; resumes "
            "what an earlier run left there.",
        )
    )

    sub = command("report", "the page of one build", "Writes the same page as `compare`, of one build.")
    sub.add_argument("build", metavar="BUILD", help="a folder that `fpgaflow build` wrote")
    sub.add_argument("--data", metavar="X.npz", help="other samples than the build's own")
    sub.add_argument("--out", metavar="DIR", help="default: the build's folder")

    sub = command("simulate", "bit-accurate outputs", "Computes the exact outputs of a model or build for a data file.")
    _model_argument(sub, metavar="MODEL_OR_BUILD", help=f"a build folder, or {_MODEL_HELP}")
    sub.add_argument(
        "--data",
        metavar="X.npz",
        required=True,
        help="x (N, ...) in the model's input layout, and y (N,) where there are labels: .npz, Zarr, or .npy with x; "
        "it need not fit into memory",
    )
    sub.add_argument(
        "--out", metavar="Y.npz", help="write the outputs to this .npz, .zarr or .npy: y, or one array per model output"
    )
    sub.add_argument("--trace", action="store_true", help="write every tensor too, by its name (needs --out)")
    sub.add_argument(
        "--explain",
        action="store_true",
        help="print the arithmetic of each operation, what proves it, and how often values wrapped or saturated",
    )
    sub.add_argument(
        "--engine",
        choices=["fast", "cuda", "reference"],
        default="fast",
        help="default: fast; all give the same bits, cuda on a GPU through torch",
    )
    sub.add_argument("--workers", type=int, metavar="N", help="threads; default: those that serve the engine best")
    sub.add_argument(
        "--scheduler", metavar="ADDRESS", help="spread the work over a Dask scheduler's workers, as tcp://10.0.0.1:8786"
    )

    _validate_arguments(
        command(
            "validate",
            "compare all ways to compute",
            "Compares QONNX, both simulators and the compiled firmware of a build, value by value.",
        )
    )
    _deploy_arguments(
        command(
            "deploy",
            "the archive for the board",
            "Writes everything that goes to the board into one archive: bitstream, or how to get it, drivers in Python "
            "and C, notebook, and a self-test with the expected outputs.",
        )
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    argv = sys.argv[1:] if arguments is None else arguments
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        status = _run(argv, Console(as_json="--json" in argv))
        sys.stdout.flush()  # here, where a closed pipe can still be told
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left to write at exit
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        sys.stderr.write("\nfpgaflow: interrupted; what was finished is kept\n")
        return 128 + signal.SIGINT


def _run(argv: Sequence[str], screen: Console) -> int:
    try:
        options = _parser().parse_args(argv)
        with contextlib.redirect_stdout(sys.stderr):  # hls4ml may print as it is imported
            from fpgaflow import commands
        run: Any = getattr(commands, options.command)
        with screen.notes():
            return int(run(options, screen))
    except FpgaflowError as error:
        return screen.failed(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        found = f"cannot be read or written ({error.strerror or error})"
        return screen.failed(BadInput(str(error.filename or "a file"), found, "Mend that, then run the command again"))


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
