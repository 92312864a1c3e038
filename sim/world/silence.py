"""Keeping a C library's chatter off the terminal, without losing what it said."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

_LOCK = threading.RLock()  # file descriptors belong to the process: one redirection at a time


class Captured:
    """What was written while output was caught; `text` is empty until the block of `silence` ends."""

    text = ""

    def last_lines(self, count: int = 3) -> str:
        """The last lines that hold anything, joined by "; "."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return "; ".join(lines[-count:])


@contextmanager
def silence() -> Iterator[Captured]:
    """Catch all that is written to file descriptors 1 and 2, by C code too, while the block runs.

    `sys.stdout` is not enough: Bullet prints through C's stdio. Its buffers are flushed before the
    descriptors are put back, and put back they are on any error. Other threads that print meanwhile are
    caught as well, so keep the block short. A closed descriptor is left alone.

    Returns:
        A holder whose `text` is filled when the block ends.
    """
    captured = Captured()
    with _LOCK, tempfile.TemporaryFile() as sink:
        _flush()
        with ExitStack() as stack:
            for descriptor in (1, 2):
                with suppress(OSError):
                    saved = os.dup(descriptor)
                    stack.callback(_put_back, saved, descriptor)
                    os.dup2(sink.fileno(), descriptor)
            try:
                yield captured
            finally:
                _flush()
        captured.text = _read(sink)


def _put_back(saved: int, descriptor: int) -> None:
    os.dup2(saved, descriptor)
    os.close(saved)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # None, closed, or not to be flushed
            stream.flush()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)


def _read(sink: IO[bytes]) -> str:
    sink.seek(0)
    return sink.read().decode("utf-8", errors="replace")
