"""Figures of a lecture on mixture density networks, each with a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from ik_mdn.teaching.lesson import Lesson as Lesson
    from ik_mdn.teaching.lessons import LESSONS as LESSONS
    from ik_mdn.teaching.lessons import teach as teach
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
