import numpy as np
import pytest

from fpgaflow.targets.rtl.stream import Beat, Chain, Fifo, Fork, Narrow, Widen, repack
from tests.targets.rtl.harness import as_beats, elements_of, run_stage, run_streams


@pytest.mark.parametrize("depth", [2, 3, 8])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_a_fifo_keeps_the_order(depth: int, stall: float) -> None:
    payloads = list(range(40))
    assert run_stage(Fifo(Beat(1, 8), depth), payloads, 40, stall=stall) == payloads


@pytest.mark.parametrize("depth", [2, 3])
def test_a_fifo_takes_a_beat_each_cycle(depth: int) -> None:
    fifo = Fifo(Beat(1, 8), depth)
    _, (when,) = run_streams(fifo, [(fifo.i, range(30))], [(fifo.o, 30)], 0, 0.0)
    assert when[-1] - when[0] == 29


CASES = [
    (4, 1, 8),
    (1, 4, 8),
    (4, 1, 10),
    (4, 2, 10),
    (1, 4, 10),
    (2, 4, 10),
    (6, 4, 24),
    (4, 6, 12),
    (3, 4, 15),
    (4, 3, 9),
]


@pytest.mark.parametrize(("source", "lanes", "total"), CASES)
def test_converted_beats_carry_the_same_elements(source: int, lanes: int, total: int) -> None:
    samples = np.random.default_rng(0).integers(1, 32, (3, total)).tolist()
    beat = Beat(source, 5)
    stages = repack(beat, lanes, total)
    chain = Chain([(f"s{n}", stage) for n, stage in enumerate(stages)])
    assert (chain.source, chain.result) == (beat, Beat(lanes, 5))
    payloads = [payload for sample in samples for payload in as_beats(sample, beat)]
    wanted = [payload for sample in samples for payload in as_beats(sample, Beat(lanes, 5))]
    assert run_stage(chain, payloads, len(wanted)) == wanted


@pytest.mark.parametrize(("source", "lanes", "total", "cycles"), [(4, 1, 8, 8), (6, 4, 24, 6), (3, 4, 15, 15)])
def test_a_conversion_runs_at_the_rate_of_its_narrower_end(source: int, lanes: int, total: int, cycles: int) -> None:
    chain = Chain([(f"s{n}", stage) for n, stage in enumerate(repack(Beat(source, 5), lanes, total))])
    beats = -(-total // lanes)
    payloads = [payload for _ in range(6) for payload in as_beats(range(total), Beat(source, 5))]
    _, (when,) = run_streams(chain, [(chain.i, payloads)], [(chain.o, 6 * beats)], 0, 0.0)
    assert when[5 * beats - 1] - when[4 * beats - 1] == cycles


def test_a_conversion_that_loses_elements_is_refused() -> None:
    with pytest.raises(ValueError, match="3 lanes do not divide beats of 4"):
        Narrow(Beat(4, 1), 3, 12)
    with pytest.raises(ValueError, match="beats of 4 do not make up 6 lanes"):
        Widen(Beat(4, 1), 6, 12)


def test_a_fork_gives_every_reader_every_beat_once() -> None:
    fork = Fork(Beat(2, 3), 3)
    payloads = np.random.default_rng(1).integers(0, 64, 50).tolist()
    outputs = [(getattr(fork, f"o_{n}"), 50) for n in range(3)]
    got, _ = run_streams(fork, [(fork.i, payloads)], outputs, 0, 0.4)
    assert got == [payloads] * 3
    assert elements_of(payloads[:1], Beat(2, 3)) == [payloads[0] & 7, payloads[0] >> 3]
