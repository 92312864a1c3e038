"""Gymnasium: the task of reaching for a pose."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from sim.environment.registration import register_environments as register_environments
from sim.lazy import public_names

if TYPE_CHECKING:
    from sim.environment.actions import SUBSTEPS as SUBSTEPS
    from sim.environment.actions import JointControl as JointControl
    from sim.environment.reach_env import ReachEnv as ReachEnv
    from sim.environment.registration import ENV_ID as ENV_ID
else:
    __getattr__, __dir__, __all__ = public_names(__name__)

if find_spec("gymnasium"):  # `gymnasium.make("sim.environment:IKReach-v0")` imports this package to find it
    register_environments()
