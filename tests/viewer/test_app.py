"""The server without a browser: what a person's actions lead to, and how it ends."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from urllib.request import urlopen

import numpy as np
import pytest

from ik_mdn.viewer import App, Choice
from sim.kinematics import forward_kinematics

pytest.importorskip("viser", reason="the viewer's extra is not installed")


def until(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether something becomes true in time."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


@pytest.fixture
def app() -> Iterator[App]:
    app = App(Choice("ur5e"), port=8310)
    assert until(lambda: app.live.settled)
    yield app
    app.close()


def test_it_listens_on_this_machine_only(app: App) -> None:
    assert app.address.startswith("http://127.0.0.1:")
    with urlopen(app.address, timeout=30) as page:
        assert b"<html" in page.read(2000).lower()
    port = int(app.address.rpartition(":")[2])
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in others:
        with socket.socket() as link:
            link.settimeout(2.0)
            assert link.connect_ex((address, port)) != 0


def test_targets_joints_and_branches_follow_a_person(app: App) -> None:
    live = app.live
    live.select(2)
    assert live.solid == 2
    live.next_branch()
    assert live.solid == 3
    branch = live.latest.branch[3] if live.latest else None
    live.type_target((0.4, 0.2, 0.3), (180.0, 0.0, 0.0))
    assert until(lambda: live.latest is not None and live.latest.T_base_target[0, 3] == 0.4)
    assert live.latest is not None
    np.testing.assert_allclose(np.diag(live.latest.T_base_target), [1, -1, -1, 1], atol=1e-12)
    assert live.latest.row_of(branch) is None or live.solid == live.latest.row_of(branch)
    q = live.session.q_now + 0.1
    live.move_joints(q)
    live.target_at_tip()
    tip = forward_kinematics(live.session.arm, q)
    assert until(lambda: live.latest is not None and np.allclose(live.latest.T_base_target, tip))
    assert np.abs(live.latest.q - q).max(axis=1).min() < 1e-6


def test_a_jump_that_is_too_small_leaves_nothing_until_it_is_lifted(app: App) -> None:
    live = app.live
    live.limit_jump(1.0)
    assert until(lambda: live.latest is not None and len(live.latest) == 0)
    live.limit_jump(0.0)
    assert until(lambda: live.latest is not None and len(live.latest) > 0)


def test_another_arm_can_be_looked_at_and_a_wrong_one_changes_nothing(app: App) -> None:
    first = app.live
    first.look_at(scene="no such scene")
    time.sleep(1.0)
    assert app.live is first
    first.look_at(arm="planar3")
    assert until(lambda: app.live is not first and app.live.session.arm.name == "planar3")
    assert until(lambda: app.live.settled)
    app.live.look_at(scene="table")
    assert until(lambda: app.live.settled and app.live.session.arm.name == "planar3")


def test_the_newest_target_wins_over_a_flood(app: App) -> None:
    live = app.live
    for number in range(300):
        live.type_target((0.4, 0.001 * number, 0.3), (180.0, 0.0, 0.0))
    assert until(lambda: live.latest is not None and live.latest.T_base_target[1, 3] == 0.299, seconds=10.0)


@pytest.mark.slow
def test_a_configuration_picked_on_a_self_motion_is_gone_to() -> None:
    app = App(Choice("panda"), port=8320)
    try:
        live = app.live
        assert until(lambda: live.settled and len(live.curves) > 0)
        live.slide(0, 0.6)
        wanted = live.curves[0].at(0.6)
        np.testing.assert_array_equal(live.along, wanted)
        live.go()
        assert until(lambda: np.abs(live.session.q_now - wanted).max() < 2e-3)
    finally:
        app.close()


def test_an_obstacle_dragged_onto_the_target_blocks_it_until_obstacles_are_off() -> None:
    app = App(Choice("ur5e", scene="table"), port=8340)
    try:
        live = app.live
        assert until(lambda: live.settled)
        assert live.latest is not None
        on_target = SimpleNamespace(position=live.latest.T_base_target[:3, 3], wxyz=(1.0, 0.0, 0.0, 0.0))
        live.move_obstacle(0, on_target)
        assert until(lambda: live.verdict is not None and live.settled and set(live.verdict.marks) == {"✖"})
        live.panel.obstacles.value = False
        live.show_obstacles()
        assert until(lambda: live.verdict is not None and live.settled and "✖" not in live.verdict.marks)
    finally:
        app.close()


def listen_to_ctrl_c() -> None:
    """In the new process: as from a terminal, also where the tests run with the signal ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_ctrl_c_ends_it_without_a_traceback() -> None:
    command = [sys.executable, "-m", "ik_mdn", "view", "planar2", "--no-browser", "--port", "8330"]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listen_to_ctrl_c
    )
    assert running.stdout is not None
    ready, _, _ = select.select([running.stdout], [], [], 120)
    assert ready, "it does not start"
    assert "http://127.0.0.1:8330" in running.stdout.readline()
    running.send_signal(signal.SIGINT)
    printed, complained = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "Traceback" not in printed + complained
    assert complained == ""


def test_a_task_without_a_usual_name_is_offered_where_it_is_in_use() -> None:
    app = App(Choice("ur5e", model="none", task="x,y,z,pitch"), port=8350)
    try:
        assert app.live.session.task.name == "x,y,z,pitch"
        offers = app._offers(Choice("ur5e", task="x,y,z,pitch"), app.live.session)
        assert offers.tasks[1] in offers.tasks[0]
        assert offers.models[1] == "none"  # the shipped one is of another task
    finally:
        app.close()


def test_a_choice_of_another_arm_drops_what_belonged_to_the_first() -> None:
    choice = Choice("my.urdf", model="my.safetensors", task="position", scene="table", tip="tool")
    assert choice.changed(arm="ur5e") == Choice("ur5e", scene="table")
    assert choice.changed(model="shipped").model is None
    assert choice.changed(task="pose").tip == "tool"
