"""Cartesian paths followed on one branch of solutions: as planned, held back, or stopped with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ik_mdn.paths.continuation import JOINT_STEP, TOLERANCE, Course, Stop, follow_branches, is_outside
from ik_mdn.paths.path import CartesianPath
from ik_mdn.paths.timing import Schedule, schedule, shortest_time
from ik_mdn.paths.tracked import PathStatus, Tracked
from ik_mdn.solver import IKSolver, Status, refine, solver_for
from sim.arm import LIMIT_NOISE, LIMIT_SLACK, Arm, clip_measured
from sim.arrays import FloatArray
from sim.errors import PoseError, ShapeError, TaskError, WorldError
from sim.inputs import as_numbers, check_kinds, check_speed
from sim.kinematics import forward_kinematics
from sim.task import Task, default_task, error_norms, task_error
from sim.world import ArmBody, fill_in

_START_TOLERANCE = 1e-3  # [rad, m] by which a start may be off the path before it is refined onto it
_COARSE = 8  # every eighth joint vector is checked for collision first


def track(
    solver: IKSolver | Arm,
    path: CartesianPath,
    *,
    q_start: ArrayLike | None = None,
    body: ArmBody | None = None,
    speed: float = 1.0,
    on_step: Callable[[float], None] | None = None,
) -> Tracked:
    """The path followed on one branch as far as it goes; see `track_many`.

    Example:
        >>> start, end = (sim.pose((0.3, y, 0.3), rpy=(np.pi, 0, 0)) for y in (-0.2, 0.2))
        >>> tracked = track(IKSolver.load("ur5e"), ik_mdn.line_path(start, end, speed=0.1))
        >>> tracked.status.about, tracked.fraction, tracked.q.shape
        ("followed at the path's own pace", 1.0, (451, 6))
    """
    start = None if q_start is None else as_numbers(q_start, "q_start")
    return track_many(solver, [path], q_start=start, body=body, speed=speed, on_step=on_step)[0]


def track_many(
    solver: IKSolver | Arm,
    paths: Sequence[CartesianPath],
    *,
    q_start: ArrayLike | None = None,
    body: ArmBody | None = None,
    speed: float = 1.0,
    on_step: Callable[[float], None] | None = None,
) -> list[Tracked]:
    """Each path followed on one branch of solutions as far as it goes, side by side.

    The branch is followed in certified steps (`ik_mdn.paths.continuation.follow_branches`): it is never left for another one.
    Then it is timed (`ik_mdn.paths.timing.schedule`): at the path's own pace, and slower where a joint would be too
    fast, as near a singularity. So, in the words of users of other path followers: `fraction` is what MoveIt's
    computeCartesianPath returns, without a jump threshold to choose; `held` is the slowing down of a servo near a
    singularity, with the path kept exactly. A path that stops short is followed to its last good place, where the
    arm comes to rest.

    Without `q_start` every solution of the first pose is followed; where a joint comes to a limit that it could have
    begun a full turn away from, from there too. The one that gets furthest is taken; among equals the one that is held
    back least; then the solver's first.

    Args:
        solver: Of the arm, for its task; for an arm alone, `solver_for` it.
        paths: What to follow, poses in the base frame.
        q_start: Where to start, shape (n,) or one per path (B, n): it must meet the path's first pose within 1e-3,
            and is refined onto it. A measured start may be up to 1e-3 rad or m beyond a limit: that joint is then put
            on the limit as long as the path has it beyond, and the errors say what that costs.
        body: The arm in a world: joint vectors in which it would touch itself or an obstacle stop it.
        speed: Share of the velocity limits to use, in (0, 1].
        on_step: Called while branches are followed, with the share of it that is done; timing and collisions come after.

    Returns:
        What became of each path, in order.

    Raises:
        ShapeError: q_start or speed make no sense.
        PoseError: q_start is not where the path starts, or not within limits.
        TaskError: The task fixes more numbers than the arm has joints: none is left to follow a path with.
        WorldError: The body is another arm's.
    """
    solver = solver_for(solver) if isinstance(solver, Arm) else solver
    check_kinds(IKSolver, solver=solver)
    _check_task(solver.arm, solver.task)
    check_kinds(Iterable, paths=paths)
    paths = list(paths)
    for path in paths:
        check_kinds(CartesianPath, path=path)
    check_speed(speed)
    if body is not None and body.arm.fingerprint != solver.arm.fingerprint:
        raise WorldError(f"the body is of arm {body.arm.name!r}, the solver for {solver.arm.name!r}; use one arm")
    if not len(paths):
        return []
    owner, starts, statuses = _starts(solver, paths, q_start)
    wide = is_outside(solver.arm, starts)
    if wide.any() and len(paths) > 1:  # a start beyond a limit makes room for its own path alone
        each = zip(paths, starts, strict=True)
        return [track(solver, path, q_start=q, body=body, speed=speed, on_step=on_step) for path, q in each]
    arm = _make_room(solver.arm, starts)
    courses = follow_branches(arm, solver.task, paths, owner, starts, on_step=on_step)
    if q_start is None:
        owner, courses = _turn_back(arm, solver.task, paths, owner, courses)
    job = _Job(solver, arm, body, speed)
    results = []
    for i, path in enumerate(paths):
        choice = job.choose(path, [courses[row] for row in np.flatnonzero(owner == i)])
        results.append(job.finish(path, choice) if choice is not None else _nowhere(solver.arm, path, statuses[i]))
    return results


def _check_task(arm: Arm, task: Task) -> None:
    n, default = arm.n_joints, default_task(arm)
    if task.n_constraints > n:
        hint = f"; use {default.name}" if default.n_constraints <= n else ""
        raise TaskError(
            f"arm {arm.name!r} has {n} joints and task {task.name!r} fixes {task.n_constraints} numbers: "
            f"paths need a task with at most {n}{hint}"
        )


def _starts(
    solver: IKSolver, paths: Sequence[CartesianPath], q_start: ArrayLike | None
) -> tuple[NDArray[np.int64], FloatArray, list[Status]]:
    """Joint vectors to start from, the path of each, and how solving for each path's first pose ended."""
    T = np.array([path.T_base_tip[0] for path in paths])
    if q_start is None:
        found = solver.solve(T)
        return found.pose_index, found.q, [solutions.status for solutions in found]
    arm, q = solver.arm, as_numbers(q_start, "q_start")
    if q.shape not in ((arm.n_joints,), (len(paths), arm.n_joints)) or not np.isfinite(q).all():
        raise ShapeError(
            f"q_start must be finite, of shape {(arm.n_joints,)} or {(len(paths), arm.n_joints)}; got {q.shape}"
        )
    q = np.broadcast_to(q, (len(paths), arm.n_joints)).copy()
    end = refine(arm, solver.task, T, q)
    exact = end.q
    off = np.maximum(np.abs(exact - q).max(axis=-1), 0.0)
    missed = np.maximum(end.err_pos, end.err_rot) > TOLERANCE
    for i in np.flatnonzero(missed):
        raise PoseError(
            f"q_start of path {i} leads to no joint vector where the path starts: refined from there, the tip stays "
            f"{end.err_pos[i]:.3g} m and {end.err_rot[i]:.3g} rad away; is that pose in reach?"
        )
    for i in np.flatnonzero(off > _START_TOLERANCE):
        raise PoseError(
            f"q_start is not where path {i} starts: the nearest joint vector that is there is {off[i]:.3g} rad away "
            f"(allowed {_START_TOLERANCE:g}); move the arm there first, or leave q_start out"
        )
    near = clip_measured(arm, exact)
    for i, joint in np.argwhere((near < arm.q_min) | (near > arm.q_max)):
        low, high = arm.q_min[joint], arm.q_max[joint]
        raise PoseError(
            f"q_start of path {i} is outside the joint limits of arm {arm.name!r}: joint {arm.joint_names[joint]!r} at "
            f"{near[i, joint]:.6g}, allowed [{low:.6g}, {high:.6g}] and {LIMIT_NOISE:g} beyond"
        )
    rounded = np.abs(exact - near).max(axis=-1, keepdims=True, initial=0.0) <= LIMIT_SLACK
    return np.arange(len(paths)), np.where(rounded, near, exact), [Status.SOLVED] * len(paths)


def _turn_back(
    arm: Arm, task: Task, paths: Sequence[CartesianPath], owner: NDArray[np.int64], courses: list[Course]
) -> tuple[NDArray[np.int64], list[Course]]:
    """The courses and the path of each, and those that begin full turns away from the limits that others came to."""
    owners, every = owner.tolist(), list(courses)
    known = {_begin(i, course.q[0]) for i, course in zip(owners, every, strict=True)}
    new = list(zip(owners, every, strict=True))
    while new:
        starts = {_begin(i, q): q for i, course in new for q in _turned_back(arm, course)}
        starts = {begin: q for begin, q in starts.items() if begin not in known}
        if not starts:
            break
        known |= starts.keys()
        rows = [begin[0] for begin in starts]
        more = follow_branches(arm, task, paths, np.array(rows), np.array(list(starts.values())))
        new = list(zip(rows, more, strict=True))
        owners, every = owners + rows, every + more
    return np.array(owners, dtype=np.int64), every


def _begin(path: int, q: FloatArray) -> tuple[int, tuple[float, ...]]:
    """A path and where it begins, to look up."""
    return path, tuple(q.round(6).tolist())


def _turned_back(arm: Arm, course: Course) -> FloatArray:
    """Where a course that came to a limit could begin instead: one joint that is near a limit there turned back, (K, n)."""
    end = course.q[-1]
    up = arm.q_max - end <= JOINT_STEP
    down = end - arm.q_min <= JOINT_STEP
    turns = np.where(arm.is_prismatic | (course.stop is not Stop.LIMIT), 0, down.astype(int) - up)
    starts: FloatArray = course.q[0] + np.diag(2 * np.pi * turns)[turns != 0]
    return starts[~is_outside(arm, starts)]


def _make_room(arm: Arm, starts: FloatArray) -> Arm:
    """The arm with limits as wide as starts a hair beyond them need."""
    if not is_outside(arm, starts).any():
        return arm
    return replace(
        arm, q_min=np.minimum(arm.q_min, starts.min(axis=0)), q_max=np.maximum(arm.q_max, starts.max(axis=0))
    )


class _Hit(NamedTuple):
    """A collision: number of the first joint vector that is not got to without it, and what touches."""

    place: int
    contacts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class _Cut:
    """A course, cut where it collides, the contacts there, and its knots that were left in time."""

    course: Course
    contacts: tuple[tuple[str, str], ...] = ()
    collides: bool = False
    timed: Schedule | None = None  # None where no knot is left

    @property
    def reach(self) -> float:
        """Place that it gets to [samples]; -1 where even the start collides."""
        return float(self.course.u[-1]) if len(self.course.u) else -1.0


@dataclass(frozen=True)
class _Job:
    """What `track_many` does for one path after the other."""

    solver: IKSolver
    arm: Arm  # the solver's; where a start is a hair beyond a limit, with that much room
    body: ArmBody | None
    speed: float

    def choose(self, path: CartesianPath, courses: list[Course]) -> _Cut | None:
        """The course that gets furthest without a collision; None where there is none."""
        late = [shortest_time(self.solver.arm, c, path.dt, speed=self.speed) - c.u[-1] for c in courses]
        order = sorted(range(len(courses)), key=lambda i: (-courses[i].u[-1], late[i] > 0, round(late[i], 3), i))
        best: _Cut | None = None
        for course in (courses[i] for i in order):
            if best is not None and course.u[-1] <= best.reach:
                break
            choice = self._cut(course)
            if best is None or choice.reach > best.reach:
                choice = self._time(path, choice)
            if best is None or choice.reach > best.reach:
                best = choice
        return best

    def finish(self, path: CartesianPath, choice: _Cut) -> Tracked:
        """The chosen course with its statuses."""
        arm, timed = self.solver.arm, choice.timed
        if timed is None:
            return _nowhere(arm, path, PathStatus.COLLISION, choice.contacts)
        status, q_elsewhere = self._judge(path, choice, timed)
        q, err_pos, err_rot = timed.q, timed.err_pos, timed.err_rot
        if self.arm is not arm:  # back from the room beyond the limits
            q = np.clip(q, arm.q_min, arm.q_max)
            at, wanted = forward_kinematics(arm, q), path.pose_at(timed.u)
            err_pos, err_rot = error_norms(task_error(self.solver.task, at, wanted))
        passed = len(timed.late)
        falling = np.diff(timed.late, prepend=0.0) > 1e-9
        statuses = [PathStatus.HELD if late else PathStatus.OK for late in falling.tolist()]
        statuses += [status] * (len(path) - passed)
        return Tracked(
            path,
            status,
            tuple(statuses),
            q,
            timed.u,
            err_pos,
            err_rot,
            contacts=choice.contacts,
            q_elsewhere=q_elsewhere,
        )

    def _time(self, path: CartesianPath, choice: _Cut) -> _Cut:
        """The choice with its schedule; where that meets a limit or a collision, of the course cut before that."""
        arm, task = self.arm, self.solver.task
        while len(choice.course.u):
            course = choice.course
            timed = schedule(arm, task, path, course, speed=self.speed)
            hit = self._first_hit(timed.q[: timed.fault])
            bad = timed.fault if hit is None else hit.place
            if bad is None or len(course.u) < 2:
                return replace(choice, timed=timed)
            count = min(max(1, int(np.searchsorted(course.u, timed.u[bad]))), len(course.u) - 1)
            stop = Stop.LIMIT if hit is None and is_outside(arm, timed.q[bad : bad + 1])[0] else Stop.LOST
            choice = _Cut(replace(course.until(count), stop=stop), () if hit is None else hit.contacts, hit is not None)
        return choice

    def _cut(self, course: Course) -> _Cut:
        hit = self._first_hit(course.q)
        if hit is None:
            return _Cut(course)
        return _Cut(replace(course.until(hit.place), stop=Stop.LOST), hit.contacts, True)

    def _first_hit(self, q: FloatArray) -> _Hit | None:
        """The first collision on the way through joint vectors, no point of the arm moving more than 2 cm unseen."""
        if self.body is None or not len(q):
            return None
        rows, leads_to = fill_in(self.arm, q)
        hits = np.flatnonzero(self.body.collides(rows[::_COARSE]))
        stop = int(hits[0]) * _COARSE + 1 if len(hits) else len(rows)
        fine = np.flatnonzero(self.body.collides(rows[:stop]))
        return _Hit(int(leads_to[fine[0]]), self.body.contacts_at(rows[fine[0]])) if len(fine) else None

    def _judge(self, path: CartesianPath, choice: _Cut, timed: Schedule) -> tuple[PathStatus, FloatArray | None]:
        """The status of a course that was timed, and where another branch goes on."""
        if choice.collides:
            return PathStatus.COLLISION, None
        if choice.course.stop is Stop.END:
            return (PathStatus.HELD if timed.late[-1] > 0 else PathStatus.OK), None
        if choice.course.stop is Stop.LIMIT:
            return PathStatus.OUT_OF_LIMITS, None
        following = min(int(np.floor(choice.course.u[-1])) + 1, len(path) - 1)
        found = self.solver.solve(path.T_base_tip[following], q_seed=timed.q[-1])[0]
        if len(found):
            return PathStatus.WOULD_JUMP, np.asarray(found.q[0])
        beyond = found.status is Status.OUT_OF_LIMITS
        return (PathStatus.OUT_OF_LIMITS if beyond else PathStatus.UNREACHABLE), None


def _nowhere(
    arm: Arm, path: CartesianPath, why: Status | PathStatus, contacts: tuple[tuple[str, str], ...] = ()
) -> Tracked:
    """What becomes of a path that cannot even be started."""
    known = {Status.OUT_OF_LIMITS: PathStatus.OUT_OF_LIMITS, Status.UNREACHABLE: PathStatus.UNREACHABLE}
    status = why if isinstance(why, PathStatus) else known.get(why, PathStatus.UNREACHABLE)
    none = np.zeros(0)
    return Tracked(
        path, status, (status,) * len(path), np.zeros((0, arm.n_joints)), none, none, none, contacts=contacts
    )
