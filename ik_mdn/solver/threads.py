"""Work shared out among threads."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import lru_cache

FREE = nullcontext()  # for work that may take as many threads as there would be anyway
_MOST = 256  # threads of the pool, which are made as they are needed
_most: ContextVar[int | None] = ContextVar("most_threads", default=None)


@contextmanager
def at_most(threads: int | None) -> Iterator[None]:
    """Let work of this context be shared out among no more threads; None: no more than there would be anyway."""
    token = _most.set(threads)
    try:
        yield
    finally:
        _most.reset(token)


def share(work: Callable[[], None], blocks: int) -> None:
    """Run the same work in several threads, which take blocks from one queue; return when all are done.

    Args:
        work: Releases the interpreter's lock while it runs.
        blocks: How many blocks there are; no more threads than these, or than `at_most` allows.
    """
    helpers = min(_most_threads(), blocks) - 1
    if helpers < 1:
        work()
        return
    others = [_pool().submit(work) for _ in range(helpers)]
    try:
        work()
    finally:
        begun = [other for other in others if not other.cancel()]  # the rest would find an empty queue
        wait(begun)
    for other in begun:
        other.result()


def _most_threads() -> int:
    """What `at_most` says; else as many as torch uses; else as many as it would: `OMP_NUM_THREADS`, or one per processor."""
    most = _most.get()
    if most is not None:
        return most
    if "torch" in sys.modules:
        return int(sys.modules["torch"].get_num_threads())
    return int(os.environ.get("OMP_NUM_THREADS", 0)) or os.cpu_count() or 1


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    """The threads of this process that help, whoever asks."""
    return ThreadPoolExecutor(max_workers=_MOST, thread_name_prefix="ik-mdn")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not come along
