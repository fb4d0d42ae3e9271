from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fpgaflow.errors import MissingTool, ToolFailed
from fpgaflow.targets.plan import BuildPlan, Command
from fpgaflow.targets.run import last_error, run_plan

HLS = Command(
    name="csynth", argv=("vitis_hls", "-f", "a.tcl"), tool="vitis_hls", log="logs/hls.log", outputs=("ip/ip.xml",)
)
BITSTREAM = Command(
    name="bitstream",
    argv=("vivado", "-mode", "batch"),
    tool="vivado",
    log="logs/vivado.log",
    cwd="vivado",
    outputs=("vivado/top.bit",),
)
PLAN = BuildPlan({"a.tcl": "csynth_design\n"}, (HLS, BITSTREAM))

GOOD_HLS = "echo run >>hls.count; echo working; mkdir -p ip; cat a.tcl >ip/ip.xml"
GOOD_VIVADO = "echo run >>../vivado.count; cat ../ip/ip.xml >top.bit"

Install = Callable[[str, str], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "plan"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a shell script on PATH as a stand-in for a tool; PATH has nothing else but the system's programs."""
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")

    def install_tool(name: str, body: str) -> None:
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)

    return install_tool


def runs(folder: Path, tool: str) -> int:
    path = folder / f"{tool}.count"
    return len(path.read_text().splitlines()) if path.exists() else 0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether the process lives; one that is dead and not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_success(folder: Path, install: Install) -> None:
    install("vitis_hls", GOOD_HLS)
    install("vivado", GOOD_VIVADO)
    seen: list[tuple[str, str]] = []
    before = Path.cwd()
    results = run_plan(PLAN, folder, lambda command, line: seen.append((command.name, line)))
    assert [(result.name, result.skipped) for result in results] == [("csynth", False), ("bitstream", False)]
    assert results[0].log.read_text() == "working\n"
    assert (folder / "vivado/top.bit").read_text() == "csynth_design\n"
    assert seen == [("csynth", ""), ("csynth", "working"), ("bitstream", "")]
    assert Path.cwd() == before


def test_arguments_are_not_read_by_a_shell(folder: Path, install: Install) -> None:
    install("vitis_hls", 'for a in "$@"; do echo "<$a>"; done')
    run_plan(BuildPlan({}, (replace(HLS, argv=("vitis_hls", "$(id)", "a b", "*"), outputs=()),)), folder)
    assert (folder / "logs/hls.log").read_text() == "<$(id)>\n<a b>\n<*>\n"


def test_failure_status(folder: Path, install: Install) -> None:
    error = "ERROR: [HLS 207-3776] use of undeclared identifier 'x' (firmware/top.cpp:7:3)"
    install("vitis_hls", f'echo "{error}"; echo "ERROR: [HLS 200-1715] Encountered problem"; echo Exiting; exit 4')
    install("vivado", GOOD_VIVADO)
    with pytest.raises(ToolFailed) as caught:
        run_plan(PLAN, folder)
    message = str(caught.value)
    assert message.startswith("command 'csynth' (vitis_hls -f a.tcl): ended with status 4: " + error)
    assert str(folder / "logs/hls.log") in message
    assert runs(folder, "vivado") == 0


def test_missing_output(folder: Path, install: Install) -> None:
    install("vitis_hls", "echo run >>hls.count; mkdir -p ip; echo '@E no'")
    install("vivado", GOOD_VIVADO)
    (folder / "ip").mkdir(parents=True)
    (folder / "ip/ip.xml").write_text("left over from another build")
    with pytest.raises(ToolFailed, match=r"ended well but did not create ip/ip\.xml: @E no"):
        run_plan(PLAN, folder)
    with pytest.raises(ToolFailed):
        run_plan(PLAN, folder)
    assert (runs(folder, "hls"), runs(folder, "vivado")) == (2, 0)


def test_missing_tools_are_all_named_before_any_work(folder: Path, install: Install) -> None:
    install("vitis_hls", GOOD_HLS)
    other = Command(name="other", argv=("no-such-tool",), tool="no-such-tool", log="other.log")
    with pytest.raises(MissingTool, match=r"vivado, no-such-tool: not found on PATH.*vivado: AMD unified installer"):
        run_plan(BuildPlan(PLAN.files, (*PLAN.commands, other)), folder)
    assert runs(folder, "hls") == 0


def test_tool_that_cannot_start(folder: Path, install: Install, tmp_path: Path) -> None:
    install("vitis_hls", "")
    (tmp_path / "tools/vitis_hls").write_bytes(b"\x00no program")
    with pytest.raises(ToolFailed, match=r"'csynth'.*could not be started"):
        run_plan(BuildPlan(PLAN.files, (HLS,)), folder)


GRANDCHILD = "sh -c 'echo $$ >grandchild; exec sleep 1000' & while [ ! -s grandchild ]; do :; done; echo ready; wait"


def test_timeout_kills_grandchildren(folder: Path, install: Install) -> None:
    install("vitis_hls", GRANDCHILD)
    with pytest.raises(
        ToolFailed, match=r"'csynth'.*ran past its timeout of 2 s and was stopped: ready\. Read the log"
    ):
        run_plan(BuildPlan(PLAN.files, (replace(HLS, timeout_s=2),)), folder)
    grandchild = int((folder / "grandchild").read_text())
    wait_for(lambda: not is_running(grandchild))


def test_interrupt_kills_grandchildren(folder: Path, install: Install) -> None:
    install("vitis_hls", GRANDCHILD)

    def interrupt(command: Command, line: str) -> None:
        if line == "ready":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(BuildPlan(PLAN.files, (HLS,)), folder, interrupt)
    grandchild = int((folder / "grandchild").read_text())
    wait_for(lambda: not is_running(grandchild))


def test_unchanged_commands_are_skipped(folder: Path, install: Install, tmp_path: Path) -> None:
    install("vitis_hls", GOOD_HLS)
    install("vivado", GOOD_VIVADO)
    run_plan(PLAN, folder)
    for name in ("vitis_hls", "vivado"):  # what is done needs no tool
        (tmp_path / "tools" / name).rename(tmp_path / name)
    assert [result.skipped for result in run_plan(PLAN, folder)] == [True, True]
    for name in ("vitis_hls", "vivado"):
        (tmp_path / name).rename(tmp_path / "tools" / name)

    (folder / "ip/ip.xml").write_text("damaged")  # made again as it was, so that what follows still holds
    assert [result.skipped for result in run_plan(PLAN, folder)] == [False, True]
    (folder / "vivado/top.bit").unlink()
    assert [result.skipped for result in run_plan(PLAN, folder)] == [True, False]
    assert (runs(folder, "hls"), runs(folder, "vivado")) == (2, 2)

    changed = BuildPlan({"a.tcl": "csynth_design -v\n"}, PLAN.commands)
    assert [result.skipped for result in run_plan(changed, folder)] == [False, False]
    assert (folder / "vivado/top.bit").read_text() == "csynth_design -v\n"
    slower = BuildPlan(changed.files, (HLS, replace(BITSTREAM, argv=("vivado", "-mode", "tcl"))))
    assert [result.skipped for result in run_plan(slower, folder)] == [True, False]


def test_changed_outputs_run_what_follows(folder: Path, install: Install) -> None:
    install("vitis_hls", f"{GOOD_HLS}; cat hls.count >>ip/ip.xml")  # another output every time
    install("vivado", GOOD_VIVADO)
    run_plan(PLAN, folder)
    (folder / "ip/ip.xml").unlink()
    assert [result.skipped for result in run_plan(PLAN, folder)] == [False, False]
    assert (folder / "vivado/top.bit").read_text() == "csynth_design\nrun\nrun\n"


def test_damaged_stamp_runs_again(folder: Path, install: Install) -> None:
    install("vitis_hls", GOOD_HLS)
    plan = BuildPlan(PLAN.files, (HLS,))
    run_plan(plan, folder)
    (stamp,) = (folder / ".fpgaflow").iterdir()
    stamp.write_text('{"inputs": "')
    assert [result.skipped for result in run_plan(plan, folder)] == [False]


def test_resume_after_kill(folder: Path, install: Install, tmp_path: Path) -> None:
    """SIGKILL on the runner in the second command: the first is not run again, the second is, from its beginning."""
    install("vitis_hls", GOOD_HLS)
    install("vivado", f"{GOOD_VIVADO}; echo $$ >../pid; while [ -e ../hold ]; do sleep 0.01; done")
    folder.mkdir()
    (folder / "hold").touch()
    code = "import sys, pathlib, test_run; test_run.run_plan(test_run.PLAN, pathlib.Path(sys.argv[1]))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], env=environment) as runner:
        wait_for(lambda: (folder / "pid").exists() and bool((folder / "pid").read_text().strip()))
        runner.kill()
    tool = int((folder / "pid").read_text())
    os.killpg(tool, signal.SIGKILL)
    wait_for(lambda: not is_running(tool))
    assert (folder / "vivado/top.bit").read_text() == "csynth_design\n"  # there, but nobody said that it was whole
    (folder / "hold").unlink()

    assert [result.skipped for result in run_plan(PLAN, folder)] == [True, False]
    assert (runs(folder, "hls"), runs(folder, "vivado")) == (1, 2)
    assert [result.skipped for result in run_plan(PLAN, folder)] == [True, True]


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            "ERROR: [Synth 8-439] module 'x' not found [top.v:3]\nERROR: [Common 17-39] 'synth_design' failed due to "
            "earlier errors.\nINFO: [Common 17-206] Exiting Vivado",
            "ERROR: [Synth 8-439] module 'x' not found [top.v:3]",
        ),
        (
            "ERROR: [Common 17-69] Command failed: no licence\nINFO: bye",
            "ERROR: [Common 17-69] Command failed: no licence",
        ),
        ("ERROR: [v++ 60-300] Failed to build kernel\nerror: later", "ERROR: [v++ 60-300] Failed to build kernel"),
        ("top.cpp:7:3: error: expected ';'\nmake: done", "top.cpp:7:3: error: expected ';'"),
        ("ERROR: Module `\\x' not found!\n", "ERROR: Module `\\x' not found!"),
        ("0 errors\n\nSegmentation fault\n\n", "Segmentation fault"),
        ("\x1b[31mError\x1b[0m: red\r\n", "[31mError [0m: red"),
        ("x" * 1000, "x" * 300),
        ("", ""),
    ],
)
def test_last_error(tmp_path: Path, log: str, expected: str) -> None:
    path = tmp_path / "log"
    path.write_text(log, newline="")
    assert last_error(path) == expected
