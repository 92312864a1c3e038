"""What arrays are called in signatures, and what serves numpy and torch alike without importing torch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import TypeIs

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Array = TypeVar("Array", FloatArray, "Tensor")  # numpy in, numpy out; torch in, torch out


def is_tensor(value: object) -> TypeIs[Tensor]:
    """Whether a value is a torch tensor; torch is not imported for the answer."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def library_of(array: Any) -> Any:
    """The module whose functions take an array: torch for a tensor, otherwise numpy."""
    return sys.modules["torch"] if is_tensor(array) else np


def constants(values: Any, like: Array) -> Array:
    """Numbers as an array of the kind, dtype and device of another one."""
    return like.new_tensor(values) if is_tensor(like) else np.asarray(values, like.dtype)
