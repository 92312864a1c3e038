"""What people hand over: what has one meaning is taken, the rest refused by its name and by what it is."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from sim.arrays import FloatArray
from sim.errors import ShapeError, shown

_MOST = 1e100  # of what is measured
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
        ShapeError: It is ragged, masked, complex, sparse, or holds text or objects.
    """
    if hasattr(value, "detach"):
        try:
            value = value.detach().cpu().resolve_conj().resolve_neg()
            value = value.numpy() if value.is_complex() else value.double().numpy()
        except (TypeError, RuntimeError) as error:  # sparse, quantized, or without content
            raise ShapeError(f"{what} is no plain tensor ({str(error).splitlines()[0]})") from None
    if hasattr(value, "filled"):  # as isinstance of np.ma.MaskedArray, which numpy would load for it
        raise ShapeError(f"{what} is a masked array; pass x.filled(...), or leave the masked rows out")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{what} is no array of numbers ({error})") from None
    if array.dtype.kind not in "fiub":
        raise ShapeError(f"{what} holds {_REFUSED.get(array.dtype.kind, f'{array.dtype}; pass numbers')}")
    return np.array(array, dtype=np.float64)


def check_flags(**flags: Any) -> None:
    """Refuse what is neither True nor False.

    Raises:
        ShapeError: By name.
    """
    for name, value in flags.items():
        if value is not True and value is not False and not isinstance(value, np.bool_):
            raise ShapeError(f"got {name}={shown(value)}; give True or False")


def check_counts(least: int, **counts: Any) -> None:
    """Refuse what is no whole number of at least `least`.

    Raises:
        ShapeError: By name.
    """
    for name, value in counts.items():
        if type(value) is int and value >= least:
            continue
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise ShapeError(f"got {name}={shown(value)}; give a whole number, {name} >= {least}")


def check_sizes(**sizes: Any) -> None:
    """Refuse what is no positive finite number.

    Raises:
        ShapeError: By name.
    """
    for name, value in sizes.items():
        if type(value) is float and 0.0 < value < _MOST:
            continue
        fine = isinstance(value, int | float | np.number) and not isinstance(value, bool) and 0 < value < _MOST
        if not fine:
            raise ShapeError(f"got {name}={shown(value)}; {name} must be positive, a finite number")


def check_reals(**values: Any) -> None:
    """Refuse what is not one real number (which may be NaN or infinite).

    Raises:
        ShapeError: By name.
    """
    for name, value in values.items():
        if type(value) is not float and as_numbers(value, name).ndim:
            raise ShapeError(f"{name} must be one number; got {shown(value)}")


def check_speed(speed: Any) -> None:
    """Refuse what is no share of the velocity limits.

    Raises:
        ShapeError: It is not in (0, 1].
    """
    check_reals(speed=speed)
    if not 0.0 < speed <= 1.0:
        raise ShapeError(f"speed is the share of the velocity limits to use, in (0, 1]; got {speed}")


def check_kinds(*kinds: type, **values: Any) -> None:
    """Refuse what is of none of some kinds.

    Raises:
        ShapeError: By name.
    """
    for name, value in values.items():
        if not isinstance(value, kinds):
            raise ShapeError(f"{name} must be {' or '.join(kind.__name__ for kind in kinds)}; got {shown(value)}")
