"""Shapes of arms, and what is said where they are missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from ik_mdn.viewer import visuals
from ik_mdn.viewer.visuals import Visual, coarsened, lightened, link_frames, load_looks, swollen
from sim.arm import Arm, load_arm, planar_arm
from sim.kinematics import forward_kinematics
from sim.world import World

URDF = """<robot name="two"><link name="base"/>
<link name="upper"><visual><origin xyz="0 0 0.1"/><geometry><mesh filename="{mesh}" scale="2 2 2"/></geometry></visual></link>
<link name="tip"/>
<joint name="turn" type="revolute"><parent link="base"/><child link="upper"/><origin xyz="0 0 0.3"/><axis xyz="0 0 1"/>
<limit lower="-3" upper="3" effort="1" velocity="1"/></joint>
<joint name="end" type="fixed"><parent link="upper"/><child link="tip"/><origin xyz="0.4 0 0"/></joint></robot>"""


def arm_with(folder: Path, mesh: str) -> Arm:
    path = folder / "two.urdf"
    path.write_text(URDF.format(mesh=mesh))
    return load_arm(path)


@pytest.mark.parametrize("name", ["panda", "xarm6", "iiwa", "ur5e", "puma560", "planar2"])
def test_the_last_frame_carries_the_tip(name: str) -> None:
    arm = load_arm(name)
    q = arm.sample(np.random.default_rng(0), 5)
    np.testing.assert_allclose(link_frames(arm, q)[:, -1] @ arm.offsets[-1], forward_kinematics(arm, q), atol=1e-12)


def test_swollen_shapes_enclose_what_they_were() -> None:
    ball = trimesh.creation.icosphere(2, 0.5)
    visual = Visual(ball.vertices.astype(np.float32), ball.faces.astype(np.uint32), (0, 0, 0), 1)
    (larger,) = swollen((visual,), 0.01)
    np.testing.assert_allclose(np.linalg.norm(larger.vertices, axis=1), 0.51, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["panda", "xarm6", "ur5e"])
def test_shapes_are_where_bullet_has_them(name: str) -> None:
    arm = load_arm(name)
    looks = load_looks(arm)
    assert looks.missing == ""
    q = 0.5 * (arm.sample_min + arm.sample_max) + 0.3
    frames = link_frames(arm, q[None])[0]
    low = np.full(3, np.inf)
    high = -low
    for visual in looks.visuals:
        points = visual.vertices @ frames[visual.frame, :3, :3].T + frames[visual.frame, :3, 3]
        low, high = np.minimum(low, points.min(axis=0)), np.maximum(high, points.max(axis=0))
    with World() as world:
        body = world.add_arm(arm)
        body.set_q(q)
        boxes = [body.client.getAABB(body.number, link) for link in range(-1, body.client.getNumJoints(body.number))]
    boxes = [box for box in boxes if np.ptp(np.array(box)) > 1e-6]
    least, most = np.min([box[0] for box in boxes], axis=0), np.max([box[1] for box in boxes], axis=0)
    assert (low > least - 0.01).all()  # Bullet's boxes are around the links' own boxes: at least as large
    assert (high < most + 0.01).all()
    assert (high - low > 0.5 * (most - least)).all()  # theirs lie along principal axes of inertia


@pytest.mark.parametrize("mesh", ["package://nobody_has_this/upper.stl", "upper.stl"])
def test_a_missing_mesh_is_named_and_a_skeleton_stands_in(tmp_path: Path, mesh: str) -> None:
    looks = load_looks(arm_with(tmp_path, mesh))
    assert mesh in looks.missing
    assert "skeleton" in looks.missing
    assert looks.lost
    assert looks.visuals


def test_a_damaged_mesh_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "upper.obj").write_text("this is no mesh")
    looks = load_looks(arm_with(tmp_path, "upper.obj"))
    assert "upper.obj" in looks.missing
    assert looks.visuals


def test_a_mesh_is_scaled_and_placed_as_the_urdf_says(tmp_path: Path) -> None:
    trimesh.creation.box((0.1, 0.1, 0.1)).export(tmp_path / "upper.stl")
    looks = load_looks(arm_with(tmp_path, "upper.stl"))
    assert not looks.missing
    (visual,) = looks.visuals
    assert visual.frame == 1
    np.testing.assert_allclose(visual.vertices.min(axis=0), [-0.1, -0.1, 0.0], atol=1e-6)
    np.testing.assert_allclose(visual.vertices.max(axis=0), [0.1, 0.1, 0.2], atol=1e-6)


def test_a_mesh_of_an_arm_from_text_is_found_where_the_world_finds_it(tmp_path: Path) -> None:
    trimesh.creation.box((0.1, 0.1, 0.1)).export(tmp_path / "upper.stl")
    looks = load_looks(load_arm(URDF.format(mesh=f"file://{tmp_path}/upper.stl")))
    assert not looks.missing
    assert len(looks.visuals) == 1


@pytest.mark.parametrize("held", ["freeze", "equal limits"])
def test_a_joint_that_is_held_is_drawn_where_it_stands(tmp_path: Path, held: str) -> None:
    shape = '<link name="tip"><visual><geometry><box size="0.1 0.1 0.1"/></geometry></visual></link>'
    text = URDF.replace('<link name="tip"/>', shape).replace('type="fixed"', 'type="prismatic"')
    limits = 'lower="0.25" upper="0.25"' if held == "equal limits" else 'lower="0" upper="1"'
    path = tmp_path / "held.urdf"
    path.write_text(text.replace('"0.4 0 0"/>', f'"0.4 0 0"/><limit {limits} effort="1" velocity="1"/>'))
    arm = load_arm(path, freeze={"end": 0.25} if held == "freeze" else None)
    box = next(each for each in load_looks(arm).visuals if each.frame == 1 and len(each.vertices) == 8)
    tip = link_frames(arm, np.zeros((1, 1)))[0, 1] @ arm.offsets[-1]
    at = link_frames(arm, np.zeros((1, 1)))[0, 1] @ [*box.vertices.mean(axis=0), 1.0]
    np.testing.assert_allclose(at[:3], tip[:3, 3], atol=1e-6)


def test_a_mesh_in_a_unit_of_its_own_is_drawn_in_metres(tmp_path: Path) -> None:
    box = trimesh.creation.box((100, 100, 100)).export(file_type="dae").decode()
    text = box.replace("</asset>", '<unit name="millimeter" meter="0.001"/></asset>')
    (tmp_path / "upper.dae").write_text(text)
    (visual,) = load_looks(arm_with(tmp_path, "upper.dae")).visuals
    np.testing.assert_allclose(np.ptp(visual.vertices, axis=0), 0.2, atol=1e-6)  # twice as large by its scale


def test_a_huge_mesh_becomes_its_hull_or_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trimesh.creation.icosphere(4, 0.1).export(tmp_path / "upper.stl")
    monkeypatch.setattr(visuals, "FACES", 1000)
    looks = load_looks(arm_with(tmp_path, "upper.stl"))
    assert "hull" in looks.missing
    assert not looks.lost
    monkeypatch.setattr(visuals, "LARGEST", 1000)
    looks = load_looks(arm_with(tmp_path, "upper.stl"))
    assert "left out" in looks.missing
    assert looks.visuals


def test_an_arm_without_a_urdf_is_a_skeleton() -> None:
    arm = Arm.from_dict(load_arm("panda").to_dict())
    looks = load_looks(arm)
    assert "skeleton" in looks.missing
    assert {visual.frame for visual in looks.visuals} >= set(range(1, 8))


def test_a_generated_arm_has_its_boxes() -> None:
    assert load_looks(planar_arm([1.0, 0.5])).missing == ""


def test_a_coarser_shape_has_fewer_faces_and_the_same_size() -> None:
    ball = trimesh.creation.icosphere(5, 0.1)
    visual = visuals.Visual(ball.vertices.astype(np.float32), ball.faces.astype(np.uint32), (1, 2, 3), 0)
    coarse = coarsened(visual, 0.01)
    assert len(coarse.faces) < 0.3 * len(visual.faces)
    np.testing.assert_allclose(np.ptp(coarse.vertices, axis=0), np.ptp(visual.vertices, axis=0), atol=0.02)


def test_a_lightened_shape_keeps_to_the_faces_asked_for_and_to_its_size() -> None:
    ball, box = trimesh.creation.icosphere(5, 0.1), trimesh.creation.box((0.3, 0.2, 0.1))
    shapes = tuple(
        visuals.Visual(each.vertices.astype(np.float32), each.faces.astype(np.uint32), visuals.GREY, 1)
        for each in (ball, box)
    )
    light = lightened(shapes, 1_000, 1e-3)
    assert 100 < sum(len(shape.faces) for shape in light) <= 1_000
    for shape, lighter in zip(shapes, light, strict=True):
        np.testing.assert_allclose(np.ptp(lighter.vertices, axis=0), np.ptp(shape.vertices, axis=0), atol=0.03)
    assert len(light[1].faces) == len(box.faces)  # which has none to spare
