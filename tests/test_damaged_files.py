"""Files that anybody may have changed: whoever reads one says in one line what is wrong, or reads what it holds."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import MIXED

import sim
from ik_mdn.cli.targets import read_targets
from ik_mdn.model import ModelConfig, PoseModel, load_model, save_model
from ik_mdn.reach import EpisodeFolder
from ik_mdn.training.runs import RunFolder
from sim.dataset import generate, read_samples
from sim.errors import IKError

LONGEST = 10.0  # seconds that one file may take; all of them load within a tenth
SCENE = """
name: yard
obstacles:
  - {name: ball, shape: sphere, radius: 0.1, position: [0.5, 0, 0.2]}
  - {name: box, shape: box, size: [0.1, 0.2, 0.3], position: [1, 1, 0], rpy: [0, 0, 1.5]}
  - {name: arm, shape: urdf, file: arm.urdf, position: [3, 0, 0], quat_xyzw: [0, 0, 0, 1]}
"""
HUGE = [b"1e308", b"-1e308", b"NaN", b"null", b"9" * 40, b"9" * 5000, b"-1", b'"x"', b"[" * 2000, b"{}", b"true"]


@dataclass(frozen=True, repr=False)
class Kind:
    """A kind of file.

    Args:
        path: A whole one.
        read: Reads it; what comes back is compared.
        checked: Whether a change that does not make it unreadable must make no difference.
        lines: Whether all that is read must be among what was there, though some may be gone.
    """

    path: Path
    read: Callable[[], Any]
    checked: bool = False
    lines: bool = False


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    """One whole file of each kind."""
    folder = tmp_path_factory.mktemp("files")
    arm = sim.load_arm("planar2")
    (folder / "arm.urdf").write_text(MIXED)
    (folder / "scene.yaml").write_text(SCENE)
    (folder / "scene.json").write_text(json.dumps(sim.load_scene(folder / "scene.yaml").to_dict()))
    save_model(PoseModel(arm, None, ModelConfig(width=8, blocks=1, components=2)).eval(), folder / "m.safetensors")
    generate(arm, folder / "data", count=100, shard_size=50)
    with EpisodeFolder(folder / "reach", {"arm": "planar2", "seed": 0}) as episodes:
        for i in range(5):
            episodes.append({"episode": i, "status": "reached", "err_pos": [1e-3 * i, None]})
    run = RunFolder(folder / "run", {"arm": "planar2", "steps": 10})
    run.load()
    run.write_row([5, 0.1, 1.2, 0.3])
    run.save({"weight": torch.arange(12.0)}, step=5, seconds=1.5)
    run.close()
    (folder / "t.json").write_text(json.dumps([[0.5, 0.25, 0.0], [1.5, -0.25, 0.0]]))
    np.save(folder / "t.npy", np.stack([np.eye(4)] * 3))

    def model() -> Any:
        read = load_model(folder / "m.safetensors")
        return read.arm.to_dict(), {name: value.tolist() for name, value in read.state_dict().items()}

    def samples() -> Any:
        batches = read_samples(folder / "data", batch_size=64, shuffle=False)
        return [(batch.q.tolist(), batch.position.tolist(), batch.quat_xyzw.tolist()) for batch in batches]

    def episodes_read() -> Any:
        with EpisodeFolder(folder / "reach", {"arm": "planar2", "seed": 0}) as there:
            return there.records(5)

    def state() -> Any:
        opened = RunFolder(folder / "run", {"arm": "planar2", "steps": 10})
        try:
            kept = opened.load()
        finally:
            opened.close()
        return None if kept is None else (kept[0]["weight"].tolist(), *kept[1:])

    return {
        "URDF": Kind(folder / "arm.urdf", lambda: sim.load_arm(folder / "arm.urdf")),
        "scene, YAML": Kind(folder / "scene.yaml", lambda: sim.load_scene(folder / "scene.yaml")),
        "scene, JSON": Kind(folder / "scene.json", lambda: sim.load_scene(folder / "scene.json")),
        "model": Kind(folder / "m.safetensors", model, checked=True),
        "dataset.json": Kind(folder / "data" / "dataset.json", samples, checked=True),
        "shard": Kind(folder / "data" / "shards" / "shard-00001.parquet", samples, checked=True),
        "run.json of episodes": Kind(folder / "reach" / "run.json", episodes_read, checked=True),
        "episodes.jsonl": Kind(folder / "reach" / "episodes.jsonl", episodes_read, lines=True),
        "run.json of training": Kind(folder / "run" / "run.json", state, checked=True),
        "metrics.csv": Kind(folder / "run" / "metrics.csv", state, checked=True),
        "state.safetensors": Kind(folder / "run" / "state.safetensors", state, checked=True),
        "targets, JSON": Kind(folder / "t.json", lambda: read_targets(folder / "t.json")),
        "targets, npy": Kind(folder / "t.npy", lambda: read_targets(folder / "t.npy")),
    }


NAMES = [
    "URDF", "scene, YAML", "scene, JSON", "model", "dataset.json", "shard", "run.json of episodes", "episodes.jsonl",
    "run.json of training", "metrics.csv", "state.safetensors", "targets, JSON", "targets, npy",
]  # fmt: skip


def damaged(content: bytes, dice: random.Random) -> bytes:
    """The content with bits flipped, pieces dropped, repeated or overwritten, or numbers replaced by absurd ones."""
    data = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        at, length = dice.randrange(len(data) + 1), dice.choice((1, 4, 30, 300))
        match dice.choice(("flip", "cut", "drop", "repeat", "noise", "number")):
            case "flip" if at < len(data):
                data[at] ^= 1 << dice.randrange(8)
            case "cut":
                del data[at:]
            case "drop":
                del data[at : at + length]
            case "repeat":
                data[at:at] = data[at : at + length] * dice.choice((1, 2, 20))
            case "noise":
                data[at : at + length] = dice.randbytes(dice.choice((1, length)))
            case "number":
                digits = [i for i, byte in enumerate(data) if chr(byte).isdigit()]
                start = end = dice.choice(digits) if digits else at
                while end < len(data) and (chr(data[end]).isdigit() or data[end] in b".e-"):
                    end += 1
                data[start:end] = dice.choice(HUGE)
            case _:
                pass
    return bytes(data)


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise `TimeoutError` in the block when it takes longer."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"it takes longer than {seconds} s")

    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", NAMES)
@settings(derandomize=True, max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_a_damaged_file_is_refused_in_one_line_or_read(kinds: dict[str, Kind], name: str, seed: int) -> None:
    kind = kinds[name]
    whole = kind.path.read_bytes()
    before = kind.read() if kind.checked or kind.lines else None
    neighbours = {path: path.read_bytes() for path in kind.path.parent.iterdir() if path.is_file()}
    kind.path.write_bytes(damaged(whole, random.Random(seed)))
    try:
        with bounded(LONGEST):
            read = kind.read()
    except IKError as error:
        message = str(error)
        assert message.strip()
        assert "\n" not in message, message
        assert len(message) < 2000, message
    else:
        assert not kind.checked or read == before, "other content, without a word"
        assert not kind.lines or all(each in before for each in read), "other content, without a word"
    finally:
        for path, content in neighbours.items():
            path.write_bytes(content)


def test_the_names_are_those_of_the_kinds(kinds: dict[str, Kind]) -> None:
    assert list(kinds) == NAMES
