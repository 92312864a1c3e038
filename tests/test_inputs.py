"""Numbers at the door: all kinds with one meaning come in, the others are told what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sim.errors import ShapeError
from sim.inputs import as_numbers

READ_ONLY = np.arange(3.0)
READ_ONLY.setflags(write=False)


@pytest.mark.parametrize(
    "value",
    [
        [0, 1, 2],
        (0.0, 1.0, 2.0),
        range(3),
        np.arange(3, dtype=np.float16),
        np.arange(3, dtype=np.uint8),
        np.arange(3, dtype=np.longdouble),
        np.arange(3, dtype=">f8"),
        READ_ONLY,
        np.arange(2.0, -1.0, -1.0)[::-1],
        np.broadcast_to(np.arange(3), (1, 3))[0],
        torch.arange(3.0),
        torch.arange(3, dtype=torch.float16),
        torch.arange(3.0, requires_grad=True),
        torch.arange(3, dtype=torch.bfloat16),
    ],
    ids=lambda value: f"{type(value).__name__} {getattr(value, 'dtype', '')}",
)
def test_real_numbers_of_every_kind_are_taken_as_a_copy(value: Any) -> None:
    numbers = as_numbers(value, "x")
    np.testing.assert_array_equal(numbers, [0.0, 1.0, 2.0])
    assert numbers.dtype == np.float64
    numbers += 1
    np.testing.assert_array_equal(as_numbers(value, "x"), [0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1j], "x holds complex numbers"),
        (torch.tensor([1j]), "x holds complex numbers"),
        ([None, 1], "x holds objects"),
        (np.array([1.0], dtype=object), "x holds objects"),
        ({"joint1": 1}, "x holds objects"),
        (["1.0"], "x holds text"),
        (np.array([b"1"]), "x holds text"),
        ("abc", "x holds text"),
        ([[1], [1, 2]], "x is no array of numbers"),
        (np.ma.masked_array([1.0], mask=[True]), "x is a masked array"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "x holds dates"),
    ],
)
def test_what_is_no_real_number_is_refused_by_what_it_is(value: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        as_numbers(value, "x")
