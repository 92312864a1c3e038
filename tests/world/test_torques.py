"""Motors are asked for what they can give: motions are as slow as damping, inertia and gravity make them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sim
from sim.arm import Arm
from sim.arrays import FloatArray
from sim.world import World, plan_motion, solve_with_bullet

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


@pytest.mark.parametrize("seed", range(6))
def test_heavy_links_are_held_by_the_slope_of_their_potential_energy(seed: int) -> None:
    """Links of tonnes, whose moments of inertia Bullet would refuse for their rounding."""
    rng = np.random.default_rng(seed)
    masses, centres = rng.uniform(500, 2000, 3), rng.uniform(-1, 1, (3, 3))
    links = "".join(
        f'<link name="l{i + 1}"><inertial><origin xyz="{" ".join(map(str, centres[i]))}"/><mass value="{masses[i]}"/>'
        '<inertia ixx="90.9" ixy="33.8" ixz="17.2" iyy="147.0" iyz="0.1" izz="168.2"/></inertial></link>'
        f'<joint name="j{i}" type="revolute"><parent link="l{i}"/><child link="l{i + 1}"/><origin xyz="0.3 0.1 0.7"/>'
        f'<axis xyz="{"0 1 0" if i else "0 0 1"}"/><limit lower="-3" upper="3" effort="0" velocity="1"/></joint>'
        for i in range(3)
    )
    arm = sim.load_arm(f'<robot name="heavy"><link name="l0"/>{links}</robot>')
    q = rng.uniform(-2, 2, 3)

    def energy(q: FloatArray) -> float:
        heights = [(sim.forward_kinematics(part, q[: i + 1]) @ [*centres[i], 1.0])[2] for i, part in enumerate(parts)]
        return float(9.81 * masses @ heights)

    parts = [sim.load_arm(arm.urdf_xml or "", tip=f"l{i + 1}") for i in range(3)]
    slopes = [(energy(q + 1e-5 * e) - energy(q - 1e-5 * e)) / 2e-5 for e in np.eye(3)]
    with World() as world:
        np.testing.assert_allclose(world.add_arm(arm).holding_torques(q), slopes, rtol=1e-5, atol=1e-2)


def test_holding_torques_are_the_same_after_bullets_inverse_kinematics() -> None:
    """Whichever of Bullet's functions first wants its tree of inverse dynamics."""
    arm = sim.load_arm("xarm6")
    q = np.array([0.3, -0.4, -1.2, 0.5, 0.8, 0.1])
    torques = []
    for asks in (False, True):
        with World() as world:
            body = world.add_arm(arm)
            if asks:
                solve_with_bullet(body, sim.forward_kinematics(arm, q))
            torques.append(body.holding_torques(q))
    np.testing.assert_allclose(torques[1], torques[0], rtol=1e-9)
