"""Motors are asked for what they can give: motions are as slow as damping, inertia and gravity make them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sim
from sim.arm import Arm
from sim.world import World, plan_motion

TURN = np.array([1.5])


def pendulum(folder: Path, *, effort: float, damping: float = 0.0, axis: str = "0 -1 0", inertia: float = 1e-3) -> Arm:
    """One joint that swings 2 kg at 1 m."""
    moments = " ".join(f'{key}="{inertia}"' for key in ("ixx", "iyy", "izz"))
    file = folder / "pendulum.urdf"
    file.write_text(
        f"""<robot name="pendulum"><link name="base"/><link name="rod"/>
        <link name="ball"><inertial><mass value="2"/><inertia {moments} ixy="0" ixz="0" iyz="0"/></inertial></link>
        <joint name="swing" type="revolute"><parent link="base"/><child link="rod"/><axis xyz="{axis}"/>
        <limit lower="-3" upper="3" effort="{effort}" velocity="3"/><dynamics damping="{damping}"/></joint>
        <joint name="end" type="fixed"><parent link="rod"/><child link="ball"/><origin xyz="1 0 0"/></joint></robot>"""
    )
    return sim.load_arm(file)


def drive(arm: Arm) -> tuple[bool, float]:
    with World() as world:
        done = world.add_arm(arm).drive(TURN)
    return done.settled, done.time


@pytest.mark.parametrize(
    ("effort", "damping"),
    [(3.0, 2.0), (3.0, 0.0), (2.0, 0.5)],  # 6 N m of damping at full speed; 15 N m of inertia; both
)
def test_a_motor_too_weak_for_full_speed_turns_slower_and_arrives(
    tmp_path: Path, effort: float, damping: float
) -> None:
    """About an upright axis nothing is to be held: whatever the motor's limit, the target can be reached."""
    weak, strong = (drive(pendulum(tmp_path, effort=limit, damping=damping, axis="0 0 1")) for limit in (effort, 100.0))
    assert weak[0]
    assert strong[0]
    assert weak[1] > 1.3 * strong[1]


def test_a_strong_motor_moves_as_planned(tmp_path: Path) -> None:
    arm = pendulum(tmp_path, effort=100.0)
    planned = plan_motion(arm, np.zeros(1), TURN).duration
    settled, time = drive(arm)
    assert settled
    assert planned < time < planned + 0.2


def test_a_link_without_moments_of_inertia_is_held_and_moved(tmp_path: Path) -> None:
    """The ball turns about itself: nothing but its own moments, which the file gives as 0, resists."""
    arm = pendulum(tmp_path, effort=1.0, inertia=0.0)
    text = arm.urdf_path.read_text().replace('<origin xyz="1 0 0"/>', "")  # type: ignore[union-attr]
    (tmp_path / "spinner.urdf").write_text(text)
    assert drive(sim.load_arm(tmp_path / "spinner.urdf"))[0]
