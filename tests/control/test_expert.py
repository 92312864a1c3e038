"""The scripted expert: it brings arms to their targets with nothing but observations and actions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import sim
from ik_mdn.control.expert import Expert
from sim.environment.reach_env import ReachEnv
from sim.errors import IKError


def play(env: gymnasium.Env[Any, Any], expert: Expert, seed: int) -> tuple[bool, list[Any]]:
    """Whether the target was reached, and the infos."""
    observation, info = env.reset(seed=seed)
    infos, done = [info], False
    while not done:
        action = expert.act(observation)
        assert env.action_space.contains(action)
        observation, _, terminated, truncated, info = env.step(action)
        infos.append(info)
        done = terminated or truncated
    return terminated, infos


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"arm": "xarm6"},
        {"arm": "planar2", "start": "home"},
        {"arm": "panda", "speed": 0.5, "task": "position"},
        {"arm": "xarm6", "tolerance_pos": 1e-3, "tolerance_rot": 1e-2},
    ],
    ids=str,
)
def test_every_target_in_free_space_is_reached_without_a_contact(settings: dict[str, Any]) -> None:
    env = gymnasium.make("IKReach-v0", **settings)
    with Expert(env) as expert:
        for seed in range(5):
            reached, infos = play(env, expert, seed)
            assert reached
            assert not any(info["collision"] for info in infos)
            assert expert.decision is not None
            assert expert.decision.chosen is not None
    env.close()


def test_the_arm_comes_to_rest_where_the_decision_says_also_after_a_push() -> None:
    env = ReachEnv("planar3", tolerance_pos=1e-9, tolerance_rot=1e-9)  # never reached: nothing ends the episode
    with Expert(env) as expert:
        observation, _ = env.reset(seed=1)
        for step in range(150):
            action = expert.act(observation)
            push = 10 <= step < 20  # somebody else has the arm for a while
            observation, *_, info = env.step(np.array([1, -1, 1], np.float32) if push else action)
        assert info["err_pos"] < 1e-5
        assert info["err_rot"] < 1e-5
        np.testing.assert_allclose(observation["observation"][:3], expert.decision.route[-1], atol=1e-5)
        np.testing.assert_allclose(action, 0.0, atol=1e-4)
    env.close()


def test_a_continuous_joint_is_followed_through_half_a_turn(tmp_path: Path) -> None:
    free = '<joint name="j" type="continuous"><parent link="a"/><child link="b"/><axis xyz="0 0 1"/></joint>'
    arm_xml = (
        f'<robot name="spinner"><link name="a"/>{_solid("b")}{free}{_solid("c")}'
        '<joint name="k" type="continuous"><parent link="b"/><child link="c"/><origin xyz="1 0 0"/><axis xyz="0 0 1"/>'
        '</joint><link name="tip"/><joint name="end" type="fixed"><parent link="c"/><child link="tip"/>'
        '<origin xyz="0.5 0 0"/></joint></robot>'
    )
    path = tmp_path / "spinner.urdf"
    path.write_text(arm_xml)
    arm = sim.load_arm(path)
    env = ReachEnv(arm, tolerance_pos=1e-9)
    with Expert(env) as expert:
        T = sim.forward_kinematics(arm, np.array([-3.0, 0.4]))
        observation, _ = env.reset(options={"q_start": [3.0, 0.5], "T_base_target": T})
        for _ in range(60):
            assert env.observation_space.contains(observation)
            observation, *_, info = env.step(expert.act(observation))
        assert info["err_pos"] < 1e-5
    env.close()


@pytest.mark.parametrize("q_start", [(-4.0, 0.5), (0.9, 0.5), (-12.0, 0.5)])
def test_a_joint_with_a_limit_on_one_side_is_followed_from_beyond_half_a_turn(q_start: tuple[float, float]) -> None:
    both = 'lower="-3.14159265358979" upper="3.14159265358979"'
    xml = sim.load_arm("planar:1,1").urdf_xml
    assert xml is not None
    arm = sim.load_arm(xml.replace(both, 'lower="-inf" upper="1.0"', 1))
    assert arm.is_endless.tolist() == [True, False]
    env = ReachEnv(arm, tolerance_pos=1e-9)
    with Expert(env) as expert:
        T = sim.forward_kinematics(arm, np.array(q_start) - 0.2)
        observation, _ = env.reset(options={"q_start": q_start, "T_base_target": T})
        for _ in range(90):
            observation, *_, info = env.step(expert.act(observation))
        assert info["err_pos"] < 1e-5
    env.close()


def _solid(name: str) -> str:
    inertia = '<inertia ixx="0.1" iyy="0.1" izz="0.1" ixy="0" ixz="0" iyz="0"/>'
    return f'<link name="{name}"><inertial><mass value="1"/>{inertia}</inertial></link>'


def test_without_a_solution_it_stays_and_says_why() -> None:
    env = ReachEnv("planar2", start="home")
    with Expert(env) as expert:
        observation, _ = env.reset(seed=0, options={"T_base_target": np.array([2.1, 0.0])})
        np.testing.assert_array_equal(expert.act(observation), 0.0)
        assert expert.decision is not None
        assert "unreachable" in expert.decision.reason
        expert.reset()
        np.testing.assert_array_equal(expert.act(observation), 0.0)
    env.close()
    expert.close()


def test_other_environments_and_controls_are_refused() -> None:
    with pytest.raises(IKError, match=r"IKReach-v0.*CartPole"):
        Expert(gymnasium.make("CartPole-v1"))
    env = ReachEnv("planar2", control="tip")
    with pytest.raises(IKError, match='control="joints"'):
        Expert(env)
    env.close()
