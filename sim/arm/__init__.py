"""An arm: chain, limits and names, from a URDF or the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from sim.arm.arm import LIMIT_SLACK as LIMIT_SLACK
    from sim.arm.arm import NEAR_SLIDE as NEAR_SLIDE
    from sim.arm.arm import Arm as Arm
    from sim.arm.catalogue import builtin_arms as builtin_arms
    from sim.arm.limits import LIMIT_NOISE as LIMIT_NOISE
    from sim.arm.limits import clip_measured as clip_measured
    from sim.arm.loading import load_arm as load_arm
    from sim.arm.loading import planar_arm as planar_arm
    from sim.arm.meshes import find_mesh as find_mesh
    from sim.arm.meshes import read_mesh as read_mesh
    from sim.arm.meshes import search_folders as search_folders
    from sim.arm.urdf import as_origin as as_origin
    from sim.arm.urdf import parse_xml as parse_xml
    from sim.arm.urdf import plain_joints as plain_joints
    from sim.arm.urdf import read_origin as read_origin
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
