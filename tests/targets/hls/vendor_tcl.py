"""A real Tcl interpreter whose Vivado and Vitis HLS commands record what they are told and check what they can.

The pins of each IP are those of its product guide; a name that is not among them fails, as it would in Vivado.
"""

from __future__ import annotations

import tkinter
from collections.abc import Callable
from pathlib import Path
from typing import Any

# (clock and reset inputs, other pins, interfaces) of each IP.
PINS: dict[str, tuple[set[str], set[str], set[str]]] = {
    "processing_system7": (
        {"M_AXI_GP0_ACLK", "S_AXI_HP0_ACLK"},
        {"FCLK_CLK0", "FCLK_RESET0_N"},
        {"M_AXI_GP0", "S_AXI_HP0"},
    ),
    "zynq_ultra_ps_e": (
        {"maxihpm0_fpd_aclk", "saxihp0_fpd_aclk"},
        {"pl_clk0", "pl_resetn0"},
        {"M_AXI_HPM0_FPD", "S_AXI_HP0_FPD"},
    ),
    "proc_sys_reset": ({"slowest_sync_clk", "ext_reset_in"}, {"peripheral_aresetn", "interconnect_aresetn"}, set()),
    "smartconnect": ({"aclk", "aresetn"}, set(), set()),
    "axi_dma": (
        {"s_axi_lite_aclk", "m_axi_mm2s_aclk", "m_axi_s2mm_aclk", "axi_resetn"},
        {"mm2s_introut", "s2mm_introut"},
        {"S_AXI_LITE", "M_AXI_MM2S", "M_AXI_S2MM", "M_AXIS_MM2S", "S_AXIS_S2MM"},
    ),
    "fpgaflow_axi": ({"ap_clk", "ap_rst_n"}, set(), {"s_axis", "m_axis"}),
}


class ScriptFailed(Exception):
    """The script raised an error or ended with `exit` and another status than 0."""


class Tcl:
    """Runs a script; `calls` are the commands in order, each a tuple of words."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.printed: list[str] = []
        self._why = ""
        self._interpreter = tkinter.Tcl()
        self._interpreter.eval("rename puts real_puts")
        for name in dir(self):
            if name.startswith("do_"):
                self._interpreter.createcommand(name.removeprefix("do_"), self._recorder(getattr(self, name), name))

    def _recorder(self, command: Callable[..., Any], name: str) -> Callable[..., str]:
        def call(*words: str) -> str:
            if name != "do_puts":
                self.calls.append((name.removeprefix("do_"), *words))
            return str(command(*words) or "")

        return call

    def run(self, script: Path) -> None:
        try:
            self._interpreter.call("source", str(script))
        except tkinter.TclError as error:
            if self._why != "exit 0":
                raise ScriptFailed("\n".join([*self.printed, self._why or str(error)])) from None

    def fail(self, why: str) -> None:
        self._why = why
        raise RuntimeError(why)

    def words(self, text: str) -> list[str]:
        return [str(word) for word in self._interpreter.splitlist(text)]

    def called(self, name: str) -> list[list[str]]:
        return [list(words) for command, *words in self.calls if command == name]

    def do_exit(self, status: str = "0") -> None:
        self.fail(f"exit {status}")

    def do_puts(self, *words: str) -> None:
        if len(words) == 2 and words[0].startswith("file"):
            self._interpreter.call("real_puts", *words)
        else:
            self.printed.append(words[-1])


class Vivado(Tcl):
    """`boards` are the board files it has; `progress`, `slack` and `generated` what its runs end with."""

    def __init__(self, boards: set[str]) -> None:
        super().__init__()
        self.boards = boards
        self.ips = set(PINS)
        self.progress = {"synth_1": "100%", "impl_1": "100%"}
        self.slack = {"WNS": "0.412", "WHS": "0.021"}
        self.generated = "gen"
        self.raises_on_failed_runs = False
        self.cells: dict[str, str] = {}
        self.nets: set[tuple[str, str]] = set()
        self.properties: dict[str, dict[str, str]] = {}
        self.project = Path()

    def do_get_board_parts(self, quiet: str, name: str) -> str:
        assert quiet == "-quiet"
        return " ".join(board for board in sorted(self.boards) if board == name or board.startswith(name.rstrip("*")))

    def do_create_project(self, *words: str) -> None:
        self.project = Path(words[2])

    def do_get_ipdefs(self, everything: str, pattern: str) -> str:
        name = pattern.split(":")[2]
        return f"{pattern.removesuffix('*')}1.9 {pattern.removesuffix('*')}1.10" if name in self.ips else ""

    def do_create_bd_cell(self, kind: str, type_: str, flag: str, vlnv: str, name: str) -> None:
        assert (kind, flag) in (("-type", "-vlnv"), ("-type", "-reference"))
        if flag == "-vlnv":
            assert vlnv.endswith(":1.10"), "the newest version"
        self.cells[name] = vlnv.split(":")[2] if flag == "-vlnv" else vlnv

    def _interfaces(self, cell: str) -> set[str]:
        names = set(PINS[self.cells[cell]][2])
        if self.cells[cell] == "smartconnect":
            for kind, key in (("S", "CONFIG.NUM_SI"), ("M", "CONFIG.NUM_MI")):
                names |= {f"{kind}{i:02}_AXI" for i in range(int(self.properties[cell][key]))}
        return names

    def do_get_bd_pins(self, name: str) -> str:
        cell, pin = name.split("/")
        if pin not in PINS[self.cells[cell]][0] | PINS[self.cells[cell]][1]:
            self.fail(f"no pin {name}")
        return name

    def do_get_bd_intf_pins(self, name: str) -> str:
        cell, pin = name.split("/")
        if pin not in self._interfaces(cell):
            self.fail(f"no interface {name}")
        return name

    def do_connect_bd_net(self, source: str, sink: str) -> None:
        self.nets.add((source, sink))

    do_connect_bd_intf_net = do_connect_bd_net

    def do_validate_bd_design(self) -> None:
        """Every clock, reset and interface is connected exactly once."""
        ends = [end for net in self.nets for end in net]
        sinks = [sink for _, sink in self.nets]
        for cell, ip in self.cells.items():
            for pin in PINS[ip][0]:
                if sinks.count(f"{cell}/{pin}") != 1:
                    self.fail(f"{cell}/{pin} has {sinks.count(f'{cell}/{pin}')} drivers")
            for interface in self._interfaces(cell):
                if ends.count(f"{cell}/{interface}") != 1:
                    self.fail(f"{cell}/{interface} is connected {ends.count(f'{cell}/{interface}')} times")

    def do_set_property(self, *words: str) -> None:
        pairs = self.words(words[1]) if words[0] == "-dict" else list(words[:2])
        self.properties.setdefault(words[-1], {}).update(zip(pairs[::2], pairs[1::2], strict=True))

    def do_get_property(self, name: str, owner: str) -> str:
        if name == "DIRECTORY":
            return str(self.project if owner == "project" else self.project / "fpgaflow.runs" / owner)
        if name == "PROGRESS":
            return self.progress[owner]
        if name == "STATUS":
            return "Complete!" if self.progress[owner] == "100%" else "ERROR"
        if name.startswith("STATS."):
            return self.slack[name.removeprefix("STATS.")]
        if name in ("CONFIG.PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ", "CONFIG.PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ"):
            return "99.999001"
        raise AssertionError(f"unknown property {name}")

    def do_launch_runs(self, run: str, *words: str) -> None:
        if run == "impl_1" and self.progress[run] == "100%":
            assert words[:2] == ("-to_step", "write_bitstream")
            self._write(self.project / "fpgaflow.runs/impl_1/fpgaflow_wrapper.bit")
            self._write(self.project / f"fpgaflow.{self.generated}/sources_1/bd/fpgaflow/hw_handoff/fpgaflow.hwh")

    def do_wait_on_run(self, run: str) -> None:
        if self.raises_on_failed_runs and self.progress[run] != "100%":
            raise RuntimeError(run)

    def _report(self, *words: str) -> None:
        self._write(Path(words[-1]))

    do_report_utilization = do_report_timing_summary = do_report_power = _report

    def _write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)

    def _same(self, *words: str) -> str:
        return words[-1]

    def _project(self) -> str:
        return "project"

    def _nothing(self, *words: str) -> None:
        pass

    do_get_bd_cells = do_get_runs = do_get_files = _same
    do_current_project = do_current_fileset = _project
    do_add_files = do_update_compile_order = do_update_ip_catalog = do_create_bd_design = _nothing
    do_apply_bd_automation = do_assign_bd_address = do_save_bd_design = do_make_wrapper = do_open_run = _nothing


class VitisHls(Tcl):
    """Writes what C synthesis and export would leave, into the current folder."""

    def __init__(self) -> None:
        super().__init__()
        self.project = Path()
        self.export_fails = False

    def do_open_project(self, reset: str, name: str) -> None:
        self.project = Path(name)

    def do_csynth_design(self) -> None:
        report = self.project / "solution1/syn/report/csynth.xml"
        report.parent.mkdir(parents=True)
        report.write_text("<profile/>")

    def do_export_design(self, *words: str) -> None:
        if self.export_fails:
            raise RuntimeError("no")
        component = self.project / "solution1/impl/ip/component.xml"
        component.parent.mkdir(parents=True)
        component.write_text("<component/>")

    def _nothing(self, *words: str) -> None:
        pass

    do_set_top = do_open_solution = do_set_part = do_create_clock = _nothing
    do_config_compile = do_config_schedule = _nothing

    def do_add_files(self, source: str, *words: str) -> None:
        if not Path(source).is_file():
            self.fail(f"no file {source}")
