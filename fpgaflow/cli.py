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
from fpgaflow import cli_arguments
from fpgaflow.console import Console
from fpgaflow.errors import BadInput, FpgaflowError

_EXIT_CODES = "Exit status: 0 done, 1 something was checked and failed, 2 bad input or a missing tool."


class _Parser(argparse.ArgumentParser):
    """Tells wrong arguments as every other bad input is told; takes no abbreviated options."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise BadInput(self.prog, message, f"See `{self.prog} --help`")


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

    cli_arguments.search_arguments(
        command(
            "search",
            "search the smallest network",
            "Searches bits of each layer, width, pruning and tuning for the least hardware that keeps the accuracy; "
            "trains and builds the best.",
        )
    )

    cli_arguments.quantize_arguments(
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
    cli_arguments.model_argument(sub, metavar="MODEL", help=cli_arguments.MODEL_HELP)
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
    cli_arguments.model_argument(
        sub,
        nargs="?",
        metavar="MODEL",
        help=f"{cli_arguments.MODEL_HELP}; default: fpgaflow.yaml in this folder, else the bundled LeNet",
    )
    sub.add_argument("--board", metavar="NAME", help="a board's name, or your own board file (.toml)")
    sub.add_argument("--flow", choices=["hls", "rtl"], help="default: hls; rtl for boards of nextpnr, their only one")
    cli_arguments.goal_arguments(sub)
    sub.add_argument(
        "--data",
        metavar="X.npz",
        help="x (N, ...) and labels y (N,) to measure accuracy with; default: generated inputs, no labels",
    )
    sub.add_argument("--out", metavar="DIR", default="build", help="default: build")

    cli_arguments.engine_arguments(
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

    cli_arguments.compare_arguments(
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
    cli_arguments.model_argument(sub, metavar="MODEL_OR_BUILD", help=f"a build folder, or {cli_arguments.MODEL_HELP}")
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

    cli_arguments.validate_arguments(
        command(
            "validate",
            "compare all ways to compute",
            "Compares QONNX, both simulators and the compiled firmware of a build, value by value.",
        )
    )
    cli_arguments.deploy_arguments(
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
