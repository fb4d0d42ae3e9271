"""A build plan: the files a target emits and the commands that turn them into firmware, as plain comparable data.

Emitting a plan needs no vendor tool. It can be written, digested, archived and carried to the machine that has the
tools, where `sh build.sh` runs it; `targets/run.py` runs it here.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from fpgaflow.errors import BadInput
from fpgaflow.files import write_atomic, zipped

SCRIPT_NAME = "build.sh"


@dataclass(frozen=True)
class Command:
    """One run of an external tool; every path is relative to the plan's folder.

    `tool` is the executable that has to be on PATH, mostly `argv[0]`. `outputs` are files, which the command must
    create and no other command or plan file may be.
    """

    name: str
    argv: tuple[str, ...]
    tool: str
    log: str
    cwd: str = "."
    outputs: tuple[str, ...] = ()
    timeout_s: float | None = None


@dataclass(frozen=True)
class BuildPlan:
    """`files` (relative POSIX path -> content, text as UTF-8) and `commands`, in the order they run.

    Raises:
        BadInput: a path leaves the folder, or two things claim the same path or command name.
    """

    files: Mapping[str, str | bytes]
    commands: tuple[Command, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", MappingProxyType(dict(sorted(self.files.items()))))
        claims = [SCRIPT_NAME, *self.files, *(path for c in self.commands for path in (*c.outputs, c.log))]
        for path in (*claims, *(command.cwd for command in self.commands if command.cwd != ".")):
            _check_relative(path)
        folders = {str(parent) for path in claims for parent in PurePosixPath(path).parents}
        _check_unique("path", [*claims, *(folders & set(claims))])
        _check_unique("command name", [command.name for command in self.commands])

    @cached_property
    def digest(self) -> str:
        """SHA-256, as hexadecimal, of every file and command; the same everywhere for the same plan."""
        content = {path: hashlib.sha256(_encode(text)).hexdigest() for path, text in self.files.items()}
        commands = [asdict(command) for command in self.commands]
        return digest_of({"format": 1, "files": content, "commands": commands})


def digest_of(value: object) -> str:
    """SHA-256, as hexadecimal, of the canonical JSON of `value`."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write(plan: BuildPlan, folder: Path) -> None:
    """Writes the plan's files and `build.sh`, each atomically; a file that is already right keeps its date.

    Raises:
        BadInput: a folder on the way is a link that leads outside `folder`, or cannot be written.
    """
    for path, content in _with_script(plan).items():
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.parent.resolve().is_relative_to(folder.resolve()):
                raise BadInput(str(target), "leads outside the plan's folder through a link", "Use an empty folder")
            if not target.is_file() or target.read_bytes() != content:
                write_atomic(target, content)
        except OSError as error:
            raise BadInput(str(target), f"cannot be written ({error.strerror})", "Use another folder") from error


def archive(plan: BuildPlan, path: Path) -> None:
    """Writes the plan as a zip that is the same byte for byte wherever and whenever it is made."""
    write_atomic(path, zipped(_with_script(plan)))


def script(plan: BuildPlan) -> str:
    """The POSIX shell script that runs the plan where it lies, after checking that every tool is there."""
    tools = shlex.join(dict.fromkeys(command.tool for command in plan.commands))
    lines = [
        "#!/bin/sh",
        f"# fpgaflow build plan {plan.digest}",
        "set -eu",
        'cd "$(dirname "$0")"',
        'fail() { echo "build.sh: $1" >&2; exit "$2"; }',
        "missing=",
        f'for tool in {tools}; do command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"; done',
        '[ -z "$missing" ] || fail "not on PATH:$missing" 2',
    ]
    for number, command in enumerate(plan.commands, 1):
        cwd, log = (shlex.quote(f"./{path}") for path in (command.cwd, command.log))
        title = f"[{number}/{len(plan.commands)}] {command.name}, log: {command.log}"
        failure = shlex.quote(f"{command.name} failed, read {command.log}")
        lines += [
            "",
            f"echo {shlex.quote(title)}",
            f'mkdir -p {cwd} "$(dirname {log})"',
            f"(cd {cwd} && exec {shlex.join(command.argv)}) >{log} 2>&1 </dev/null || fail {failure} 1",
        ]
        for output in command.outputs:
            failure = shlex.quote(f"{command.name} did not create {output}, read {command.log}")
            lines.append(f"[ -f {shlex.quote(f'./{output}')} ] || fail {failure} 1")
    return "\n".join(lines) + "\n"


def finish_command(folder: Path) -> str:
    """The one command that finishes a written plan, to print for a machine that has the tools."""
    return shlex.join(["sh", str(folder / SCRIPT_NAME)])


def _with_script(plan: BuildPlan) -> dict[str, bytes]:
    return {path: _encode(text) for path, text in plan.files.items()} | {SCRIPT_NAME: _encode(script(plan))}


def _encode(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _check_relative(path: str) -> None:
    """A normal relative POSIX path inside the folder: no root, no `..`, no `.`, no empty part."""
    clean = not any(character in path for character in "\\\0\n\r")
    if not clean or any(part in ("", ".", "..") for part in path.split("/")):
        raise BadInput(
            f"build plan path {path!r}", "is not a plain path inside the plan's folder", "Give one like a/b.c"
        )


def _check_unique(what: str, names: list[str]) -> None:
    for name, claims in Counter(names).items():
        if claims > 1:
            raise BadInput(f"build plan {what} {name!r}", "is claimed twice", "Give each its own")
