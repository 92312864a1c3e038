"""An arm: its kinematic chain from base to tip, with limits."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from sim.arrays import FloatArray
from sim.errors import URDFError
from sim.files import as_json

if TYPE_CHECKING:
    from torch import Tensor

LIMIT_SLACK = 1e-9  # joint values this far outside a limit [rad, m] count as on it: refinement is not more exact
_T = TypeVar("_T", bound=np.generic)

WIDE_SLIDE = 100.0  # [m] beyond which the limit of a slide says only that there is none in practice
NEAR_SLIDE = 2.0  # [m] about 0 within which such a slide is sampled

_NO_LIMIT = {"q_min": -np.inf, "q_max": np.inf, "dq_max": np.inf, "effort_max": np.inf}
_ROUND = 6  # decimals of the geometry that the fingerprint sees: a micrometre, a microradian


@dataclass(frozen=True, eq=False)
class Arm:
    """A serial chain of revolute, continuous and prismatic joints, each along the z axis of its own frame.

    The tip's pose is `T_base_tip = C_0 J(q_1) C_1 J(q_2) ... J(q_n) C_n`, where `J(q)` turns about z by q
    [rad] (revolute, continuous) or slides along z by q [m] (prismatic) and `C_i = offsets[i]` are fixed.
    Joint origins, axes and fixed joints of the URDF are folded into the offsets.

    Args:
        name: What the arm is called in messages and tables.
        base, tip: Link names; poses are of `tip` in `base`.
        joint_names, joint_types: One per moving joint, ordered from base to tip.
        offsets: Fixed transforms, shape (n + 1, 4, 4), lengths in metres.
        q_min, q_max: Limits, shape (n,) [rad or m]; -inf and inf for continuous joints.
        dq_max: Velocity limits, shape (n,) [rad/s or m/s]; inf where the URDF gives none.
        effort_max: Force limits, shape (n,) [N m or N]; inf where the URDF gives none.
        urdf_path: The file, or None for an arm that was generated, read from text, or restored from a checkpoint.
        urdf_xml: The description's text where it is not what stands in the file, otherwise None.

    Raises:
        URDFError: A limit is reversed or not a number, the chain has no joint, or arrays do not fit the joints.
    """

    name: str
    base: str
    tip: str
    joint_names: tuple[str, ...]
    joint_types: tuple[str, ...]
    offsets: FloatArray = field(repr=False)
    q_min: FloatArray
    q_max: FloatArray
    dq_max: FloatArray = field(repr=False)
    effort_max: FloatArray = field(repr=False)
    urdf_path: Path | None = field(default=None, repr=False)
    urdf_xml: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.joint_names:
            raise URDFError(
                f"arm {self.name!r}: no moving joint between {self.base!r} and {self.tip!r}; pick another tip="
            )
        for key in ("offsets", *_NO_LIMIT):
            object.__setattr__(self, key, _read_only(np.array(getattr(self, key), dtype=np.float64)))
        self._check_shapes()
        for joint, low, high in zip(self.joint_names, self.q_min, self.q_max, strict=True):
            if not low < high:
                raise URDFError(
                    f"arm {self.name!r}: joint {joint!r} has limits [{low}, {high}]; lower must be below upper"
                )

    def _check_shapes(self) -> None:
        n = len(self.joint_names)
        moving = ("revolute", "continuous", "prismatic")
        if len(self.joint_types) != n or not set(self.joint_types) <= set(moving):
            raise URDFError(
                f"arm {self.name!r}: {n} joints have the types {list(self.joint_types)}; give one of {', '.join(moving)} each"
            )
        for key, shape in {"offsets": (n + 1, 4, 4), **dict.fromkeys(_NO_LIMIT, (n,))}.items():
            if getattr(self, key).shape != shape:
                raise URDFError(
                    f"arm {self.name!r}: {key} has shape {getattr(self, key).shape}; {n} joints need {shape}"
                )
        if not np.isfinite(self.offsets).all():
            raise URDFError(f"arm {self.name!r}: the offsets hold NaN or infinity; lengths and angles must be finite")

    @property
    def n_joints(self) -> int:
        """Number of moving joints, n."""
        return len(self.joint_names)

    @cached_property
    def is_prismatic(self) -> NDArray[np.bool_]:
        """Which joints slide, shape (n,)."""
        return _read_only(np.array([kind == "prismatic" for kind in self.joint_types]))

    @cached_property
    def period(self) -> FloatArray:
        """The change after which a joint stands as before, shape (n,): 2π [rad], or inf for prismatic joints."""
        return _read_only(np.where(self.is_prismatic, np.inf, 2 * np.pi))

    @cached_property
    def is_limited(self) -> NDArray[np.bool_]:
        """Which joints have limits on both sides that are sampled up to, shape (n,): no slide beyond `WIDE_SLIDE`."""
        return _read_only((self.sample_min == self.q_min) & (self.sample_max == self.q_max))

    @cached_property
    def is_endless(self) -> NDArray[np.bool_]:
        """Which joints turn on without a limit, one way at least, shape (n,)."""
        return _read_only(~self.is_prismatic & (np.isinf(self.q_min) | np.isinf(self.q_max)))

    @overload
    def nearest_image(self, difference: FloatArray) -> FloatArray: ...
    @overload
    def nearest_image(self, difference: Tensor) -> Tensor: ...
    def nearest_image(self, difference: FloatArray | Tensor) -> FloatArray | Tensor:
        """Differences of joint vectors, shape (..., n), less the full turns nearest to them: turning joints in [-π, π]."""
        turn = np.where(self.is_prismatic, 0.0, 2 * np.pi)
        if isinstance(difference, np.ndarray):
            return np.asarray(difference - turn * np.rint(difference / (2 * np.pi)))
        return difference - difference.new_tensor(turn) * (difference / (2 * np.pi)).round()

    @cached_property
    def sample_min(self) -> FloatArray:
        """Lower end of the range to sample from, shape (n,): the limit, or what stands for none.

        A turning joint is sampled over one turn: [-π, π] without limits, next to the limit where there is one only. A
        slide that can go beyond `WIDE_SLIDE` (the virtual joints of a mobile base) within `NEAR_SLIDE` of 0, or of
        the limit nearest to it.
        """
        return _read_only(self._sampled[0])

    @cached_property
    def sample_max(self) -> FloatArray:
        """Upper end of the range to sample from, shape (n,); see `sample_min`."""
        return _read_only(self._sampled[1])

    def sample(self, generator: np.random.Generator, count: int | None = None) -> FloatArray:
        """Joint vectors uniform from `sample_min` to `sample_max` [rad or m].

        Args:
            generator: Source of randomness.
            count: How many; None: one, without an axis of its own.

        Returns:
            Shape (count, n), or (n,).
        """
        return generator.uniform(self.sample_min, self.sample_max, None if count is None else (count, self.n_joints))

    @cached_property
    def _sampled(self) -> tuple[FloatArray, FloatArray]:
        low, high = self.q_min, self.q_max
        middle = np.clip(0.0, low, high)
        wide = self.is_prismatic & (np.maximum(np.abs(low), np.abs(high)) > WIDE_SLIDE)
        half = np.where(wide, NEAR_SLIDE, np.inf)
        from_below, from_above = np.isfinite(low), np.isfinite(high)
        least = np.where(from_below, low, np.where(from_above, high - 2 * np.pi, -np.pi))
        most = np.where(from_above, high, np.where(from_below, low + 2 * np.pi, np.pi))
        return np.maximum(least, middle - half), np.minimum(most, middle + half)

    @cached_property
    def is_planar(self) -> bool:
        """Whether every joint moves the tip in the base's x-y plane (turns about z, or slides across it)."""
        R = np.eye(3)
        for offset, slides in zip(self.offsets, self.is_prismatic, strict=False):
            R = R @ offset[:3, :3]
            along_z = abs(abs(R[2, 2]) - 1.0) < 1e-9
            if along_z == bool(slides) or (slides and abs(R[2, 2]) > 1e-9):
                return False
        return True

    @cached_property
    def reach(self) -> float:
        """How far the tip gets from the first joint's origin, within the sampled range [m]: links and strokes, summed."""
        return self._links_and(self.sample_min, self.sample_max)

    @cached_property
    def farthest(self) -> float:
        """An upper bound on the distance of the tip from the first joint's origin, anywhere within limits [m]."""
        return self._links_and(self.q_min, self.q_max)

    def _links_and(self, low: FloatArray, high: FloatArray) -> float:
        slide = np.where(self.is_prismatic, np.maximum(np.abs(low), np.abs(high)), 0.0)
        return float(np.linalg.norm(self.offsets[1:, :3, 3], axis=1).sum() + slide.sum())

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal, the numbers bit for bit."""
        if not isinstance(other, Arm):
            return NotImplemented
        return all(np.array_equal(getattr(self, each.name), getattr(other, each.name)) for each in fields(Arm))

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @cached_property
    def length(self) -> float:
        """The unit that makes lengths of this arm comparable with angles [m]: `reach`, or 1 where that is 0."""
        return self.reach if self.reach > 0 else 1.0

    @cached_property
    def joint_units(self) -> FloatArray:
        """What 1 stands for in each joint without units, shape (n,): `length` [m] of prismatic joints, otherwise 1 [rad]."""
        return _read_only(np.where(self.is_prismatic, self.length, 1.0))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what decides the kinematics (geometry, joint types, limits), whatever the names are."""
        numbers = [np.round(a, _ROUND) + 0.0 for a in (self.offsets, self.q_min, self.q_max)]
        parts = json.dumps([list(self.joint_types), *(a.tolist() for a in numbers)])
        return hashlib.sha256(parts.encode()).hexdigest()[:16]

    @cached_property
    def description_fingerprint(self) -> str:
        """A hash of what decides the dynamics as well: the URDF's whole text, and velocity and effort limits."""
        path, xml = self.urdf_path, self.urdf_xml
        text = xml.encode() if xml is not None else b"" if path is None else path.read_bytes()
        return hashlib.sha256(text + self.dq_max.tobytes() + self.effort_max.tobytes()).hexdigest()[:16]

    def part(self, first: int, last: int) -> Arm:
        """The chain of the joints from `first` up to, and without, `last`; its poses are T = C_first J(q_first) … C_last.

        Args:
            first, last: Counted from 0; at least one joint between.
        """
        span, between = slice(first, last), f"{self.joint_names[first]} to {self.joint_names[last - 1]}"
        return Arm(
            name=f"{self.name}: {between}",
            base=self.base if first == 0 else f"behind {self.joint_names[first - 1]}",
            tip=self.tip if last == self.n_joints else f"before {self.joint_names[last]}",
            joint_names=self.joint_names[span],
            joint_types=self.joint_types[span],
            offsets=self.offsets[first : last + 1],
            **{key: getattr(self, key)[span] for key in _NO_LIMIT},
        )

    def to_dict(self) -> dict[str, Any]:
        """The chain as plain JSON types (without the meshes), for `from_dict`; None stands for no limit."""
        return {
            **{key: getattr(self, key) for key in ("name", "base", "tip")},
            "joint_names": list(self.joint_names),
            "joint_types": list(self.joint_types),
            "offsets": self.offsets.tolist(),
            **{key: as_json(getattr(self, key)) for key in _NO_LIMIT},
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Arm:
        """The arm that `to_dict` described; it has no URDF, so it can be solved for but not simulated."""

        def read(key: str) -> FloatArray:
            return np.array([_NO_LIMIT[key] if x is None else x for x in values[key]], float)

        return cls(
            name=str(values["name"]),
            base=str(values["base"]),
            tip=str(values["tip"]),
            joint_names=tuple(values["joint_names"]),
            joint_types=tuple(values["joint_types"]),
            offsets=np.array(values["offsets"], float),
            q_min=read("q_min"),
            q_max=read("q_max"),
            dq_max=read("dq_max"),
            effort_max=read("effort_max"),
        )


def _read_only(array: NDArray[_T]) -> NDArray[_T]:
    array.setflags(write=False)
    return array
