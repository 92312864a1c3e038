"""Robot descriptions for Bullet: mesh files found, and joints written such that they mean there what they mean here."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

from sim.arm.urdf import parse_xml, plain_joints
from sim.errors import WorldError

_SCHEMES = ("package://", "model://", "file://")


def resolve_meshes(path: Path | None, xml: str | None = None, *, meshes: bool = True) -> str:
    """The text of a URDF in which every mesh is an absolute path, every axis of length 1, every continuous joint endless.

    Bullet moves a joint by the length of its axis and stops a continuous one at its `<limit>`; the format means neither.

    A reference is looked for beside the URDF, then in each folder above it (that is how
    `package://my_robot/meshes/x.stl` is found from `my_robot/urdf/x.urdf`), then in the folders
    of ROS_PACKAGE_PATH and AMENT_PREFIX_PATH.

    Args:
        path: The URDF; None where there is only its text, whose meshes are looked for from the working directory.
        xml: The text, where it is not what stands in the file.
        meshes: False leaves all shapes that are meshes out, for arms whose mesh files are not at hand.

    Returns:
        XML text.

    Raises:
        URDFError: The file is no URDF, see `sim.arm.urdf`.
        WorldError: A mesh file is missing; the message names it and the folders searched.
    """
    where = "the URDF text" if path is None else str(path)
    tree = parse_xml(xml if xml is not None else path or "", where)
    plain_joints(tree, where)
    folders = _search_folders(path or Path("robot.urdf"))
    missing: list[str] = []
    for link in tree.iter("link"):
        for shape in [*link.findall("visual"), *link.findall("collision")]:
            mesh = shape.find("geometry/mesh")
            if mesh is None:
                continue
            if not meshes:
                link.remove(shape)
                continue
            reference = mesh.get("filename", "")
            found = _find(reference, folders)
            if found is None:
                missing.append(reference)
            else:
                mesh.set("filename", str(found))
    if missing:
        distinct = list(dict.fromkeys(missing))
        raise WorldError(
            f"{where}: {len(distinct)} mesh files not found, first {distinct[0]!r}; looked in "
            f"{', '.join(map(str, folders[:4]))} and above. Put them there, add their folder to "
            "ROS_PACKAGE_PATH, or leave shapes out with meshes=False (--no-meshes)",
            missing=distinct,
        )
    return ElementTree.tostring(tree, encoding="unicode")


def _search_folders(path: Path) -> list[Path]:
    folder = path.resolve().parent
    ros = [Path(entry) for entry in os.environ.get("ROS_PACKAGE_PATH", "").split(os.pathsep) if entry]
    ament = [Path(entry) / "share" for entry in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if entry]
    return [folder, *folder.parents, *ros, *ament]


def _find(reference: str, folders: list[Path]) -> Path | None:
    scheme = next((s for s in _SCHEMES if reference.startswith(s)), "")
    rest = reference.removeprefix(scheme)
    if not rest:
        return None
    if scheme in ("", "file://") and Path(rest).is_absolute():
        return Path(rest) if Path(rest).is_file() else None
    names = [rest]
    if scheme in ("package://", "model://") and "/" in rest:
        names.append(rest.split("/", 1)[1])  # the package's own folder may have another name
    return next((folder / name for name in names for folder in folders if (folder / name).is_file()), None)
