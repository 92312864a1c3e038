"""The reason that is shown is the one that decided."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ik_mdn.control import Candidate, CostWeights, Decision
from ik_mdn.viewer.words import why_not

BEST = Candidate(
    np.zeros(2),
    err_pos=0.0,
    err_rot=0.0,
    travel=1.0,
    margin=1.0,
    clearance_self=0.2,
    clearance_world=0.2,
    reserve=0.8,
    manipulability=0.5,
    weight=0.6,
)
WEIGHTS = CostWeights(probability=1.0)


def reason(**worse: float) -> str:
    """Why a candidate is passed over that is as good as the best but for what is given."""
    candidate = replace(BEST, **worse)  # type: ignore[arg-type]
    chosen, other = (replace(each, cost=WEIGHTS.cost(each, BEST.weight)) for each in (BEST, candidate))
    return why_not(other, Decision((chosen, other), chosen=chosen, route=(), reason=""), WEIGHTS)


@pytest.mark.parametrize(
    ("worse", "words"),
    [
        ({"travel": 1.5}, "travel 1.5 s, not 1.0 s"),
        ({"margin": 0.05}, "nearer to a limit (0.05, not 1.00)"),
        ({"clearance_self": 0.01}, "less room around it"),
        ({"clearance_world": 0.01}, "less room around it"),
        ({"reserve": 0.02}, "a motor's load is 98% of its limit, not 20%"),
        ({"manipulability": 0.001}, "nearer to a singularity"),
        ({"weight": 0.1}, "less probable"),
    ],
)
def test_the_reason_is_what_the_candidate_is_worse_in(worse: dict[str, float], words: str) -> None:
    assert reason(**worse).endswith(f", not 1.00: {words}")


def test_the_reason_is_the_term_that_costs_most() -> None:
    assert reason(travel=1.1, reserve=0.02).endswith("98% of its limit, not 20%")
    assert reason(travel=2.9, reserve=0.02).endswith("travel 2.9 s, not 1.0 s")
    assert reason(travel=0.5, reserve=0.02).endswith("98% of its limit, not 20%")
    assert reason(travel=1.001).startswith("as good")


def test_every_term_of_the_cost_has_its_words() -> None:
    free = dict.fromkeys(WEIGHTS.terms(BEST, BEST.weight), 0.0)
    bad = replace(BEST, margin=0.0, clearance_self=0.0, reserve=0.0, manipulability=0.0, weight=0.1, travel=2.0)
    for name in free:
        alone = CostWeights(**free | {name: 1.0})
        chosen, other = (replace(each, cost=alone.cost(each, BEST.weight)) for each in (BEST, bad))
        said = why_not(other, Decision((chosen, other), chosen=chosen, route=(), reason=""), alone)
        assert ": " in said
