"""Work shared out among threads."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def share(work: Callable[[], None], blocks: int) -> None:
    """Run the same work in several threads, which take blocks from one queue; return when all are done.

    Args:
        work: Releases the interpreter's lock while it runs.
        blocks: How many blocks there are; no more threads than these, or than torch uses.
    """
    helpers = min(_most_threads(), blocks) - 1
    threads = [threading.Thread(target=work) for _ in range(helpers)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()


def _most_threads() -> int:
    """As many as torch uses; where it is not loaded, as many as it would: `OMP_NUM_THREADS`, or one per processor."""
    if "torch" in sys.modules:
        return int(sys.modules["torch"].get_num_threads())
    return int(os.environ.get("OMP_NUM_THREADS", 0)) or os.cpu_count() or 1


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
