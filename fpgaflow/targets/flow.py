"""What both hardware flows share: what they have made so far, the samples that a board checks itself with, and the end
of a flow in a vendor's tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fpgaflow.build_folder import FIRMWARE, MANIFEST
from fpgaflow.doctor import find_executable
from fpgaflow.ir.graph import Graph
from fpgaflow.report.firmware import Figures, reported_figures
from fpgaflow.samples import Samples
from fpgaflow.sim.run import Simulator
from fpgaflow.stages import STATE, Facts, Outcome
from fpgaflow.targets import plan as plans
from fpgaflow.targets.bitstream import run_tools
from fpgaflow.targets.hls.firmware import REPORTS_FOLDER, Vectors
from fpgaflow.targets.plan import BuildPlan

MAX_UTILISATION = 0.7  # share of the part that a folding may take: placement gets hard beyond
_BOARD_SAMPLES = 64
_BITSTREAMS = (".bit", ".xclbin")


@dataclass(frozen=True)
class Made:
    """The results of a flow as far as it came; paths are relative to the build's folder.

    `why` says why there is no bitstream, and what to do; `more` goes into the manifest as it is.
    """

    figures: Figures
    firmware: str | None = None
    bitstream: str | None = None
    why: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


class HardwareFlow(Protocol):
    """The stages after `import` and `simulate`; `made` can be asked at any time, also after a failure."""

    def run(self, graph: Graph, samples: Samples, fps: float | None) -> None: ...

    def made(self) -> Made: ...


@dataclass(frozen=True)
class VendorTools:
    """Where a vendor's tools run: `user@machine`, or here; and how long each command may take."""

    remote: str | None = None
    timeout_s: float | None = None


HERE = VendorTools()


@dataclass(frozen=True)
class VendorEnd:
    """How a firmware plan ended: without the tools that are `missing`, or with `figures` and a bitstream."""

    missing: tuple[str, ...]
    figures: Figures | None = None
    bitstream: str | None = None

    def why(self, folder: Path) -> str | None:
        """Why there is no bitstream in the build's folder."""
        if not self.missing:
            return None
        command = plans.finish_command(folder / FIRMWARE)
        return f"{', '.join(self.missing)} not found: run `{command}` on a machine that has them"


def write_firmware(plan: BuildPlan, folder: Path) -> Outcome:
    """Writes a plan into the build's folder: a stage, whose facts `finish` reads."""
    plans.write(plan, folder / FIRMWARE)
    results = [output for command in plan.commands for output in command.outputs]
    facts = {
        "plan": plan.digest,
        "commands": [command.name for command in plan.commands],
        "tools": sorted({command.tool for command in plan.commands}),
        "bitstream": next((f"{FIRMWARE}/{name}" for name in results if name.endswith(_BITSTREAMS)), None),
    }
    return Outcome(facts, tuple(f"{FIRMWARE}/{name}" for name in plan.files))


def waits_for_tools(folder: Path) -> bool:
    """Whether a build has no bitstream for want of tools that are here: built once more, it goes on to it."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        facts = json.loads((folder / STATE / "firmware.json").read_text())["facts"]
        wanting = manifest["bitstream"] is None and manifest["failure"] is None and facts["bitstream"] is not None
        return wanting and all(find_executable(tool) is not None for tool in facts["tools"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def finish(
    written: Facts,
    plan: Callable[[], BuildPlan],
    folder: Path,
    tools: VendorTools,
    estimated: Figures,
    tell: Callable[[str], None],
) -> VendorEnd:
    """Runs the commands of a firmware that `write_firmware` wrote, if their tools are there; resumes by itself.

    Raises:
        BadInput, MissingTool, ToolFailed: as `run_tools`.
    """
    if tools.remote is None and (missing := tuple(t for t in written["tools"] if find_executable(t) is None)):
        return VendorEnd(missing)
    run_tools(plan(), folder / FIRMWARE, tell, tools.remote, tools.timeout_s)
    return VendorEnd((), reported_figures(folder / FIRMWARE / REPORTS_FOLDER, estimated), written["bitstream"])


def board_vectors(graph: Graph, samples: Samples) -> Vectors:
    """The first samples, and what the simulator makes of them."""
    x = samples.x[:_BOARD_SAMPLES]
    simulator = Simulator(graph)
    codes = simulator.input_integers(x)[graph.inputs[0].name]
    return Vectors(x, codes, simulator.predict_integers(x)[graph.outputs[0].name])
