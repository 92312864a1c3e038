"""An arm's chain as a URDF without meshes, so that every peer reads the very same kinematics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.arm.arm import Arm
from sim.files import whole_file
from sim.rotations import rpy_of

BASE, TIP = "base", "tip"  # link names


def write_chain(arm: Arm, folder: Path) -> Path:
    """Write `<folder>/<arm>.urdf` and give its path.

    Args:
        arm: The arm; its joints keep their names and limits, links become base, link1, ..., tip.
        folder: Made if missing.
    """
    links = [BASE, *(f"link{i + 1}" for i in range(arm.n_joints)), TIP]
    body = [f'  <link name="{link}"/>' for link in links]
    for i, name in enumerate(arm.joint_names):
        kind = arm.joint_types[i]
        low, high = float(arm.q_min[i]), float(arm.q_max[i])
        limit = "" if kind == "continuous" else f'lower="{low!r}" upper="{high!r}" '
        inner = f'<axis xyz="0 0 1"/><limit {limit}effort="100" velocity="10"/>'
        body.append(_joint(name, kind, links[i], links[i + 1], arm.offsets[i], inner))
    body.append(_joint("tool", "fixed", links[-2], links[-1], arm.offsets[-1], ""))
    text = "\n".join(['<?xml version="1.0"?>', f'<robot name="{_plain(arm.name)}">', *body, "</robot>", ""])
    path = folder / f"{_plain(arm.name)}.urdf"
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)


def _joint(name: str, kind: str, parent: str, child: str, T: NDArray[np.float64], inner: str) -> str:
    xyz = " ".join(f"{x:.17g}" for x in T[:3, 3])
    rpy = " ".join(f"{x:.17g}" for x in rpy_of(T[:3, :3]))
    return (
        f'  <joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{xyz}" rpy="{rpy}"/>{inner}</joint>'
    )
