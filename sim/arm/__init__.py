"""An arm: chain, limits and names, from a URDF or the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from sim.arm.arm import Arm as Arm
    from sim.arm.arm import load_arm as load_arm
    from sim.arm.arm import planar_arm as planar_arm
    from sim.arm.catalogue import builtin_arms as builtin_arms
    from sim.arm.meshes import find_mesh as find_mesh
    from sim.arm.meshes import resolve_meshes as resolve_meshes

__getattr__, __dir__, __all__ = public_names(__name__)
