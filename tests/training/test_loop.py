"""Steps of one phase against what plain torch gives for the same samples."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional

from fpgaflow.training.batches import Batches, Order, Share, moved
from fpgaflow.training.loop import Watch, run_phase
from fpgaflow.training.objective import Objective, Task
from fpgaflow.training.optimise import OptimiserName, ScheduleName
from fpgaflow.training.recipe import Recipe
from fpgaflow.training.resume import PhaseState

X = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(50) % 3
PLAIN = Recipe(model="mlp", schedule=ScheduleName.CONSTANT, batch_size=10)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Linear(4, 3)


def run(recipe: Recipe, order: Order, net: nn.Module) -> nn.Module:
    watch = Watch(lambda _: None, lambda _: None, lambda: None)
    run_phase(net, Objective(Task.CLASSIFICATION), Batches(order, X, Y), recipe, 0.1, PhaseState(), watch)
    return net


@pytest.mark.parametrize("size", [50, 20, 7])
def test_gradient_descent_is_that_of_all_samples(size):
    """Whatever the batches, one step an epoch, by the gradient of the mean over every sample."""
    recipe = dataclasses.replace(PLAIN, optimiser=OptimiserName.GRADIENT_DESCENT, batch_size=size)
    found, expected = run(recipe, Order(50, size, 3, seed=0, whole=True), network()), network()
    for _ in range(3):
        gradients = torch.autograd.grad(functional.cross_entropy(expected(X), Y), list(expected.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(expected.parameters(), gradients, strict=True):
                parameter.sub_(0.1 * gradient)
    torch.testing.assert_close(found.state_dict(), expected.state_dict(), rtol=1e-5, atol=1e-6)


def test_accumulated_batches_are_one_larger_batch():
    recipe = dataclasses.replace(PLAIN, optimiser=OptimiserName.SGD)
    small = run(dataclasses.replace(recipe, accumulate=2), Order(40, 10, 1, seed=0), network())
    large = run(recipe, Order(40, 20, 1, seed=0), network())
    torch.testing.assert_close(small.state_dict(), large.state_dict(), rtol=1e-5, atol=1e-6)


def test_a_step_is_torchs_own():
    """Bit by bit: Lightning adds nothing to forward, backward and step."""
    order = Order(50, 10, 2, seed=3)
    found, expected = run(PLAIN, order, network()), network()
    optimiser = torch.optim.Adam(expected.parameters(), 0.1, fused=True)
    for x, y, _ in Batches(order, X, Y):
        optimiser.zero_grad()
        functional.cross_entropy(expected(x), y).backward()
        optimiser.step()
    assert all(torch.equal(value, expected.state_dict()[name]) for name, value in found.state_dict().items())


def test_batches_from_the_middle_are_the_rest():
    order = Order(50, 8, 3, seed=5)
    whole = list(Batches(order, X, Y))
    assert len(whole) == len(Batches(order, X, Y)) == 18
    for (x, y, _), (rest_x, rest_y, _) in zip(whole[7:], Batches(order, X, Y, 7), strict=True):
        assert torch.equal(x, rest_x) and torch.equal(y, rest_y)
    epochs = [torch.cat([y for _, y, _ in whole[i : i + 6]]) for i in (0, 6, 12)]
    assert not torch.equal(epochs[0], epochs[1])


def test_processes_share_each_batch():
    order = Order(50, 8, 1, seed=5)
    shares = [list(Batches(order, X, Y, 0, Share(rank, 2))) for rank in (0, 1)]
    for whole, first, second in zip(Batches(order, X, Y), *shares, strict=True):
        assert torch.equal(whole[0], torch.cat([first[0], second[0]]))
        assert len(first[0]) == len(second[0]) == 4


def test_moved_moves_whole_pixels_and_brings_in_zeros():
    images = torch.arange(1.0, 17.0).view(1, 1, 4, 4)
    for top in range(3):
        for left in range(3):
            expected = torch.zeros(6, 6)
            expected[2 - top : 6 - top, 2 - left : 6 - left] = images[0, 0]
            assert torch.equal(moved(images, 1, (top, left))[0, 0], expected[1:5, 1:5])
    assert moved(images, 0, (0, 0)) is images


def test_networks_are_left_as_they_are_without_batches():
    net = network()
    before = copy.deepcopy(net.state_dict())
    run_phase(
        net,
        Objective(Task.CLASSIFICATION),
        Batches(Order(50, 10, 1, seed=0), X, Y, 5),
        PLAIN,
        0.1,
        PhaseState(5),
        Watch(lambda _: None, lambda _: None, lambda: None),
    )
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
