"""Runs a build plan's commands: own process group, log file, exit status and outputs checked, resumable.

Where they run is a `Machine`: this one, or one that ssh reaches (remote.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from fpgaflow.doctor import find_executable, require_tools
from fpgaflow.errors import ToolFailed
from fpgaflow.files import write_atomic
from fpgaflow.targets.plan import BuildPlan, Command, digest_of, write
from fpgaflow.vendor.causes import cause_of_failure

# Called with the command that starts and "", then with every line that it adds to its log.
Progress = Callable[[Command, str], None]

_STAMPS = ".fpgaflow"
_POLL_S = 0.1

# Vivado, Vitis HLS and v++ write `ERROR: [Synth 8-439] ...`; the second kind only repeats that something failed before.
_VENDOR_ERROR = re.compile(r"ERROR: \[.+?\]")
_ECHO_OF_ERROR = re.compile(r"\[(Common 17-39|Common 17-69|HLS 200-1715)\]|Pre-synthesis failed")
_ANY_ERROR = re.compile(r"\berror\b", re.IGNORECASE)


@dataclass(frozen=True)
class CommandResult:
    """`skipped`: the command ran before, and neither its inputs nor its outputs have changed since."""

    name: str
    skipped: bool
    seconds: float
    log: Path


class Machine(Protocol):
    """Where commands run; every folder is the plan's on this machine."""

    def require(self, tools: Iterable[str]) -> None:
        """Raises MissingTool, which names all that are not there."""

    def prepare(self, plan: BuildPlan, folder: Path) -> None:
        """Called once, before the first command that runs; the plan's files lie in `folder`."""

    def argv(self, command: Command, folder: Path) -> Sequence[str]:
        """What to start here, for the command to run there."""

    def collect(self, command: Command, folder: Path) -> None:
        """Called after the command, however it ended: brings its outputs, and logs if it failed, into `folder`."""

    def stop(self, command: Command, folder: Path) -> None:
        """Ends what the command started and may still run there."""


class Here:
    """This machine."""

    def require(self, tools: Iterable[str]) -> None:
        require_tools(tools)

    def prepare(self, plan: BuildPlan, folder: Path) -> None:
        pass

    def argv(self, command: Command, folder: Path) -> Sequence[str]:
        return [find_executable(command.argv[0]) or command.argv[0], *command.argv[1:]]

    def collect(self, command: Command, folder: Path) -> None:
        pass

    def stop(self, command: Command, folder: Path) -> None:
        pass


def run_plan(
    plan: BuildPlan,
    folder: Path,
    progress: Progress | None = None,
    machine: Machine | None = None,
    timeout_s: float | None = None,
) -> tuple[CommandResult, ...]:
    """Writes the plan into `folder` and runs its commands in order, skipping those that are up to date.

    A command is up to date where its stamp, written last of all, has the digest of the plan's files, of this command
    and of all outputs before it, and the digests of its own outputs as they are now.

    Args:
        machine: where they run; default: here.
        timeout_s: of every command that has none of its own.

    Raises:
        MissingTool: before anything runs; names all missing tools of the commands that have to run.
        ToolFailed: a command failed, ran past its timeout or left out an output; names log and last error line.
    """
    write(plan, folder)
    results: list[CommandResult] = []
    inputs = digest_of({path: _digest_bytes(content) for path, content in plan.files.items()})
    machine, ready = machine or Here(), False
    for number, command in enumerate(plan.commands):
        inputs = digest_of([inputs, asdict(command)])
        stamp = folder / _STAMPS / f"{number}.json"
        outputs = _digest_outputs(command, folder)
        skipped = outputs is not None and _read_stamp(stamp) == {"inputs": inputs, "outputs": outputs}
        seconds = 0.0
        if not skipped:
            if not ready:
                machine.require(later.tool for later in plan.commands[number:])
                machine.prepare(plan, folder)
                ready = True
            started = time.monotonic()
            limited = command if command.timeout_s is not None else replace(command, timeout_s=timeout_s)
            outputs = _run(limited, folder, progress, machine)
            seconds = time.monotonic() - started
            write_atomic(stamp, json.dumps({"inputs": inputs, "outputs": outputs}))
        inputs = digest_of([inputs, outputs])
        results.append(CommandResult(command.name, skipped, seconds, folder / command.log))
    return tuple(results)


def _run(command: Command, folder: Path, progress: Progress | None, machine: Machine) -> dict[str, str]:
    """Runs one command to its end and returns the digests of its outputs."""
    for output in command.outputs:  # an old output must not pass for a new one
        (folder / output).unlink(missing_ok=True)
    log, cwd = folder / command.log, folder / command.cwd
    log.parent.mkdir(parents=True, exist_ok=True)
    cwd.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink, log.open("rb") as source:
        follow = (lambda line: progress(command, line)) if progress else (lambda line: None)
        try:
            status = _wait(command, folder, sink, source, follow, machine)
        except subprocess.TimeoutExpired as error:
            raise _failure(
                command, f"ran past its timeout of {command.timeout_s:g} s and was stopped", log, folder
            ) from error
        except OSError as error:
            raise _failure(command, f"could not be started ({error.strerror})", log, folder) from error
    if status != 0:
        raise _failure(command, f"ended with status {status}", log, folder)
    outputs = _digest_outputs(command, folder)
    if outputs is None:
        missing = ", ".join(output for output in command.outputs if not (folder / output).is_file())
        raise _failure(command, f"ended well but did not create {missing}", log, folder)
    return outputs


def _wait(
    command: Command, folder: Path, sink: BinaryIO, source: BinaryIO, follow: Callable[[str], None], machine: Machine
) -> int:
    """Starts the command and waits; nothing that it started outlives this call (except what left its session)."""
    process = subprocess.Popen(
        machine.argv(command, folder),
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=subprocess.STDOUT,
        cwd=folder / command.cwd,
        start_new_session=True,
    )
    deadline = None if command.timeout_s is None else time.monotonic() + command.timeout_s
    partial = b""
    try:
        follow("")
        while True:
            try:
                process.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                if deadline is not None and time.monotonic() >= deadline:
                    raise
            *lines, partial = (partial + source.read()).split(b"\n")
            for line in lines:
                follow(printable(line))
            if process.returncode is not None:
                machine.collect(command, folder)
                return process.returncode
    except BaseException:
        machine.stop(command, folder)
        raise
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _failure(command: Command, found: str, log: Path, folder: Path) -> ToolFailed:
    where = f"command '{command.name}' ({shlex.join(command.argv)})"
    return failure_of(where, found, log, folder / command.cwd)


def failure_of(where: str, found: str, log: Path, folder: Path) -> ToolFailed:
    """What to tell of a command that failed in `folder`: its cause where it is a known one, else its last error."""
    if (known := cause_of_failure(log, folder)) is not None:
        cause, line = known
        return ToolFailed(where, f"{found}: {cause.name}: {printable(line)[:300]}", f"{cause.fix}. The log: {log}")
    line = last_error(log)
    return ToolFailed(where, found + (f": {line}" if line else ""), f"Read the log {log}")


def last_error(log: Path) -> str:
    """The log's last line that tells what went wrong, the best kind there is; empty for an empty log.

    In order of preference: a vendor's error with its own message, a vendor's error that only repeats that one went
    before, any line that says "error", any line at all.
    """
    best = {"": ""}
    with log.open("rb") as file:
        for raw in file:
            line = printable(raw)
            if _VENDOR_ERROR.search(line):
                best["echo" if _ECHO_OF_ERROR.search(line) else "vendor"] = line
            elif _ANY_ERROR.search(line):
                best["any"] = line
            elif line:
                best[""] = line
    return next(best[kind] for kind in ("vendor", "echo", "any", "") if kind in best)[:300]


def printable(line: bytes | str) -> str:
    """A line of a log without what a terminal would act on."""
    text = (line if isinstance(line, str) else line.decode(errors="replace")).rstrip()
    return "".join(character if character.isprintable() else " " for character in text).strip()


def _digest_outputs(command: Command, folder: Path) -> dict[str, str] | None:
    """SHA-256 of each output file; None where one is missing."""
    digests = {}
    for output in command.outputs:
        if not (folder / output).is_file():
            return None
        with (folder / output).open("rb") as file:
            digests[output] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def _digest_bytes(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def _read_stamp(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
