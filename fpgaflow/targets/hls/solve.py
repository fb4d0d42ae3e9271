"""One option for each layer, the best combination within limits: a multiple-choice knapsack, solved by CP-SAT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isinf
from typing import Any

from fpgaflow.cost.hls_design import Choice
from fpgaflow.cost.parts import Cost
from fpgaflow.errors import MissingTool

_SCALE = 16  # resources are counted in sixteenths: half a block RAM, parts of a LUT
_SHARES = 1_000_000  # a whole part, in the sum of shares that is to be least
_SEED, _SECONDS = 1, 20.0


@dataclass(frozen=True)
class Option:
    """One way to build a layer; the latency of its cost is what it does after its last input."""

    choice: Choice
    cost: Cost


@dataclass(frozen=True)
class Limits:
    """Most of each resource, cycles between samples, and cycles of a sample; what is not named has no limit."""

    resources: Mapping[str, float]
    cycles: float
    delay: float


class Solver:
    """Layers in order, each a list of options.

    Raises:
        MissingTool: OR-tools is not installed.
    """

    def __init__(self, layers: list[list[Option]]) -> None:
        try:
            from ortools.sat.python import cp_model
        except ImportError:
            raise MissingTool("OR-tools", "is not installed", "Run pip install ortools") from None
        self._cp: Any = cp_model
        self._layers = layers

    def smallest(self, limits: Limits, have: Mapping[str, int]) -> list[Option] | None:
        """The least sum of shares of a part that has so much; None where nothing is within the limits."""
        weights = {name: _SHARES / count if count else float(_SHARES) for name, count in have.items()}

        def price(option: Option) -> int:
            # A cycle counts for next to nothing: of equals the quicker.
            used = sum(getattr(option.cost, name) * weight for name, weight in weights.items())
            return round(_SCALE * used)

        return self._solve(limits, lambda model, picks, _: sum(price(o) * v for o, v in picks))

    def fastest(self, limits: Limits) -> list[Option] | None:
        """The fewest cycles between samples, and of those the fewest LUTs and flip-flops."""
        quick = self._solve(limits, lambda model, picks, slowest: slowest)
        if quick is None:
            return None
        cycles = max(option.cost.cycles for option in quick)
        within = Limits(limits.resources, min(limits.cycles, cycles), limits.delay)
        return self._solve(
            within,
            lambda model, picks, _: sum(round(2 * o.cost.lut + o.cost.ff + 200 * o.cost.bram36) * v for o, v in picks),
        )

    def soonest(self, limits: Limits) -> list[Option] | None:
        """The fewest cycles of a sample."""
        return self._solve(limits, None)

    def _solve(self, limits: Limits, objective: Any) -> list[Option] | None:
        model = self._cp.CpModel()
        layers = []
        for options in self._layers:
            picks = [(option, model.NewBoolVar("")) for option in options if option.cost.cycles <= limits.cycles]
            if not picks:
                return None
            model.AddExactlyOne([variable for _, variable in picks])
            layers.append(picks)
        everything = [pick for picks in layers for pick in picks]
        for name, most in limits.resources.items():
            used = sum(round(_SCALE * getattr(o.cost, name)) * v for o, v in everything)
            model.Add(used <= int(_SCALE * most))
        slowest = model.NewIntVar(0, max(o.cost.cycles for o, _ in everything), "slowest")
        waiting = model.NewIntVar(0, max(0, *(o.cost.cycles - o.cost.latency for o, _ in everything)), "waiting")
        for picks in layers:
            model.Add(slowest >= sum(o.cost.cycles * v for o, v in picks))
            model.Add(waiting >= sum((o.cost.cycles - o.cost.latency) * v for o, v in picks))
        delay = waiting + sum(o.cost.latency * v for o, v in everything)
        if not isinf(limits.delay):
            model.Add(delay <= int(limits.delay))
        model.Minimize(delay if objective is None else objective(model, everything, slowest))
        solver = self._cp.CpSolver()
        solver.parameters.num_workers = 1  # the same answer every time
        solver.parameters.random_seed = _SEED
        solver.parameters.max_deterministic_time = _SECONDS
        if solver.Solve(model) not in (self._cp.OPTIMAL, self._cp.FEASIBLE):
            return None
        return [next(option for option, variable in picks if solver.Value(variable)) for picks in layers]
