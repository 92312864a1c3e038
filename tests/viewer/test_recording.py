"""Pages and pictures that are made without a browser."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv

from ik_mdn.viewer import Session, record_page, save_still
from ik_mdn.viewer.ghosts import branch_colour
from ik_mdn.viewer.recording import _with_panel
from ik_mdn.viewer.still import _camera
from ik_mdn.viewer.tour import make_tour, target_path
from sim.arm import load_arm
from sim.kinematics import joint_origins
from sim.rendering import project
from sim.scenes import load_scene
from sim.world import World

pytest.importorskip("viser", reason="the viewer's extra is not installed")


@pytest.fixture(scope="module")
def session() -> Session:
    return Session.load(load_arm("planar2"))


def test_the_path_is_closed_and_keeps_the_rotation(session: Session) -> None:
    T = target_path(session, 24)
    np.testing.assert_array_equal(T[0], session.start_target())
    np.testing.assert_array_equal(T[:, :3, :3], np.broadcast_to(T[0, :3, :3], (24, 3, 3)))
    steps = np.linalg.norm(np.diff(T[:, :3, 3], axis=0, append=T[:1, :3, 3]), axis=1)
    assert steps.max() < 0.2


def test_a_tour_without_a_controller_shows_the_most_probable(session: Session) -> None:
    stops = list(make_tour(session, target_path(session, 4)))
    assert [stop.verdict for stop in stops] == [None] * 4
    assert [stop.solid for stop in stops] == [0] * 4


def test_a_recorded_page_holds_everything_and_asks_for_nothing(session: Session, tmp_path: Path) -> None:
    path, seen = tmp_path / "page.html", []
    record_page(path, session, stops=5, on_stop=lambda: seen.append(1))
    page = path.read_text(encoding="utf-8")
    assert len(seen) == 5
    assert page.count("2 solutions in limits") == 5
    assert "The controller takes" in page
    data = re.search(r'__VISER_EMBED_DATA__="([^"]+)"', page)
    assert data is not None
    assert len(base64.b64decode(data.group(1))) > 3_000
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="https?:', page)


def test_a_name_stands_in_the_page_as_it_is() -> None:
    named: Any = SimpleNamespace(arm=SimpleNamespace(name="two<b>joints"))
    assert "two&lt;b&gt;joints" in _with_panel("<body></body>", named, [])


@pytest.mark.parametrize("scene", ["shelf", "table"])
def test_no_obstacle_stands_between_the_camera_of_a_still_and_the_arm(scene: str) -> None:
    arm = load_arm("panda")
    around, q = load_scene(scene, arm), np.array([[0.0, 0.3, 0.0, -1.8, 0.0, 2.1, 0.8]])
    camera = _camera(SimpleNamespace(arm=arm), around, q)  # type: ignore[arg-type]
    with World() as world:
        world.add_scene(around, arm)
        bare = world.render_layers(replace(camera, supersample=1)).depth
    pixel = project(camera, joint_origins(arm, q[0])).round().astype(int)
    sight = np.subtract(camera.target, camera.eye) / np.linalg.norm(np.subtract(camera.target, camera.eye))
    far = (joint_origins(arm, q[0]) - np.array(camera.eye)) @ sight  # along the line of sight, as depths are
    assert (far < bare[pixel[:, 1], pixel[:, 0]] + 1e-3).mean() > 0.7


@pytest.mark.slow
def test_a_still_is_a_picture_with_the_colours_of_the_branches(session: Session, tmp_path: Path) -> None:
    from PIL import Image

    path, steps = tmp_path / "still.png", list[tuple[int, int]]()
    save_still(path, session, on_step=lambda done, total: steps.append((done, total)))
    assert [done / total for done, total in steps] == sorted(done / total for done, total in steps)
    assert steps[-1][0] == steps[-1][1]
    assert len(steps) >= 4
    picture = np.asarray(Image.open(path).convert("RGB"))
    assert picture.shape[1] > 1000
    assert (np.abs(picture.astype(int) - (38, 112, 214)).sum(axis=-1) < 12).sum() > 50  # the first branch's chip
    arms = picture[:, : picture.shape[1] // 2]  # both arms in their rows' hues, one of them solid
    hues = rgb_to_hsv(arms[np.ptp(arms, axis=-1) > 60] / 255.0)[:, 0]
    for colour in (branch_colour(0), branch_colour(1)):
        assert (np.abs(hues - rgb_to_hsv(np.array(colour) / 255.0)[0]) < 0.03).sum() > 300
