import pytest
import torch
from torch import nn

from fpgaflow.training.optimise import OptimiserName, ScheduleName, make_optimiser, make_schedule


@pytest.mark.parametrize("steps", range(1, 12))
@pytest.mark.parametrize("name", ScheduleName)
def test_a_schedule_of_any_length(name, steps):
    optimiser = make_optimiser(OptimiserName.SGD, nn.Linear(2, 2).parameters(), 0.1, 0.0, 0.0)
    schedule = make_schedule(name, optimiser, 0.1, steps)
    rates = []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if schedule is not None:
            schedule.step()
    assert all(0 <= rate <= 0.1 + 1e-9 for rate in rates)
    assert name in (ScheduleName.CONSTANT, ScheduleName.ONE_CYCLE) or rates == sorted(rates, reverse=True)
    assert (schedule is None) == (name is ScheduleName.CONSTANT)


def test_states_hold_plain_values_only(tmp_path):
    """A training is resumed from what `torch.load(weights_only=True)` reads."""
    for optimiser_name in OptimiserName:
        for name in ScheduleName:
            net = nn.Linear(2, 2)
            optimiser = make_optimiser(optimiser_name, net.parameters(), 0.1, 0.0, 0.01)
            schedule = make_schedule(name, optimiser, 0.1, 8)
            net(torch.ones(1, 2)).sum().backward()
            optimiser.step()
            state = {"optimiser": optimiser.state_dict(), "schedule": schedule and schedule.state_dict()}
            torch.save(state, tmp_path / "state.pt")
            assert torch.load(tmp_path / "state.pt", weights_only=True).keys() == state.keys()
