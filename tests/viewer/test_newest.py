"""Nothing queues behind slow work: the newest item wins."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import pytest

from ik_mdn.viewer.newest import Newest


def _wait_for(true: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)


def test_items_that_come_in_while_it_works_are_dropped_but_for_the_last() -> None:
    done, begun, go_on = [], threading.Event(), threading.Event()

    def work(item: int) -> None:
        done.append(item)
        begun.set()
        go_on.wait(20.0)

    worker = Newest(work)
    worker.put(0)
    assert begun.wait(20.0)
    for item in range(1, 100):
        worker.put(item)
    go_on.set()
    _wait_for(lambda: len(done) == 2)
    worker.close()
    assert done == [0, 99]


def test_it_waits_until_nothing_new_comes_in() -> None:
    done: list[tuple[int, float]] = []
    worker = Newest(lambda item: done.append((item, time.monotonic())), quiet=0.3)
    put = []
    for item in range(5):
        put.append(time.monotonic())
        worker.put(item)
        time.sleep(0.02)
    _wait_for(lambda: bool(done) and done[-1][0] == 4)
    worker.close()
    assert all(at >= put[item] + 0.3 for item, at in done)
    dropped = set(range(5)) - {item for item, _ in done}
    late = {item for item in range(4) if put[item + 1] > put[item] + 0.3}  # a busy machine: it was quiet between
    assert dropped >= set(range(4)) - late


def test_calls_keep_their_distance_and_the_last_item_is_worked_on() -> None:
    done: list[tuple[int, float]] = []
    worker = Newest(lambda item: done.append((item, time.monotonic())), every=0.2)
    begin = time.monotonic()
    for item in range(25):
        worker.put(item)
        time.sleep(0.02)
    _wait_for(lambda: bool(done) and done[-1][0] == 24)
    worker.close()
    # a call is seen some time after it began, so the distance of two says less than how many there were by then
    assert all(at >= begin + 0.2 * calls for calls, (_, at) in enumerate(done))


def test_an_error_is_logged_and_the_next_item_still_worked_on(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()

    def work(item: int) -> None:
        if item == 0:
            raise ValueError("broken target")
        done.set()

    worker = Newest(work)
    with caplog.at_level(logging.ERROR):
        worker.put(0)
        while worker.waiting:
            time.sleep(0.01)
        worker.put(1)
        assert done.wait(20.0)
    worker.close()
    assert "broken target" in caplog.text


def test_a_closed_worker_does_nothing_more() -> None:
    done: list[int] = []
    worker = Newest(done.append)
    worker.close()
    worker.put(1)
    time.sleep(0.05)
    assert done == []
