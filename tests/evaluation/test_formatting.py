"""Numbers for people: the unit that fits, and never rounded to what they are not."""

from __future__ import annotations

import numpy as np
import pytest

from ik_mdn.evaluation.formatting import degrees, distance, millimetres, number, percent


@pytest.mark.parametrize(
    ("metres", "said"), [(1.234, "1.2 m"), (0.2345, "23 cm"), (0.00412, "4.1 mm"), (3e-9, "less than 1 µm")]
)
def test_lengths_are_said_in_fitting_units(metres: float, said: str) -> None:
    assert distance(metres) == said


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, "0 %"), (1.0, "100 %"), (1e-5, "< 0.1 %"), (0.99999, "> 99.9 %"), (0.1234, "12.3 %")]
)
def test_shares_are_never_rounded_to_all_or_nothing(share: float, said: str) -> None:
    assert percent(share) == said


def test_numbers_that_do_not_exist_are_dashes() -> None:
    assert number(None) == number(float("inf")) == millimetres(None) == degrees(None) == "–"
    assert millimetres(float("nan")) == degrees(float("nan")) == "–"
    assert (millimetres(1e-9), millimetres(0.0012345), millimetres(1.5)) == ("< 0.001", "1.23", "1,500")
    assert (degrees(np.pi), degrees(0.01)) == ("180", "0.573")
