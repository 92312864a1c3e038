"""Mesh files: whole ones come through as they are, in every format, and damaged ones are refused by name."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sim.arm.meshes import find_mesh, read_mesh
from sim.errors import WorldError

CUBE = trimesh.creation.box((0.2, 0.4, 0.6))
NO_SHAPE = """<?xml version="1.0"?>
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1"><asset><unit/></asset><library_geometries/>
<library_visual_scenes><visual_scene id="v"><node id="n"/></visual_scene></library_visual_scenes>
<scene><instance_visual_scene url="#v"/></scene></COLLADA>"""  # as Denso describes the flange of its HSR065


def write(folder: Path, ending: str, *, text: bool = False) -> Path:
    path = folder / f"cube.{ending}"
    content = CUBE.export(file_type="stl_ascii" if text else ending)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("ending", "text"), [("stl", True), ("ply", False), ("off", False), ("glb", False), ("dae", False)]
)
def test_what_bullet_cannot_read_becomes_the_same_shape_as_a_binary_stl(
    tmp_path: Path, ending: str, text: bool
) -> None:
    content = read_mesh(write(tmp_path, ending, text=text))
    assert content is not None
    count = int.from_bytes(content[80:84], "little")
    assert len(content) == 84 + 50 * count
    assert count == 12
    read = trimesh.load(trimesh.util.wrap_as_stream(content), file_type="stl")
    np.testing.assert_allclose(read.bounds, CUBE.bounds, atol=1e-7)
    assert read.volume == pytest.approx(CUBE.volume, rel=1e-6)


def test_a_text_in_capitals_is_the_same_shape(tmp_path: Path) -> None:
    path = write(tmp_path, "stl", text=True)
    plain = read_mesh(path)
    path.write_text(path.read_text().upper())
    assert read_mesh(path) == plain


@pytest.mark.parametrize(
    ("unit", "metres"), [("<unit/>", 1.0), ("", 1.0), ('<unit name="inch" meter="0.0254"/>', 0.0254)]
)
def test_collada_is_in_the_unit_that_it_names_whichever_way_it_says_is_up(
    tmp_path: Path, unit: str, metres: float
) -> None:
    path = write(tmp_path, "dae")
    text = re.sub(r"<up_axis>.*?</up_axis>|<unit.*?/>", "", path.read_text())  # with <unit/> Bullet's reader dies
    path.write_text(text.replace("</asset>", f"{unit}<up_axis>Y_UP</up_axis></asset>"))
    read = trimesh.load(trimesh.util.wrap_as_stream(read_mesh(path)), file_type="stl")
    np.testing.assert_allclose(read.bounds, metres * CUBE.bounds, atol=1e-7)


def test_a_collada_scene_without_geometry_holds_no_shape(tmp_path: Path) -> None:
    (tmp_path / "flange.dae").write_text(NO_SHAPE)
    assert read_mesh(tmp_path / "flange.dae") == b""


@pytest.mark.parametrize("ending", ["stl", "obj"])
def test_what_bullet_reads_is_left_as_it_is(tmp_path: Path, ending: str) -> None:
    assert read_mesh(write(tmp_path, ending)) is None


def test_what_follows_the_triangles_of_a_binary_stl_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, "stl")
    whole = path.read_bytes()
    path.write_bytes(whole + b"made by hand")
    assert read_mesh(path) == whole


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.stl", b"", "it is empty"),
        ("a.stl", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"),
        ("a.obj", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"),
        ("a.stl", b"x" * 80 + bytes(4), "0 triangles"),
        ("a.stl", b"solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\n", "cut off"),
        ("a.stl", b"<html>not found</html>", "cut off, or is something else"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "no faces"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "corner 9, of 3 points"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1/7 2/7 3/7\n", "corner"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 x\n", "is no whole mesh"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf" + b" 1 2 3" * 70_000 + b"\n", "more than 1000 corners"),
        ("a.obj", b"v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "one point"),
        ("a.dae", b"<COLLADA/>", "is no whole mesh"),
        ("a.dae", b"", "it is empty"),
        ("a.xyz", b"1 2 3\n", "is no whole mesh"),
    ],
)
def test_what_is_not_whole_is_refused_with_its_name_and_why(
    tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WorldError, match=rf"{name} is no whole mesh") as told:
        read_mesh(path)
    assert why in str(told.value)


@pytest.mark.parametrize(("ending", "text"), [("stl", False), ("stl", True), ("ply", False), ("glb", False)])
def test_a_file_that_was_cut_off_anywhere_is_refused(tmp_path: Path, ending: str, text: bool) -> None:
    path = write(tmp_path, ending, text=text)
    whole = path.read_bytes()
    for length in np.random.default_rng(0).integers(0, len(whole.rstrip()) - 1, 30):
        path.write_bytes(whole[:length])
        with pytest.raises(WorldError, match="is no whole mesh"):
            read_mesh(path)


def test_a_number_that_is_none_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "stl")
    data = bytearray(path.read_bytes())
    data[96:100] = np.array(np.nan, "<f4").tobytes()
    path.write_bytes(data)
    with pytest.raises(WorldError, match="no finite number"):
        read_mesh(path)


def test_a_mesh_that_was_mended_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "cube.stl"
    path.write_bytes(b"")
    with pytest.raises(WorldError, match="empty"):
        read_mesh(path)
    write(tmp_path, "stl")
    assert read_mesh(path) is None


def test_references_are_found_beside_above_and_by_package(tmp_path: Path) -> None:
    (tmp_path / "robot" / "meshes").mkdir(parents=True)
    path = write(tmp_path / "robot" / "meshes", "stl")
    folders = [tmp_path / "robot", tmp_path]
    for reference in (
        "meshes/cube.stl",
        "package://robot/meshes/cube.stl",
        "package://other/meshes/cube.stl",
        str(path),
    ):
        assert find_mesh(reference, folders) == path
    for reference in ("", "package://", "cube.stl", "/nowhere/cube.stl", "a\0b"):
        assert find_mesh(reference, folders) is None
