"""What is seen: cameras, pictures, films, figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from sim.rendering.camera import Camera as Camera
    from sim.rendering.camera import camera_around as camera_around
    from sim.rendering.camera import project as project
    from sim.rendering.figure import BLUE as BLUE
    from sim.rendering.figure import GREEN as GREEN
    from sim.rendering.figure import GREY as GREY
    from sim.rendering.figure import ORANGE as ORANGE
    from sim.rendering.figure import PURPLE as PURPLE
    from sim.rendering.figure import RED as RED
    from sim.rendering.figure import check_figure as check_figure
    from sim.rendering.figure import draw_planar_arm as draw_planar_arm
    from sim.rendering.figure import new_figure as new_figure
    from sim.rendering.figure import save_figure as save_figure
    from sim.rendering.figure import show_names_as_they_are as show_names_as_they_are
    from sim.rendering.films import check_film as check_film
    from sim.rendering.films import default_format as default_format
    from sim.rendering.films import write_film as write_film
    from sim.rendering.pictures import Layers as Layers
    from sim.rendering.pictures import Picture as Picture
    from sim.rendering.pictures import average_down as average_down
    from sim.rendering.pictures import draw_key as draw_key
    from sim.rendering.pictures import take_layers as take_layers
    from sim.rendering.scenery import CLOSE as CLOSE
    from sim.rendering.scenery import camera_for as camera_for
    from sim.rendering.scenery import floor_height as floor_height
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
