"""The built-in arms, and URDFs for planar ones."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path

from sim.files import data_folder


@dataclass(frozen=True)
class Entry:
    """A built-in arm: where its URDF lies, which links to use, and a line on what it is.

    Args:
        name: What users call it.
        file: The URDF, relative to the shipped arms or to pybullet_data.
        base, tip: Links at the ends of the chain where the user names none.
        about: One line for people.
        from_bullet: Whether the file comes with pybullet_data.
    """

    name: str
    file: str
    base: str
    tip: str
    about: str
    from_bullet: bool = False

    @property
    def path(self) -> Path:
        """The URDF file, in the shipped data or in pybullet_data."""
        return (_bullet_data() if self.from_bullet else data_folder("arms")) / self.file


_ENTRIES = (
    Entry("planar2", "planar2.urdf", "base_link", "tool0", "2 joints in a plane, links of 1.0 m and 1.0 m"),
    Entry("planar3", "planar3.urdf", "base_link", "tool0", "3 joints in a plane, links of 1.0, 0.8 and 0.5 m"),
    Entry("puma560", "puma560.urdf", "base_link", "tool0", "Unimation PUMA 560, 6 joints, spherical wrist"),
    Entry("ur5e", "ur5e.urdf", "base_link", "tool0", "Universal Robots UR5e, 6 joints, offset wrist"),
    Entry("xarm6", "xarm/xarm6_robot.urdf", "link_base", "link6", "UFACTORY xArm 6, 6 joints", from_bullet=True),
    Entry(
        "panda",
        "franka_panda/panda.urdf",
        "panda_link0",
        "panda_link8",
        "Franka Emika Panda, 7 joints",
        from_bullet=True,
    ),
    Entry(
        "iiwa",
        "kuka_iiwa/model.urdf",
        "lbr_iiwa_link_0",
        "lbr_iiwa_link_7",
        "KUKA LBR iiwa, 7 joints",
        from_bullet=True,
    ),
)


def builtin_arms() -> dict[str, str]:
    """The built-in arms: name → one line on what it is."""
    return {entry.name: entry.about for entry in _ENTRIES}


def names() -> list[str]:
    """Names of the built-in arms."""
    return [entry.name for entry in _ENTRIES]


def find(name: str) -> Entry | None:
    """The entry of a built-in arm, or None."""
    return next((entry for entry in _ENTRIES if entry.name == name), None)


def closest(name: str) -> str:
    """ " (did you mean ...?)" for a misspelt name, or an empty string."""
    close = difflib.get_close_matches(name.strip().lower(), names(), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def planar_urdf(lengths: Sequence[float], *, name: str, thickness: float = 0.05, density: float = 300.0) -> str:
    """The URDF of a planar arm: box links along x, revolute joints about z within ±π.

    Links have no collision shapes: like stacked links, they pass over each other, so that every
    configuration within the limits can be taken.

    Args:
        lengths: Link lengths [m].
        name: The robot's name.
        thickness: Width and height of the box links [m].
        density: Of the links [kg/m³], for their masses and inertias.

    Returns:
        The XML text, links `base_link`, `link1` ... and `tool0`, joints `joint1` ... `jointn`.
    """
    links, joints, start, parent = [], [], 0.0, "base_link"
    for number, length in enumerate(lengths, start=1):
        links.append(_box_link(number, length, thickness, density))
        joints.append(_JOINT.format(number=number, parent=parent, x=start))
        start, parent = length, f"link{number}"
    tool = f'  <joint name="tool0_joint" type="fixed">\n    <parent link="{parent}"/>\n    <child link="tool0"/>\n'
    tool += f'    <origin xyz="{start:.10g} 0 0"/>\n  </joint>'
    body = "\n".join([_materials(), _BASE, *links, _TOOL, *joints, tool])
    return f'<?xml version="1.0"?>\n<robot name="{escape(name)}">\n{body}\n</robot>\n'


def _materials() -> str:
    colours = {**_COLOURS, "graphite": "0.27 0.29 0.33"}
    return "\n".join(f'  <material name="{name}"><color rgba="{rgb} 1"/></material>' for name, rgb in colours.items())


def _box_link(number: int, length: float, thickness: float, density: float) -> str:
    mass = density * length * thickness**2
    thin, long = mass / 6 * thickness**2, mass / 12 * (length**2 + thickness**2)
    colour = list(_COLOURS)[(number - 1) % len(_COLOURS)]
    return _LINK.format(
        number=number,
        length=length,
        half=length / 2,
        thickness=thickness,
        hub=0.8 * thickness,
        height=1.3 * thickness,
        mass=mass,
        ixx=thin,
        iyy=long,
        colour=colour,
    )


def _bullet_data() -> Path:
    spec = find_spec("pybullet_data")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("pybullet_data is missing; install pybullet, which carries it")
    return Path(next(iter(spec.submodule_search_locations)))


_COLOURS = {
    "blue": "0.26 0.47 0.70",
    "orange": "0.90 0.55 0.22",
    "green": "0.35 0.62 0.43",
    "plum": "0.58 0.40 0.65",
    "teal": "0.27 0.62 0.66",
    "rose": "0.80 0.42 0.46",
}

_NO_MASS = """\
    <inertial>
      <mass value="0"/>
      <inertia ixx="0" iyy="0" izz="0" ixy="0" ixz="0" iyz="0"/>
    </inertial>"""

_BASE = f"""\
  <link name="base_link">
{_NO_MASS}
    <visual>
      <geometry><cylinder radius="0.06" length="0.05"/></geometry>
      <material name="graphite"/>
    </visual>
  </link>"""

_LINK = """\
  <link name="link{number}">
    <inertial>
      <origin xyz="{half:.10g} 0 0"/>
      <mass value="{mass:.10g}"/>
      <inertia ixx="{ixx:.10g}" iyy="{iyy:.10g}" izz="{iyy:.10g}" ixy="0" ixz="0" iyz="0"/>
    </inertial>
    <visual>
      <origin xyz="{half:.10g} 0 0"/>
      <geometry><box size="{length:.10g} {thickness:.10g} {thickness:.10g}"/></geometry>
      <material name="{colour}"/>
    </visual>
    <visual>
      <geometry><cylinder radius="{hub:.10g}" length="{height:.10g}"/></geometry>
      <material name="graphite"/>
    </visual>
  </link>"""

_TOOL = f"""\
  <link name="tool0">
{_NO_MASS}
  </link>"""

_JOINT = """\
  <joint name="joint{number}" type="revolute">
    <parent link="{parent}"/>
    <child link="link{number}"/>
    <origin xyz="{x:.10g} 0 0"/>
    <axis xyz="0 0 1"/>
    <limit lower="-3.14159265358979" upper="3.14159265358979" velocity="3.14" effort="200"/>
  </joint>"""
