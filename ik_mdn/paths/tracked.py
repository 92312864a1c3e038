"""What following a path gives back: joint vectors in time, and a status for every sample of the path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ik_mdn.paths.path import CartesianPath
from sim.arrays import FloatArray
from sim.words import Word


class PathStatus(Word):
    """How far a path was followed; for each of its samples, whether it was passed. `about` says it in a sentence."""

    OK = "ok", "followed at the path's own pace"
    HELD = "held", "followed exactly, but more slowly somewhere: a joint would have been too fast"
    WOULD_JUMP = "would_jump", "stopped: the branch ends, and the path goes on with other joint angles only"
    COLLISION = "collision", "stopped: the arm would touch itself or an obstacle"
    OUT_OF_LIMITS = "out_of_limits", "stopped: a joint would leave its limits"
    UNREACHABLE = "unreachable", "stopped: the path leaves what the arm can reach"

    @property
    def followed(self) -> bool:
        """Whether the path was followed to its end."""
        return self in (PathStatus.OK, PathStatus.HELD)


@dataclass(frozen=True, eq=False)
class Tracked:
    """A path followed on one branch.

    Args:
        path: What was to be followed.
        status: How far it was.
        statuses: The same for each sample of the path, N of them: `ok`; `held`, passed later than planned and still
            falling behind; from the first one that was not passed on the reason why.
        q: Joint vectors every `path.dt`, from the start to where it stops, shape (M, n); M = 0 where there is no start.
            Between two of them no joint moves further than its velocity limit allows.
        u: Place on the path of each, in samples, from 0 to N - 1, shape (M,); the steps are 1 unless held back.
        err_pos, err_rot: Distance of each from its pose on the path by forward kinematics [m], [rad], shape (M,).
        contacts: Pairs of links, or of a link and an obstacle, that would touch next; empty unless `collision`.
        q_elsewhere: A solution, on another branch, of the first sample that was not passed: where a planner could go
            on after a joint motion. Shape (n,); None unless `would_jump`.
    """

    path: CartesianPath
    status: PathStatus
    statuses: tuple[PathStatus, ...]
    q: FloatArray
    u: FloatArray
    err_pos: FloatArray
    err_rot: FloatArray
    contacts: tuple[tuple[str, str], ...] = ()
    q_elsewhere: FloatArray | None = None

    def __post_init__(self) -> None:
        assert len(self.statuses) == len(self.path)
        assert len(self.q) == len(self.u) == len(self.err_pos) == len(self.err_rot)

    @property
    def dt(self) -> float:
        """Time between two joint vectors [s]; between the last two it may be less."""
        return self.path.dt

    @property
    def fraction(self) -> float:
        """Share of the path's samples that was passed, from 0 to 1; 1 exactly where it was followed to its end."""
        if not len(self.u):
            return 0.0
        return float(self.u[-1] / max(len(self.path) - 1, 1)) if len(self.path) > 1 else 1.0

    @property
    def delay(self) -> float:
        """How much longer it takes than the path's own time law up to there [s]."""
        return float(len(self.u) - 1 - self.u[-1]) * self.dt if len(self.u) else 0.0

    @property
    def worst(self) -> tuple[float, float]:
        """Largest errors [m], [rad]; 0 where there is no joint vector."""
        return float(self.err_pos.max(initial=0.0)), float(self.err_rot.max(initial=0.0))

    @property
    def T_base_tip(self) -> FloatArray:
        """Where the tip should be at each joint vector, shape (M, 4, 4)."""
        return self.path.pose_at(self.u)

    def tally(self) -> dict[PathStatus, int]:
        """Number of the path's samples per status; one that no sample has is left out."""
        return {status: self.statuses.count(status) for status in PathStatus if status in self.statuses}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        elsewhere = None if self.q_elsewhere is None else self.q_elsewhere.tolist()
        return {
            "status": self.status.value,
            "fraction": self.fraction,
            "delay": self.delay,
            "dt": self.dt,
            "statuses": [status.value for status in self.statuses],
            "contacts": [list(pair) for pair in self.contacts],
            "q_elsewhere": elsewhere,
            **{name: getattr(self, name).tolist() for name in ("u", "q", "err_pos", "err_rot")},
        }
