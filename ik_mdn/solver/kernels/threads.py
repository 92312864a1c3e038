"""What threads that share work take turns by."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def take_number(typing: Any, counter: Any) -> Any:
    """The next number of a counter that threads share, 0 first; no number is given twice.

    Args:
        typing: Numba's.
        counter: int64 array of length 1, zero at the start; counted up atomically.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(counter), generate
