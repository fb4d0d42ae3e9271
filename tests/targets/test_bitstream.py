"""Stand-ins for the tools that write what real ones write to their logs: progress, time limits, remote machines."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fpgaflow.errors import BadInput, MissingTool, ToolFailed
from fpgaflow.targets.bitstream import missing_tools, run_tools
from fpgaflow.targets.plan import BuildPlan, Command
from fpgaflow.targets.remote import Remote
from fpgaflow.vendor.progress import Follower, phase_of
from tests.stand_ins import Install

HLS = Command("C synthesis", ("vitis_hls", "-f", "a b.tcl"), "vitis_hls", "logs/hls.log", "hls", ("ip/component.xml",))
VIVADO = Command("bitstream", ("vivado", "-mode", "batch"), "vivado", "logs/vivado.log", "vivado", ("board/top.bit",))
PLAN = BuildPlan({"hls/a b.tcl": "csynth_design\n"}, (HLS, VIVADO))

# As recorded from Vitis HLS 2022 and 2025 and Vivado 2022, abridged.
HLS_LOG = """INFO: [HLS 200-10] Creating and opening project 'fpgaflow_prj'.
INFO: [HLS 200-10] Analyzing design file 'firmware/fpgaflow.cpp' ...
INFO: [HLS 200-111] Finished Compiling Optimization and Transform: CPU user time: 1.2 seconds
INFO: [HLS 200-10] Starting hardware synthesis ...
INFO: [HLS 200-10] -- Generating RTL for module 'fpgaflow_axi'
INFO: [HLS 200-111] Finished Generating all RTL models: CPU user time: 2 seconds.
INFO: [IMPL 213-8] Exporting RTL as a Vivado IP."""
VIVADO_LOG = """[Fri Jan 10 11:25:51 2025] Launched synth_1...
Starting Synthesize : Time (s): cpu = 00:00:05 ; elapsed = 00:00:06 . Memory (MB): peak = 2123.898
[Fri Jan 10 11:29:51 2025] Launched impl_1...
Starting Placer Task
Phase 2 Global Placement
Starting Routing Task
Command: write_bitstream -force fpgaflow_wrapper.bit"""
GOOD_HLS = f"cat <<'END'\n{HLS_LOG}\nEND\necho run >>hls.count; mkdir -p ../ip; cat \"$2\" >../ip/component.xml"
GOOD_VIVADO = f"cat <<'END'\n{VIVADO_LOG}\nEND\nmkdir -p ../board; cat ../ip/component.xml >../board/top.bit"


def test_phases_follow_each_other() -> None:
    follower = Follower()
    told = [text for line in VIVADO_LOG.splitlines() if (text := follower.feed(line))]
    assert [text.split(",")[0] for text in told] == [
        *("synthesis", "synthesis", "optimisation", "placement", "placement", "routing", "bitstream"),
    ]
    assert follower.feed("Starting Placer Task") is None, "it never goes back"
    assert phase_of("INFO: [HLS 200-489] Unrolling loop 'Result'") is None


def test_progress_is_told_by_phase(tmp_path: Path, install: Install) -> None:
    install("vitis_hls", GOOD_HLS)
    install("vivado", GOOD_VIVADO)
    told: list[str] = []
    assert missing_tools(PLAN, None) == ()
    run_tools(PLAN, tmp_path / "plan", told.append)
    assert told[0] == "C synthesis" and told[-1] == "bitstream: bitstream, about 92 %"
    assert "C synthesis: writing RTL, about 75 %" in told
    assert [result.skipped for result in run_tools(PLAN, tmp_path / "plan", told.append)] == [True, True]


def test_a_tool_that_hangs_is_stopped_with_what_it_started(tmp_path: Path, install: Install) -> None:
    install("vitis_hls", "sleep 300 & echo $! >child; wait")
    install("vivado", GOOD_VIVADO)
    folder = tmp_path / "plan"
    with pytest.raises(ToolFailed, match=r"ran past its timeout of 0\.5 s"):
        run_tools(PLAN, folder, lambda _: None, timeout_s=0.5)
    wait_for(lambda: not is_running(int((folder / "hls/child").read_text())))
    with pytest.raises(BadInput, match="--tool-timeout"):
        run_tools(PLAN, folder, lambda _: None, timeout_s=0)


def test_what_is_missing_is_named(install: Install) -> None:
    install("vivado", GOOD_VIVADO)
    assert missing_tools(PLAN, None) == ("vitis_hls",)
    assert missing_tools(PLAN, "me@there") == ()


@pytest.fixture
def there(tmp_path: Path, install: Install) -> Path:
    """The home folder of another machine, which a stand-in for ssh reaches."""
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    (home / ".profile").write_text(f'PATH="{home}/bin:/usr/bin:/bin"\n')
    install(
        "ssh",
        'while [ "$1" != -- ]; do shift; done; shift\n'
        'case "$1" in me@there) ;; *) echo "ssh: Could not resolve hostname $1" >&2; exit 255;; esac\n'
        f'shift; cd {home} && export HOME={home} && exec sh -c "$*"',
    )
    return home


def put(home: Path, name: str, body: str) -> None:
    (home / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
    (home / "bin" / name).chmod(0o755)


def test_another_machine_runs_the_plan(tmp_path: Path, there: Path) -> None:
    put(there, "vitis_hls", GOOD_HLS)
    put(there, "vivado", GOOD_VIVADO)
    folder, told = tmp_path / "plan", list[str]()
    run_tools(PLAN, folder, told.append, "me@there")
    assert (folder / "board/top.bit").read_text() == "csynth_design\n"
    assert "Starting Routing Task" in (folder / "logs/vivado.log").read_text()
    assert "bitstream: routing, about 72 %" in told
    assert [result.skipped for result in run_tools(PLAN, folder, told.append, "me@there")] == [True, True]
    changed = BuildPlan({**PLAN.files, "hls/a b.tcl": "other\n"}, PLAN.commands)
    run_tools(changed, folder, told.append, "me@there")
    assert (folder / "board/top.bit").read_text() == "other\n"


def test_a_failure_there_is_explained_here(tmp_path: Path, there: Path) -> None:
    put(there, "vitis_hls", GOOD_HLS)
    put(
        there,
        "vivado",
        'mkdir -p p.runs; echo "ERROR: [Common 17-345] A valid license was not found" >p.runs/runme.log; exit 1',
    )
    with pytest.raises(ToolFailed, match="ended with status 1: no licence"):
        run_tools(PLAN, tmp_path / "plan", lambda _: None, "me@there")
    assert (tmp_path / "plan/ip/component.xml").is_file(), "what was done is kept"


def test_a_machine_without_the_tools_or_none_at_all(tmp_path: Path, there: Path) -> None:
    put(there, "vivado", GOOD_VIVADO)
    with pytest.raises(MissingTool, match="vitis_hls not on the PATH of a login shell on me@there"):
        run_tools(PLAN, tmp_path / "plan", lambda _: None, "me@there")
    with pytest.raises(ToolFailed, match="cannot be reached: ssh: Could not resolve hostname nobody"):
        run_tools(PLAN, tmp_path / "plan", lambda _: None, "nobody")
    for wrong in ("-oProxyCommand=x", "a b", "me@there;id", ""):
        with pytest.raises(BadInput, match="--remote"):
            Remote(wrong)


def test_cancelling_ends_the_process_group_there(tmp_path: Path, there: Path) -> None:
    put(there, "vitis_hls", f"sleep 300 & echo $! >{there}/child; wait")
    put(there, "vivado", GOOD_VIVADO)
    code = (
        "import sys; from pathlib import Path; from tests.targets.test_bitstream import PLAN, run_tools\n"
        "run_tools(PLAN, Path(sys.argv[1]), lambda _: None, 'me@there')"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "plan")], stderr=subprocess.DEVNULL)
    wait_for(lambda: (there / "child").is_file() and (there / "child").read_text().strip() != "")
    child = int((there / "child").read_text())
    process.send_signal(signal.SIGINT)
    process.wait(60)
    wait_for(lambda: not is_running(child))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
