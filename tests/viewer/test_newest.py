"""Nothing queues behind slow work: the newest item wins."""

from __future__ import annotations

import itertools
import logging
import threading
import time

import pytest

from ik_mdn.viewer.newest import Newest


def test_items_that_come_in_while_it_works_are_dropped_but_for_the_last() -> None:
    done, begun, go_on = [], threading.Event(), threading.Event()

    def work(item: int) -> None:
        done.append(item)
        begun.set()
        go_on.wait(5.0)

    worker = Newest(work)
    worker.put(0)
    assert begun.wait(5.0)
    for item in range(1, 100):
        worker.put(item)
    go_on.set()
    deadline = time.monotonic() + 5.0
    while len(done) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    worker.close()
    assert done == [0, 99]


def test_it_waits_until_nothing_new_comes_in() -> None:
    done: list[int] = []
    worker = Newest(done.append, quiet=0.3)
    for item in range(5):
        worker.put(item)
        time.sleep(0.02)
    assert done == []
    time.sleep(1.0)
    worker.close()
    assert done == [4]


def test_calls_keep_their_distance_and_the_last_item_is_worked_on() -> None:
    done: list[tuple[int, float]] = []
    worker = Newest(lambda item: done.append((item, time.monotonic())), every=0.2)
    for item in range(25):
        worker.put(item)
        time.sleep(0.02)
    time.sleep(0.5)
    worker.close()
    assert done[-1][0] == 24
    assert all(later - sooner >= 0.2 for (_, sooner), (_, later) in itertools.pairwise(done))


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
        assert done.wait(5.0)
    worker.close()
    assert "broken target" in caplog.text


def test_a_closed_worker_does_nothing_more() -> None:
    done: list[int] = []
    worker = Newest(done.append)
    worker.close()
    worker.put(1)
    time.sleep(0.05)
    assert done == []
