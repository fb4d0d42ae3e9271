"""Simulation spread over the workers of a Dask scheduler. The bits are those of one machine.

What travels to the workers is data: the graph as JSON and safetensors, arrays, and the name of a function of this
module. Each worker needs fpgaflow installed, and checks the graph as it would check a file. Dask itself unpickles what
comes back: name a scheduler that you trust.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from fpgaflow.errors import BadInput, FpgaflowError, MissingTool, ToolFailed
from fpgaflow.ir.graph import Graph
from fpgaflow.ir.store import from_bytes, to_bytes
from fpgaflow.sim.run import Engine, Progress, Simulator
from fpgaflow.sim.stream import Run, block_samples, output_names, results

Array = np.ndarray

_CONNECT_S = 10
_BLOCKS_AHEAD = 2  # per thread of the workers: the next block is there when one is done


def predict_distributed(
    model: Graph | Any, x: Any, scheduler: str, *, engine: Engine | str = Engine.FAST, progress: Progress | None = None
) -> Array | list[Array]:
    """`Simulator(model).predict(x)`, computed by the workers of a Dask scheduler.

    Args:
        model, x, engine, progress: as for `Simulator` and its `predict`.
        scheduler: its address, as in "tcp://10.0.0.1:8786".

    Raises:
        BadInput: as `predict`; or there is no scheduler at that address, or it has no workers.
        MissingTool: the packages dask and distributed are not installed here, or fpgaflow is not on a worker.
        ToolFailed: a worker failed.
    """
    simulator = Simulator(model, engine)
    arrays = simulator.checked(x)
    size, samples = block_samples(simulator, trace=False), len(arrays[0])
    blocks = ([array[start : start + size] for array in arrays] for start in range(0, max(samples, 1), size))
    parts = []
    with connected(scheduler) as client:
        for block in spread(client, simulator)(blocks):
            parts.append([block[name] for name in output_names(simulator)])
            if progress is not None:
                progress(min(len(parts) * size, samples), samples)
    outputs = [np.concatenate(of_one) for of_one in zip(*parts, strict=True)]
    return outputs[0] if len(outputs) == 1 else outputs


@contextmanager
def connected(scheduler: str) -> Iterator[Any]:
    """A `distributed.Client` of the scheduler, which has a worker at least; raises as `predict_distributed` does."""
    try:
        from distributed import Client
        from distributed.comm import resolve_address
    except ImportError:
        raise MissingTool("dask and distributed", "are not installed", "pip install 'fpgaflow[scale]'") from None
    try:
        resolve_address(scheduler)  # a Client of an address that is none would tell of it again when it is collected
        client = Client(scheduler, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        fix = "Start one with `dask scheduler`, and give its address"
        raise BadInput(f"scheduler {scheduler}", f"cannot be reached ({error})", fix) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_CONNECT_S)
        except TimeoutError:
            raise BadInput(f"scheduler {scheduler}", "has no workers", f"Start `dask worker {scheduler}`") from None
        yield client


def spread(client: Any, simulator: Simulator, *, trace: bool = False) -> Run:
    """A function that has blocks of inputs computed by the client's workers, and gives their results in order."""

    def run(blocks: Iterable[list[Array]]) -> Iterator[dict[str, Array]]:
        graph = client.scatter(to_bytes(simulator.graph), broadcast=True, hash=False)
        ahead = _BLOCKS_AHEAD * sum(client.nthreads().values())
        pending: deque[Any] = deque()
        for block in blocks:
            (sent,) = client.scatter([block], hash=False)
            pending.append(client.submit(_computed, graph, simulator.engine.value, sent, trace, pure=False))
            if len(pending) > ahead:
                yield result_of(pending.popleft())
        while pending:
            yield result_of(pending.popleft())

    return run


def result_of(future: Any) -> Any:
    """What a worker computed; what it raised tells that it was a worker."""
    try:
        return future.result()
    except FpgaflowError:
        raise
    except ImportError as error:
        fix = "Install the same fpgaflow there as here"
        raise MissingTool("a Dask worker", f"cannot import what it needs ({error})", fix) from None
    except Exception as error:
        raise ToolFailed("a Dask worker", f"{type(error).__name__}: {error}", "Read the worker's log") from error


def _computed(graph: tuple[bytes, bytes], engine: str, block: list[Array], trace: bool) -> dict[str, Array]:
    """Runs on a worker, on one of its threads."""
    return results(_simulator(*graph, engine), block, trace=trace)


@lru_cache(maxsize=4)
def _simulator(document: bytes, constants: bytes, engine: str) -> Simulator:
    return Simulator(from_bytes(document, constants), engine, workers=1)
