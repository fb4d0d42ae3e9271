"""One function called for many things: by processes of this machine, or by the workers of a Dask scheduler."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

from fpgaflow.errors import BadInput, ToolFailed

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Calls(Protocol):
    """Gives (item, function(item)) as they end; `items` is emptied from the left, and may grow meanwhile.

    `function` is of a module's top level, as it travels by its name; what it raises is raised.
    """

    def __call__(
        self, function: Callable[[_Item], _Result], items: deque[_Item]
    ) -> Iterator[tuple[_Item, _Result]]: ...


@contextmanager
def crew(workers: int, scheduler: str | None) -> Iterator[Calls]:
    """What calls functions in `workers` processes, in this one where that is 1; or on a Dask scheduler's workers.

    Args:
        scheduler: its address; its workers see the same files. Then `workers` means nothing.

    Raises:
        BadInput, MissingTool: no such scheduler, or no Dask.
        ToolFailed: a worker ended on its own.
    """
    if scheduler is not None:
        from fpgaflow.sim.spread import connected

        with connected(scheduler) as client:
            yield partial(_on_dask, client)
    elif workers == 1:
        yield _in_turn
    else:
        with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_end_with, initargs=(os.getpid(),)) as pool:
            try:
                yield partial(_locally, pool, workers)
            except BrokenProcessPool:
                found = "ended on its own: the memory did not suffice, or somebody killed it"
                raise ToolFailed("a worker", found, "Run it again with fewer workers: what is whole stays") from None
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list((pool._processes or {}).values()):
                    process.terminate()
                raise


def check_workers(workers: int | None, scheduler: str | None) -> None:
    """Refuses a number of workers that is none, and one beside a scheduler.

    Raises:
        BadInput: it is.
    """
    if workers is not None and workers < 1:
        raise BadInput("workers", f"are {workers}", "Give 1 or more")
    if workers is not None and scheduler is not None:
        found = "are this machine's processes, and the scheduler names others"
        raise BadInput("workers", found, "Leave out one of them")


def _in_turn(function: Callable[[_Item], _Result], items: deque[_Item]) -> Iterator[tuple[_Item, _Result]]:
    while items:
        item = items.popleft()
        yield item, function(item)


def _locally(
    pool: ProcessPoolExecutor, workers: int, function: Callable[[_Item], _Result], items: deque[_Item]
) -> Iterator[tuple[_Item, _Result]]:
    running: dict[Any, _Item] = {}
    while items or running:
        while items and len(running) < workers:
            item = items.popleft()
            running[pool.submit(function, item)] = item
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()


def _end_with(parent: int) -> None:
    """Ends this worker when the process that started it is gone, however it ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_dask(client: Any, function: Callable[[_Item], _Result], items: deque[_Item]) -> Iterator[tuple[_Item, _Result]]:
    from distributed import as_completed

    from fpgaflow.sim.spread import result_of

    running: dict[Any, _Item] = {}
    ended = as_completed(loop=client.loop)
    later = 0
    while items or running:
        while items:
            item = items.popleft()
            future = client.submit(function, item, pure=False, priority=later)
            running[future] = item
            ended.add(future)
        later = 1  # what is put in from here on comes before what still waits, as `items` has it
        future = next(ended)
        yield running.pop(future), result_of(future)
