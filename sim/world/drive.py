"""Executing a motion with the motors, step by step, and what was measured at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.inputs import check_sizes
from sim.kinematics import forward_kinematics
from sim.world.motion import TIME_STEP, Motion

_SETTLED_ERROR = 1e-4  # [rad or m] from the target
_SAG = 1e-3  # [rad or m] the same for an arm that is at rest at last: heavy ones keep some distance
_SETTLED_SPEED = 1e-3  # [rad/s or m/s]
_SETTLED_STEPS = 24  # in a row: 0.1 s
_PATIENCE = 480  # steps to wait for that: 2 s


@dataclass(frozen=True, eq=False)
class Drive:
    """How a drive ended.

    Args:
        q_target, q_end: Where it should end and where it did, shape (n,).
        time: Simulated time from start to rest, settling included [s].
        settled: Whether every joint stayed within 1e-4 rad of the target and below 1e-3 rad/s for 0.1 s, or was at rest
            within 1e-3 rad of it after 2 s.
        err_track: Largest distance of a joint from the planned motion on the way [rad, m for prismatic].
        contacts: Pairs of links (or of a link and another body) that touched on the way, sorted.
        path_q: Length of the way in joint space: the Euclidean norms of all steps, summed [rad, m for prismatic].
        path_tip: Length of the tip's way [m].
        stopped: Whether a contact ended the motion.
        contacts_end: What still touches at the end, sorted.
    """

    q_target: FloatArray
    q_end: FloatArray
    time: float
    settled: bool
    err_track: float
    contacts: tuple[tuple[str, str], ...]
    path_q: float = 0.0
    path_tip: float = 0.0
    stopped: bool = False
    contacts_end: tuple[tuple[str, str], ...] = ()

    @property
    def err_q(self) -> FloatArray:
        """Distance of each joint from its target at the end, shape (n,) [rad, m for prismatic]."""
        return np.abs(self.q_end - self.q_target)


class Driven(Protocol):
    """What is driven: an arm in a world; see `sim.world.ArmBody`."""

    arm: Arm
    step: Callable[[], None]

    @property
    def q(self) -> FloatArray: ...

    def state(self) -> tuple[FloatArray, FloatArray]: ...

    def hold(self, q: FloatArray, dq: FloatArray | None = None) -> None: ...

    def contacts(self) -> set[tuple[str, str]]: ...


def follow(
    body: Driven,
    motion: Motion,
    *,
    watch: Callable[[], None] | None = None,
    watch_period: float = 0.1,
    stop_on_contact: bool = False,
) -> Drive:
    """Follow a motion with the motors under gravity, then wait until the arm is at rest.

    On an error (Ctrl-C, or one that `watch` raises) the motors are told to hold the arm where it is.

    Args:
        body: The arm, at the start of the motion.
        motion: What to follow.
        watch: Called at the start, every `watch_period` of simulated time [s], and at the end.
        watch_period: See above.
        stop_on_contact: At the first contact the arm is held where it is, and the motion ends there.

    Returns:
        Where the joints ended, after how long, and what touched. Not at rest within 2 s after the motion's end gives
        `settled=False`, no error.
    """
    check_sizes(watch_period=watch_period)
    way = _Way(body, motion, stop_on_contact)
    every = max(1, round(watch_period / TIME_STEP))
    try:
        while not way.is_over:
            if watch is not None and way.steps % every == 0:
                watch()
            way.step()
    finally:
        body.hold(motion.q[-1] if way.calm else body.q)
    stopped = way.is_stopped
    if stopped:
        way.come_to_rest()
    if watch is not None:
        watch()
    path_q, path_tip = measure_path(body.arm, np.array(way.passed))
    return Drive(
        q_target=motion.q[-1],
        q_end=body.q,
        time=way.steps * TIME_STEP,
        settled=way.calm >= _SETTLED_STEPS or (not stopped and way.is_near(_SAG)),
        err_track=way.err_track,
        contacts=tuple(sorted(way.contacts)),
        path_q=path_q,
        path_tip=path_tip,
        stopped=stopped,
        contacts_end=tuple(sorted(body.contacts())),
    )


class _Way:
    """A motion being followed, step by step, and what happens on it."""

    def __init__(self, body: Driven, motion: Motion, stop_on_contact: bool) -> None:
        self.body, self.motion, self.stop_on_contact = body, motion, stop_on_contact
        self.steps, self.calm, self.err_track = 0, 0, 0.0  # steps done, of these the last at rest; furthest behind
        self.contacts: set[tuple[str, str]] = set()
        self.passed = [body.q]

    @property
    def is_stopped(self) -> bool:
        """Whether a contact ends it."""
        return bool(self.contacts) and self.stop_on_contact

    @property
    def is_over(self) -> bool:
        """Whether the arm is at rest at the end, will not come to rest any more, or is stopped."""
        late = self.steps >= len(self.motion.q) - 1 + _PATIENCE
        return self.calm >= _SETTLED_STEPS or late or self.is_stopped

    def step(self) -> None:
        """One step of the simulation towards where the motion is then."""
        planned, last = self.motion.q, len(self.motion.q) - 1
        now, at = min(self.steps, last), min(self.steps + 1, last)
        self.body.hold(planned[now], (planned[at] - planned[now]) / self.motion.dt)
        q, _ = self._advance()
        if self.is_stopped:
            return
        self.err_track = max(self.err_track, float(np.abs(q - planned[at]).max()))
        self.calm = self.calm + 1 if self.is_near(_SETTLED_ERROR) else 0

    def is_near(self, within: float) -> bool:
        """Whether the arm hardly moves, so near to the motion's end in every joint."""
        q, dq = self.body.state()
        return bool(np.abs(q - self.motion.q[-1]).max() <= within and np.abs(dq).max() <= _SETTLED_SPEED)

    def come_to_rest(self) -> None:
        """Wait until an arm that holds where it is does not move."""
        for _ in range(_PATIENCE):
            if np.abs(self._advance()[1]).max() <= _SETTLED_SPEED:
                break

    def _advance(self) -> tuple[FloatArray, FloatArray]:
        self.body.step()
        self.steps += 1
        self.contacts |= self.body.contacts()
        q, dq = self.body.state()
        self.passed.append(q)
        return q, dq


def measure_path(arm: Arm, q: FloatArray) -> tuple[float, float]:
    """Lengths of a way that is given by the configurations passed.

    Args:
        arm: Whose way it is.
        q: Joint vectors in order, shape (m, n).

    Returns:
        In joint space (Euclidean norms of the steps, summed) [rad, m for prismatic], and of the tip [m].
    """
    tips = forward_kinematics(arm, q)[:, :3, 3]
    lengths = (float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum()) for points in (q, tips))
    return next(lengths), next(lengths)
