"""One obstacle's entry in a scene file, checked word by word."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sim.arrays import FloatArray
from sim.errors import PoseError, SceneError, shown
from sim.rotations import pose

_SIZE_KEYS = {"box": ("size",), "sphere": ("radius",), "cylinder": ("radius", "length"), "urdf": ("file", "scale")}
FARTHEST = 1e9  # what a number may be: products of such are still finite
_COMMON_KEYS = ("name", "shape", "position", "rpy", "quat_xyzw", "colour")


class Entry(NamedTuple):
    """What a scene file says of an obstacle; the fields of `sim.scenes.Obstacle`."""

    name: str
    shape: str
    sizes: tuple[float, ...]
    T_world_obstacle: FloatArray
    colour: tuple[float, ...] | None
    path: Path | None


def read_entry(entry: Any, where: str, folder: Path) -> Entry:
    """The fields of an obstacle, from its entry in a scene.

    Args:
        entry: A mapping with name, shape, the sizes of that shape (box: size; sphere: radius; cylinder: radius,
            length; urdf: file, scale), position, and rpy [rad] or quat_xyzw, colour where wanted.
        where: What messages call it.
        folder: Paths are relative to it.

    Returns:
        The fields; sizes and colour are checked to be numbers only.

    Raises:
        SceneError: A key is missing or unknown, a value is of the wrong kind, or a file does not exist.
    """
    if not isinstance(entry, Mapping):
        raise SceneError(f"{where}: must be a mapping with name, shape, position and sizes; got {shown(entry)}")
    shape = entry.get("shape")
    if not isinstance(shape, str) or shape not in _SIZE_KEYS:
        raise SceneError(f"{where}: shape must be one of {', '.join(_SIZE_KEYS)}; got {shown(shape)}")
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip():
        raise SceneError(f"{where}: name must be some text; got {shown(name)}")
    where = f"{where} ({name})"
    check_keys(entry, (*_COMMON_KEYS, *_SIZE_KEYS[shape]), where)
    return Entry(
        name=name,
        shape=shape,
        sizes=_read_sizes(entry, shape, where),
        T_world_obstacle=_read_pose(entry, where),
        colour=_read_numbers(entry, "colour", 3, where) if "colour" in entry else None,
        path=_read_path(entry, where, folder) if shape == "urdf" else None,
    )


def check_keys(content: Mapping[Any, Any], allowed: tuple[str, ...], where: str) -> None:
    """Refuse keys that mean nothing: they would be passed over in silence.

    Raises:
        SceneError: There is one.
    """
    unknown = [shown(key) for key in content if key not in allowed]
    if unknown:
        raise SceneError(f"{where}: unknown {', '.join(unknown[:10])}; allowed: {', '.join(allowed)}")


def _read_sizes(entry: Mapping[str, Any], shape: str, where: str) -> tuple[float, ...]:
    if shape == "box":
        return _read_numbers(entry, "size", 3, where)
    if shape == "urdf":
        return _read_numbers(entry, "scale", 1, where) if "scale" in entry else (1.0,)
    return tuple(_read_numbers(entry, key, 1, where)[0] for key in _SIZE_KEYS[shape])


def _read_pose(entry: Mapping[str, Any], where: str) -> FloatArray:
    position = _read_numbers(entry, "position", 3, where)
    if "rpy" in entry and "quat_xyzw" in entry:
        raise SceneError(f"{where}: give rpy or quat_xyzw, not both")
    turn = {
        key: _read_numbers(entry, key, count, where) for key, count in (("rpy", 3), ("quat_xyzw", 4)) if key in entry
    }
    try:
        return pose(position, **turn)
    except PoseError as error:
        raise SceneError(f"{where}: {error}") from error


def _read_numbers(entry: Mapping[str, Any], key: str, count: int, where: str) -> tuple[float, ...]:
    value = entry.get(key)
    values = [value] if count == 1 else value
    if not isinstance(values, list | tuple) or len(values) != count or not all(map(_is_number, values)):
        what = "a finite number" if count == 1 else f"{count} finite numbers [...]"
        raise SceneError(f"{where}: {key} must be {what}; got {'nothing' if key not in entry else shown(value)}")
    return tuple(float(number) for number in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= FARTHEST


def _read_path(entry: Mapping[str, Any], where: str, folder: Path) -> Path:
    file = entry.get("file")
    if not isinstance(file, str) or not file:
        raise SceneError(f"{where}: file must be the path of a URDF; got {shown(file)}")
    try:
        path = (folder / Path(file).expanduser()).resolve()
        there = path.is_file()
    except (RuntimeError, ValueError):  # a home of nobody, or what can be no name of a file
        there = False
    if not there:
        raise SceneError(f"{where}: no file {shown(file)} in {folder.resolve()}; paths are relative to the scene file")
    return path
