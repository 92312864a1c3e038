"""The physics world in PyBullet: bodies, motors, collisions, routes. The only place that imports PyBullet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from sim.world.body import ArmBody as ArmBody
    from sim.world.body import home as home
    from sim.world.bullet_ik import solve_with_bullet as solve_with_bullet
    from sim.world.drive import Drive as Drive
    from sim.world.drive import follow as follow
    from sim.world.ghosts import FREE as FREE
    from sim.world.ghosts import REJECTED as REJECTED
    from sim.world.ghosts import GhostWorld as GhostWorld
    from sim.world.ghosts import blend as blend
    from sim.world.ghosts import pick_apart as pick_apart
    from sim.world.ghosts import put_in as put_in
    from sim.world.motion import RISE_TIME as RISE_TIME
    from sim.world.motion import TIME_STEP as TIME_STEP
    from sim.world.motion import Motion as Motion
    from sim.world.motion import plan_motion as plan_motion
    from sim.world.motion import rest_to_rest as rest_to_rest
    from sim.world.motion import speed_limits as speed_limits
    from sim.world.routes import CHECKS as CHECKS
    from sim.world.routes import MARGIN as MARGIN
    from sim.world.routes import Route as Route
    from sim.world.routes import Ways as Ways
    from sim.world.routes import fill_in as fill_in
    from sim.world.routes import find_route as find_route
    from sim.world.world import Colour as Colour
    from sim.world.world import Marker as Marker
    from sim.world.world import World as World
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
