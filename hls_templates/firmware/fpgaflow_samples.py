"""What the drivers share: samples as integers and bytes and back, and one user at a time (Python 3.8, numpy)."""

from __future__ import annotations

import fcntl
import json
import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

BATCH, BUFFER_BYTES = 1024, 1 << 22  # the default batch: samples, and bytes of the larger stream


class TransferError(RuntimeError):
    """The hardware reported an error, or the network answered with fewer bytes than it owes."""


class Port:
    """One stream, as a port of interface.json says."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.shape = tuple(fields["shape"])
        self.elements = int(np.prod(self.shape, dtype=np.int64))
        self.per_beat = fields["elements_per_beat"]
        self.slot = fields["element_bits"] // 8
        self.beat = fields["tdata_bits"] // 8
        self.beats = -(-self.elements // self.per_beat)
        self.sample_bytes = self.beats * self.beat
        self.width, self.signed = fields["width"], fields["signed"]
        self.low = -(1 << (self.width - 1)) if self.signed else 0
        self.high = (1 << (self.width - self.signed)) - 1
        self.scale, self.offset = (self._broadcast(fields, key) for key in ("scale", "offset"))

    def _broadcast(self, fields: dict[str, Any], key: str) -> np.ndarray:
        entries = np.atleast_1d(np.asarray(fields.get(key, 0.0), dtype=np.float64))
        if len(entries) == 1:
            return entries
        return entries.reshape([-1 if axis == fields["axis"] else 1 for axis in range(len(self.shape))])

    @property
    def _whole(self) -> str:
        """The dtype of a slot, where slots fill the beats without a gap and numpy has such integers; else empty."""
        fills = self.per_beat * self.slot == self.beat and self.slot in (1, 2, 4, 8)
        return f"<{'i' if self.signed else 'u'}{self.slot}" if fills else ""

    def pack(self, codes: np.ndarray, out: np.ndarray) -> None:
        """Integers (N, *shape) into bytes (N, sample_bytes), the first element in the lowest byte."""
        count = len(codes)
        flat = codes.reshape(count, self.elements)
        if self._whole:  # straight into the buffer
            slots = out.view(self._whole)
            slots[:, : self.elements] = flat
            slots[:, self.elements :] = 0
            return
        wide = np.ascontiguousarray(flat, dtype="<i8").view(np.uint8).reshape(count, self.elements, 8)
        slots = np.zeros((count, self.beats * self.per_beat, self.slot), dtype=np.uint8)
        slots[:, : self.elements] = wide[:, :, : self.slot]
        beats = out.reshape(count, self.beats, self.beat)
        beats[:, :, : self.per_beat * self.slot] = slots.reshape(count, self.beats, self.per_beat * self.slot)
        beats[:, :, self.per_beat * self.slot :] = 0

    def unpack(self, data: np.ndarray, out: np.ndarray) -> None:
        """Bytes (N, sample_bytes) into integers (N, *shape), int64."""
        count = len(data)
        flat = out.reshape(count, self.elements)
        data = np.asarray(data)
        if self._whole:
            flat[...] = data.view(self._whole)[:, : self.elements]
            return
        beats = data.reshape(count, self.beats, self.beat)[:, :, : self.per_beat * self.slot]
        slots = beats.reshape(count, self.beats * self.per_beat, self.slot)
        wide = np.zeros((count, self.elements, 8), dtype=np.uint8)
        wide[:, :, 8 - self.slot :] = slots[:, : self.elements]
        flat[...] = (wide.view("<i8" if self.signed else "<u8") >> (64 - 8 * self.slot)).reshape(count, self.elements)


def quantise(x: np.ndarray, port: Port, quantiser: dict[str, Any]) -> np.ndarray:
    """Floats as the integers that the model's own quantiser gives: overflow(round(x × gain + offset)).

    Exact for every float32, and for float64 of 1e-300 to 1e300. Float64 decides where its error cannot matter; the few
    values that lie closer to a step are computed as fractions.
    """
    x = x.astype(np.float64)
    mode, gain, offset = quantiser["rounding"], Fraction(quantiser["gain_exact"]), Fraction(quantiser["offset_exact"])
    scaled = x * float(gain)
    v = scaled + float(offset)
    rounded = _round(v, mode)
    power_of_two = (gain.numerator & (gain.numerator - 1)) == (gain.denominator & (gain.denominator - 1)) == 0
    if offset != 0 or not power_of_two:
        error = (np.abs(scaled) + abs(float(offset))) * 2.0**-50
        unsure = _round(v - error, mode) != _round(v + error, mode)
        values, where = np.unique(x[unsure], return_inverse=True)
        exact = [_round_exactly(Fraction(float(value)) * gain + offset, mode) for value in values]
        rounded[unsure] = np.array(exact, dtype=np.float64)[where]
    low, high = quantiser["low"], quantiser["high"]
    if quantiser["overflow"] == "WRAP":
        codes = np.fmod(rounded, 2.0**port.width).astype(np.int64) & ((1 << port.width) - 1)
        return np.where(codes > port.high, codes - (1 << port.width), codes)
    codes = np.clip(rounded, -(2.0**62), 2.0**62).astype(np.int64)
    if quantiser["overflow"] == "SAT_ZERO":
        return np.where((codes < low) | (codes > high), 0, codes)
    return np.clip(codes, low, high)


def _round(v: np.ndarray, mode: str) -> np.ndarray:
    """Rounds to whole float64 by one of AMD's ap_fixed quantisation modes."""
    if mode == "RND_CONV":
        return np.rint(v)
    if mode == "TRN":
        return np.floor(v)
    whole = np.trunc(v)
    if mode == "TRN_ZERO":
        return whole
    rest = np.abs(v - whole)  # exact, unlike the distance from the floor
    tie_away = {"RND": v > 0, "RND_MIN_INF": v < 0, "RND_INF": True, "RND_ZERO": False}[mode]
    away = (rest > 0.5) | ((rest == 0.5) & tie_away)
    return whole + np.copysign(away.astype(np.float64), v)


def _round_exactly(v: Fraction, mode: str) -> int:
    floor = v.numerator // v.denominator
    rest, half = v - floor, Fraction(1, 2)
    tie_up = {"RND": True, "RND_MIN_INF": False, "RND_INF": v > 0, "RND_ZERO": v < 0, "RND_CONV": floor % 2 == 1}
    if mode in tie_up:
        return floor + (rest > half or (rest == half and tie_up[mode]))
    return floor + (mode == "TRN_ZERO" and v < 0 and rest > 0)


class Driver:
    """A network whose folder is `bundle`. Subclasses move bytes: `_open`, `transfer`, `_release`.

    Raises:
        FileNotFoundError: the folder lacks one of `needed`.
        RuntimeError: somebody else holds `lock`.
        ValueError: a batch of no sample, or more than `largest_transfer` bytes.
    """

    def __init__(
        self,
        bundle: Path,
        needed: tuple[str, ...],
        lock: Path,
        batch: int | None,
        largest_transfer: int,
        timeout_s: float,
    ) -> None:
        bundle = Path(bundle)
        for name in (*needed, "interface.json", "bundle.json"):
            if not (bundle / name).is_file():
                raise FileNotFoundError(f"{bundle / name} is missing: copy the whole folder that the build made")
        self.bundle: dict[str, Any] = json.loads((bundle / "bundle.json").read_text())
        interface = json.loads((bundle / "interface.json").read_text())
        self.input, self.output = Port(interface["input"]), Port(interface["output"])
        self.quantiser: dict[str, Any] = interface["input"]["quantiser"]
        self.timeout_s = timeout_s
        self.repeated = 0  # samples that had to be sent again, where the way to the hardware has faults
        largest = max(self.input.sample_bytes, self.output.sample_bytes)
        self.batch = min(BATCH, max(1, BUFFER_BYTES // largest)) if batch is None else batch
        if self.batch < 1 or self.batch * largest > largest_transfer:
            raise ValueError(f"batch is {batch}: use 1 to {largest_transfer // largest} samples of {largest} bytes")
        self._failed = ""
        self._open_now = True
        self._lock = _locked(lock)
        # uint8 (batch, sample_bytes), which the FPGA reads and writes
        self._input: Any
        self._output: Any
        try:
            self._open(bundle)
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, bundle: Path) -> None:
        """Loads the bitstream and sets `_input` and `_output`."""
        raise NotImplementedError

    def _release(self) -> None:
        """Gives the hardware back; nothing may write into the buffers after it."""
        raise NotImplementedError

    def transfer(self, samples: int) -> None:
        """Sends the first `samples` of the input buffer, and waits until their results are in the output buffer.

        Raises:
            TimeoutError: the network did not answer in time.
            TransferError: the hardware reported an error, or the answer was short.
        """
        raise NotImplementedError

    def clock_mhz(self) -> float:
        """The clock that the network runs at."""
        raise NotImplementedError

    def predict(self, x: Any) -> np.ndarray:
        """Real inputs (N, ...) to values (N, ...), float64."""
        return self.values(self.predict_codes(self.codes(x)))

    def codes(self, x: Any) -> np.ndarray:
        """Real inputs (N, ...) as the integers that the network takes, int64."""
        array = self._samples(x, "fiub", "real numbers")
        if not np.isfinite(array).all():
            first = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise ValueError(f"x holds {array[first]} at index {first}: inputs must be finite")
        return quantise(array, self.input, self.quantiser)

    def values(self, codes: np.ndarray) -> np.ndarray:
        """The network's output integers as values: integer × scale + offset."""
        return codes * self.output.scale + self.output.offset

    def predict_codes(self, codes: Any) -> np.ndarray:
        """Input integers (N, ...) to output integers (N, ...), int64."""
        array = self._samples(codes, "iub", "integers; predict() takes real numbers")
        if array.size and not (self.input.low <= array.min() and array.max() <= self.input.high):
            found = f"{array.min()} to {array.max()}"
            raise ValueError(f"codes reach from {found}, the input takes {self.input.low} to {self.input.high}")
        self._require_usable()
        results = np.empty((len(array), *self.output.shape), dtype=np.int64)
        for start in range(0, len(array), self.batch):
            chunk = array[start : start + self.batch]
            self.input.pack(chunk, self._input[: len(chunk)])
            self.transfer(len(chunk))
            self.output.unpack(self._output[: len(chunk)], results[start : start + len(chunk)])
        return results

    def _require_usable(self) -> None:
        if not self._open_now or self._failed:
            raise RuntimeError(self._failed or "The accelerator is closed: open a new Accelerator()")

    def _begin(self) -> None:
        """From here until `_failed` is empty again, the network holds data that nobody took."""
        self._require_usable()
        self._failed = "A transfer failed before and left data in the network: close this and open a new Accelerator()"

    def _samples(self, x: Any, kinds: str, what: str) -> np.ndarray:
        array = np.asarray(x)
        if array.dtype.kind not in kinds:
            raise TypeError(f"The samples are {array.dtype}: give {what}")
        if array.ndim != len(self.input.shape) + 1 or array.shape[1:] != self.input.shape:
            expected = ", ".join(map(str, ("N", *self.input.shape)))
            raise ValueError(f"The samples have shape {array.shape}: the network takes ({expected})")
        return array

    def close(self) -> None:
        """Frees the buffers and lets others use the FPGA."""
        if self._open_now:
            self._open_now = False
            try:
                self._release()
            finally:
                self._input = self._output = None
                os.close(self._lock)

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _locked(path: Path) -> int:
    """An open file that is locked until it is closed or this process ends, however it ends."""
    handle = os.open(str(path), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise RuntimeError(f"The FPGA is in use by process {owner} (lock {path}): close its Accelerator") from None
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle
