"""Inverse kinematics with mixture density networks: learning, solving, controlling."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ik_mdn.config import TrainConfig
    from ik_mdn.controller import Controller
    from ik_mdn.curves import SelfMotion, Slide
    from ik_mdn.mixture import GaussianMixture
    from ik_mdn.redundancy import self_motion
    from ik_mdn.sliding import slide
    from ik_mdn.solver import IKSolver, Solutions, Status
    from ik_mdn.training import train

_HOME = {
    "Controller": "ik_mdn.controller",
    "GaussianMixture": "ik_mdn.mixture",
    "IKSolver": "ik_mdn.solver",
    "SelfMotion": "ik_mdn.curves",
    "Slide": "ik_mdn.curves",
    "Solutions": "ik_mdn.solver",
    "Status": "ik_mdn.solver",
    "TrainConfig": "ik_mdn.config",
    "self_motion": "ik_mdn.redundancy",
    "slide": "ik_mdn.sliding",
    "train": "ik_mdn.training",
}

__all__ = [
    "Controller",
    "GaussianMixture",
    "IKSolver",
    "SelfMotion",
    "Slide",
    "Solutions",
    "Status",
    "TrainConfig",
    "self_motion",
    "slide",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import ik_mdn` and `ik-mdn --help` stay instant."""
    if name not in _HOME:
        raise AttributeError(f"module 'ik_mdn' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)
