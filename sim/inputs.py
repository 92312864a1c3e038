"""Numbers that people hand over: what has one meaning is taken, the rest refused by what it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.arrays import FloatArray
from sim.errors import ShapeError

_REFUSED = {
    "c": "complex numbers; pass their real part if that is what you mean",
    "O": "objects; pass numbers, for example x.astype(float) where they are some",
    "U": "text; pass numbers, for example x.astype(float) where it spells some",
    "S": "text; pass numbers, for example x.astype(float) where it spells some",
    "M": "dates; pass numbers",
    "m": "durations; pass numbers",
    "V": "records; pass numbers",
}


def as_numbers(value: Any, what: str) -> FloatArray:
    """A copy of numbers as float64.

    Args:
        value: Anything that numpy reads as an array of real numbers, or a torch tensor (with a gradient too, which
            ends here).
        what: What messages call it.

    Returns:
        The same shape.

    Raises:
        ShapeError: It is ragged, masked, complex, or holds text or objects.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu().resolve_conj().resolve_neg()
        value = value.numpy() if value.is_complex() else value.double().numpy()
    if hasattr(value, "filled"):  # as isinstance of np.ma.MaskedArray, which numpy would load for it
        raise ShapeError(f"{what} is a masked array; pass x.filled(...), or leave the masked rows out")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{what} is no array of numbers ({error})") from None
    if array.dtype.kind not in "fiub":
        raise ShapeError(f"{what} holds {_REFUSED.get(array.dtype.kind, f'{array.dtype}; pass numbers')}")
    return np.array(array, dtype=np.float64)
