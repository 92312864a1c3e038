"""What compiled code and torch both go by: when a step stands or a seed is given up, and how folds are looked across."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from sim.arrays import Array

TOLERANCE = 1e-12  # residual [rad, arm lengths] at which a seed is done: a double root is then known to 1e-6
MAX_ITERATIONS = 100
MAX_STEP = 1.0  # largest change of a joint in one iteration [rad, or arm lengths for prismatic joints]

DAMPING = 0.2  # μ of the first iteration
DAMPING_MIN, DAMPING_MAX = 0.1, 1e8
DAMPING_DROP, DAMPING_RISE = 0.5, 8.0
FLOOR = 1e-17  # damping that is always there, so that an exactly singular Jacobian can be factored
PROGRESS = 0.5  # a seed is given up when its residual has not shrunk by this factor within PATIENCE iterations
PATIENCE = 9
CLOSE = 0.1  # residual [rad, arm lengths] below which singularities are what is slow, and other rules hold:
PATIENCE_CLOSE = 15  # wait longer,
UPHILL = 1e6  # and let a step raise the cost up to this many times what it was at the last progress

STALLED = 0.02  # residual [rad, arm lengths] above which a seed of a search is given up as soon as
SHRINK = 0.9  # two iterations have shrunk it by less than to this share
FIRM = 1e-2  # least pivot of J Jᵀ, `NEAR_FOLD` squared, at which Newton is trusted to end at the nearest root

NEAR_FOLD = 0.1  # smallest singular value (lengths in arm lengths) below which a solution's neighbour is looked for
FARTHEST = 2.0  # [rad or arm lengths] the neighbour is looked for no further away
STEP = 0.05  # [rad or arm lengths] for the second derivative


@dataclass(frozen=True)
class Refined(Generic[Array]):
    """What became of each seed.

    Args:
        q: Joint vectors [rad, m], shape (N, n), not turned into limits.
        err_pos: Distance of the tip from the target [m], shape (N,); 0 where the task leaves it free.
        err_rot: Angle between tip and target [rad], shape (N,); 0 where the task leaves it free.
        iterations: Forward kinematics evaluations after the first one, shape (N,), int64.
    """

    q: Array
    err_pos: Array
    err_rot: Array
    iterations: Array


@dataclass(frozen=True)
class Rule:
    """What the caller of a refinement decides.

    Args:
        tolerance: Residual at which a seed is done: length of the error in [rad] and arm lengths.
        max_iterations: Most iterations per seed.
        max_step: Largest change of a joint per iteration [rad, or arm lengths for prismatic joints].
    """

    tolerance: float = TOLERANCE
    max_iterations: int = MAX_ITERATIONS
    max_step: float = MAX_STEP
