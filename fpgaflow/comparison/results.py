"""What is known of one target, and of all: plain data between those who find figures and those who show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fpgaflow.comparison.figures import Figure, Key, figure_from_json, figures_from_json
from fpgaflow.errors import BadInput


class Kind(StrEnum):
    FPGA = "FPGA"
    GPU = "GPU"
    TPU = "TPU"
    CPU = "CPU"


def check_figure(value: object, where: str) -> None:
    """Returns for a Figure; raises BadInput for a number of which nobody knows where it comes from."""
    if not isinstance(value, Figure):
        fix = "Make it a Figure: value, unit, provenance, source"
        raise BadInput(where, f"{value!r} has no provenance", fix)


@dataclass(frozen=True)
class Comparison:
    """Two ways to compute, neighbours in the chain from the model's file to the target: output values that differ.

    `excuse` says why a difference is not the target's (float32 rounds where the graph is exact), else it is empty.
    """

    left: str
    right: str
    samples: int
    values: int
    different: Figure
    excuse: str = ""

    @property
    def ok(self) -> bool:
        return self.different.value == 0 or bool(self.excuse)


@dataclass(frozen=True)
class Layer:
    """One layer on a target. Figures: cycles, folding's multipliers, resources, bits, saturated and wrapped values."""

    name: str
    kind: str
    shape: str
    type: str
    folding: str
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Target:
    """One row of the comparison.

    Attributes:
        name: what the user wrote, or that with what tells it apart (`pynq-z2, 4 bits`).
        device: in words.
        folder: its build or engine, relative to the report's folder; None where there is none.
        notes: what a reader must know of its figures; what failed, if it did.
        command: what makes this target's build again.
        competes: False for a yardstick, which is shown beside the others and wins nothing.
    """

    name: str
    kind: Kind
    device: str
    figures: Mapping[Key, Figure]
    chain: tuple[Comparison, ...] = ()
    layers: tuple[Layer, ...] = ()
    bottleneck: str = ""
    notes: tuple[str, ...] = ()
    failure: str = ""
    folder: str | None = None
    command: str = ""
    competes: bool = True

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Returns where every number is a Figure.

        Raises:
            BadInput: names the one that is not.
        """
        held: list[tuple[str, object]] = [(name, figure) for name, figure in self.figures.items()]
        held += [(name, figure) for layer in self.layers for name, figure in layer.figures.items()]
        held += [("differences", step.different) for step in self.chain]
        for name, figure in held:
            check_figure(figure, f"target '{self.name}': {name}")

    def get(self, key: Key) -> float | None:
        figure = self.figures.get(key)
        return None if figure is None else figure.value

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind.value,
            "device": self.device,
            "figures": {key.value: self.figures[key].as_json() for key in Key if key in self.figures},
            "chain": [
                {
                    "left": step.left,
                    "right": step.right,
                    "samples": step.samples,
                    "values": step.values,
                    "different": step.different.as_json(),
                    "excuse": step.excuse,
                }
                for step in self.chain
            ],
            "layers": [
                {
                    "name": layer.name,
                    "kind": layer.kind,
                    "shape": layer.shape,
                    "type": layer.type,
                    "folding": layer.folding,
                    "figures": {name: figure.as_json() for name, figure in layer.figures.items()},
                }
                for layer in self.layers
            ],
            "bottleneck": self.bottleneck,
            "notes": list(self.notes),
            "failure": self.failure,
            "folder": self.folder,
            "command": self.command,
            "competes": self.competes,
        }


def target_from_json(document: Any, where: str) -> Target:
    """The target that `as_json` wrote.

    Raises:
        BadInput: it is not whole.
    """
    try:
        chain = tuple(
            Comparison(**{**step, "different": figure_from_json(step["different"], f"{where}: chain")})
            for step in document["chain"]
        )
        layers = tuple(
            Layer(
                **{
                    **layer,
                    "figures": {n: figure_from_json(f, f"{where}: {n}") for n, f in layer["figures"].items()},
                }
            )
            for layer in document["layers"]
        )
        return Target(
            name=document["name"],
            kind=Kind(document["kind"]),
            device=document["device"],
            figures=figures_from_json(document["figures"], where),
            chain=chain,
            layers=layers,
            bottleneck=document["bottleneck"],
            notes=tuple(document["notes"]),
            failure=document["failure"],
            folder=document["folder"],
            command=document["command"],
            competes=bool(document["competes"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(where, f"is damaged ({error})", "Remove it, and compare again") from None


@dataclass(frozen=True)
class ModelFacts:
    """The model and the samples that all targets get.

    Attributes:
        macs, weight_bits, activation_bytes: of one sample, counted in the integer graph.
        labelled: whether the samples have labels, so that there are accuracies.
    """

    source: str
    sha256: str
    name: str
    data: str
    samples: int
    labelled: bool
    macs: Figure
    weight_bits: Figure

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "macs": self.macs.as_json(), "weight_bits": self.weight_bits.as_json()}


@dataclass(frozen=True)
class Report:
    """Everything that the page, the Markdown and the JSON say. `created` is the only date in it."""

    title: str
    model: ModelFacts
    targets: tuple[Target, ...]
    command: str
    version: str
    created: str
    max_drop: float
    swept: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.targets:
            raise BadInput("the report", "has no targets", "Name one or more: --targets pynq-z2,gpu,cpu")

    def check(self) -> None:
        """Returns where every number in it is a Figure; raises BadInput, which names the one that is not."""
        for name, value in (("multiply-adds", self.model.macs), ("weight bits", self.model.weight_bits)):
            check_figure(value, f"the model's {name}")
        for target in self.targets:
            target.check()
