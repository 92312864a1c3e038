"""Independent tasks: here one after the other, in processes of this machine, or on the machines of a Ray cluster."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypeVar

from sim.errors import IKError

Item = TypeVar("Item")
Result = TypeVar("Result")
EngineKind = Literal["local", "processes", "ray"]

_RETRIES = 5  # times that a task whose worker or machine died is begun again
_POLL = 0.5  # [s] between looks at Ctrl-C
_ANSWER = 10.0  # [s] in which a cluster must answer


@dataclass(frozen=True)
class Engine:
    """Where tasks run.

    Args:
        kind: "local" (here, in this process), "processes" (of this machine), or "ray".
        workers: Processes; None: one per core that this process may use. Ray takes what the cluster has.
        address: Of a Ray cluster, "auto" or "host:port"; None: that of RAY_ADDRESS, else one of this machine for the time being.
        cpus: Cores that a task occupies on Ray.

    Raises:
        IKError: No such kind, no workers, or an address of what is not Ray.
    """

    kind: EngineKind = "local"
    workers: int | None = None
    address: str | None = None
    cpus: float = 1

    def __post_init__(self) -> None:
        if self.kind not in ("local", "processes", "ray"):
            raise IKError(f"unknown engine {self.kind!r}; allowed: local, processes, ray")
        if self.workers is not None and self.workers < 1:
            raise IKError(f"workers is {self.workers}; at least 1 is needed")
        if self.address is not None and self.kind != "ray":
            raise IKError(
                f"address={self.address} is one of a Ray cluster, and engine={self.kind}; allowed: engine=ray"
            )

    def completed(
        self, task: Callable[[Item], Result], items: Iterable[Item]
    ) -> Generator[tuple[Item, Result], None, None]:
        """Each item with its result, as they are done; what still runs when the generator is closed is ended.

        Close it (`contextlib.closing`) rather than leave it to be collected, so that an error or Ctrl-C ends the work at once.

        Args:
            task: A function of a module, or a `partial` of one; it and the items must pickle, but for "local". It may be
                begun more than once for the same item, if its worker dies on Ray.
            items: Few are taken at a time.

        Raises:
            IKError: A worker died (on Ray: again and again), or Ray is not installed or not reached.
            Exception: What the task raised.
        """
        if self.kind == "local":
            return ((item, task(item)) for item in items)
        return _in_processes(task, items, self.workers) if self.kind == "processes" else _on_ray(task, items, self)


LOCAL = Engine()


def available_cores() -> int:
    """Number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_processes(
    task: Callable[[Item], Result], items: Iterable[Item], workers: int | None
) -> Generator[tuple[Item, Result], None, None]:
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    count, waiting = workers or available_cores(), iter(items)
    running: dict[Future[Result], Item] = {}
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_ignore_interrupts)
    try:
        while True:
            running |= {pool.submit(task, item): item for item in islice(waiting, 2 * count - len(running))}
            if not running:
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()
    except BrokenProcessPool:
        raise IKError("a worker process died; the same command goes on with what is left to do") from None
    finally:
        left = list((pool._processes or {}).values()) if running else []
        for process in left:  # tasks do not hear Ctrl-C: nobody waits for their results
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _on_ray(
    task: Callable[[Item], Result], items: Iterable[Item], engine: Engine
) -> Generator[tuple[Item, Result], None, None]:
    ray, ours = _connect(engine.address)
    call = ray.remote(num_cpus=engine.cpus, max_retries=_RETRIES)(_call)
    most = max(2, int(2 * ray.cluster_resources().get("CPU", 1) / engine.cpus))
    shared, waiting = ray.put(task), iter(items)
    running: dict[Any, Item] = {}
    try:
        while True:
            running |= {call.remote(shared, item): item for item in islice(waiting, most - len(running))}
            if not running:
                break
            done, _ = ray.wait(list(running), timeout=_POLL)
            for reference in done:
                yield running.pop(reference), _result(ray, reference)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        if ours:
            ray.shutdown()


def _connect(address: str | None) -> tuple[Any, bool]:
    """Ray, connected, and whether it was connected here."""
    try:
        import ray
    except ImportError:
        raise IKError(
            "the engine 'ray' is not installed; it comes with the extra: pip install '.[ray]' in the clone"
        ) from None
    if ray.is_initialized():
        return ray, False
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"include_dashboard": False} if where == "local" else {}
    _call_at(where)
    try:
        ray.init(address=where, log_to_driver=False, logging_level="ERROR", **options)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        why = " ".join(str(error).split())[:300]
        token = (
            "" if where == "local" else "; a cluster with a token needs RAY_AUTH_MODE=token and ~/.ray/auth_token here"
        )
        raise IKError(f"cannot reach a Ray cluster at {where!r}: {why}{token}") from None
    return ray, True


def _call_at(address: str) -> None:
    """Refuse "host:port" where nobody answers: Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER).close()
        except (OSError, OverflowError) as error:
            raise IKError(f"cannot reach a Ray cluster at {address!r}: {error}") from None


def _call(task: Callable[[Item], Result], item: Item) -> Result:
    return task(item)


def _result(ray: Any, reference: Any) -> Any:
    """What a task gave; what it raised, as it raised it."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise IKError(f"a task was lost on the Ray cluster: {' '.join(str(error).split())[:300]}") from None
