"""Cartesian paths on one branch of solutions: geometry, continuation, timing, following with the motors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from ik_mdn.paths.figures import draw_joints as draw_joints
    from ik_mdn.paths.following import Followed as Followed
    from ik_mdn.paths.following import follow_path as follow_path
    from ik_mdn.paths.path import CartesianPath as CartesianPath
    from ik_mdn.paths.path import circle_path as circle_path
    from ik_mdn.paths.path import line_path as line_path
    from ik_mdn.paths.path import polyline_path as polyline_path
    from ik_mdn.paths.tracked import Tracked as Tracked
    from ik_mdn.paths.tracking import track as track
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
