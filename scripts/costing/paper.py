"""A lot of work on many machines, added up from unit costs, with the load that it puts on what machines share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SHARD = 250_000  # poses of one


@dataclass(frozen=True)
class Assumed:
    """What is not measured here.

    Args:
        cores: Of a machine.
        network: Of a machine, to the object store [bytes/s].
        store: What one bucket takes in all [bytes/s].
        latency: Of one request to it [s].
        requests: What a client asks side by side.
        tasks: That one Ray driver hands out [1/s].
        minutes: Of training for a model, on one core.
    """

    cores: int = 32
    network: float = 1.25e9
    store: float = 1.25e10
    latency: float = 0.03
    requests: int = 32
    tasks: float = 1000.0
    minutes: float = 10.0


def add_up(unit: Mapping[str, float], *, poses: int, arms: int, machines: int, given: Assumed) -> dict[str, Any]:
    """Hours, bytes and loads of `poses` samples of one arm, their solutions, and models of `arms` arms.

    Args:
        unit: "poses_per_s" of a core, "bytes_per_pose", "solve_us" of a core and pose, "samples_per_s" of training on a core.
        poses, arms, machines: How much, on how many.
        given: What is assumed.

    Returns:
        Seconds of each job by name, and of each thing that machines share the share of that time in which it is busy: where
        it passes 1, the job takes that much longer, and the largest breaks first.
    """
    cores, shards = machines * given.cores, -(-poses // SHARD)
    generate = poses / (unit["poses_per_s"] * cores)
    volume = poses * unit["bytes_per_pose"]
    busy = {
        "network of a machine": volume / machines / given.network / generate,
        "object store": volume / given.store / generate,
        "hand-out of tasks": shards / given.tasks / generate,
        "check of all shards by one client": 2 * shards * given.latency / given.requests / generate,
        "shards for every core": cores / shards,
    }
    return {
        "poses": poses,
        "arms": arms,
        "machines": machines,
        "assumed": asdict(given),
        "shards": shards,
        "bytes": volume,
        "generate_s": generate,
        "solve_s": poses * unit["solve_us"] * 1e-6 / cores,
        "train_s": -(-arms // cores) * given.minutes * 60,
        "read_once_s": volume / min(given.store, machines * given.network),
        "feed_training_bytes_per_s": cores * unit["samples_per_s"] * unit["bytes_per_pose"],
        "busy": busy,
        "breaks_first": max(busy, key=lambda name: busy[name]),
    }
