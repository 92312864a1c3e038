"""The controller's verdict on what is shown, and motions to it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ik_mdn.control import Controller
from ik_mdn.solver import IKSolver
from ik_mdn.viewer.answer import Answer
from ik_mdn.viewer.judge import Judge
from ik_mdn.viewer.session import Session
from sim.arm import load_arm
from sim.kinematics import forward_kinematics
from sim.scenes import Obstacle, Scene


@pytest.fixture(scope="module")
def session() -> Session:
    return Session.load(load_arm("ur5e"))


def test_every_row_gets_a_reason_and_one_is_chosen(session: Session) -> None:
    answer = session.answer(session.start_target())
    verdict = Judge(session.solver).decide(answer, session.q_now)
    assert verdict.chosen is not None
    assert len(verdict.reasons) == len(answer)
    assert all(verdict.reasons)
    assert "cost" in verdict.reasons[verdict.chosen]
    assert "✔" in verdict.sentence


def test_a_verdict_goes_with_the_branches_to_the_next_answer(session: Session) -> None:
    T = session.start_target()
    before = session.answer(T)
    verdict = Judge(session.solver).decide(before, session.q_now)
    T[0, 3] += 0.01
    after = session.answer(T)
    carried = verdict.carried(before, after)
    assert carried is not None
    assert carried.chosen is not None
    assert verdict.chosen is not None
    assert after.branch[carried.chosen] == before.branch[verdict.chosen]
    order = [before.row_of(branch) for branch in after.branch.tolist()]
    assert carried.reasons == tuple(verdict.reasons[row] for row in order if row is not None)
    turned = verdict.carried(before, replace(before, q=before.q[::-1], branch=before.branch[::-1]))
    assert turned is not None
    assert turned.chosen == len(before) - 1 - verdict.chosen
    assert turned.reasons == verdict.reasons[::-1]
    fewer = replace(before, q=before.q[:3], branch=before.branch[:3], weight=before.weight[:3])
    assert verdict.carried(fewer, before) is None


def test_an_obstacle_at_the_target_rejects_every_solution_by_name(session: Session) -> None:
    T = session.start_target()
    answer = session.answer(T)
    ball = Obstacle("ball", "sphere", (0.08,), T)
    judge = Judge(session.solver)
    judge.set_scene(Scene("things", obstacles=(ball,)))
    verdict = judge.decide(answer, session.q_now)
    assert verdict.chosen is None
    assert set(verdict.marks) == {"✖"}
    assert "things.ball" in verdict.reasons[0]
    judge.set_scene(None)
    assert judge.decide(answer, session.q_now).chosen is not None
    judge.close()


def test_going_there_ends_at_the_solution_asked_for(session: Session) -> None:
    T = session.start_target()
    answer = session.answer(T)
    judge = Judge(session.solver)
    verdict = judge.decide(answer, session.q_now)
    able = [row for row in range(len(answer)) if verdict.marks[row] in ("", "✔")]
    motion = judge.go(answer.q[able[-1]], T, session.q_now)
    assert motion.reached, motion.sentence
    assert "Reached" in motion.sentence
    assert not re.search(r"e-\d\d", motion.sentence)  # errors in words that people read
    np.testing.assert_allclose(motion.q[0], session.q_now, atol=1e-6)
    np.testing.assert_allclose(motion.q[-1], answer.q[able[-1]], atol=1e-3)
    np.testing.assert_allclose(forward_kinematics(session.arm, motion.q[-1]), T, atol=1e-3)
    judge.close()


@pytest.mark.parametrize(
    "interrupt",
    [
        lambda judge, answer, q: judge.decide(answer, q),
        lambda judge, answer, q: judge.set_scene(Scene("nothing", obstacles=())),
        lambda judge, answer, q: judge.close(),
    ],
)
def test_what_another_thread_asks_for_waits_until_the_motion_has_ended(
    session: Session, interrupt: Callable[[Judge, Answer, Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    T = session.start_target()
    answer, judge, untouched = session.answer(T), Judge(session.solver), []
    row = judge.decide(answer, session.q_now).chosen
    assert row is not None
    other = threading.Thread(target=interrupt, args=(judge, answer, session.q_now))
    reach = Controller.reach

    def reach_interrupted(controller: Controller, *target: Any, **options: Any) -> Any:
        given = controller.solver
        other.start()
        other.join(timeout=0.2)
        untouched.append(other.is_alive() and controller.solver is given)
        return reach(controller, *target, **options)

    monkeypatch.setattr(Controller, "reach", reach_interrupted)
    motion = judge.go(answer.q[row], T, session.q_now)
    other.join(timeout=60.0)
    assert untouched == [True]
    assert not other.is_alive()
    assert motion.reached
    np.testing.assert_allclose(motion.q[-1], answer.q[row], atol=1e-3)
    judge.close()


def test_a_motor_that_is_too_weak_is_not_called_a_collision(session: Session) -> None:
    T = session.start_target()
    answer = session.answer(T)
    judge = Judge(IKSolver(replace(session.arm, effort_max=np.full(6, 1e-3))))
    verdict = judge.decide(answer, session.q_now)
    assert set(verdict.marks) == {"▽"}
    assert "to hold this pose" in verdict.reasons[0]
    judge.close()


def test_no_solutions_no_verdict(session: Session) -> None:
    T = session.start_target()
    T[0, 3] += 5.0
    verdict = Judge(session.solver).decide(session.answer(T), session.q_now)
    assert (verdict.chosen, verdict.reasons) == (None, ())
