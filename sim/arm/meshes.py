"""Mesh files of robot descriptions: found by their references, and checked to be whole before Bullet sees them."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import WorldError

_SCHEMES = ("package://", "model://", "file://")
_HEAD, _TRIANGLE = 84, 50  # bytes of a binary STL's head and of each of its triangles
_MOST_CORNERS = 1000  # of a face in an OBJ: Bullet's reader does not survive any number
_TRUSTED = ".obj"  # kept as it is once it is checked: Bullet reads shapes and colours in it


def search_folders(path: Path | None) -> list[Path]:
    """Where the meshes of a URDF are looked for: beside it, above it, in ROS_PACKAGE_PATH and AMENT_PREFIX_PATH.

    So `package://my_robot/meshes/x.stl` is found from `my_robot/urdf/x.urdf`. Those of a text (None), which lies nowhere,
    are looked for from the working directory.
    """
    folder = Path.cwd() if path is None else path.resolve().parent
    ros = [Path(entry) for entry in os.environ.get("ROS_PACKAGE_PATH", "").split(os.pathsep) if entry]
    ament = [Path(entry) / "share" for entry in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if entry]
    return [folder, *folder.parents, *ros, *ament]


def find_mesh(reference: str, folders: list[Path]) -> Path | None:
    """The file that a URDF's `filename` means, or None where no folder has it."""
    scheme = next((s for s in _SCHEMES if reference.startswith(s)), "")
    rest = reference.removeprefix(scheme)
    if not rest or "\0" in rest:
        return None
    if scheme in ("", "file://") and Path(rest).is_absolute():
        return Path(rest) if Path(rest).is_file() else None
    names = [rest]
    if scheme in ("package://", "model://") and "/" in rest:
        names.append(rest.split("/", 1)[1])  # the package's own folder may have another name
    return next((folder / name for name in names for folder in folders if (folder / name).is_file()), None)


def read_mesh(path: Path) -> bytes | None:
    """A mesh as a binary STL that Bullet reads, in metres; None where it reads the file itself as it is.

    COLLADA is among what is read for it: files of makers end the process in Bullet's own reader, or lose polygons there.

    Args:
        path: In any format that trimesh reads; lengths in metres, or in the unit that it names.

    Returns:
        The file's content to use in its place, or None; b"" where the file is whole and is to hold no shape.

    Raises:
        WorldError: The mesh is not whole: empty, cut off, a Git LFS pointer, without faces, or not readable.
    """
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _read(path: Path, _changed: int, _size: int) -> bytes | None:
    try:
        data = path.read_bytes()
        if not data.strip(b" \t\r\n\0"):
            raise ValueError("it is empty")
        if data.startswith(b"version https://git-lfs"):
            raise ValueError("it is a Git LFS pointer, not the mesh; fetch that with git lfs pull")
        if path.suffix.lower() == ".obj":
            _check_obj(data)
        stl = _whole_stl(data) if path.suffix.lower() == ".stl" else None
        return _check_faces(path, data) if stl is None else (None if len(stl) == len(data) else stl)
    except Exception as error:  # trimesh lets its readers' own errors through
        raise WorldError(f"{path} is no whole mesh: {error or type(error).__name__}", path=path) from error


def _whole_stl(data: bytes) -> bytes | None:
    """A binary STL without what follows its triangles; None where it is a text.

    Raises:
        ValueError: It has no triangles or fewer than it says, or a corner that is no finite number.
    """
    if data[:5].lower() == b"solid" and b"facet" in data[:2000].lower():
        if not re.search(rb"(?i)endsolid\b[^\n]*\s*\Z", data):
            raise ValueError("the text ends before its endsolid: it was cut off")
        return None
    count = int.from_bytes(data[80:_HEAD], "little")
    whole = data[: _HEAD + _TRIANGLE * count]
    if not count or len(whole) < _HEAD + _TRIANGLE * count:
        held = max(0, len(data) - _HEAD) // _TRIANGLE
        raise ValueError(f"it should hold {count} triangles and holds {held}: it was cut off, or is something else")
    rows = np.frombuffer(whole, dtype=np.uint8, offset=_HEAD).reshape(count, _TRIANGLE)[:, 12:48]
    _check_corners(np.ascontiguousarray(rows).view("<f4").reshape(-1, 3))
    return whole


def _check_obj(data: bytes) -> None:
    """Refuse indices out of range and faces without end, which end the process in Bullet's reader."""
    data = data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")
    counts = [len(re.findall(rb"(?m)^\s*%s\s" % key, data)) for key in (b"v", b"vt", b"vn")]
    faces = re.findall(rb"(?m)^\s*f\s([^\r\n]*)", data)
    if not faces:
        raise ValueError("it has no faces")
    if max(len(face.split()) for face in faces) > _MOST_CORNERS:
        raise ValueError(f"a face has more than {_MOST_CORNERS} corners")
    for corner in set(b" ".join(faces).split()):
        for index, count in zip(corner.split(b"/"), counts, strict=False):
            if index and not (1 <= int(index) <= count or -count <= int(index) <= -1):
                raise ValueError(f"a face has the corner {corner.decode()}, of {counts[0]} points")


def _check_faces(path: Path, data: bytes) -> bytes | None:
    """What trimesh reads in a file, see `read_mesh`."""
    import trimesh

    load: Any = trimesh.load
    mesh = load(BytesIO(data), file_type=path.suffix[1:].lower(), force="mesh", process=False)
    if not len(getattr(mesh, "faces", ())):
        if path.suffix.lower() == ".dae" and not re.search(rb"<(\w+:)?geometry\b", data):
            return b""
        raise ValueError("it has no faces")
    _check_corners(mesh.vertices)
    if path.suffix.lower() == _TRUSTED:
        return None
    if mesh.units is not None:
        mesh.convert_units("meters")
    return bytes(mesh.export(file_type="stl"))


def _check_corners(points: NDArray[np.floating]) -> None:
    if not np.isfinite(points).all():
        raise ValueError("a corner is no finite number")
    if not np.ptp(points, axis=0).any():
        raise ValueError("all its corners are one point")
