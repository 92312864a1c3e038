"""From a trained network to its row: raw draws, refined draws, the target in the middle, likelihood, and time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ik_mdn.solver.refinement import refine
from kruse.metrics import Scores, mean_kernel, miss_distance, score
from kruse.model import ArmPosterior
from kruse.posterior import sample_posteriors
from kruse.problem import CENTRE, TEST_SEED, draw_pairs, draw_targets, rail_arm
from sim.files import whole_file
from sim.task import TASKS

_HELD_OUT = 20_000  # pairs for the likelihood
_CENTRE_DRAWS = 20_000
_TIMED_RUNS = 15


@dataclass(frozen=True)
class Truth:
    """Targets and exact draws to compare with.

    Args:
        y: Targets, (T, 2) [m].
        x: Exact draws, (T, S, 4).
        again: Independent exact draws, (T, S, 4), which say what a perfect model would score.
        within: `mean_kernel(x)`, (T,).
    """

    y: Tensor
    x: Tensor
    again: Tensor
    within: Tensor


def load_truth(
    folder: Path, *, targets: int = 1000, seed: int = TEST_SEED, on_progress: Callable[[int], None] | None = None
) -> Truth:
    """A thousand exact draws for each target, from a file in the folder or drawn and kept there.

    Args:
        folder: Where the file is or will be.
        targets: How many of the thousand targets of this seed.
        seed: Of the targets; the default gives the test targets.
        on_progress: Called with the number of samples drawn, up to twice the number of targets.
    """
    path = folder / f"truth-{seed}-{targets}.npz"
    y = draw_targets(1000, seed)[:targets]
    if not path.exists():
        tell = on_progress or (lambda done: None)
        x = sample_posteriors(y.numpy(), 1000, seed=1, on_progress=tell)
        again = sample_posteriors(y.numpy(), 1000, seed=2, on_progress=lambda done: tell(targets + done))
        within = mean_kernel(torch.from_numpy(x)).numpy()
        with whole_file(path) as temporary:
            np.savez(temporary, x=x, again=again, within=within)
    with np.load(path) as file:
        return Truth(y, *(torch.from_numpy(file[key]) for key in ("x", "again", "within")))


@dataclass(frozen=True)
class Row:
    """What one network scores.

    Args:
        raw: Draws as the mixture makes them.
        refined: The same draws, each moved to the nearest x with f(x) = y.
        centre: Share of raw draws within 0.05 m of the target (1.5, 0).
        nll: Mean negative log likelihood of held-out pairs [nats].
        seconds: To draw a million x for a thousand targets, network included.
    """

    raw: Scores
    refined: Scores | None
    centre: float
    nll: float
    seconds: float


def evaluate(posterior: ArmPosterior, truth: Truth, *, seed: int, refined: bool = True) -> Row:
    """All figures of one network; the seed is of its draws.

    Args:
        posterior: The network.
        truth: What to compare with.
        seed: Of the draws.
        refined: Refine the draws too.
    """
    generator = torch.Generator().manual_seed(seed)
    draws = posterior.sample(truth.y, truth.x.shape[1], generator)
    centre = torch.tensor([CENTRE], dtype=torch.float64)
    near = miss_distance(posterior.sample(centre, _CENTRE_DRAWS, generator), centre) < 0.05
    held_out = draw_pairs(_HELD_OUT, torch.Generator().manual_seed(1_000_003))
    return Row(
        raw=score(draws, truth.x, truth.y, within_exact=truth.within),
        refined=score(refine_draws(draws, truth.y), truth.x, truth.y, within_exact=truth.within) if refined else None,
        centre=float(near.double().mean()),
        nll=-float(posterior.log_prob(*held_out).mean()),
        seconds=time_sampling(posterior, truth.y),
    )


def refine_draws(x: Tensor, y: Tensor) -> Tensor:
    """Each draw (T, S, 4) moved to the nearest x that meets its target (T, 2) exactly, float64."""
    n_targets, count, _ = x.shape
    T_base_target = torch.eye(4, dtype=torch.float64).repeat(n_targets, 1, 1)
    T_base_target[:, :2, 3] = y.double()
    T_base_target = T_base_target.repeat_interleave(count, dim=0)
    found = refine(rail_arm(), TASKS["planar_position"], T_base_target, x.double().flatten(0, 1), tolerance=1e-9)
    return found.q.reshape(n_targets, count, 4)


def time_sampling(posterior: ArmPosterior, y: Tensor, count: int = 1000) -> float:
    """Seconds for `count` draws of every target, network included: the quickest of several runs."""
    times = []
    for _ in range(_TIMED_RUNS):
        started = time.perf_counter()
        posterior.sample(y, count)
        times.append(time.perf_counter() - started)
    return min(times)
