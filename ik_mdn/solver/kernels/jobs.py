"""An arm and a task as compiled code takes them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ik_mdn.solver.kernels.formulas import Shape
from ik_mdn.solver.kernels.kinematics import describe
from ik_mdn.solver.kernels.lanes import code_for
from ik_mdn.solver.kernels.space import Job
from sim.arm import LIMIT_SLACK, Arm
from sim.jacobians import comes_in_pairs
from sim.task import Task


def shape_of(arm: Arm, task: Task) -> Shape:
    """What emitted code for an arm and a task depends on."""
    problem = describe(arm, task)
    return Shape(tuple(bool(x) for x in arm.is_prismatic), problem.n_linear, problem.angular)


@lru_cache(maxsize=64)
def job_of(
    arm: Arm, task: Task, rule: tuple[float, ...], *, tolerance: float = 0.0, exact: float = 0.0, merge: float = 0.0
) -> Job:
    """A job; see `Job` for what the numbers mean."""
    problem, shape = describe(arm, task), shape_of(arm, task)
    return Job(
        shape.n,
        np.concatenate([problem.base.ravel(), problem.chain.ravel()]),
        np.array(problem.unit),
        1 / problem.unit,
        problem.length,
        1 / problem.length,
        (~arm.is_prismatic).astype(np.int64),
        np.array(arm.q_min),
        np.array(arm.q_max),
        np.array(rule, np.float64),
        *code_for(shape),
        isolated=shape.m == shape.n,
        countable=shape.m >= shape.n,
        paired=comes_in_pairs(arm, task),
        tolerance=tolerance,
        exact=exact,
        merge=merge,
        slack=LIMIT_SLACK,
    )
