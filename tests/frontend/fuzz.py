"""Mutated models through `load`, each in bounded time and memory, reading nothing outside of its folder.

Every fourth has a type declared for its input, as users may.
`python -m tests.frontend.fuzz FIRST COUNT` works through mutations FIRST, FIRST + 1, ... and prints the tally.
Mutation n is the same on every machine.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from fpgaflow.errors import BadInput, FpgaflowError, UnsupportedModel
from fpgaflow.frontend.load import load
from tests.frontend.seeds import seeds

MEMORY = 3 << 30  # bytes of address space; the libraries alone map about one
SECONDS = 20  # for one file
_MANY = 20  # processes that ended: no more are begun
_NUMBERS = (0, 1, -1, 2, 3, 7, 127, -128, 255, 1 << 16, 1 << 31, -(1 << 31), (1 << 31) - 1, (1 << 62) + 1, -(1 << 63))
_REALS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-40, 3e38, float("inf"), float("-inf"), float("nan"))
_TEXTS = (
    *("", "x", "../secret", "/etc/passwd", "secret", "weights.bin", "a\0b", "é", "NHWC", "SAME_UPPER", "FLOOR"),
    *("Quant", "BipolarQuant", "Trunc", "MultiThreshold", "Conv", "Gemm", "MatMul", "Reshape", "Concat", "Transpose"),
    *("QuantizeLinear", "DequantizeLinear", "Clip", "Constant", "ConstantOfShape", "Range", "Expand", "Slice", "Shape"),
    *("If", "Loop", "AveragePool", "MaxPool", "Resize", "Pad", "Softmax", "Cast", "TopK", "Split", "Gather", "PRelu"),
    *("axes", "axis", "pads", "strides", "dilations", "group", "kernel_shape", "perm", "auto_pad", "narrow", "signed"),
    *("qonnx.custom_op.general", "onnx.brevitas", "com.microsoft", "location", "offset", "length"),
)


def mutated(number: int) -> bytes:
    """The mutation's file."""
    chance = random.Random(number)
    data = chance.choice(_sources())
    if chance.random() < 0.1:
        return _bytes_changed(data, chance)
    model = onnx.ModelProto()
    model.ParseFromString(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        _field_changed(model, chance)
    return bytes(model.SerializeToString())


@cache
def _sources() -> tuple[bytes, ...]:
    return tuple(model.SerializeToString() for model in seeds())


@cache
def _names() -> tuple[str, ...]:
    """Tensors of the sources, so that mutations connect nodes in other ways."""
    graphs = [onnx.ModelProto.FromString(data).graph for data in _sources()]
    return tuple(name for graph in graphs for node in graph.node for name in (*node.input, *node.output) if name)


def _bytes_changed(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                changed[at:at] = chance.randbytes(chance.randrange(1, 9))
            case 2:
                del changed[at : at + chance.randrange(1, 64)]
            case 3:
                begin = chance.randrange(len(changed) + 1)
                changed[at:at] = changed[begin : begin + chance.randrange(64)]
            case _:
                changed[at : at + 1] = bytes([changed[at] ^ (1 << chance.randrange(8))]) if at < len(changed) else b""
    return bytes(changed[: chance.randrange(len(changed) + 1)]) if chance.random() < 0.1 else bytes(changed)


def _field_changed(model: onnx.ModelProto, chance: random.Random) -> None:
    """One field of one message of the tree, set to something else, removed, repeated or swapped."""
    message = _some_message(model, chance)
    fields = [f for f, _ in message.ListFields()] if chance.random() < 0.8 else list(message.DESCRIPTOR.fields)
    if not fields:
        return
    chosen = chance.choice(fields)
    current = getattr(message, chosen.name)
    if not chosen.is_repeated:
        if chance.random() < 0.15:
            message.ClearField(chosen.name)
        elif chosen.type != FieldDescriptor.TYPE_MESSAGE:
            _try_to_set(message, chosen, current, chance)
        return
    match chance.randrange(4):
        case 0 if current:
            del current[chance.randrange(len(current))]
        case 1 if len(current) > 1:
            _swap(current, chance.randrange(len(current)), chance.randrange(len(current)))
        case 2 if current:
            current.append(current[chance.randrange(len(current))])
        case _ if chosen.type != FieldDescriptor.TYPE_MESSAGE:
            value = _other(chosen, current[chance.randrange(len(current))] if current else None, chance)
            try:
                current.append(value) if not current or chance.random() < 0.3 else current.__setitem__(
                    chance.randrange(len(current)), value
                )
            except (ValueError, TypeError):
                return


def _some_message(model: onnx.ModelProto, chance: random.Random) -> Message:
    message: Message = model if chance.random() < 0.05 else model.graph
    while chance.random() < 0.85:
        fields = [f for f, _ in message.ListFields() if f.type == FieldDescriptor.TYPE_MESSAGE]
        if not fields:
            break
        nodes = [f for f in fields if f.name == "node"]  # these more often than weights and ports
        below = getattr(message, (chosen := chance.choice(fields + 5 * nodes)).name)
        message = chance.choice(below) if chosen.is_repeated else below
    return message


def _swap(items: Any, a: int, b: int) -> None:
    kept = [type(i).FromString(i.SerializeToString()) if isinstance(i, Message) else i for i in items]
    kept[a], kept[b] = kept[b], kept[a]
    del items[:]
    items.extend(kept)


def _try_to_set(message: Message, chosen: FieldDescriptor, current: Any, chance: random.Random) -> None:
    try:
        setattr(message, chosen.name, _other(chosen, current, chance))
    except (ValueError, TypeError):
        return


def _other(chosen: FieldDescriptor, current: Any, chance: random.Random) -> Any:
    match chosen.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            text = chance.choice(_TEXTS if chance.random() < 0.5 else _names())
            if chosen.type == FieldDescriptor.TYPE_BYTES:
                return _bytes_changed(current or b"ab", chance) if chance.random() < 0.5 else text.encode()
            return text
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return chance.choice(_REALS)
        case _:
            number = chance.choice(_NUMBERS)
            return number if chance.random() < 0.6 else int(current or 0) + chance.choice((-1, 1, 2))


@dataclass
class Survey:
    """What became of a range of mutations; `failures` are texts that begin with the mutation's number."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    peak_mib: int = 0
    slowest: float = 0.0
    slowest_number: int = -1


def run(first: int, count: int, seconds: int = SECONDS) -> Survey:
    """Works through mutations in a child process, which is started again behind a mutation that ends it."""
    survey, position, end = Survey(), first, first + count
    with tempfile.TemporaryDirectory() as folder:
        while position < end and survey.outcomes["ended the process"] < _MANY:
            log = Path(folder) / "log"
            command = [sys.executable, "-m", "tests.frontend.fuzz", "--child", str(position), str(end), folder]
            with log.open("w") as out:
                ended = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
            lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
            for line in lines:
                survey.outcomes[line["outcome"]] += 1
                survey.peak_mib = max(survey.peak_mib, line["mib"])
                if line["seconds"] > survey.slowest:
                    survey.slowest, survey.slowest_number = line["seconds"], line["number"]
                if line["outcome"] == "failed":
                    survey.failures.append(f"{line['number']}: {line['text']}")
            position += len(lines)
            if ended.returncode:
                survey.outcomes["ended the process"] += 1
                survey.failures.append(f"{position}: exit status {ended.returncode}: {ended.stderr[-2000:]}")
                position += 1
    return survey


def _child(first: int, end: int, folder: Path) -> None:
    """One line of JSON for each mutation."""
    _sources()
    (folder / "secret").write_bytes(b"\1" * 4096)
    inside = folder / "model"
    (inside / "scratch").mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(inside / "scratch")
    (inside / "weights.bin").write_bytes(np.arange(64, dtype=np.float32).tobytes())
    path = inside / "m.onnx"
    load_warm(path)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    opened: list[str] = []
    sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
    signal.signal(signal.SIGALRM, _too_slow)
    for number in range(first, end):
        path.write_bytes(mutated(number))
        opened.clear()
        begin = time.perf_counter()
        signal.alarm(SECONDS)
        outcome, text = _outcome(path, "uint4/15" if number % 4 == 0 else None)
        signal.alarm(0)
        outside = [name for name in opened if not _allowed(name, inside)]
        if outside and outcome != "failed":  # the text of a failure quotes source files
            outcome, text = "failed", f"read {outside}"
        peak = _peak_mib()
        seconds = round(time.perf_counter() - begin, 3)
        print(json.dumps({"number": number, "outcome": outcome, "text": text, "mib": peak, "seconds": seconds}))
        sys.stdout.flush()


def _peak_mib() -> int:
    """Of this program: `ru_maxrss` also knows what the process was before it became it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) >> 10


def load_warm(path: Path) -> None:
    """Every module that loading needs is imported once."""
    for data in _sources():
        path.write_bytes(data)
        try:
            load(path)
        except UnsupportedModel:
            continue


def _allowed(name: str, folder: Path) -> bool:
    """Whether a file that was asked for lies in the folder; one with a NUL in its name cannot be opened."""
    return "\0" in name or name.isdigit() or Path(name).resolve().is_relative_to(folder.resolve())


def _too_slow(signum: int, frame: Any) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def _outcome(path: Path, input_type: str | None) -> tuple[str, str]:
    try:
        load(path, input_type=input_type)
    except UnsupportedModel as refusal:
        whole = all(p.where and p.found and p.fix for p in refusal.problems)
        return ("refused", "") if whole else ("failed", f"an empty text in {refusal}")
    except BadInput:
        return "bad input", ""
    except FpgaflowError as error:
        return "failed", f"{type(error).__name__}: {error}"
    except BaseException:
        return "failed", traceback.format_exc()[-1500:]
    return "carried", ""


def main() -> None:
    if sys.argv[1] == "--child":
        _child(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
        return
    begin = time.perf_counter()
    survey = run(int(sys.argv[1]), int(sys.argv[2]))
    print(f"{sys.argv[2]} mutations in {time.perf_counter() - begin:.0f} s: {dict(survey.outcomes)}")
    print(f"peak {survey.peak_mib} MiB, slowest {survey.slowest} s (mutation {survey.slowest_number})")
    print(f"{len(survey.failures)} failures", *survey.failures[:50], sep="\n")
    sys.exit(bool(survey.failures))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
