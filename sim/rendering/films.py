"""Writing pictures as a film: GIF, or H.264 in MP4."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from sim.errors import WorldError
from sim.files import whole_file
from sim.rendering.pictures import Picture

_FORMATS = ("mp4", "gif")

_COLOURS = 96  # of a GIF's palette
_BLOCK = 2  # pixels: H.264 wants even sizes
_QUALITY = 8  # of 10


def default_format() -> str:
    """mp4 where imageio-ffmpeg is installed, otherwise gif."""
    return "mp4" if find_spec("imageio_ffmpeg") else "gif"


def check_film(path: str | Path) -> None:
    """Find out before the work whether `write_film` could write the format of a file.

    Raises:
        WorldError: Its ending is none of mp4 and gif, or it is an MP4 and imageio-ffmpeg is not installed.
    """
    ending = Path(path).suffix[1:].lower()
    if ending not in _FORMATS:
        raise WorldError(f"cannot film to {path}: the ending decides the format; allowed: {', '.join(_FORMATS)}")
    if ending == "mp4" and find_spec("imageio_ffmpeg") is None:
        raise WorldError("an MP4 needs imageio-ffmpeg; run pip install imageio-ffmpeg, or make a GIF")


def write_film(path: str | Path, frames: Sequence[Picture], *, fps: float) -> None:
    """Write pictures as a film, under a temporary name first; the ending decides the format.

    Args:
        path: The file, .mp4 or .gif; its folder is made.
        frames: RGB, all of one shape (height, width, 3).
        fps: Pictures per second.

    Raises:
        WorldError: No pictures, another ending, or no imageio-ffmpeg for an MP4.
    """
    check_film(path)
    if not len(frames):
        raise WorldError(f"no pictures to write to {path}; take some first")
    if Path(path).suffix.lower() == ".gif":
        _write_gif(path, frames, fps=fps)
    else:
        _write_mp4(path, frames, fps=fps)


def _write_gif(path: str | Path, frames: Sequence[Picture], *, fps: float) -> None:
    """A looping GIF with one palette, so that what does not move costs nothing."""
    from PIL import Image

    sample = np.concatenate(frames[:: max(1, len(frames) // 6)])
    palette = Image.fromarray(sample).quantize(_COLOURS)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    duration = round(1000 / fps)
    with whole_file(path) as temporary:
        images[0].save(
            temporary, format="GIF", save_all=True, append_images=images[1:], duration=duration, loop=0, optimize=False
        )


def _write_mp4(path: str | Path, frames: Sequence[Picture], *, fps: float) -> None:
    """H.264 in MP4, which every browser plays; an odd row or column at the edge is left out."""
    import imageio.v2 as imageio

    open_writer: Any = imageio.get_writer
    height, width = (size - size % _BLOCK for size in frames[0].shape[:2])
    with whole_file(path) as temporary:
        options = {"codec": "libx264", "quality": _QUALITY, "macro_block_size": _BLOCK}
        with open_writer(temporary, format="FFMPEG", fps=fps, **options) as writer:
            for frame in frames:
                writer.append_data(frame[:height, :width])
