"""Scenes: from names, files and dicts, checked word by word, and the same after a round trip."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import sim
from sim.errors import IKError, SceneError, UnknownNameError
from sim.scenes.scene import SIZES, Obstacle, Scene, load_scene, scene_names
from sim.world.body import home
from sim.world.world import World

ARMS = ("panda", "xarm6", "iiwa", "ur5e", "puma560")
BALL: dict[str, Any] = {"name": "ball", "shape": "sphere", "radius": 0.1, "position": [1, 0, 0.5]}


def scene_of(*obstacles: dict[str, Any], **head: Any) -> dict[str, Any]:
    return {"name": "mine", "obstacles": list(obstacles), **head}


def test_the_shipped_scenes_are_there_and_scale_with_the_arm() -> None:
    assert {"free", "table", "shelf", "cage"} <= set(scene_names())
    assert load_scene("free").obstacles == ()
    small, large = (load_scene("shelf", sim.load_arm(name)) for name in ("xarm6", "iiwa"))
    ratio = sim.load_arm("iiwa").reach / sim.load_arm("xarm6").reach
    for a, b in zip(small.obstacles, large.obstacles, strict=True):
        np.testing.assert_allclose(np.multiply(a.sizes, ratio), b.sizes)
        np.testing.assert_allclose(a.T_world_obstacle[:3, 3] * ratio, b.T_world_obstacle[:3, 3])
        np.testing.assert_array_equal(a.T_world_obstacle[:3, :3], b.T_world_obstacle[:3, :3])
    assert small.unit == large.unit == "metre"


@pytest.mark.slow
@pytest.mark.parametrize("name", ARMS)
def test_arms_stand_free_in_every_shipped_scene_and_have_room_to_move(name: str) -> None:
    arm = sim.load_arm(name)
    draws = arm.sample(np.random.default_rng(0), 150)
    for scene in scene_names():
        with World() as world:
            body = world.add_arm(arm)
            alone = ~body.self_collides(draws)
            world.add_scene(load_scene(scene), arm)
            assert body.contacts_at(home(arm)) == ()
            assert (~body.collides(draws)).sum() > 0.4 * alone.sum()


def test_yaml_json_and_dict_give_the_same_scene(tmp_path: Path) -> None:
    content = scene_of(
        BALL,
        {"name": "plank", "shape": "box", "size": [1, 0.2, 0.1], "position": [0, 1, 0], "rpy": [0.1, 0.2, 0.3]},
        {"name": "rod", "shape": "cylinder", "radius": 0.1, "length": 1, "position": [0, 0, 1], "colour": [1, 0, 0]},
        unit="reach",
        description="three things",
    )
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "a.json").write_text(json.dumps(content))
    expected = load_scene(content).to_dict()
    for source in (tmp_path / "a.yaml", str(tmp_path / "a.json"), load_scene(content)):
        assert load_scene(source).to_dict() == expected
    again = load_scene(expected)
    for a, b in zip(again.obstacles, load_scene(content).obstacles, strict=True):
        np.testing.assert_allclose(a.T_world_obstacle, b.T_world_obstacle, atol=1e-12)
        assert (a.name, a.shape, a.sizes, a.colour) == (b.name, b.shape, b.sizes, b.colour)
    assert json.dumps(expected)


def test_a_scene_without_a_name_is_called_like_its_file(tmp_path: Path) -> None:
    (tmp_path / "cellar.yml").write_text("obstacles:\n")
    scene = load_scene(tmp_path / "cellar.yml")
    assert (scene.name, scene.obstacles) == ("cellar", ())


def test_rpy_turns_about_the_fixed_axes_and_quaternions_agree() -> None:
    half = np.sqrt(0.5)
    turned = load_scene(scene_of({**BALL, "rpy": [np.pi / 2, 0, np.pi / 2]})).obstacles[0].T_world_obstacle
    np.testing.assert_allclose(turned[:3, :3] @ [0, 1, 0], [0, 0, 1], atol=1e-12)  # x first: y → z, which z leaves
    np.testing.assert_allclose(turned[:3, :3] @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    about_z = load_scene(scene_of({**BALL, "quat_xyzw": [0, 0, half, half]})).obstacles[0].T_world_obstacle
    np.testing.assert_allclose(about_z[:3, :3] @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_a_urdf_lies_beside_the_scene_file_and_keeps_its_size(tmp_path: Path) -> None:
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "stool.urdf").write_text("<robot name='stool'><link name='seat'/></robot>")
    entry = {"name": "stool", "shape": "urdf", "file": "things/stool.urdf", "scale": 2, "position": [1, 0, 0]}
    (tmp_path / "room.json").write_text(json.dumps(scene_of(entry, unit="reach")))
    arm = sim.load_arm("planar2")
    (stool,) = load_scene(tmp_path / "room.json", arm).obstacles
    assert stool.path == (tmp_path / "things" / "stool.urdf").resolve()
    assert stool.sizes == (2.0,)
    np.testing.assert_allclose(stool.T_world_obstacle[:3, 3], [arm.reach, 0, 0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "a scene is a mapping with name, description, unit, obstacles; got list"),
        (scene_of(colour="red"), "unknown 'colour'; allowed: name, description, unit, obstacles"),
        (scene_of(unit="inch"), "unknown unit 'inch'; allowed: metre, reach"),
        ({"name": "", "obstacles": []}, "a scene needs a name"),
        ({"name": "x", "obstacles": {"a": 1}}, "obstacles must be a list.*got dict"),
        (scene_of(BALL, BALL), "used more than once: ball"),
        (scene_of("ball"), r"obstacle 1: must be a mapping.*got 'ball'"),
        (
            scene_of({**BALL, "shape": "cone"}),
            "obstacle 1: shape must be one of box, sphere, cylinder, urdf; got 'cone'",
        ),
        (scene_of({**BALL, "name": " "}), "name must be some text"),
        (scene_of({**BALL, "size": [1, 1, 1]}), r"obstacle 1 \(ball\): unknown 'size'; allowed: .*radius"),
        (scene_of({**BALL, "radius": "1 m"}), "radius must be a finite number; got '1 m'"),
        (scene_of({**BALL, "radius": True}), "radius must be a finite number; got True"),
        (scene_of({**BALL, "radius": -1}), r"obstacle 'ball': a sphere takes 1 positive sizes; got \[-1.0\]"),
        (scene_of({**BALL, "position": [1, 2]}), r"position must be 3 finite numbers.*got \[1, 2\]"),
        (
            scene_of({k: v for k, v in BALL.items() if k != "position"}),
            "position must be 3 finite numbers.*got nothing",
        ),
        (scene_of({**BALL, "position": [1, 2, float("nan")]}), "position must be 3 finite numbers"),
        (scene_of({**BALL, "rpy": [0, 0, 0], "quat_xyzw": [0, 0, 0, 1]}), "rpy or quat_xyzw, not both"),
        (scene_of({**BALL, "quat_xyzw": [0, 0, 0, 2]}), "quat_xyzw must have length 1"),
        (scene_of({**BALL, "colour": [1, 2, 3]}), r"a colour is red, green, blue in \[0, 1\]"),
        (scene_of({"name": "a", "shape": "urdf", "position": [0, 0, 0]}), "file must be the path of a URDF; got None"),
        (
            scene_of({"name": "a", "shape": "urdf", "file": "no.urdf", "position": [0, 0, 0]}),
            "no file 'no.urdf' in .*relative to the scene file",
        ),
    ],
)
def test_what_makes_no_sense_is_told_with_place_and_remedy(content: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / "scene.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(SceneError, match=message) as told:
        load_scene(file)
    assert str(file) in str(told.value)
    if isinstance(content, dict):
        with pytest.raises(SceneError, match=message):
            load_scene(content)


def test_what_cannot_be_found_or_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown scene 'tabel'; allowed: cage, free, shelf, table, or the path"
    ):
        load_scene("tabel")
    with pytest.raises(UnknownNameError, match=r"no scene file 'none\.yaml'"):
        load_scene("none.yaml")
    for name, text in (("bad.yaml", "a: [1, 2"), ("bad.json", "{")):
        (tmp_path / name).write_text(text)
        with pytest.raises(SceneError, match=f"{name}: not readable as {name[4:].upper()}"):
            load_scene(tmp_path / name)
    with pytest.raises(SceneError, match=r"'shelf' gives its lengths in arm's reaches.*add_scene\(scene, arm\)"):
        load_scene("shelf").fitted(None)


def test_obstacles_made_in_python_are_checked_too() -> None:
    good = {"name": "a", "shape": "box", "sizes": (1, 1, 1), "T_world_obstacle": np.eye(4)}
    assert Obstacle(**good).sizes == (1.0, 1.0, 1.0)
    mirrored = np.diag([1.0, 1.0, -1.0, 1.0])
    for change, message in (
        ({"name": ""}, "needs a name"),
        ({"shape": "cone"}, f"unknown shape 'cone'; allowed: {', '.join(SIZES)}"),
        ({"sizes": (1, 1)}, "a box takes 3 positive sizes"),
        ({"sizes": (1, 1, np.inf)}, "a box takes 3 positive sizes"),
        ({"T_world_obstacle": np.eye(3)}, "must be a .4, 4. pose"),
        ({"T_world_obstacle": mirrored}, "must be a .4, 4. pose"),
        ({"colour": (0, 0, 2)}, "a colour is red, green, blue"),
        ({"path": Path("x.urdf")}, "the shape urdf takes a path and no other shape does"),
    ):
        with pytest.raises(SceneError, match=message):
            Obstacle(**{**good, **change})
    with pytest.raises(IKError, match="a scene needs a name"):
        Scene(name="")
    with pytest.raises(ValueError, match="read-only"):
        Obstacle(**good).T_world_obstacle[0, 0] = 2.0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.yaml", b"\xff\xfename: x\n"),
        ("s.yaml", b"obstacles: [{name: a, shape: sphere, radius: 1" + b"0" * 30 + b", position: [5, 5, 5]}]"),
        ("s.yaml", b"obstacles: [{name: a, shape: sphere, radius: " + b"1" * 5000 + b", position: [5, 5, 5]}]"),
        ("s.yaml", b"name: 2024-13-45\n"),
        ("s.yaml", b"obstacles: [{name: a, shape: urdf, file: ~nouserx/a.urdf, position: [5, 5, 5]}]"),
        ("s.yaml", b'obstacles: [{name: a, shape: urdf, file: "a\\0b", position: [5, 5, 5]}]'),
        ("s.yaml", b"[" * 500 + b"]" * 500),
        ("s.json", b'{"name": "\xff"}'),
        ("s.json", b"[" * 100_000),
        ("s.json", b'{"obstacles": [{"name": "a", "shape": "urdf", "file": "\\ud800", "position": [5, 5, 5]}]}'),
    ],
)
def test_a_file_from_a_stranger_is_refused_in_one_short_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SceneError) as told:
        load_scene(tmp_path / name)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 1000


@pytest.mark.parametrize("key", ["description", "unit", "name", "obstacles", "more"])
def test_aliases_of_aliases_are_not_written_out(key: str) -> None:
    bomb: list[object] = ["lol"]
    for _ in range(30):
        bomb = [bomb] * 9  # what YAML makes of aliases: one list many times
    with pytest.raises(SceneError) as told:
        load_scene({"name": "bomb", key: bomb})
    assert len(str(told.value)) < 1000


def test_merged_mappings_stay_small(tmp_path: Path) -> None:
    rows = ["  - &a {k0: 0, k1: 0, k2: 0, k3: 0, k4: 0, k5: 0, k6: 0, k7: 0, k8: 0}"]
    rows += [f"  - &{b} {{<<: [{', '.join([f'*{a}'] * 9)}]}}" for a, b in itertools.pairwise("abcdefghijklm")]
    (tmp_path / "s.yaml").write_text("obstacles:\n" + "\n".join(rows) + "\n")
    with pytest.raises(SceneError, match="over 1000 keys in one mapping"):
        load_scene(tmp_path / "s.yaml")
