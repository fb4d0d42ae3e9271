"""What comes back from the board: board.json, read as data that anybody may have written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpgaflow.build_folder import MANIFEST, manifest_of
from fpgaflow.compare_bits import Mismatches
from fpgaflow.errors import BadInput
from fpgaflow.files import write_atomic
from fpgaflow.ir.store import load_graph

_LARGEST = 1 << 20
_KINDS = ("transfer", "codes", "values")
_FIX = "Take the board.json that selftest.py of this build's archive wrote"


@dataclass(frozen=True)
class BoardResults:
    """Measured on a board. `latency_us` is of one sample, `samples_per_second` of batches of `batch`, both by kind:

    `transfer` is DMA and network alone, `codes` adds packing, `values` adds quantising. `interval_us` is what one more
    sample in a transfer costs: neither the start of the DMA nor the driver is in it.
    """

    board: str
    mismatches: Mismatches
    different_inputs: int
    clock_mhz: float | None
    batch: int
    latency_us: Mapping[str, float]
    samples_per_second: Mapping[str, float]
    interval_us: float | None

    @property
    def ok(self) -> bool:
        return self.mismatches.different == 0 and self.different_inputs == 0

    def as_json(self) -> dict[str, Any]:
        return {
            "source": "measured",
            "board": self.board,
            "samples": self.mismatches.samples,
            "values": self.mismatches.values,
            "different": self.mismatches.different,
            "different_inputs": self.different_inputs,
            "clock_mhz": self.clock_mhz,
            "batch": self.batch,
            "latency_us": dict(self.latency_us),
            "samples_per_second": dict(self.samples_per_second),
            "interval_us": self.interval_us,
        }


def read_results(path: Path, manifest: Mapping[str, Any], graph: str) -> BoardResults:
    """The results in `path` of the build whose manifest and graph digest these are.

    Raises:
        BadInput: no such file, or one that is damaged or of another build.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise BadInput(str(path), "is too large for board results", _FIX)
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(str(path), f"cannot be read ({error.strerror})", _FIX) from None
    except (ValueError, RecursionError) as error:
        raise BadInput(str(path), f"is not JSON ({error})", _FIX) from None
    reader = _Reader(path, content)
    for key, ours in (("graph", graph), ("board", manifest.get("board")), ("part", manifest.get("part"))):
        if (theirs := reader.at(key)) != ours:
            raise BadInput(f"{path}: {key}", f"is {theirs!r}, and the build's is {ours!r}", _FIX)
    samples, values = reader.count("test", "samples"), reader.count("test", "values")
    different = reader.count("test", "different")
    if different > values or values < samples:
        raise BadInput(f"{path}: test", f"counts {different} of {values} values in {samples} samples", _FIX)
    interval = reader.at("speed", "interval_us")
    actual = reader.at("clock_mhz", "actual")
    return BoardResults(
        board=str(manifest["board"]),
        mismatches=Mismatches(samples, values, different),
        different_inputs=reader.count("test", "different_inputs"),
        clock_mhz=None if actual is None else reader.number("clock_mhz", "actual"),
        batch=reader.count("speed", "batch"),
        latency_us=reader.numbers("speed", "latency_us"),
        samples_per_second=reader.numbers("speed", "samples_per_second"),
        interval_us=None if interval is None else reader.number("speed", "interval_us", low=-math.inf),
    )


@dataclass(frozen=True)
class _Reader:
    """Values of a JSON document by their path; every one that is missing or of another kind is named."""

    path: Path
    content: Any

    def at(self, *keys: str) -> Any:
        value = self.content
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise self._wrong(keys, "is missing")
            value = value[key]
        return value

    def count(self, *keys: str) -> int:
        value = self.at(*keys)
        if type(value) is not int or value < 0:
            raise self._wrong(keys, f"is {value!r}, no count")
        return value

    def number(self, *keys: str, low: float = 0.0) -> float:
        value = self.at(*keys)
        if type(value) not in (int, float) or not math.isfinite(value) or value <= low:
            raise self._wrong(keys, f"is {value!r}, no measured number")
        return float(value)

    def numbers(self, *keys: str) -> dict[str, float]:
        table = self.at(*keys)
        if not isinstance(table, dict) or "transfer" not in table:
            raise self._wrong(keys, "holds no 'transfer'")
        return {kind: self.number(*keys, kind) for kind in _KINDS if kind in table}

    def _wrong(self, keys: tuple[str, ...], found: str) -> BadInput:
        return BadInput(f"{self.path}: {'.'.join(keys)}", found, _FIX)


def bring_back(build: Path, path: Path) -> BoardResults:
    """Reads the board's results and puts them into the build's manifest, as `board_results` and a mismatch.

    Raises:
        BadInput: no finished build, or results of another one.
    """
    manifest, graph_file = manifest_of(build)
    results = read_results(path, manifest, load_graph(graph_file).digest)
    document = {
        **manifest,
        "mismatches": {**manifest.get("mismatches", {}), "board_vs_sim": results.mismatches.as_json()},
        "board_results": results.as_json(),
    }
    write_atomic(build / MANIFEST, json.dumps(document, indent=2) + "\n")
    return results
