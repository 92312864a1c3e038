"""Samples of forward kinematics: joint vectors in limits with the poses they reach, the same for the same seed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import DatasetError
from sim.kinematics import forward_kinematics
from sim.rotations import quat_xyzw_of, rotation_from_quat

Float32Array = NDArray[np.float32]
SelfCollides = Callable[[FloatArray], NDArray[np.bool_]]

BLOCK_ROWS = 15_625  # what stays in a core's cache during forward kinematics; 8 of them make a row group
_DRAW_ROWS = 1_000  # candidates per call of the collision filter, so that it answers Ctrl-C quickly
_HOPELESS = 50_000  # candidates that all collide before the filter gives up
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Samples:
    """Joint vectors and the poses of the tip in the base frame that they reach.

    Args:
        q: Joint vectors [rad, m for prismatic], float32, shape (N, n).
        position: Origin of the tip in the base frame [m], float32, shape (N, 3).
        quat_xyzw: Orientation of the tip in the base frame, unit, w >= 0, float32, shape (N, 4).
    """

    q: Float32Array
    position: Float32Array
    quat_xyzw: Float32Array

    def __post_init__(self) -> None:
        assert len(self.q) == len(self.position) == len(self.quat_xyzw)

    def __len__(self) -> int:
        return len(self.q)

    def __getitem__(self, rows: slice | NDArray[np.intp] | NDArray[np.bool_]) -> Samples:
        return Samples(*(getattr(self, column.name)[rows] for column in fields(self)))

    @property
    def T_base_tip(self) -> FloatArray:
        """The poses as homogeneous matrices, shape (N, 4, 4), float64; exact to the rounding of float32."""
        T = np.zeros((len(self), 4, 4))
        T[:, :3, :3] = rotation_from_quat(self.quat_xyzw.astype(np.float64))
        T[:, :3, 3] = self.position
        T[:, 3, 3] = 1.0
        return T


def join(parts: list[Samples]) -> Samples:
    """All rows of the parts (one or more) in one `Samples`, in order."""
    return Samples(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Samples)))


def make_shard(arm: Arm, *, seed: int, index: int, rows: int, self_collision_free: bool = False) -> Samples:
    """The samples of one shard, whichever process asks and whatever other shards exist.

    Args:
        arm: The arm.
        seed: Of the dataset.
        index: Of the shard; the random stream is that of `SeedSequence([seed, index])`.
        rows: How many; fewer rows are the beginning of more rows.
        self_collision_free: Leave out joint vectors in which the arm touches itself.

    Returns:
        The samples in the order in which the dataset stores them.

    Raises:
        DatasetError: The filter found nothing free of self-collision.
    """
    return join(list(shard_blocks(arm, seed=seed, index=index, rows=rows, self_collision_free=self_collision_free)))


def shard_blocks(
    arm: Arm, *, seed: int, index: int, rows: int, self_collision_free: bool = False
) -> Generator[Samples, None, None]:
    """The samples of one shard in pieces, for flat memory; joined they are those of `make_shard`.

    Args:
        arm: The arm.
        seed: Of the dataset.
        index: Of the shard; the random stream is that of `SeedSequence([seed, index])`.
        rows: How many in all.
        self_collision_free: Leave out joint vectors in which the arm touches itself.

    Returns:
        A generator of pieces of at most `BLOCK_ROWS` samples; with the filter they are smaller, and some are empty.

    Raises:
        DatasetError: While iterating, the filter found nothing free of self-collision.
    """
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, index])))
    if self_collision_free:
        with _self_collision_test(arm) as collides:
            for q in _draw_free(arm, rng, rows, collides):
                yield reach_poses(arm, q)
        return
    for start in range(0, rows, BLOCK_ROWS):
        yield reach_poses(arm, sample_joints(arm, rng, min(BLOCK_ROWS, rows - start)))


def sample_joints(arm: Arm, rng: np.random.Generator, rows: int) -> Float32Array:
    """Joint vectors uniform in the arm's limits, continuous joints in [-π, π).

    Args:
        arm: The arm.
        rng: Where randomness comes from; `rows` times n numbers are drawn.
        rows: How many.

    Returns:
        Shape (rows, n) [rad, m for prismatic], float32, rounded such that no value leaves the float64 limits.
    """
    low, high = arm.sample_min, arm.sample_max
    drawn = rng.random((rows, arm.n_joints))
    drawn *= high - low
    drawn += low
    q = drawn.astype(np.float32)
    return np.clip(q, _round_up(low), -_round_up(-high), out=q)


def reach_poses(arm: Arm, q: Float32Array) -> Samples:
    """The samples of given joint vectors: kinematics in float64 of the rounded q, then rounded to float32.

    Compiled at the first call, for a few seconds, and kept on disk; where numba cannot run, plain NumPy gives the same
    to rounding, several times as slow.

    Args:
        arm: The arm.
        q: Joint vectors, shape (N, n), float32.

    Returns:
        The N samples.
    """
    reach = _compiled_reach()
    if reach is None:
        T = forward_kinematics(arm, q.astype(np.float64))
        position, quat_xyzw = T[:, :3, 3].astype(np.float32), quat_xyzw_of(T[:, :3, :3]).astype(np.float32, order="C")
    else:
        position, quat_xyzw = np.empty((len(q), 3), np.float32), np.empty((len(q), 4), np.float32)
        reach(np.array(arm.offsets), np.array(arm.is_prismatic), q, position, quat_xyzw)
    return Samples(q, position, quat_xyzw)


@lru_cache(maxsize=1)
def _compiled_reach() -> Callable[..., None] | None:
    """`sim.dataset.reaching.reach`, compiled by now; None where numba cannot run."""
    try:
        from sim.dataset.reaching import reach  # numba is heavy: only who makes samples waits for it

        none = np.empty((0, 4), np.float32)
        reach(np.empty((1, 4, 4)), np.empty(0, np.bool_), none, none, none)
    except Exception as error:  # numba and LLVM have errors of many kinds
        _log.warning("making samples without compiled code, several times as slow: numba cannot run here: %s", error)
        return None
    return cast("Callable[..., None]", reach)


def _round_up(limit: FloatArray) -> Float32Array:
    """The smallest float32 that is not below each limit."""
    rounded = limit.astype(np.float32)
    return np.where(rounded < limit, np.nextafter(rounded, np.float32(np.inf)), rounded)


def _draw_free(arm: Arm, rng: np.random.Generator, rows: int, collides: SelfCollides) -> Iterator[Float32Array]:
    """Joint vectors without self-collision, by rejection, in pieces, `rows` of them in all."""
    drawn = kept = 0
    while kept < rows:
        q = sample_joints(arm, rng, _DRAW_ROWS)
        drawn += len(q)
        q = q[~collides(q.astype(np.float64))][: rows - kept]
        kept += len(q)
        if not kept and drawn >= _HOPELESS:
            raise DatasetError(
                f"arm {arm.name!r} touches itself in all of {drawn} joint vectors drawn in its limits; "
                "check the collision shapes of its URDF, or generate without the self-collision filter"
            )
        yield q


@contextmanager
def _self_collision_test(arm: Arm) -> Iterator[SelfCollides]:
    from sim.world import World

    with World() as world:
        yield world.add_arm(arm).self_collides
