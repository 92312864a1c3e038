"""What the tip of an arm can do at all: the directions that it moves along and turns about, found numerically."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.kinematics import forward_kinematics, jacobian

ROUNDING = 1e-4  # [reaches of the arm per radian, or radians] below which a motion comes from rounded angles in a URDF

_CONFIGURATIONS = 64


class Motions(NamedTuple):
    """Directions that the tip can go, over all configurations.

    Args:
        along: Orthonormal directions in the base frame that it moves along, shape (3, 0 to 3), axes where they can be.
        about: The same in the tip frame that it turns about.
    """

    along: FloatArray
    about: FloatArray


@lru_cache(maxsize=64)
def motions(arm: Arm) -> Motions:
    """The spans of the Jacobian's linear rows in the base frame and of its angular rows in the tip frame."""
    q = arm.sample(np.random.default_rng(0), _CONFIGURATIONS)
    J, R = jacobian(arm, q), forward_kinematics(arm, q)[:, :3, :3]
    linear = J[:, :3] / (arm.reach or 1.0)
    angular = R.swapaxes(1, 2) @ J[:, 3:]
    return Motions(*(_span(np.concatenate(list(part), axis=1)) for part in (linear, angular)))


def _span(vectors: FloatArray) -> FloatArray:
    """Orthonormal directions, shape (3, k), that span vectors (3, N) up to `ROUNDING`: axes of the frame where they can be."""
    U, sizes, _ = np.linalg.svd(vectors / np.sqrt(_CONFIGURATIONS))
    basis = U[:, : int((sizes > ROUNDING).sum())]
    outside = np.linalg.norm(np.eye(3) - basis @ basis.T, axis=0)  # how far each axis is from the span
    axes = np.eye(3)[:, outside < 10 * ROUNDING]
    return axes if axes.shape == basis.shape else basis
