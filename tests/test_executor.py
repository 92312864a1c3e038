"""Tasks on every engine: the same results, what a task raises, a worker that is killed."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import sim
from sim.dataset import generate
from sim.errors import DatasetError, IKError
from sim.executor import Engine

pytestmark = pytest.mark.slow
KINDS = ("local", "processes", "ray")


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return Engine(request.param, workers=2)


def square(x: int) -> int:
    return x * x


def refuse(x: int) -> int:
    if x == 3:
        raise DatasetError("three is too many", count=x)
    return x


def die_once(folder: str, x: int) -> int:
    """Kills its own process at the first try of item 2."""
    if x == 2 and not Path(folder, "died").exists():
        Path(folder, "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_every_item_comes_back_once_with_its_result(engine: Engine) -> None:
    assert dict(engine.completed(square, range(20))) == {x: x * x for x in range(20)}
    assert list(engine.completed(square, [])) == []


def test_what_a_task_raises_arrives_as_it_was(engine: Engine) -> None:
    with pytest.raises(DatasetError, match="three is too many") as caught:
        list(engine.completed(refuse, range(6)))
    assert caught.value.count == 3  # type: ignore[attr-defined]


def test_a_killed_worker_is_replaced_on_ray_and_told_of_in_processes(tmp_path: Path, cluster: Any) -> None:
    assert sorted(x for x, _ in Engine("ray").completed(partial(die_once, str(tmp_path)), range(8))) == list(range(8))
    assert (tmp_path / "died").unlink() is None
    with pytest.raises(IKError, match="a worker process died; the same command goes on"):
        list(Engine("processes", workers=2).completed(partial(die_once, str(tmp_path)), range(8)))


@pytest.mark.parametrize("kind", ["processes", "ray"])
def test_who_stops_does_not_wait_for_what_is_running(kind: Any, cluster: Any) -> None:
    begin = time.monotonic()
    with closing(Engine(kind, workers=2).completed(sleep, [0.01, 300.0, 300.0, 300.0])) as done:
        assert next(done) == (0.01, 0.01)
    assert time.monotonic() - begin < 120


def test_shards_have_the_same_bytes_whoever_writes_them_and_whoever_is_killed(tmp_path: Path, cluster: Any) -> None:
    psutil = pytest.importorskip("psutil")
    arm, wanted = sim.load_arm("planar2"), {"count": 2_000_000, "shard_size": 100_000, "seed": 5}
    killed: list[int] = []

    def kill_one(done: int, total: int) -> None:
        for process in psutil.Process().children(recursive=True) if not killed else []:
            if process.name().startswith("ray::_call"):
                process.kill()
                killed.append(process.pid)
                return

    report = generate(arm, tmp_path / "ray", **wanted, engine=Engine("ray"), on_progress=kill_one)  # type: ignore[arg-type]
    assert killed
    assert (report.n_made, report.n_kept) == (2_000_000, 0)
    generate(arm, tmp_path / "processes", **wanted, engine=Engine("processes", 2))  # type: ignore[arg-type]
    generate(arm, tmp_path / "here", **wanted)  # type: ignore[arg-type]
    names = [path.relative_to(tmp_path / "here") for path in (tmp_path / "here").rglob("*") if path.is_file()]
    for other in ("ray", "processes"):
        assert {path.relative_to(tmp_path / other) for path in (tmp_path / other).rglob("*") if path.is_file()} == set(
            names
        )
        assert all((tmp_path / other / name).read_bytes() == (tmp_path / "here" / name).read_bytes() for name in names)


def test_errors_of_a_shard_are_told_as_ever(tmp_path: Path, cluster: Any) -> None:
    arm, wanted = sim.load_arm("planar2"), {"count": 3000, "shard_size": 1000}
    generate(arm, tmp_path / "data", **wanted, seed=0, shards=[0], engine=Engine("ray"))  # type: ignore[arg-type]
    (tmp_path / "data" / "shards" / "shard-00001.parquet").mkdir()
    with pytest.raises(DatasetError, match=r"cannot write the dataset to .*go(es)? on from there"):
        generate(arm, tmp_path / "data", **wanted, seed=0, engine=Engine("ray"))  # type: ignore[arg-type]


def test_a_cluster_that_is_not_reached_is_told_of_with_its_address_and_the_token(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "is_initialized", lambda: False)
    for error in (ConnectionError("no answer"), cluster.exceptions.RayError("no answer")):
        monkeypatch.setattr(cluster, "init", mock.Mock(side_effect=error))
        with pytest.raises(IKError, match=r"'auto': no answer.*; a cluster with a token needs RAY_AUTH_MODE=token and"):
            list(Engine("ray", address="auto").completed(square, range(2)))


def test_nobody_waits_for_minutes_where_nobody_answers(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster, "init", mock.Mock(side_effect=AssertionError("Ray was asked")))
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(IKError, match=f"cannot reach a Ray cluster at '{address}': .*refused$"):
            list(Engine("ray", address=address).completed(square, range(2)))


def test_an_engine_that_is_none_is_refused() -> None:
    with pytest.raises(IKError, match="unknown engine 'spark'; allowed: local, processes, ray"):
        Engine("spark")  # type: ignore[arg-type]
    with pytest.raises(IKError, match="at least 1"):
        Engine("processes", workers=0)
    with pytest.raises(
        IKError, match="address=head:6379 is one of a Ray cluster, and engine=local; allowed: engine=ray"
    ):
        Engine(address="head:6379")
