"""Configurations drawn on purpose: comfortable ones, ones next to a limit, ones next to a singularity."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import SuiteError
from sim.jacobians import task_singular_values
from sim.task import Task

_COMFORT = 0.15  # share of a joint's range that a comfortable configuration keeps from either limit
_CORNER = 0.01  # share of a joint's range within which a configuration is next to its limit
_TIGHT = 0.75  # share of the draws in which joints with other windings stay away from their limits
_MOST_JOINTS = 3  # joints put next to a limit at once
_GRID = 33  # places along a joint's range that are looked at for a singularity
_ZOOMS = 6  # times that a grid is laid around the least place of the one before, 16 times as fine
_NO_MATTER = 1e-9  # change of the dexterity along a joint's range that is none
_SWEEPS = 3  # times that every joint is looked at
_SINGULAR = 1e-2  # smallest singular value that counts as next to a singularity [1, lengths over the reach]
_OFFSET = (1e-4, 2e-2)  # [rad or m] from the singularity, drawn on a logarithmic scale


def dexterity(arm: Arm, task: Task, q: FloatArray) -> FloatArray:
    """The smallest singular value of the task's Jacobian without units, zero at a singularity; see `sim.jacobians`.

    Args:
        arm: The arm.
        task: Which rows count.
        q: Joint vectors, shape (..., n).

    Returns:
        Shape (...), no unit.
    """
    return task_singular_values(arm, task, q)[..., -1]


def draw_anywhere(arm: Arm, rng: np.random.Generator) -> FloatArray:
    """A configuration uniform in the limits, shape (n,)."""
    return arm.sample(rng)


def draw_comfortable(arm: Arm, rng: np.random.Generator) -> FloatArray:
    """A configuration uniform in the middle of the limits: 15 % of the range from either end, shape (n,)."""
    edge = _COMFORT * (arm.sample_max - arm.sample_min)
    return rng.uniform(arm.sample_min + edge, arm.sample_max - edge)


def is_comfortable(arm: Arm, task: Task, q: FloatArray) -> bool:
    """Whether q keeps 15 % of the range from every limit, and is no nearer to a singularity than the median one."""
    edge = _COMFORT * (arm.q_max - arm.q_min)  # infinite where there is no limit
    inside = ((q >= arm.q_min + edge) & (q <= arm.q_max - edge)) | ~np.isfinite(edge)
    return bool(inside.all() and dexterity(arm, task, q) >= _median_dexterity(arm, task))


def draw_near_limits(arm: Arm, rng: np.random.Generator) -> tuple[FloatArray, str]:
    """A configuration with one to three joints within 1 % of their range from a limit, the others uniform.

    In three draws of four, joints that can turn by more than a full turn are left out where there are others: their
    other windings make the limit harmless.

    Args:
        arm: The arm.
        rng: Where randomness comes from.

    Returns:
        Joint vector, shape (n,), and which joints are where.

    Raises:
        SuiteError: No joint has limits.
    """
    limited = np.flatnonzero(np.isfinite(arm.q_min) & np.isfinite(arm.q_max))
    if not len(limited):
        raise SuiteError(f"no joint of arm {arm.name!r} has limits; choose another suite than near-limits")
    tight = limited[(arm.q_max - arm.q_min)[limited] <= arm.period[limited] * (1 + 1e-3)]
    able = tight if len(tight) and rng.random() < _TIGHT else limited
    chosen = rng.choice(able, size=rng.integers(1, min(_MOST_JOINTS, len(able)) + 1), replace=False)
    q, notes = draw_anywhere(arm, rng), []
    for i in sorted(chosen.tolist()):
        gap = rng.uniform(0.0, _CORNER) * (arm.q_max[i] - arm.q_min[i])
        upper = rng.random() < 0.5
        q[i] = arm.q_max[i] - gap if upper else arm.q_min[i] + gap
        notes.append(f"{arm.joint_names[i]} {gap:.2g} from its {'upper' if upper else 'lower'} limit")
    return q, ", ".join(notes)


def draw_near_singular(arm: Arm, task: Task, rng: np.random.Generator) -> tuple[FloatArray, str] | None:
    """A configuration next to a singularity of the task.

    From a uniform configuration one joint after the other, in random order, goes where `dexterity` is smallest on
    its range, until a singularity is met: which one (wrist, elbow, shoulder) depends on the joints that came
    first. Then the joint that met it steps off by 1e-4 to 2e-2 rad.

    Args:
        arm: The arm.
        task: Which rows count.
        rng: Where randomness comes from.

    Returns:
        Joint vector within limits, shape (n,), and what is singular; None where this start led to none.
    """
    q = draw_anywhere(arm, rng)
    for i in _order(arm, rng):
        q[i], sigma = _worst_place(arm, task, q, i)
        if sigma < _SINGULAR / 10:
            step = np.exp(rng.uniform(*np.log(_OFFSET))) * rng.choice((-1.0, 1.0))
            q[i] += step if arm.q_min[i] <= q[i] + step <= arm.q_max[i] else -step
            sigma = float(dexterity(arm, task, q))
            inside = bool(((q >= arm.q_min) & (q <= arm.q_max)).all())
            about = f"{arm.joint_names[i]} {abs(step):.1e} from a singularity, smallest singular value {sigma:.1e}"
            return (q, about) if inside and sigma <= _SINGULAR else None
    return None


def _order(arm: Arm, rng: np.random.Generator) -> Iterator[int]:
    for _ in range(_SWEEPS):
        yield from rng.permutation(arm.n_joints).tolist()


def _worst_place(arm: Arm, task: Task, q: FloatArray, joint: int) -> tuple[float, float]:
    """Where on a joint's range the dexterity is smallest, and how small: a grid, again and again around its least.

    A joint that makes no difference stays where it is.
    """
    low, high = arm.sample_min[joint], arm.sample_max[joint]
    rows = np.repeat(q[None], _GRID, axis=0)
    for zoom in range(_ZOOMS):
        rows[:, joint] = np.linspace(low, high, _GRID)
        sigma = dexterity(arm, task, rows)
        if zoom == 0 and np.ptp(sigma) < _NO_MATTER:
            return float(q[joint]), np.inf
        best = int(sigma.argmin())
        low, high = rows[max(best - 1, 0), joint], rows[min(best + 1, _GRID - 1), joint]
    return float(rows[best, joint]), float(sigma[best])


@lru_cache(maxsize=64)
def _median_dexterity(arm: Arm, task: Task) -> float:
    rng = np.random.default_rng(0)
    return float(np.median(dexterity(arm, task, arm.sample(rng, 256))))
