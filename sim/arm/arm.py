"""An arm: its kinematic chain from base to tip, with limits, read from a URDF."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from sim.arm import catalogue
from sim.arm.chain import Chain, read_chain
from sim.arrays import FloatArray
from sim.errors import ShapeError, UnknownNameError, URDFError

if TYPE_CHECKING:
    from torch import Tensor

LIMIT_SLACK = 1e-9  # joint values this far outside a limit [rad, m] count as on it: refinement is not more exact
_T = TypeVar("_T", bound=np.generic)

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
        urdf_path: The file, or None for an arm that was generated or restored from a checkpoint.
        urdf_xml: The description's text where it was generated, otherwise None.

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
        """Lower end of the range to sample from, shape (n,): the limit, or -π for a continuous joint."""
        return _read_only(np.where(np.isfinite(self.q_min), self.q_min, -np.pi))

    @cached_property
    def sample_max(self) -> FloatArray:
        """Upper end of the range to sample from, shape (n,): the limit, or π for a continuous joint."""
        return _read_only(np.where(np.isfinite(self.q_max), self.q_max, np.pi))

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
        """An upper bound on the distance of the tip from the first joint's origin [m]: link lengths and strokes, summed."""
        slide = np.where(self.is_prismatic, np.maximum(np.abs(self.sample_min), np.abs(self.sample_max)), 0.0)
        return float(np.linalg.norm(self.offsets[1:, :3, 3], axis=1).sum() + slide.sum())

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

    def to_dict(self) -> dict[str, Any]:
        """The chain as plain JSON types (without the meshes), for `from_dict`; None stands for no limit."""
        return {
            **{key: getattr(self, key) for key in ("name", "base", "tip")},
            "joint_names": list(self.joint_names),
            "joint_types": list(self.joint_types),
            "offsets": self.offsets.tolist(),
            **{key: [x if np.isfinite(x) else None for x in getattr(self, key).tolist()] for key in _NO_LIMIT},
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


def load_arm(source: str | Path, *, base: str | None = None, tip: str | None = None) -> Arm:
    """The arm of a built-in name, of planar link lengths, or of any URDF file.

    Args:
        source: A name of `sim.builtin_arms()`, "planar:0.5,0.5,1.0" (link lengths in metres), or a path.
        base: Link that poses are given in; default: the URDF's root (or the catalogue's choice).
        tip: Link whose pose is asked for; default: the only leaf (or the catalogue's choice).

    Returns:
        The frozen arm, ready for `forward_kinematics`, `World` and `IKSolver`.

    Raises:
        UnknownNameError: No such built-in arm and no such file.
        URDFError: The file is no usable URDF, or base/tip are missing or ambiguous (the message lists them).
    """
    name = str(source)
    if name.startswith("planar:"):
        if base or tip:
            raise URDFError("a planar arm by lengths runs from 'base_link' to 'tool0'; leave out base= and tip=")
        return planar_arm(_parse_lengths(name))
    entry = catalogue.find(name)
    if entry is not None:
        chain = read_chain(entry.path, base=base or entry.base, tip=tip or entry.tip)
        return _arm_from_chain(name, chain, path=entry.path)
    path = Path(source).expanduser()
    if not path.is_file():
        if name and path.is_dir():
            raise UnknownNameError(f"{name!r} is a folder; give the path of the URDF file in it", name=name)
        if path.suffix or "/" in name:
            raise UnknownNameError(
                f"no file {name!r}; give the path of a URDF or one of: {', '.join(catalogue.names())}",
                name=name,
            )
        hint = catalogue.closest(name)
        raise UnknownNameError(
            f"unknown arm {name!r}{hint}; allowed: {', '.join(catalogue.names())}, "
            "planar:L1,L2,... (link lengths in metres), or the path of a URDF",
            name=name,
        )
    return _arm_from_chain(path.stem, read_chain(path, base=base, tip=tip), path=path.resolve())


def planar_arm(lengths: list[float] | tuple[float, ...], *, name: str | None = None) -> Arm:
    """A planar arm with revolute joints about z, each turning freely within ±π.

    Args:
        lengths: Link lengths [m], one per joint, all positive.
        name: Default "planar:" followed by the lengths.

    Returns:
        The arm, from `base_link` to `tool0`, stretched along x at q = 0.

    Raises:
        ShapeError: No length, or one that is not a positive finite number.
    """
    if not lengths or not all(np.isfinite(x) and x > 0 for x in lengths):
        raise ShapeError(f"link lengths must be positive numbers [m], one per joint; got {list(lengths)}")
    name = name or "planar:" + ",".join(f"{x:g}" for x in lengths)
    xml = catalogue.planar_urdf(lengths, name=name)
    return _arm_from_chain(name, read_chain(xml, base=None, tip=None), xml=xml)


def _parse_lengths(name: str) -> list[float]:
    try:
        return [float(x) for x in name.removeprefix("planar:").split(",")]
    except ValueError:
        raise ShapeError(f"cannot read link lengths from {name!r}; write for example planar:0.5,0.5,1.0") from None


def _arm_from_chain(name: str, chain: Chain, *, path: Path | None = None, xml: str | None = None) -> Arm:
    """Fold origins, axes and fixed joints into z-aligned offsets (see `Arm`)."""
    offsets, pending = [], np.eye(4)
    moving = [joint for joint in chain.joints if joint.kind != "fixed"]
    for joint in chain.joints:
        pending = pending @ joint.origin
        if joint.kind != "fixed":
            align = _turn_z_onto(joint.axis)
            offsets.append(pending @ align)
            pending = align.T.copy()  # a pure rotation: its transpose is its inverse
    offsets.append(pending)
    return Arm(
        name=name,
        base=chain.base,
        tip=chain.tip,
        joint_names=tuple(j.name for j in moving),
        joint_types=tuple(j.kind for j in moving),
        offsets=_snap(np.stack(offsets)),
        q_min=np.array([j.lower for j in moving]),
        q_max=np.array([j.upper for j in moving]),
        dq_max=np.array([j.velocity for j in moving]),
        effort_max=np.array([j.effort for j in moving]),
        urdf_path=path,
        urdf_xml=xml,
    )


def _read_only(array: NDArray[_T]) -> NDArray[_T]:
    array.setflags(write=False)
    return array


def _snap(offsets: FloatArray) -> FloatArray:
    """Offsets with the rounding of π/2 in the URDF removed: entries within 1e-12 of 0, 1 and -1 become exact."""
    nearest = np.round(offsets)
    return np.where((np.abs(offsets - nearest) < 1e-12) & (np.abs(nearest) <= 1), nearest + 0.0, offsets)


def _turn_z_onto(axis: FloatArray) -> FloatArray:
    """A homogeneous rotation whose z column is the given unit axis; the identity for z itself."""
    x, y, z = axis
    helper = np.array([1.0, 0.0, 0.0]) if abs(x) < 0.9 else np.array([0.0, 1.0, 0.0])
    first = helper - axis * (helper @ axis)
    first /= np.linalg.norm(first)
    align = np.eye(4)
    align[:3, :3] = np.stack([first, np.cross(axis, first), [x, y, z]], axis=1)
    return align
