"""One tree of links for Bullet, some welded to those that fixed joints join them to: the same body in all its doings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sim
from sim.arm.arm import Arm
from sim.arrays import FloatArray
from sim.errors import WorldError
from sim.scenes.scene import Obstacle, Scene
from sim.world import description
from sim.world.world import World

TREE = {"turn": ("foot", "arm"), "slide": ("end", "hand"), "wave": ("hand", "flag")}  # joints that move, between links
FIXED = {
    "a": ("arm", "elbow"),
    "b": ("elbow", "end"),
    "c": ("hand", "tip"),
    "d": ("foot", "box"),
    "e": ("hand", "ring"),
    "f": ("ring", "stone"),
}
SOLID = ("box", "elbow", "stone", "flag")  # links with a shape


def origin(rng: np.random.Generator) -> str:
    xyz, rpy = (" ".join(map(repr, rng.uniform(-0.4, 0.4, 3).tolist())) for _ in range(2))
    return f'<origin xyz="{xyz}" rpy="{rpy}"/>'


def link(name: str, rng: np.random.Generator) -> str:
    moments = " ".join(
        f'{key}="{value}"' for key, value in zip(("ixx", "iyy", "izz"), rng.uniform(0.02, 0.03, 3), strict=True)
    )
    shape = f'<collision>{origin(rng)}<geometry><box size="0.1 0.2 0.15"/></geometry></collision>' * (name in SOLID)
    mass = f'<mass value="{rng.uniform(0.1, 2)}"/><inertia {moments} ixy="0.001" ixz="-0.002" iyz="0.003"/>'
    return f'<link name="{name}"><inertial>{origin(rng)}{mass}</inertial>{shape}</link>'


def joint(name: str, kind: str, ends: tuple[str, str], rng: np.random.Generator) -> str:
    way = f'<parent link="{ends[0]}"/><child link="{ends[1]}"/>{origin(rng)}<axis xyz="0.6 0 0.8"/>'
    return f'<joint name="{name}" type="{kind}">{way}<limit lower="-1" upper="1" effort="100" velocity="2"/></joint>'


def load(folder: Path) -> Arm:
    rng = np.random.default_rng(1)
    names = dict.fromkeys(name for ends in (*TREE.values(), *FIXED.values()) for name in ends)
    kinds = {"turn": "revolute", "slide": "prismatic", "wave": "revolute"}
    joints = [joint(name, kinds.get(name, "fixed"), ends, rng) for name, ends in {**TREE, **FIXED}.items()]
    text = "".join([*(link(name, rng) for name in names), *joints])
    (folder / "tree.urdf").write_text(f'<robot name="tree">{text}</robot>')
    return sim.load_arm(folder / "tree.urdf", base="foot", tip="tip")


def measure(arm: Arm) -> tuple[FloatArray, set[str]]:
    """What Bullet makes of it at some configurations, moving too, and the links there are."""
    rng, found = np.random.default_rng(2), []
    with World() as world:
        body = world.add_arm(arm)
        for q in rng.uniform(-1, 1, (5, 2)):
            torques = body._torques._needed(np.stack([q, *rng.uniform(-1, 1, (2, 2))])[:, None])  # moving, too
            found += [*body.tip_pose(q).ravel(), *body.holding_torques(q), *torques[0], *body.clearance(q, within=1.0)]
        return np.array(found), {info.name for info in body.links.infos}


@pytest.mark.parametrize("most", [8, 6, 4])
def test_a_body_with_welded_links_moves_weighs_and_collides_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    arm = load(tmp_path)
    whole, links = measure(arm)
    monkeypatch.setattr(description, "_MOST_JOINTS", most)
    welded, left = measure(arm)
    assert len(left) == most
    assert "tip" in left < links
    np.testing.assert_allclose(welded, whole, atol=1e-5)


def test_links_that_collide_keep_their_names_as_long_as_others_can_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(description, "_MOST_JOINTS", 7)
    assert set(SOLID) < measure(load(tmp_path))[1]


def test_joints_that_move_are_not_welded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "_MOST_JOINTS", 3)
    with World() as world, pytest.raises(WorldError, match=r"has 4 joints that move or lead .* at most 3: make joints"):
        world.add_arm(load(tmp_path))


LOOSE = '<link name="table"/>'
CIRCLE = (
    '<link name="x"/><link name="y"/><joint name="xy" type="fixed"><parent link="x"/><child link="y"/></joint>'
    '<joint name="yx" type="fixed"><parent link="y"/><child link="x"/></joint>'
)


@pytest.mark.parametrize("more", [LOOSE, CIRCLE, LOOSE + CIRCLE])
def test_links_that_nothing_joins_to_the_arm_are_left_out_and_that_is_said(
    tmp_path: Path, more: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = (load(tmp_path).urdf_path or tmp_path).read_text()
    (tmp_path / "more.urdf").write_text(text.replace("<link", more + "<link", 1))
    arm = sim.load_arm(tmp_path / "more.urdf", base="foot", tip="tip")
    assert measure(arm)[1] == measure(load(tmp_path))[1]
    assert "left out: " in caplog.text
    obstacle = Obstacle("thing", "urdf", (1.0,), np.eye(4), path=tmp_path / "more.urdf")
    if LOOSE in more:
        with (
            World() as world,
            pytest.raises(WorldError, match=r"one link must have no joint above it.*'table', 'foot'"),
        ):
            world.add_scene(Scene("room", obstacles=(obstacle,)))
