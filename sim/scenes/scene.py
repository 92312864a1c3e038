"""Scenes: obstacles with names, from a shipped scene, a YAML or JSON file, or a dict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sim.arm import Arm
from sim.arrays import FloatArray
from sim.errors import SceneError, UnknownNameError, shown
from sim.files import data_folder
from sim.rotations import pose_to_bullet
from sim.scenes.reading import Entry, check_keys, read_entry

Colour = tuple[float, float, float]

UNITS = ("metre", "reach")
SIZES = {"box": 3, "sphere": 1, "cylinder": 2, "urdf": 1}  # numbers that say how large each shape is
WOOD: Colour = (0.72, 0.60, 0.46)  # of an obstacle without a colour of its own

_MOST_KEYS = 1000
_SCENE_KEYS = ("name", "description", "unit", "obstacles")


@dataclass(frozen=True, eq=False)
class Obstacle:
    """A thing that stands still and must not be touched.

    Args:
        name: What messages call it, after the scene's name: "shelf.top board".
        shape: box, sphere, cylinder (along its own z axis) or urdf.
        sizes: box: edge lengths x, y, z; sphere: radius; cylinder: radius, length [m, or arm's reaches];
            urdf: factor that its own metres are scaled by.
        T_world_obstacle: Pose of its centre (of its root link for a URDF), shape (4, 4).
        colour: Red, green, blue in [0, 1]; not used for a URDF.
        path: The URDF file, for that shape only.

    Raises:
        SceneError: A shape is unknown, sizes do not fit it or are not positive, the pose or colour is none, or
            the path is missing where needed or given where not.
    """

    name: str
    shape: str
    sizes: tuple[float, ...]
    T_world_obstacle: FloatArray = field(repr=False)
    colour: Colour = WOOD
    path: Path | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise SceneError(f"an obstacle needs a name, some text; got {shown(self.name)}")
        if self.shape not in SIZES:
            raise self._error(f"unknown shape {shown(self.shape)}; allowed: {', '.join(SIZES)}")
        if len(self.sizes) != SIZES[self.shape] or not all(np.isfinite(s) and s > 0 for s in self.sizes):
            raise self._error(
                f"a {self.shape} takes {SIZES[self.shape]} positive sizes; got {list(map(float, self.sizes))}"
            )
        if len(self.colour) != 3 or not all(0 <= c <= 1 for c in self.colour):
            raise self._error(f"a colour is red, green, blue in [0, 1]; got {list(self.colour)}")
        if (self.path is not None) != (self.shape == "urdf"):
            raise self._error(f"the shape urdf takes a path and no other shape does; got {self.shape} and {self.path}")
        T = np.array(self.T_world_obstacle, dtype=np.float64)
        if T.shape != (4, 4) or not np.isfinite(T).all() or not _is_rigid(T):
            raise self._error("T_world_obstacle must be a (4, 4) pose: a rotation and a position of finite numbers")
        T.setflags(write=False)
        object.__setattr__(self, "T_world_obstacle", T)
        object.__setattr__(self, "sizes", tuple(float(s) for s in self.sizes))

    def scaled(self, factor: float) -> Obstacle:
        """The obstacle with every length multiplied; a URDF is moved, but keeps its size."""
        T = np.array(self.T_world_obstacle)
        T[:3, 3] *= factor
        sizes = self.sizes if self.shape == "urdf" else tuple(factor * s for s in self.sizes)
        return replace(self, T_world_obstacle=T, sizes=sizes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, as `load_scene` takes them."""
        position, quat_xyzw = pose_to_bullet(self.T_world_obstacle)
        forms: dict[str, dict[str, Any]] = {
            "box": {"size": list(self.sizes)},
            "sphere": {"radius": self.sizes[0]},
            "cylinder": {"radius": self.sizes[0], "length": self.sizes[-1]},
            "urdf": {"scale": self.sizes[0], "file": str(self.path)},
        }
        place = {"position": position, "quat_xyzw": quat_xyzw, "colour": list(self.colour)}
        return {"name": self.name, "shape": self.shape, **forms[self.shape], **place}

    def _error(self, message: str) -> SceneError:
        return SceneError(f"obstacle {self.name!r}: {message}", obstacle=self.name)


@dataclass(frozen=True, eq=False)
class Scene:
    """Obstacles around an arm whose base stands at the world's origin.

    Args:
        name: What messages call it.
        description: One line for people.
        obstacles: With names that differ.
        unit: Of all lengths: "metre", or "reach" for multiples of an arm's reach (`Arm.reach`).

    Raises:
        SceneError: No name, an unknown unit, or two obstacles of one name.
    """

    name: str
    description: str = ""
    obstacles: tuple[Obstacle, ...] = ()
    unit: str = "metre"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise SceneError(f"a scene needs a name, some text; got {shown(self.name)}")
        if self.unit not in UNITS:
            raise SceneError(f"scene {self.name!r}: unknown unit {shown(self.unit)}; allowed: {', '.join(UNITS)}")
        names = [obstacle.name for obstacle in self.obstacles]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SceneError(f"scene {self.name!r}: names must differ; used more than once: {', '.join(twice)}")

    def fitted(self, arm: Arm | None) -> Scene:
        """The scene in metres, for an arm.

        Args:
            arm: Whose reach is the unit; not needed where the unit is metres.

        Raises:
            SceneError: The unit is the reach of an arm, and no arm was given.
        """
        if self.unit == "metre":
            return self
        if arm is None:
            raise SceneError(
                f"scene {self.name!r} gives its lengths in arm's reaches; say of which arm: "
                f"load_scene({self.name!r}, arm) or world.add_scene(scene, arm)"
            )
        obstacles = tuple(obstacle.scaled(arm.reach) for obstacle in self.obstacles)
        return replace(self, obstacles=obstacles, unit="metre")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: `load_scene` makes the same scene of them."""
        head = {"name": self.name, "description": self.description, "unit": self.unit}
        return {**head, "obstacles": [obstacle.to_dict() for obstacle in self.obstacles]}

    @property
    def fingerprint(self) -> str:
        """A hash of all that `to_dict` says."""
        return hashlib.sha256(repr(self.to_dict()).encode()).hexdigest()[:16]


def scene_names() -> tuple[str, ...]:
    """Names of the shipped scenes, sorted; "free" holds no obstacle."""
    return tuple(sorted(path.stem for path in data_folder("scenes").glob("*.yaml")))


def load_scene(source: str | Path | Mapping[str, Any] | Scene, arm: Arm | None = None) -> Scene:
    """The scene of a name, a file or a dict.

    Args:
        source: A name of `scene_names()`, a path ending in .yaml, .yml or .json, what such a file holds as a
            dict, or a scene.
        arm: Gives the scene in metres where its unit is this arm's reach; None leaves it in its unit.

    Returns:
        The scene. Paths of URDFs in a file are relative to that file, in a dict to the working directory.

    Raises:
        UnknownNameError: No such shipped scene and no such file.
        SceneError: The file or dict is no scene; the message says what is wrong, where, and what is allowed.
        OSError: The file cannot be read.
    """
    if isinstance(source, Scene):
        scene = source
    elif isinstance(source, Mapping):
        scene = _read_scene(source, "the scene", Path(), "scene")
    elif not isinstance(source, str | Path):
        raise SceneError(f"a scene is a name, a file, a dict or a Scene; got {type(source).__name__}")
    else:
        path = _find_file(source)
        scene = _read_scene(_parse(path), str(path), path.resolve().parent, path.stem)
    return scene if arm is None else scene.fitted(arm)


def _find_file(source: str | Path) -> Path:
    if str(source) in scene_names():
        return data_folder("scenes") / f"{source}.yaml"
    path = Path(source)
    if path.suffix not in (".yaml", ".yml", ".json"):
        raise UnknownNameError(
            f"unknown scene {str(source)!r}; allowed: {', '.join(scene_names())}, or the path of a .yaml or .json file",
            name=str(source),
        )
    with suppress(RuntimeError):  # a home of nobody: taken literally, and not found
        path = path.expanduser()
    if not path.is_file():
        raise UnknownNameError(
            f"no scene file {str(source)!r}; give the path of one, or a shipped scene: {', '.join(scene_names())}",
            name=str(source),
        )
    return path


def _parse(path: Path) -> Any:
    data, is_json = path.read_bytes(), path.suffix == ".json"
    try:
        return json.loads(data) if is_json else _parse_yaml(data)
    except Exception as error:  # the readers' own, but also what bad dates, long numbers and deep nesting raise
        kind, why = "JSON" if is_json else "YAML", " ".join(str(error).split())
        raise SceneError(f"{path}: not readable as {kind}: {why}") from error


def _parse_yaml(data: bytes) -> Any:
    """YAML whose merged mappings stay small: merges of merges make a short file stand for one without bound."""
    import yaml

    class Loader(yaml.SafeLoader):
        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            super().flatten_mapping(node)
            if len(node.value) > _MOST_KEYS:
                raise ValueError(f"over {_MOST_KEYS} keys in one mapping (line {node.start_mark.line + 1})")

    return yaml.load(data, Loader=Loader)


def _read_scene(content: Any, where: str, folder: Path, default_name: str) -> Scene:
    if not isinstance(content, Mapping):
        raise SceneError(f"{where}: a scene is a mapping with {', '.join(_SCENE_KEYS)}; got {type(content).__name__}")
    check_keys(content, _SCENE_KEYS, where)
    entries = content.get("obstacles") or []
    if not isinstance(entries, list | tuple):
        raise SceneError(f"{where}: obstacles must be a list, one entry per obstacle; got {type(entries).__name__}")
    description = content.get("description") or ""
    if not isinstance(description, str):
        raise SceneError(f"{where}: description must be text; got {shown(description)}")
    obstacles = [
        _make(read_entry(entry, f"{where}: obstacle {i + 1}", folder), where) for i, entry in enumerate(entries)
    ]
    try:
        return Scene(
            name=content.get("name", default_name),
            description=description,
            obstacles=tuple(obstacles),
            unit=content.get("unit", "metre"),
        )
    except SceneError as error:
        raise SceneError(f"{where}: {error}") from error


def _make(entry: Entry, where: str) -> Obstacle:
    try:
        return Obstacle(**{**entry._asdict(), "colour": entry.colour or WOOD})
    except SceneError as error:
        raise SceneError(f"{where}: {error}") from error


def _is_rigid(T: FloatArray) -> bool:
    R = T[:3, :3]
    rigid = np.allclose(R @ R.T, np.eye(3), atol=1e-6) and np.linalg.det(R) > 0
    return bool(rigid and np.array_equal(T[3], (0.0, 0.0, 0.0, 1.0)))
