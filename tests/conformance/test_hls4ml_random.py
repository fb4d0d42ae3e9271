"""Random hls4ml networks of every family against hls4ml's C++: each layer's values equal, and few left unjudged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from time import time_ns

import pytest

from tests.conformance.networks import FAMILIES, drawn
from tests.conformance.outcome import JUDGED, REFUSED, Outcome, outcomes, report, tally

SEED = 1
# What fpgaflow may refuse: what hls4ml's C++ gets wrong (docs/hls4ml.md has the place), and a limit of its own.
KNOWN_DEFECTS = (
    r"reuse factor",
    r"generates no code for it",
    r"io_stream ignores the vertical stride",
    r"encoded implementation of it reads the wrong pixels",
    r"flattened stream.*data is lost",
    r"cannot repack such a stream",
    r"perm \(0, 1\)",
    r"-1 for negative fractions|without integer bits to ap_int",
    r"type name '.*' stands for",
    r"table index overflows a C\+\+ int",
    r"a table of \d+ entries",
    r"binary (weights|network|scales)|products of a binary",
    r"no whole multiple",
    r"relu\d in io_stream",
    r"hls4ml clamps them to a 1",
    r"shifting .* loses bits|which is no power of two",
    r"an LSTM of which",
    r"only one reader what comes out",
    r"a scale of int<2>",
    r"loses bits of an ap_int",
    r"constants of more than 64 bits",
)
MISPLACED = "it is made for inputs"  # padding before the wrong reader, which others then find too large


def assert_conform(found: Sequence[Outcome], least: float) -> None:
    """No value differs; of each family at least the share `least` was judged; refusals are for known defects."""
    different = [f"{o.different}\n{o.network.net.layers}\n{o.network.net.precision}" for o in found if o.different]
    assert not different, "\n\n".join(different)
    table = tally(found)
    assert table.keys() == FAMILIES.keys()
    few = {kind: counts[JUDGED] / counts["generated"] for kind, counts in table.items()}
    assert min(few.values()) >= least, report(found)
    refused = [outcome.why for outcome in found if outcome.status == REFUSED]
    known = re.compile("|".join(KNOWN_DEFECTS))
    unknown = [why for why in refused if not all(known.search(line) for line in why.splitlines())]
    assert not [why for why in unknown if MISPLACED not in why]
    assert len(refused) <= len(found) / 6, report(found)


def test_a_hundred_random_networks() -> None:
    assert_conform(outcomes(drawn(4, SEED)), 0.5)


@pytest.mark.slow
def test_thousands_of_random_networks() -> None:
    """Others each time; a failure names the seed to draw them by."""
    number = time_ns() % 1_000_000
    found = [outcome for part in range(25) for outcome in outcomes(drawn(4, number + part))]
    print(f"seeds {number} to {number + 24}\n{report(found)}")
    assert_conform(found, 0.7)
