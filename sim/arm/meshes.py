"""Robot descriptions with mesh files found: `package://` and relative paths become absolute ones."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

from sim.errors import URDFError, WorldError

_SCHEMES = ("package://", "model://", "file://")


def resolve_meshes(path: Path, *, meshes: bool = True) -> str:
    """The text of a URDF in which every mesh is an absolute path.

    A reference is looked for beside the URDF, then in each folder above it (that is how
    `package://my_robot/meshes/x.stl` is found from `my_robot/urdf/x.urdf`), then in the folders
    of ROS_PACKAGE_PATH and AMENT_PREFIX_PATH.

    Args:
        path: The URDF.
        meshes: False leaves all shapes that are meshes out, for arms whose mesh files are not at hand.

    Returns:
        XML text.

    Raises:
        URDFError: The file is not well-formed XML.
        WorldError: A mesh file is missing; the message names it and the folders searched.
    """
    try:
        tree = ElementTree.parse(path)
    except ElementTree.ParseError as error:
        raise URDFError(f"{path}: not well-formed XML ({error}); mend the file") from error
    folders = _search_folders(path)
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
            f"{path}: {len(distinct)} mesh files not found, first {distinct[0]!r}; looked in "
            f"{', '.join(map(str, folders[:4]))} and above. Put them there, add their folder to "
            "ROS_PACKAGE_PATH, or leave shapes out with meshes=False (--no-meshes)",
            missing=distinct,
        )
    return ElementTree.tostring(tree.getroot(), encoding="unicode")


def find_mesh(reference: str, urdf: Path) -> Path | None:
    """The file that a URDF calls a mesh, looked for as `resolve_meshes` does; None where there is none.

    Args:
        reference: What the URDF writes: a path, or one that begins with package://, model:// or file://.
        urdf: The URDF's own path.
    """
    return _find(reference, _search_folders(urdf))


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
