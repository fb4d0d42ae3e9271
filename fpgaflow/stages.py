"""Resumable stages: each knows what it depends on, leaves a record when it is whole, and is not run again unchanged."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fpgaflow.data import data_dir
from fpgaflow.errors import BadInput, Busy, FpgaflowError
from fpgaflow.files import write_atomic

STATE = ".fpgaflow"
Facts = dict[str, Any]  # what a stage reports: plain JSON values
Notify = Callable[[str, str], None]  # stage name, and what it is doing


@dataclass(frozen=True)
class Outcome:
    """What a stage made: its facts, and the files (relative to the folder) that it wrote.

    `failure` is what the stage checked and found wrong: its facts stand, but it leaves no record and runs again.
    """

    facts: Facts
    files: tuple[str, ...] = ()
    failure: FpgaflowError | None = None


@dataclass
class Stages:
    """The stages of one folder, run in order; `facts` by name, and `log`, which becomes the manifest's list."""

    folder: Path
    notify: Notify
    facts: dict[str, Facts] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)

    def run(self, name: str, depends: Mapping[str, Any], work: Callable[[], Outcome]) -> Facts:
        """The facts of stage `name`: from its record if nothing it depends on and none of its files changed.

        `depends` are plain JSON values. The digest covers them, the facts and every file.

        Raises:
            FpgaflowError: the work failed, or made an outcome with a failure.
        """
        key = digest({"stage": name, "code": code_digest(), **depends})
        record_path = self.folder / STATE / f"{name}.json"
        record = _read_record(record_path)
        if record is not None and record["key"] == key and self._digests(record["files"]) == record["files"]:
            self._logged(name, "skipped", record["seconds"], record["digest"])
            self.facts[name] = record["facts"]
            return self.facts[name]
        self.notify(name, "")
        record_path.unlink(missing_ok=True)
        started = time.monotonic()
        try:
            outcome = work()
            self.facts[name] = outcome.facts
            if outcome.failure is not None:
                raise outcome.failure
        except FpgaflowError:
            self._logged(name, "failed", time.monotonic() - started, None)
            raise
        seconds = round(time.monotonic() - started, 3)
        files = self._digests(dict.fromkeys(outcome.files, ""))
        whole = digest({"key": key, "facts": outcome.facts, "files": files})
        record = {"key": key, "facts": outcome.facts, "files": files, "seconds": seconds, "digest": whole}
        write_atomic(record_path, json.dumps(record))
        self._logged(name, "done", seconds, whole)
        return outcome.facts

    def _logged(self, name: str, status: str, seconds: float, digest_: str | None) -> None:
        self.log.append({"name": name, "status": status, "seconds": round(seconds, 3), "digest": digest_})

    def _digests(self, files: Mapping[str, str]) -> dict[str, str]:
        found = {}
        for name in files:
            path = self.folder / name
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        return found


def _read_record(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_text())
        return record if {"key", "facts", "files", "seconds", "digest"} <= record.keys() else None
    except (OSError, ValueError, AttributeError):
        return None  # no record, or the rest of a damaged one: the stage runs again


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 of what makes the stages: fpgaflow's sources and templates, and the versions of what they call."""
    state = hashlib.sha256()
    for root, pattern in ((Path(__file__).resolve().parent, "*.py"), (data_dir("hls_templates"), "*.*")):
        for path in sorted(root.rglob(pattern)):
            if path.is_file() and path.parent.name != "__pycache__":
                state.update(path.relative_to(root).as_posix().encode())
                state.update(path.read_bytes())
    for package in ("hls4ml", "onnxruntime", "qonnx"):
        state.update(f"{package} {version(package)}".encode())
    return state.hexdigest()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps a second build out of the folder; the lock goes with the process, however it ends.

    Raises:
        Busy: another build is at work there.
        BadInput: the folder cannot be written.
    """
    try:
        (folder / STATE).mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / STATE / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise BadInput(str(folder), f"cannot be written ({error.strerror})", "Choose another --out folder") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise Busy(str(folder), "another build is at work there", "Wait for it, or choose another --out") from None
    try:
        yield
    finally:
        os.close(handle)
