"""Calls here, in processes and by Dask give the same results; what goes wrong in a worker is told."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator

import pytest

from fpgaflow.errors import BadInput, ToolFailed
from fpgaflow.workers import Calls, crew


@pytest.fixture(params=["here", "processes", "dask"])
def calls(request) -> Iterator[Calls]:
    if request.param != "dask":
        with crew(1 if request.param == "here" else 2, None) as made:
            yield made
        return
    distributed = pytest.importorskip("distributed", reason="distributed, of the extra `scale`, is not installed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        crew(1, cluster.scheduler_address) as made,
    ):
        yield made


def test_every_item_and_those_that_come_later(calls):
    items = deque([-1, 2, -3])
    found = []
    for item, result in calls(abs, items):
        found.append((item, result))
        if item == 2:
            items.append(-7)
    assert sorted(found) == [(-7, 7), (-3, 3), (-1, 1), (2, 2)]
    assert list(calls(abs, deque([-5]))) == [(-5, 5)]
    assert not list(calls(abs, deque()))


def refuse(item: int) -> None:
    raise BadInput(f"item {item}", "is wrong", "Leave it out.")


def test_what_a_call_raises_is_raised():
    for workers in (1, 2):
        with pytest.raises(BadInput, match="item 3"), crew(workers, None) as calls:
            list(calls(refuse, deque([3])))


def test_a_worker_that_ends_on_its_own():
    with pytest.raises(ToolFailed, match="ended on its own"), crew(2, None) as calls:
        list(calls(os._exit, deque([1])))
