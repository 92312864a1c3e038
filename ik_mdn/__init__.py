"""Inverse kinematics with mixture density networks: learning, solving, controlling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from ik_mdn.control import Controller as Controller
    from ik_mdn.control import CostWeights as CostWeights
    from ik_mdn.control import Expert as Expert
    from ik_mdn.evaluation import evaluate as evaluate
    from ik_mdn.mixture import GaussianMixture as GaussianMixture
    from ik_mdn.model import PoseModel as PoseModel
    from ik_mdn.paths import CartesianPath as CartesianPath
    from ik_mdn.paths import circle_path as circle_path
    from ik_mdn.paths import follow_path as follow_path
    from ik_mdn.paths import line_path as line_path
    from ik_mdn.paths import polyline_path as polyline_path
    from ik_mdn.paths import track as track
    from ik_mdn.solver import IKSolver as IKSolver
    from ik_mdn.solver import SelfMotion as SelfMotion
    from ik_mdn.solver import Slide as Slide
    from ik_mdn.solver import SolutionBatch as SolutionBatch
    from ik_mdn.solver import Solutions as Solutions
    from ik_mdn.solver import Status as Status
    from ik_mdn.solver import self_motion as self_motion
    from ik_mdn.solver import slide as slide
    from ik_mdn.solver import solver_for as solver_for
    from ik_mdn.training import TrainConfig as TrainConfig
    from ik_mdn.training import train as train
else:
    __getattr__, __dir__, __all__ = public_names(__name__)

__version__ = "0.2.0"
