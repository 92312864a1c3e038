"""A worker thread for dragging: it works on the newest item, and drops what came in before it while it was busy."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Newest(Generic[T]):
    """A thread that calls a function with the newest item put in; nothing queues.

    An error of the function is logged and ends that call only.

    Args:
        work: The function.
        quiet: Wait until nothing new has come in for so long [s].
        every: Begin no call sooner after the last one began [s].
    """

    def __init__(self, work: Callable[[T], None], *, quiet: float = 0.0, every: float = 0.0) -> None:
        self._work, self._quiet, self._every = work, quiet, every
        self._changed = threading.Condition()
        self._items: list[T] = []
        self._put_at, self._begun, self._closed = 0.0, 0.0, False
        self._thread = threading.Thread(
            target=self._run, daemon=True, name=f"newest {getattr(work, '__name__', 'work')}"
        )
        self._thread.start()

    @property
    def waiting(self) -> bool:
        """Whether a newer item is there already."""
        return bool(self._items)

    def put(self, item: T) -> None:
        """Replace what is waiting; returns at once."""
        with self._changed:
            self._items = [item]
            self._put_at = time.monotonic()
            self._changed.notify()

    def close(self) -> None:
        """Take nothing more, and wait for the call that is going on."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=10.0)

    def _next(self) -> list[T]:
        """The newest item once it is quiet, as a list of one; an empty list at the end."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                left = max(self._put_at + self._quiet, self._begun + self._every) - now
                if self._items and left <= 0:
                    items, self._items, self._begun = self._items, [], now
                    return items
                self._changed.wait(left if self._items else None)
        return []

    def _run(self) -> None:
        while items := self._next():
            try:
                self._work(items[0])
            except Exception:
                if not self._closed:
                    _log.exception("the viewer could not show a target")
