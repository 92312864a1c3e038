"""Where a Cartesian path runs, whatever the time: lines and circles, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sim.arrays import FloatArray
from sim.rotations import rotation_vector_of


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where a path runs, whatever the time: S pieces, each with its own parameter s in [0, 1].

    p(s) = centre + exp(s turn) arm + s shift and R(s) = exp(s roll) R exp(s spin): a line has no turn, a circle no
    shift. Pieces follow one another; progress i + s stands for place s of piece i.

    Args:
        centre, arm, shift: In the base frame [m], shape (S, 3).
        turn, roll: Rotation vectors in the base frame, of the position about `centre` and of the tip [rad], (S, 3).
        spin: Rotation vectors in the tip frame [rad], (S, 3).
        R: Orientation of the tip at s = 0, shape (S, 3, 3).
    """

    centre: FloatArray
    arm: FloatArray
    shift: FloatArray
    turn: FloatArray
    roll: FloatArray
    spin: FloatArray
    R: FloatArray

    def __post_init__(self) -> None:
        assert self.R.shape == (len(self), 3, 3)
        assert all(getattr(self, name).shape == (len(self), 3) for name in _VECTORS)

    def __len__(self) -> int:
        return len(self.centre)

    @property
    def length(self) -> FloatArray:
        """Way of the tip along each piece [m], shape (S,)."""
        away = np.linalg.norm(np.cross(self.turn, self.arm), axis=-1)
        return np.asarray(np.hypot(away, np.linalg.norm(self.shift, axis=-1)))

    @property
    def angle(self) -> FloatArray:
        """Turn of the tip along each piece [rad], shape (S,)."""
        return np.asarray(np.linalg.norm(self.roll, axis=-1) + np.linalg.norm(self.spin, axis=-1))

    def pose_at(self, piece: NDArray[np.int64], s: FloatArray) -> FloatArray:
        """The tip's poses on the path.

        Args:
            piece: Number of the piece, shape (...).
            s: Place on it, from 0 to 1, shape (...).

        Returns:
            `T_base_tip`, shape (..., 4, 4).
        """
        T = np.zeros((*s.shape, 4, 4))
        T[..., 3, 3] = 1.0
        by = s[..., None]
        arm = (_exp(by * self.turn[piece]) @ self.arm[piece][..., None])[..., 0]
        T[..., :3, 3] = self.centre[piece] + arm + by * self.shift[piece]
        T[..., :3, :3] = _exp(by * self.roll[piece]) @ self.R[piece] @ _exp(by * self.spin[piece])
        return T

    @staticmethod
    def join(parts: Sequence[Geometry]) -> Geometry:
        """The pieces of all parts, one after the other."""
        return Geometry(*(np.concatenate([getattr(part, name) for part in parts]) for name in (*_VECTORS, "R")))

    @staticmethod
    def through(T_base_tip: FloatArray) -> Geometry:
        """Straight pieces from pose to pose (W, 4, 4), turning the shortest way about a fixed axis."""
        p, R = T_base_tip[:, :3, 3], T_base_tip[:, :3, :3]
        spin = rotation_vector_of(R[:-1].swapaxes(-1, -2) @ R[1:])
        none = np.zeros_like(p[:-1])
        return Geometry(p[:-1], none, p[1:] - p[:-1], none, none, spin, R[:-1])


_VECTORS = ("centre", "arm", "shift", "turn", "roll", "spin")


def _exp(rotvec: FloatArray) -> FloatArray:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3)."""
    return np.asarray(Rotation.from_rotvec(rotvec.reshape(-1, 3)).as_matrix().reshape(*rotvec.shape, 3))
