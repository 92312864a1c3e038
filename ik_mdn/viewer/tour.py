"""A target on a path, for pages and pictures that nobody drags: where it goes, and what is known at every stop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ik_mdn.viewer.answer import Answer, Details
from ik_mdn.viewer.ghosts import solid_row
from ik_mdn.viewer.judge import Judge, Verdict
from ik_mdn.viewer.session import Session
from sim.arrays import FloatArray

_ACROSS, _UP = 0.18, 0.1  # half widths of the path [arm's reaches]
_ASK_EVERY = 6  # stops between two verdicts of the controller


@dataclass(frozen=True, eq=False)
class Stop:
    """What is shown at one place of the target.

    Args:
        answer, details: Of the target there.
        verdict: Of the controller, there or a little before; None: it is not asked.
        solid: Row drawn solid, or None.
    """

    answer: Answer
    details: Details
    verdict: Verdict | None
    solid: int | None


def target_path(session: Session, stops: int) -> FloatArray:
    """Targets along a closed figure of eight through the first target, shape (stops, 4, 4); the rotation stays.

    Args:
        session: The arm.
        stops: How many.
    """
    T = np.repeat(session.start_target()[None], stops, axis=0)
    phase = np.linspace(0.0, 2 * np.pi, stops, endpoint=False)
    T[:, 1, 3] += _ACROSS * session.arm.reach * np.sin(phase)
    T[:, 0 if session.arm.is_planar else 2, 3] += _UP * session.arm.reach * np.sin(2 * phase)
    return T


def make_tour(session: Session, targets: FloatArray, judge: Judge | None = None) -> Iterator[Stop]:
    """What is shown at each target in turn.

    The controller is asked now and then, and wherever there is a new branch; in between its verdict stands.

    Args:
        session: The arm.
        targets: Shape (s, 4, 4).
        judge: The controller's world; None leaves its verdicts out.
    """
    judged: tuple[Answer, Verdict] | None = None
    for number, T in enumerate(targets):
        answer = session.answer(T)
        verdict = None if judged is None or number % _ASK_EVERY == 0 else judged[1].carried(judged[0], answer)
        if verdict is None and judge is not None:
            verdict = judge.decide(answer, session.q_now)
            judged = (answer, verdict)
        chosen = None if verdict is None or verdict.chosen is None else int(answer.branch[verdict.chosen])
        yield Stop(answer, session.details(answer), verdict, solid_row(answer, None, chosen))
