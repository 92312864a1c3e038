"""The Gymnasium environment: its contract, its determinism, and what actions and rewards mean."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

import sim
from sim.environment.actions import STEP_TIME
from sim.environment.reach_env import ReachEnv
from sim.environment.registration import ENV_ID, MAX_EPISODE_STEPS, register_environments
from sim.errors import IKError, PoseError, WorldError
from sim.world.motion import speed_limits

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def made(**settings: Any) -> Iterator[gymnasium.Env[Any, Any]]:
    env = gymnasium.make(ENV_ID, **settings)
    try:
        yield env
    finally:
        env.close()


def play(env: gymnasium.Env[Any, Any], seed: int, steps: int = 40) -> list[Any]:
    """What an environment says to the same actions after the same seed."""
    rng = np.random.default_rng(seed)
    seen: list[Any] = [env.reset(seed=seed)]
    for _ in range(steps):
        seen.append(env.step(rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)))
    return seen


def same(one: Any, other: Any) -> bool:
    """Whether two such lists are the same bit for bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and np.array_equal(one, other))
    return bool(one == other)


@pytest.mark.slow
def test_the_name_is_known_after_gymnasium_and_sim_are_imported() -> None:
    code = "import gymnasium, sim; env = gymnasium.make('IKReach-v0'); env.reset(seed=0); env.close()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"arm": "panda", "render_mode": "rgb_array", "width": 64, "height": 48},
        {"arm": "xarm6", "scene": "table", "control": "tip", "reward": "dense"},
        {"arm": "planar3"},
    ],
    ids=str,
)
def test_gymnasiums_checks_pass_without_a_warning(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with made(**settings) as env:
            check_env(env.unwrapped)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"arm": "panda", "scene": "cage"}, {"arm": "xarm6", "control": "tip"}], ids=str)
def test_a_seed_decides_everything_bit_for_bit_whatever_was_before(settings: dict[str, Any]) -> None:
    with made(**settings) as one, made(**settings) as other:
        for seed in (7, 8, 9):
            play(other, seed)
        first = [play(one, seed) for seed in (1, 2, 3)]
        again = [play(other, seed) for seed in (1, 2, 3)]
        assert same(first, again)
        assert same(one.reset(), other.reset())  # the random numbers go on alike
        assert not same(first[0], first[1])


def test_starts_and_targets_are_those_of_the_seed_wherever_fingers_were_pushed() -> None:
    with made(arm="panda", scene="cage") as env:
        bare = env.unwrapped
        assert isinstance(bare, ReachEnv)
        body = bare._body
        first = [env.reset(seed=seed) for seed in range(8, 12)]  # one has a draw that only closed fingers leave free
        for seed, expected in zip(range(8, 12), first, strict=True):
            for finger in body._others:
                body.client.resetJointState(body.number, finger, 0.04)
            assert same(env.reset(seed=seed), expected)


def test_looking_does_not_change_what_happens() -> None:
    with made(arm="xarm6") as blind, made(arm="xarm6", render_mode="rgb_array", width=64, height=48) as seen:
        first = play(blind, 1)
        play(seen, 2)
        assert same(play(seen, 1), first)


@pytest.mark.slow
def test_observations_stay_in_their_space_wherever_the_arm_is_pushed() -> None:
    with made(arm="panda", scene="shelf") as env:
        for seed, action in enumerate((-1.0, 1.0, None)):
            observation, _ = env.reset(seed=seed)
            for _ in range(60):
                assert env.observation_space.contains(observation)
                push = env.action_space.sample() if action is None else np.full(7, action, np.float32)
                observation, *_ = env.step(push)
            q = observation["observation"][:7]
            assert (np.abs(q - np.clip(q, env.unwrapped.arm.q_min, env.unwrapped.arm.q_max)) < 0.01).all()


def test_a_picture_shows_the_arm_and_the_target() -> None:
    with made(arm="xarm6", render_mode="rgb_array", width=120, height=90) as env:
        env.reset(seed=0)
        picture = env.render()
        assert picture.shape == (90, 120, 3)
        assert picture.dtype == np.uint8
        env.reset(seed=1)
        assert np.abs(env.render().astype(int) - picture).max() > 50


def test_an_action_of_one_moves_a_joint_as_far_as_its_speed_limit_allows() -> None:
    arm = sim.load_arm("xarm6")
    with made(arm="xarm6", speed=0.5) as env:
        q = np.array([0.3, -0.4, -0.8, 0.2, 0.5, 0.1])
        env.reset(seed=0, options={"q_start": q})
        for joint in range(6):
            action = np.zeros(6, np.float32)
            action[joint] = 1.0
            env.step(action)
            for _ in range(3):  # a weak motor catches up
                observation, *_ = env.step(np.zeros(6, np.float32))
            q = q + 0.5 * STEP_TIME * speed_limits(arm) * action
            np.testing.assert_allclose(observation["observation"][:6], q, atol=1e-3)


@pytest.mark.parametrize("axis", range(6))
def test_an_action_moves_the_tip_along_and_about_its_axis(axis: int) -> None:
    with made(arm="ur5e", control="tip") as env:
        bare = env.unwrapped
        env.reset(seed=0, options={"q_start": [0.3, -1.2, 1.4, -0.5, 1.0, 0.2]})
        before = bare._body.tip_pose()
        action = np.zeros(6, np.float32)
        action[axis] = 0.5
        env.step(action)
        env.step(np.zeros(6, np.float32))
        after, expected = bare._body.tip_pose(), np.zeros(6)
        expected[axis] = 0.5 * bare.control.scale[axis]
        R = before[:3, :3].T @ after[:3, :3]
        turn = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]]) / 2
        moved = np.array([*(after - before)[:3, 3], *turn])
        assert np.abs(moved - expected).max() < 0.05 * expected[axis]  # one linear step; curvature is second order


def test_without_action_the_arm_stands_still_under_gravity() -> None:
    with made(arm="panda") as env:
        first, _ = env.reset(seed=3)
        for _ in range(24):
            observation, *_ = env.step(np.zeros(7, np.float32))
        np.testing.assert_allclose(observation["observation"], first["observation"], atol=1e-3)


@pytest.mark.parametrize("task", ["position", "position_axis", "pose"])
@pytest.mark.parametrize("reward", ["sparse", "dense"])
def test_rewards_of_many_goals_are_those_of_each(task: str, reward: str) -> None:
    settings = {"arm": "ur5e", "task": task, "reward": reward, "contact_penalty": 2.0}
    with made(**settings, tolerance_pos=0.8, tolerance_rot=2.0) as env:
        bare = env.unwrapped
        steps = [step for seed in range(3) for step in play(env, seed, 5)[1:]]
        achieved = np.stack([step[0]["achieved_goal"] for step in steps])
        desired = np.stack([step[0]["desired_goal"] for step in steps])
        infos = [{"collision": i % 3 == 0} for i in range(len(steps))]
        many = bare.compute_reward(achieved, desired, infos)
        one_by_one = [bare.compute_reward(*each) for each in zip(achieved, desired, infos, strict=True)]
        np.testing.assert_array_equal(many, one_by_one)
        np.testing.assert_array_equal(bare.compute_reward(achieved, desired, np.array(infos)), many)
        free = bare.compute_reward(achieved, desired, None)
        np.testing.assert_allclose(free - many, [2.0 * info["collision"] for info in infos])
        for step, given, reached in zip(steps, free, bare.compute_terminated(achieved, desired), strict=True):
            assert step[1] + 2.0 * step[4]["collision"] == pytest.approx(given)
            assert step[2] == reached == step[4]["is_success"]
        assert not bare.compute_truncated(achieved, desired).any()
        if reward == "sparse":
            assert set(free) == {0.0, -1.0}
        else:
            assert (free <= 0).all()
            np.testing.assert_array_equal(bare.compute_reward(achieved, achieved), 0.0)


def test_an_episode_ends_at_the_target_and_not_before() -> None:
    arm = sim.load_arm("planar3")
    q = np.array([0.5, 0.4, -0.3])
    with made(arm="planar3", tolerance_pos=1e-3, tolerance_rot=1e-3) as env:
        T = sim.forward_kinematics(arm, q + np.array([0.0, 0.0, 0.02]))
        _, info = env.reset(options={"q_start": q, "T_base_target": T})
        assert not info["is_success"]
        action = np.array([0.0, 0.0, 0.02 / env.unwrapped.control.scale[2]], np.float32)
        _, reward, terminated, truncated, info = env.step(action)
        assert (reward, terminated, truncated, info["is_success"]) == (0.0, True, False, True)
        assert info["err_pos"] < 1e-3


def test_an_episode_is_cut_off_after_its_time() -> None:
    with made(arm="planar2") as env:
        env.reset(seed=0)
        ends = [env.step(np.zeros(2, np.float32))[2:4] for _ in range(MAX_EPISODE_STEPS)]
        assert ends[:-1] == [(False, False)] * (MAX_EPISODE_STEPS - 1)
        assert ends[-1] == (False, True)


def test_contacts_are_reported_and_cost_what_was_said() -> None:
    with made(arm="xarm6", scene="table", contact_penalty=5.0) as env:
        touched = []
        for seed in range(6):
            env.reset(seed=seed)
            for _ in range(12):
                _, reward, terminated, truncated, info = env.step(np.array([0, 1, 0, 0, 0, 0], np.float32))
                assert not (terminated or truncated) or info["is_success"]
                assert reward == -5.0 * info["collision"] - (not info["is_success"])
                assert info["collision"] == bool(info["contacts"])
                touched.append(info["contacts"])
        assert any("table." in contacts for contacts in touched)
        assert "" in touched


def test_starts_and_targets_are_free_of_collision_and_new() -> None:
    with made(arm="panda", scene="shelf") as env:
        bare = env.unwrapped
        for seed in range(10):
            observation, info = env.reset(seed=seed)
            assert not bare._body.collides(observation["observation"][:7].astype(float))
            assert not info["is_success"]
            assert not info["collision"]
    with made(arm="panda", start="home") as env:
        starts = [env.reset(seed=seed)[0]["observation"] for seed in range(2)]
        np.testing.assert_array_equal(*starts)


def test_vectors_of_environments_do_what_each_does() -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (10, 2, 2)).astype(np.float32)
    seen = []
    for mode in ("sync", "async"):
        envs = gymnasium.make_vec("sim.environment:" + ENV_ID, num_envs=2, vectorization_mode=mode, arm="planar2")
        observation, _ = envs.reset(seed=[3, 4])
        trace = [observation["observation"]] + [envs.step(action)[0]["observation"] for action in actions]
        seen.append(np.stack(trace))
        envs.close()
    np.testing.assert_array_equal(*seen)
    with made(arm="planar2") as env:
        alone = [env.reset(seed=4)[0]["observation"]] + [env.step(action[1])[0]["observation"] for action in actions]
    np.testing.assert_array_equal(np.stack(alone), seen[0][:, 1])


def test_closing_twice_is_allowed_and_using_it_afterwards_is_told() -> None:
    env = ReachEnv("planar2")
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(np.zeros(2))
    env.reset(seed=0)
    env.close()
    env.close()
    with pytest.raises(WorldError, match="closed"):
        env.reset(seed=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"arm": "pandda"}, "panda"),
        ({"task": "planar_pose"}, "planar"),
        ({"scene": "kitchen"}, "free, shelf, table"),
        ({"control": "muscles"}, "allowed: joints, tip"),
        ({"reward": "gold"}, "allowed: sparse, dense"),
        ({"start": "anywhere"}, "allowed: random, home"),
        ({"render_mode": "ascii"}, "allowed: None, human, rgb_array"),
        ({"tolerance_pos": 0.0}, "must be positive"),
        ({"tolerance_rot": np.nan}, "must be positive"),
        ({"tolerance_rot": "wide"}, "tolerance_rot"),
        ({"contact_penalty": -1.0}, "at least 0"),
        ({"speed": 2.0}, r"in \(0, 1\]"),
        ({"speed": 2.0, "control": "tip"}, r"in \(0, 1\]"),
        ({"width": 0}, "positive sizes"),
    ],
    ids=str,
)
def test_wrong_arguments_are_told_with_what_is_allowed(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(IKError, match=message):
        ReachEnv(**{"arm": "xarm6", **settings})


def test_a_window_without_a_display_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(WorldError, match="no display"):
        ReachEnv("planar2", render_mode="human")


def test_wrong_use_is_told() -> None:
    with made(arm="xarm6") as env:
        bare = env.unwrapped
        with pytest.raises(IKError, match="allowed: q_start, T_base_target"):
            bare.reset(options={"target": np.eye(4)})
        with pytest.raises(IKError, match="q_start must be 6 numbers within the limits of joint1"):
            bare.reset(options={"q_start": np.full(6, 9.0)})
        for ragged in ([0.0, [1.0]], ["a"] * 6):
            with pytest.raises(IKError, match=r"q_start (is no array of numbers|holds)"):
                bare.reset(options={"q_start": ragged})
        rng = np.random.default_rng(0)
        draws = rng.uniform(bare.arm.q_min, bare.arm.q_max, (200, 6))
        with pytest.raises(IKError, match="the arm collides at the start"):
            bare.reset(options={"q_start": draws[bare._body.collides(draws)][0]})
        with pytest.raises(IKError, match="one pose"):
            bare.reset(options={"T_base_target": np.stack([np.eye(4)] * 2)})
        far = np.eye(4)
        far[0, 3] = 9.0
        with pytest.raises(IKError, match="beyond what arm 'xarm6' could reach"):
            bare.reset(options={"T_base_target": far})
        with pytest.raises(PoseError, match="rotation"):
            bare.reset(options={"T_base_target": 2 * np.eye(4)})
        bare.reset(seed=0)
        with pytest.raises(IKError, match="6 finite numbers"):
            bare.step(np.zeros(7))
        with pytest.raises(IKError, match="6 finite numbers"):
            bare.step(np.full(6, np.nan))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert bare.render() is None
        assert "render_mode" in str(caught[0].message)
    with made(arm="planar2", tolerance_pos=100.0) as env, pytest.raises(WorldError, match="tolerance_pos"):
        env.reset(seed=0)


@pytest.mark.slow
def test_the_name_of_the_module_is_all_that_gymnasium_needs() -> None:
    code = (
        "import sys, sim, ik_mdn, sim.world; print('gymnasium' in sys.modules)\n"  # the packages do without it
        f"import gymnasium; print(gymnasium.make('sim.environment:{ENV_ID}', arm='planar2').spec.id)\n"
        f"print(gymnasium.make('{ENV_ID}', arm='planar2').spec.max_episode_steps)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.split() == ["False", ENV_ID, str(MAX_EPISODE_STEPS)], done.stderr
    register_environments()  # a second time changes nothing
    assert gymnasium.spec(ENV_ID).max_episode_steps == MAX_EPISODE_STEPS


def test_a_base_that_drives_is_seen_where_it_is_and_sent_where_it_can_go() -> None:
    joint = """<joint name="{0}" type="prismatic"><parent link="{1}"/><child link="{0}"/><axis xyz="{2}"/>
<limit lower="-1000" upper="1000" effort="1000" velocity="2"/></joint>"""
    links = "".join(f'<link name="{name}"/>' for name in ("floor", "x", "y"))
    text = f'<robot name="base">{links}{joint.format("x", "floor", "1 0 0")}{joint.format("y", "x", "0 1 0")}</robot>'
    env = ReachEnv(sim.load_arm(text), task="planar_position")
    try:
        target = sim.pose((5.5, 0.0, 0.0))
        seen, _ = env.reset(seed=0, options={"q_start": [3.0, -7.0], "T_base_target": target})
        assert env.observation_space.contains(seen)
        np.testing.assert_allclose(seen["observation"][:2], [3.0, -7.0], atol=1e-5)
        np.testing.assert_allclose(seen["desired_goal"], [5.5, 0.0], atol=1e-5)
        np.testing.assert_allclose(seen["achieved_goal"], [3.0, -7.0], atol=1e-5)
    finally:
        env.close()
