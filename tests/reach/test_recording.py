"""Films: ghosts where they belong, in files that can be read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv
from numpy.typing import NDArray

import sim
from ik_mdn.reach.recording import film_name, record_episode
from ik_mdn.reach.running import Stage, run_suite
from ik_mdn.solver.solver import IKSolver
from sim.errors import WorldError
from sim.rendering.camera import Camera
from sim.rendering.films import default_format, write_film
from sim.rendering.pictures import Layers, average_down
from sim.rendering.scenery import camera_for
from sim.scenes.scene import load_scene
from sim.world.ghosts import FREE, REJECTED, GhostWorld, blend, pick_apart, put_in
from sim.world.world import World

GREY, RED, BLUE = (100, 100, 100), (200, 0, 0), (0, 0, 200)


def layer(colour: tuple[int, int, int], depth: float, *, solid: bool = True, supersample: int = 1) -> Layers:
    rgb = np.full((4, 6, 3), colour, dtype=np.uint8)
    return Layers(rgb, np.full((4, 6), depth, np.float32), np.full((4, 6), solid), supersample)


def test_a_ghost_is_mixed_into_what_is_behind_it_and_hidden_by_what_is_before_it() -> None:
    view = layer(GREY, 2.0)
    behind = 0.5 * (255 + 100) / 2
    expected = np.round([behind + 0.5 * 200, behind, behind])
    np.testing.assert_array_equal(blend(view, [layer(RED, 1.0)], alpha=0.5)[0, 0], expected)
    np.testing.assert_array_equal(blend(view, [layer(RED, 3.0)], alpha=0.25), view.rgb)
    np.testing.assert_array_equal(blend(view, [layer(RED, 1.0, solid=False)]), view.rgb)
    np.testing.assert_array_equal(blend(view, []), view.rgb)


def test_the_nearest_ghost_lies_on_top_whatever_the_order() -> None:
    view, near, far = layer(GREY, 2.0), layer(RED, 0.5), layer(BLUE, 1.0)
    behind = 0.5 * (255 + 100) / 2 + 0.5 * np.array(BLUE)
    expected = 0.5 * (255 + behind.mean()) / 2 + 0.5 * np.array(RED)  # its brightness alone is seen, half as dark
    for ghosts in ([near, far], [far, near]):
        np.testing.assert_allclose(blend(view, ghosts, alpha=0.5)[1, 1], expected, atol=1)


def test_overlapping_ghosts_have_the_hue_of_the_nearest_and_never_a_mixture() -> None:
    """Orange behind green behind violet, over a yellow arm: no brown, whatever lies behind."""
    colours = [(230, 160, 0), (0, 160, 115), (130, 60, 200)]
    view = layer((240, 200, 20), 5.0)
    for i, nearest in enumerate(colours):
        ghosts = [layer(colour, 1.0 if k == i else 2.0 + k) for k, colour in enumerate(colours)]
        seen = rgb_to_hsv(blend(view, ghosts)[0, 0] / 255.0)
        assert seen[0] == pytest.approx(rgb_to_hsv(np.array(nearest) / 255.0)[0], abs=0.01)


def test_what_most_ghosts_share_is_grey_and_does_not_speckle() -> None:
    rng = np.random.default_rng(0)
    ghosts = [layer(colour, 1.0) for colour in (RED, BLUE, (0, 200, 0))]
    rounded = [replace(g, depth=g.depth + rng.uniform(-1e-3, 1e-3, g.depth.shape).astype(np.float32)) for g in ghosts]
    shared = blend(layer(GREY, 2.0), rounded, alpha=0.5)
    assert np.ptp(shared, axis=(0, 1)).max() == 0
    assert np.ptp(shared, axis=-1).max() == 0
    one_colour = [replace(ghost, rgb=ghosts[0].rgb) for ghost in rounded]
    assert blend(layer(GREY, 2.0), one_colour, alpha=1.0)[0, 0].tolist() == list(RED)  # it is theirs then
    assert blend(layer(GREY, 2.0), rounded[:1], alpha=1.0)[0, 0].tolist() == list(RED)
    two = [*rounded[:2], layer((0, 200, 0), 1.5), layer((0, 200, 0), 1.6)]
    np.testing.assert_array_equal(blend(layer(GREY, 2.0), two, alpha=1.0)[..., 0], RED[0])  # the first of two alike


def test_every_ghost_may_have_its_own_share() -> None:
    view, near, far = layer(GREY, 2.0), layer(RED, 0.5), layer(BLUE, 1.0)
    np.testing.assert_array_equal(blend(view, [near, far], alpha=(1.0, 0.5)), near.rgb)
    np.testing.assert_array_equal(blend(view, [near, far], alpha=(0.0, 1.0)), far.rgb)


def test_a_ghost_that_coincides_with_the_arm_is_left_out() -> None:
    view = layer(GREY, 2.0)
    np.testing.assert_array_equal(blend(view, [layer(RED, 1.9999)]), view.rgb)


def test_a_solid_arm_hides_what_is_behind_it_alone() -> None:
    view, arm = layer(GREY, 2.0), layer(RED, 1.0)
    arm.solid[0], arm.depth[1] = False, 3.0
    seen = put_in(view, arm)
    assert seen.rgb[:3, 0].tolist() == [list(GREY), list(GREY), list(RED)]
    np.testing.assert_array_equal(seen.depth[:3, 0], [2.0, 2.0, 1.0])


def test_averaging_down_keeps_the_mean_of_each_block() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (6, 9, 3), dtype=np.uint8)
    small = average_down(rgb, 3)
    assert small.shape == (2, 3, 3)
    np.testing.assert_allclose(small[1, 2], rgb[3:6, 6:9].mean(axis=(0, 1)), atol=0.51)
    assert blend(layer(GREY, 2.0, supersample=2), [layer(RED, 1.0, supersample=2)]).shape == (2, 3, 3)


def test_layers_tell_how_far_away_a_ball_is() -> None:
    camera = Camera(eye=(3.0, 0.0, 0.0), target=(0.0, 0.0, 0.0), width=41, height=41, shadow=False)
    T = np.eye(4)
    T[:3, :3] = np.diag([-1.0, -1.0, 1.0])  # the marker's axes point away from the camera
    with World() as world:
        world.add_marker(T, size=1.0)  # a ball of radius 0.35 m
        layers = world.render_layers(camera)
        np.testing.assert_array_equal(layers.rgb, world.render(camera))
    assert layers.depth[20, 20] == pytest.approx(2.65, abs=0.03)  # Bullet draws balls with flat facets
    assert layers.solid[20, 20]
    assert not layers.solid[0, 0]


def test_a_snapshot_puts_everything_back() -> None:
    arm = sim.load_arm("panda")
    with World() as world:
        body = world.add_arm(arm)
        body.set_q(np.full(7, -0.3))
        restore = world.snapshot()
        before = body.state()
        body.drive(np.full(7, -0.5))
        restore()
        np.testing.assert_array_equal(body.state(), before)


def test_a_ghost_world_shows_the_arm_alone_in_its_colour() -> None:
    arm = sim.load_arm("planar2")
    camera = camera_for(arm, width=60, height=60)
    with GhostWorld(arm, np.eye(4), camera) as ghosts:
        free, rejected = ghosts.take(np.array([0.5, 1.0]), FREE), ghosts.take(np.array([0.5, 1.0]), REJECTED)
    assert 0.005 < free.solid.mean() < 0.3
    np.testing.assert_array_equal(free.solid, rejected.solid)
    for shown, colour in ((free, FREE), (rejected, REJECTED)):  # its hue, whatever the links' own colours and the light
        hues = rgb_to_hsv(shown.rgb[shown.solid] / 255.0)[:, 0]
        np.testing.assert_allclose(hues, rgb_to_hsv(np.array(colour))[0], atol=0.02)


def test_the_most_different_configurations_are_shown() -> None:
    chosen = np.zeros(2)
    q_all = [np.array([0.1, 0.0]), np.array([2 * np.pi, 0.0]), np.array([3.0, 0.0]), np.array([0.0, -2.0])]
    assert pick_apart(q_all, chosen, most=2) == [2, 3]
    assert pick_apart(q_all, chosen, most=9) == [2, 3]  # the others look like what is shown
    assert pick_apart([], chosen, most=3) == []


@pytest.mark.parametrize("ending", ["gif", "mp4"])
def test_a_film_can_be_read_back(tmp_path: Path, ending: str) -> None:
    if ending == "mp4":
        pytest.importorskip("imageio_ffmpeg")
    frames = [np.full((33, 49, 3), shade, dtype=np.uint8) for shade in (20, 120, 220)]
    path = tmp_path / "new" / f"film.{ending}"
    write_film(path, frames, fps=5)
    read = np.stack(list(iio.imiter(path)))
    assert len(read) == 3
    shades = read[..., :3].reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(shades, [20, 120, 220], atol=6)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_cannot_be_filmed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame: NDArray[np.uint8] = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(WorldError, match="allowed: mp4, gif"):
        write_film(tmp_path / "film.avi", [frame], fps=5)
    with pytest.raises(WorldError, match="no pictures"):
        write_film(tmp_path / "film.gif", [], fps=5)
    with pytest.raises(WorldError, match=r"cannot film to episode-0003\.avi.*allowed: mp4, gif"):
        film_name(3, "avi")
    assert film_name(3, "gif") == "episode-0003.gif"
    find: Callable[[str], None] = lambda name: None  # noqa: E731 - nothing is installed
    monkeypatch.setattr("sim.rendering.films.find_spec", find)
    assert default_format() == "gif"
    with pytest.raises(WorldError, match="imageio-ffmpeg"):
        write_film(tmp_path / "film.mp4", [frame], fps=5)
    with pytest.raises(WorldError, match="imageio-ffmpeg"):
        film_name(3, "mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_filmed_episode_is_that_of_the_suite_with_the_other_solution_as_a_ghost(tmp_path: Path) -> None:
    arm = sim.load_arm("planar2")
    stage = Stage(arm, IKSolver(arm), scene=load_scene("cage"))
    with stage.open() as (world, controller):
        expected = next(run_suite(controller, world, [1], seed=2))[1]
    camera, frames, planned = camera_for(arm, width=96, height=96), list[int](), list[int]()
    shown, plain = tmp_path / "ghost.gif", tmp_path / "plain.gif"
    told = {"on_plan": planned.append, "on_frame": lambda: frames.append(1)}
    result = record_episode(shown, stage, 1, seed=2, fps=4, camera=camera, **told)
    record_episode(plain, stage, 1, seed=2, fps=4, camera=camera, ghosts=0)
    np.testing.assert_allclose(result.q_end, expected.q_end, atol=1e-9)
    assert result.status is expected.status
    with_ghost, without = (np.stack(list(iio.imiter(path)))[..., :3].astype(int) for path in (shown, plain))
    assert len(frames) >= 5
    assert planned[0] == pytest.approx(len(frames), rel=0.4)  # said before the first: for the time left
    changed = np.abs(with_ghost[0] - without[0]).sum(axis=-1) > 40
    assert changed.sum() > 20
    bluer = (with_ghost[0] - without[0])[changed]
    assert (bluer[:, 0] < bluer[:, 2]).mean() > 0.8
