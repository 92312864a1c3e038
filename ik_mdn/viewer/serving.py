"""viser's server with the look of this viewer, and the place from which an arm is seen first."""

from __future__ import annotations

import gc
import io
import logging
import sys
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from sim.arm import Arm
from sim.errors import IKError
from sim.scenes import Scene

_BRAND = (38, 112, 214)
_SWITCH = 5e-4  # [s]


def open_server(host: str, port: int) -> Any:
    """A viser server that prints nothing.

    Args:
        host, port: Where to serve; a port that is taken gives way to the next free one.

    Raises:
        IKError: viser is not installed, or nothing can be served there.
    """
    try:
        import viser
    except ImportError as error:
        raise IKError("the viewer needs viser; run: pip install 'viser>=1.1,<2' yourdfpy") from error
    for name in ("websockets.server", "websockets", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # browsers that go away are no error
    with redirect_stdout(io.StringIO()):  # it prints a banner
        server = viser.ViserServer(host=host, port=port, verbose=False)
    server.gui.configure_theme(show_logo=False, show_share_button=False, brand_color=_BRAND, control_width="large")
    return server


def answer_quickly() -> None:
    """Set this process up for short waits, once everything is loaded.

    What plots and judges gives way to what follows the mouse after half a millisecond of Python code instead of five; one
    pose at a time gains nothing from more threads of torch; and what is loaded is never searched for garbage again, which
    takes longer than a frame.
    """
    import torch

    torch.set_num_threads(1)
    sys.setswitchinterval(_SWITCH)
    gc.collect()
    gc.freeze()


def close_server(server: Any) -> None:
    """End a server; browsers show that the connection is gone."""
    with redirect_stdout(io.StringIO()):  # it prints that it stopped
        server.stop()


def place_camera(server: Any, arm: Arm, scene: Scene | None = None) -> None:
    """Where browsers see the arm from at first: from the front and the side, a planar one from above.

    Past obstacles, which stand in front of the arm, from its side and from behind.
    """
    reach, origin = arm.reach, arm.offsets[0, :3, 3]
    eye = (0.0, -0.3, 2.3) if arm.is_planar else (0.95, -1.0, 0.75)
    if scene is not None and scene.obstacles and not arm.is_planar:
        eye = (-0.75, -1.25, 0.95)
    centre = (0.0, 0.0, 0.0) if arm.is_planar else (0.15, 0.0, 0.18)
    server.initial_camera.position = tuple((origin + reach * np.array(eye)).tolist())
    server.initial_camera.look_at = tuple((origin + reach * np.array(centre)).tolist())
