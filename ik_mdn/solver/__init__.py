"""Inverse kinematics: seeds, refinement, distinct solutions in limits, curves of redundant arms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from ik_mdn.solver.beliefs import network_weights as network_weights
    from ik_mdn.solver.collecting import joined as joined
    from ik_mdn.solver.engine_torch import first_of_branch as first_of_branch
    from ik_mdn.solver.probabilities import Law as Law
    from ik_mdn.solver.redundancy import self_motion as self_motion
    from ik_mdn.solver.refinement import refine as refine
    from ik_mdn.solver.self_motions import SelfMotion as SelfMotion
    from ik_mdn.solver.self_motions import SelfMotionBatch as SelfMotionBatch
    from ik_mdn.solver.shipped import solver_for as solver_for
    from ik_mdn.solver.sliding import Slide as Slide
    from ik_mdn.solver.sliding import SlideStatus as SlideStatus
    from ik_mdn.solver.sliding import slide as slide
    from ik_mdn.solver.solutions import Closest as Closest
    from ik_mdn.solver.solutions import SolutionBatch as SolutionBatch
    from ik_mdn.solver.solutions import Solutions as Solutions
    from ik_mdn.solver.solutions import Status as Status
    from ik_mdn.solver.solver import IKSolver as IKSolver
    from ik_mdn.solver.windings import into_limits as into_limits
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
