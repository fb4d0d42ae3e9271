"""Runs a plan's commands on another machine through ssh: for those whose Vivado is elsewhere.

It needs `ssh` and `tar` here; `bash`, `tar`, `setsid` and the tools there, on the PATH of a login shell (~/.profile).
Keys or an agent log in: nothing asks for a password. The folder there stays, so that a later build goes on from it.
"""

from __future__ import annotations

import hashlib
import io
import re
import shlex
import socket
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fpgaflow.doctor import find_executable
from fpgaflow.errors import BadInput, MissingTool, ToolFailed
from fpgaflow.targets.plan import SCRIPT_NAME, BuildPlan, Command

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(@[A-Za-z0-9][A-Za-z0-9_.:-]*)?")
_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=30")
_ANSWERS_WITHIN_S = 120.0
_COPIES_WITHIN_S = 3600.0
_UNREACHABLE = 255  # ssh's own exit status
_LOGS = "runme.log"  # of the runs that Vivado starts


@dataclass(frozen=True)
class Remote:
    """The machine `host`: `user@machine`, or a Host of ~/.ssh/config.

    Raises:
        BadInput: no such form of a name.
    """

    host: str

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host):
            raise BadInput("--remote", f"is {self.host!r}", "Give user@machine, or a Host of ~/.ssh/config")

    def require(self, tools: Iterable[str]) -> None:
        """Raises MissingTool: ssh is not here, or a tool is not there."""
        if find_executable("ssh") is None:
            raise MissingTool("ssh", "is not on PATH", "Install an OpenSSH client")
        names = sorted({*tools, "tar", "setsid"})
        checks = "; ".join(
            f"command -v {shlex.quote(name)} >/dev/null 2>&1 || echo {shlex.quote(name)}" for name in names
        )
        missing = self._ask(checks).decode(errors="replace").split()
        if missing:
            found = f"{', '.join(missing)} not on the PATH of a login shell on {self.host}"
            raise MissingTool(f"--remote {self.host}", found, "Put it there in ~/.profile: source .../settings64.sh")

    def prepare(self, plan: BuildPlan, folder: Path) -> None:
        """Copies the plan's files there; what earlier commands made there is kept."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as bundle:
            for name in (*plan.files, SCRIPT_NAME):
                bundle.add(folder / name, name)
        there = shlex.quote(self._folder(folder))
        self._ask(f"mkdir -p {there} && tar -xf - -C {there}", buffer.getvalue(), _COPIES_WITHIN_S)

    def argv(self, command: Command, folder: Path) -> Sequence[str]:
        """ssh, which starts the command there in a session of its own and remembers its process group."""
        cwd = f"{self._folder(folder)}/{command.cwd}"
        outputs = shlex.join(f"{self._folder(folder)}/{output}" for output in command.outputs)
        inner = f"echo $$ >{self._pid(folder)}; exec {shlex.join(command.argv)}"
        outer = [
            f"mkdir -p {shlex.quote(cwd)}",
            f"cd {shlex.quote(cwd)}",
            *([f"rm -f {outputs}"] if outputs else []),
            f"exec setsid -w bash -c {shlex.quote(inner)} </dev/null",
        ]
        return self._ssh(" && ".join(outer))

    def collect(self, command: Command, folder: Path) -> None:
        """Brings what is there of the outputs, and the logs of Vivado's runs."""
        there = self._folder(folder)
        wanted = " ".join(shlex.quote(f"./{output}") for output in command.outputs)
        listed = f"ls -d {wanted} 2>/dev/null; " if wanted else ""
        script = f"cd {shlex.quote(there)} && {{ {listed}find . -name {_LOGS} -type f; }} | sort -u | tar -cf - -T -"
        self._unpack(self._ask(script, timeout_s=_COPIES_WITHIN_S), command, folder)

    def stop(self, command: Command, folder: Path) -> None:
        """Ends the command's whole process group there; silent where the machine cannot be reached any more."""
        script = f"read -r group <{self._pid(folder)} && kill -KILL -- -$group"
        subprocess.run(
            self._ssh(script), capture_output=True, timeout=_ANSWERS_WITHIN_S, check=False, stdin=subprocess.DEVNULL
        )

    def _folder(self, folder: Path) -> str:
        """The plan's folder there, below the home folder: one for each folder of each machine."""
        origin = f"{socket.gethostname()}:{folder.resolve()}"
        return f".fpgaflow/{hashlib.sha256(origin.encode()).hexdigest()[:16]}"

    def _pid(self, folder: Path) -> str:
        return f'"$HOME"/{self._folder(folder)}/group'

    def _ssh(self, script: str) -> list[str]:
        login = f"bash -lc {shlex.quote(script)}"  # ssh gives one text to the shell there
        return [find_executable("ssh") or "ssh", *_OPTIONS, "--", self.host, login]

    def _ask(self, script: str, given: bytes = b"", timeout_s: float = _ANSWERS_WITHIN_S) -> bytes:
        where = f"--remote {self.host}"
        try:
            run = subprocess.run(self._ssh(script), input=given, capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            raise ToolFailed(where, f"did not answer within {timeout_s:g} s", f"Try: ssh {self.host}") from None
        if run.returncode != 0:
            said = run.stderr.decode(errors="replace").strip().splitlines()
            found = f"{'cannot be reached' if run.returncode == _UNREACHABLE else 'failed'}: {said[-1] if said else ''}"
            raise ToolFailed(where, found, f"Try: ssh {self.host}, which has to work without a password")
        return run.stdout

    def _unpack(self, content: bytes, command: Command, folder: Path) -> None:
        """Only what was asked for, as plain files inside the folder."""
        with tarfile.open(fileobj=io.BytesIO(content)) as bundle:
            for entry in bundle:
                name = entry.name.removeprefix("./")
                if not entry.isfile() or (name not in command.outputs and Path(name).name != _LOGS):
                    continue
                entry.name = name
                bundle.extract(entry, folder, filter="data")
