"""Pictures by Bullet's software renderer: colours, distances, and what is there at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.rendering.camera import Camera

Picture = NDArray[np.uint8]

_LIGHT = {
    "lightDirection": (0.6, -0.9, 1.6),
    "lightColor": (1.0, 1.0, 1.0),
    "lightAmbientCoeff": 0.55,
    "lightDiffuseCoeff": 0.5,
    "lightSpecularCoeff": 0.1,
}
_SIGHT = 10.0  # how far a picture goes, in distances from the camera to what it looks at
_NEAREST = 1e-3  # where it begins, as a share of that


@dataclass(frozen=True, eq=False)
class Layers:
    """What a camera sees, at the renderer's own resolution (`supersample` times that of the picture).

    Args:
        rgb: Colours, shape (height, width, 3), 0 to 255.
        depth: Distance along the line of sight [m], shape (height, width).
        solid: Where there is anything but background, shape (height, width).
        supersample: How many times larger than the picture these are.
    """

    rgb: Picture
    depth: NDArray[np.float32]
    solid: NDArray[np.bool_]
    supersample: int = 1

    def picture(self) -> Picture:
        """The colours averaged down to the picture's size, shape (height, width, 3)."""
        return average_down(self.rgb, self.supersample)


def average_down(rgb: Picture, factor: int) -> Picture:
    """A picture made smaller by a whole factor, each pixel the mean of a block.

    Args:
        rgb: Shape (height * factor, width * factor, 3).
        factor: From 1.

    Returns:
        Shape (height, width, 3).
    """
    if factor == 1:
        return np.ascontiguousarray(rgb)
    height, width = rgb.shape[0] // factor, rgb.shape[1] // factor
    blocks = rgb.reshape(height, factor, width, factor, 3).astype(np.float32)
    return np.asarray(blocks.mean(axis=(1, 3)).round(), dtype=np.uint8)


def draw_key(picture: Picture, entries: Sequence[tuple[str, tuple[float, float, float]]]) -> Picture:
    """A picture with a line of coloured squares and what they stand for in its upper left corner.

    Args:
        picture: Shape (height, width, 3).
        entries: What stands there, each with its colour, 0 to 1.

    Returns:
        A picture of the same size.
    """
    from PIL import Image, ImageDraw, ImageFont

    size = max(10, picture.shape[0] // 28)
    font, image = ImageFont.load_default(size), Image.fromarray(picture)
    pen, x = ImageDraw.Draw(image), float(size)
    for text, colour in entries:
        red, green, blue = (round(255 * value) for value in colour)
        pen.rectangle((x, size, x + 0.8 * size, 1.8 * size), fill=(red, green, blue))
        pen.text((x + 1.2 * size, 0.75 * size), text, fill=(40, 40, 40), font=font)
        x += 2.4 * size + pen.textlength(text, font=font)
    return np.asarray(image, dtype=np.uint8)


def take_layers(client: Any, camera: Camera, *, solid: bool = True) -> Layers:
    """What a camera sees of a world; no screen or graphics card is needed.

    Args:
        client: The world's Bullet functions.
        camera: Where from, and how large.
        solid: Also find out where there is anything; without, `Layers.solid` is False everywhere.

    Returns:
        The layers.
    """
    width, height = camera.width * camera.supersample, camera.height * camera.supersample
    far = _SIGHT * float(np.linalg.norm(np.subtract(camera.target, camera.eye)))
    near = _NEAREST * far
    *_, rgba, buffer, bodies = client.getCameraImage(
        width,
        height,
        viewMatrix=client.computeViewMatrix(camera.eye, camera.target, camera.up),
        projectionMatrix=client.computeProjectionMatrixFOV(camera.fov, width / height, near, far),
        renderer=client.ER_TINY_RENDERER,
        flags=0 if solid else client.ER_NO_SEGMENTATION_MASK,
        shadow=int(camera.shadow),
        **_LIGHT,
    )
    z = np.asarray(buffer, dtype=np.float32).reshape(height, width)
    return Layers(
        rgb=np.ascontiguousarray(np.asarray(rgba, dtype=np.uint8).reshape(height, width, -1)[..., :3]),
        depth=np.asarray(far * near / (far - (far - near) * z), dtype=np.float32),
        solid=np.asarray(bodies).reshape(height, width) >= 0 if solid else np.zeros((height, width), dtype=bool),
        supersample=camera.supersample,
    )
