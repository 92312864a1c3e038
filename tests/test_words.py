"""Words with a sentence are strings, found by their word, and come back from a pickle."""

from __future__ import annotations

import pickle

import pytest

from ik_mdn.control.decision import ReachStatus
from ik_mdn.paths.tracked import PathStatus
from ik_mdn.solver.probabilities import Law
from ik_mdn.solver.sliding import SlideStatus
from ik_mdn.solver.solutions import Status
from sim.words import Word


@pytest.mark.parametrize("kind", [Law, PathStatus, ReachStatus, SlideStatus, Status])
def test_every_word_is_its_text_and_has_a_sentence(kind: type[Word]) -> None:
    for word in kind:
        assert word == word.value == str(word) == f"{word}"
        assert kind(word.value) is word is pickle.loads(pickle.dumps(word))
        assert " " in word.about
