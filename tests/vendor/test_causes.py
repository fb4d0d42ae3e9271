"""Lines of logs as users reported them (hls4ml issues 59, 134, 438, 539, 903; FINN 1214; OpenTitan 18098; others)."""

from __future__ import annotations

from pathlib import Path

import pytest

from fpgaflow.errors import ToolFailed
from fpgaflow.targets.plan import BuildPlan, Command
from fpgaflow.targets.run import run_plan
from fpgaflow.vendor.causes import CAUSES, explain, known_cause
from tests.stand_ins import Install

LINES = {
    "no licence": (
        "ERROR: [Common 17-345] A valid license was not found for feature 'Synthesis' and/or device 'xcv80'.",
        "WARNING: [Common 17-348] Failed to get the license for feature 'Synthesis' and/or device 'xczu9eg'.",
    ),
    "out of memory": (
        '/tools/Xilinx/Vivado/2018.2/bin/rdiArgs.sh: line 194:  8288 Killed                  "$RDI_PROG" "$@"',
        "clang: error: unable to execute command: Killed",
        "terminate called after throwing an instance of 'std::bad_alloc'",
    ),
    "disk full": ("ERROR: [Common 17-49] Internal Data Exception: No space left on device",),
    "unroll limit": (
        "ERROR: [XFORM 203-504] Stop unrolling loop 'MultLoop' (firmware/nnet_utils/nnet_dense_resource.h:52) in"
        " function 'nnet::conv_2d_cl<...>' because it may cause large runtime and excessive memory usage due to"
        " increase in code size. Please avoid unrolling the loop or form sub-functions for code in the loop body.",
        "ERROR: [XFORM 203-103] Array 'mult.V' (firmware/nnet_utils/nnet_dense.h:60): partitioned elements number"
        " (4096) has exeeded the threshold (1024), which may cause long run-time.",
    ),
    "does not fit the part": (
        "ERROR: [Place 30-640] Place Check : This design requires more Slice LUTs cells than are available in the"
        " target device.",
        "ERROR: [DRC UTLZ-1] Resource utilization: LUT as Logic over-utilized in Top Level Design",
    ),
    "timing not met": (
        "CRITICAL WARNING: [Timing 38-282] The design failed to meet the timing requirements.",
        "ERROR: [fpgaflow] timing is not met at 100 MHz: WNS is '-0.312' ns, read reports/timing.rpt; lower the clock",
    ),
    "board files missing": (
        "ERROR: [Board 49-71] The board_part definition was not found for tul.com.tw:pynq-z2:part0:1.0.",
    ),
    "part missing": ("ERROR: [Coretcl 2-106] Specified part could not be found.",),
    "export after 2021": (
        "bad lexical cast: source type value could not be interpreted as target",
        "ERROR: [fpgaflow] versions up to 2021.2 need AMD's y2k22 patch to export at dates after 2021",
    ),
    "library missing": ("vivado: error while loading shared libraries: libtinfo.so.5: cannot open shared object file",),
    "tool crashed": ("Abnormal program termination (11)",),
}


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in LINES.items() for line in lines])
def test_a_reported_line_is_recognised(name: str, line: str) -> None:
    cause = explain(line)
    assert cause is not None and cause.name == name


@pytest.mark.parametrize(
    "line",
    [
        "INFO: [Common 17-349] Got license for feature 'Synthesis' and/or device 'xc7a35t'",
        "INFO: [HLS 200-489] Unrolling loop 'Result' (firmware/nnet_utils/nnet_dense_latency.h:120) completely",
        "ERROR: [HLS 200-1715] Encountered problem during source synthesis",
        "INFO: [HLS 200-111] Finished Linking Time (s): cpu = 00:00:28 ; elapsed = 00:00:30 . Memory (MB): peak = 959",
        "INFO: [Timing 38-35] Done setting XDC timing constraints.",
        "Phase 1 Build RT Design",
    ],
)
def test_usual_lines_are_no_cause(line: str) -> None:
    assert explain(line) is None


def test_the_most_telling_line_wins(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"{LINES['tool crashed'][0]}\n{LINES['timing not met'][0]}\n{LINES['out of memory'][0]}\nlast\n")
    found = known_cause(log)
    assert found is not None and (found[0].name, found[1]) == ("out of memory", LINES["out of memory"][0])
    assert len({cause.name for cause in CAUSES}) == len(CAUSES)


def test_a_failed_command_names_its_cause(tmp_path: Path, install: Install) -> None:
    install(
        "vitis_hls", f"cat <<'END'\n{LINES['unroll limit'][0]}\nERROR: [HLS 200-70] Pre-synthesis failed.\nEND\nexit 1"
    )
    plan = BuildPlan({}, (Command("C synthesis", ("vitis_hls",), "vitis_hls", "logs/hls.log"),))
    with pytest.raises(ToolFailed, match=r"ended with status 1: unroll limit: .*XFORM 203-504") as caught:
        run_plan(plan, tmp_path / "plan")
    assert "reuse factor" in str(caught.value) and "logs/hls.log" in str(caught.value)


def test_the_cause_may_stand_in_the_log_of_a_run_that_vivado_started(tmp_path: Path, install: Install) -> None:
    install(
        "vivado",
        f'mkdir -p project.runs/synth_1; echo "{LINES["no licence"][0]}" >project.runs/synth_1/runme.log\n'
        'echo "ERROR: [fpgaflow] synth_1 ended at 0%: read runme.log"; exit 1',
    )
    plan = BuildPlan({}, (Command("bitstream", ("vivado",), "vivado", "logs/vivado.log", "vivado"),))
    with pytest.raises(ToolFailed, match=r"no licence: ERROR: .Common 17-345") as caught:
        run_plan(plan, tmp_path / "plan")
    assert "XILINXD_LICENSE_FILE" in str(caught.value)
