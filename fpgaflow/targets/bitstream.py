"""A plan's commands up to the bitstream, here or through ssh, told as the phases that their logs show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fpgaflow.doctor import find_executable
from fpgaflow.errors import BadInput
from fpgaflow.targets.plan import BuildPlan, Command
from fpgaflow.targets.remote import Remote
from fpgaflow.targets.run import CommandResult, run_plan
from fpgaflow.vendor.progress import Follower

Tell = Callable[[str], None]


def missing_tools(plan: BuildPlan, remote: str | None) -> tuple[str, ...]:
    """The tools of a plan that are not here; none where they are to be another machine's, which is asked later."""
    if remote is not None:
        return ()
    return tuple(sorted({command.tool for command in plan.commands if find_executable(command.tool) is None}))


def run_tools(
    plan: BuildPlan, folder: Path, tell: Tell, remote: str | None = None, timeout_s: float | None = None
) -> tuple[CommandResult, ...]:
    """Runs what is not up to date; `tell` gets a line as a command or a phase of it begins.

    Args:
        remote: `user@machine` that has the tools; default: they are here.
        timeout_s: of each command; a command that runs longer is stopped, with everything that it started.

    Raises:
        BadInput: no name of a machine, or no time.
        MissingTool, ToolFailed: as `run_plan`; a known cause of a failure is named.
    """
    if timeout_s is not None and not timeout_s > 0:
        raise BadInput("--tool-timeout", f"is {timeout_s:g} s", "Give a time above 0")
    machine = None if remote is None else Remote(remote)
    follower = Follower()

    def show(command: Command, line: str) -> None:
        nonlocal follower
        if not line:
            follower = Follower()
            tell(command.name)
        elif (text := follower.feed(line)) is not None:
            tell(f"{command.name}: {text}")

    return run_plan(plan, folder, show, machine, timeout_s)
