"""Mutated models: no crash, no hang, no file outside of the folder read, memory bounded (see tests.frontend.fuzz)."""

from __future__ import annotations

import pytest

from tests.frontend.fuzz import Survey, mutated, run


def whole(survey: Survey, count: int) -> None:
    assert survey.failures == []
    assert sum(survey.outcomes.values()) == count
    assert {"carried", "refused", "bad input"} == survey.outcomes.keys()  # mutations of every depth
    assert survey.peak_mib < 1024


def test_mutations_are_the_same_each_time() -> None:
    assert [mutated(n) for n in range(20)] == [mutated(n) for n in range(20)]


def test_a_few_mutations() -> None:
    whole(run(0, 500), 500)


@pytest.mark.slow
def test_many_mutations() -> None:
    whole(run(0, 100_000), 100_000)
