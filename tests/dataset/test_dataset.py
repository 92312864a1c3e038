"""Datasets: right numbers, the same for the same seed, whole files only, readable by others."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import roma
import torch

import sim
from ik_mdn.cli import main
from ik_mdn.cli.generate import _summary, read_number
from sim.dataset import generation, sampling, shards
from sim.dataset.generation import GenerateReport, generate
from sim.dataset.manifest import DatasetInfo, read_info
from sim.dataset.reading import read_batches, read_samples
from sim.dataset.sampling import BLOCK_ROWS, make_shard, sample_joints
from sim.dataset.shards import ROW_GROUP_ROWS, shard_path
from sim.errors import DatasetError
from sim.executor import LOCAL, Engine
from sim.rotations import quat_xyzw_of
from sim.world.world import World

SLIDER = """<robot name="slider">
  <link name="base"/><link name="a"/><link name="b"/><link name="tool"/>
  <joint name="turn" type="continuous"><parent link="base"/><child link="a"/><axis xyz="0 0 1"/></joint>
  <joint name="slide" type="prismatic"><parent link="a"/><child link="b"/><axis xyz="1 0 0"/>
    <limit lower="0.1" upper="0.7" effort="1" velocity="1"/></joint>
  <joint name="wrist" type="revolute"><parent link="b"/><child link="tool"/><axis xyz="0 1 0"/>
    <origin xyz="0.2 0 0.1"/><limit lower="-0.3" upper="3.14159265359" effort="1" velocity="1"/></joint>
</robot>"""


@pytest.fixture(scope="module")
def xarm6() -> sim.Arm:
    return sim.load_arm("xarm6")


@pytest.fixture(scope="module")
def planar2() -> sim.Arm:
    return sim.load_arm("planar2")


@pytest.fixture
def slider(tmp_path: Path) -> sim.Arm:
    path = tmp_path / "slider.urdf"
    path.write_text(SLIDER)
    return sim.load_arm(path)


class Corner:
    """Stands in for a generator that always draws the same number of [0, 1)."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.full(shape, self.value)


def shard_bytes(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "shards").glob("*.parquet"))]


def dead_pid() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def listen_to_ctrl_c() -> None:
    """For a new process: what is started in the background of a shell ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob(".*"))


# --- numbers -------------------------------------------------------------------------------------------------


def test_samples_fill_the_limits_uniformly(slider: sim.Arm) -> None:
    q = sample_joints(slider, np.random.default_rng(0), 100_000).astype(np.float64)
    assert (q >= slider.sample_min).all()
    assert (q <= slider.sample_max).all()
    assert (q[:, 0] < np.pi).all()  # continuous: [-π, π)
    unit = (q - slider.sample_min) / (slider.sample_max - slider.sample_min)
    counts = np.stack([np.histogram(column, bins=20, range=(0, 1))[0] for column in unit.T])
    # 5,000 expected per bin, standard deviation 69: six of them over 60 bins
    assert np.abs(counts - 5000).max() < 6 * 69
    assert np.abs(np.corrcoef(unit.T) - np.eye(3)).max() < 6 / np.sqrt(100_000)


@pytest.mark.parametrize("value", [0.0, 1.0 - 2.0**-53])
def test_rounding_to_float32_never_leaves_the_limits(value: float, slider: sim.Arm, xarm6: sim.Arm) -> None:
    for arm in (slider, xarm6, sim.load_arm("panda"), sim.load_arm("iiwa")):
        q = sample_joints(arm, Corner(value), 1).astype(np.float64)  # type: ignore[arg-type]
        assert (q >= arm.sample_min).all()
        assert (q <= arm.sample_max).all()
        np.testing.assert_allclose(q[0], arm.sample_max if value else arm.sample_min, rtol=2.0**-22, atol=1e-7)


def test_quaternions_agree_with_roma_also_at_half_turns() -> None:
    generator = torch.Generator().manual_seed(0)
    axes = torch.nn.functional.normalize(torch.randn(500, 3, dtype=torch.float64, generator=generator), dim=-1)
    angles = torch.cat(
        [torch.rand(300, dtype=torch.float64, generator=generator) * 2 * np.pi, torch.full((200,), np.pi)]
    )
    corners = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [-1, 0, 0]], dtype=torch.float64) * np.pi
    near = axes[:50] * (np.pi - 1e-9)
    R = roma.rotvec_to_rotmat(torch.cat([axes * angles[:, None], corners, near]))
    quat_xyzw = quat_xyzw_of(R.numpy())
    assert (quat_xyzw[:, 3] >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(quat_xyzw, axis=1), 1.0, atol=1e-15)
    np.testing.assert_allclose(roma.unitquat_to_rotmat(torch.tensor(quat_xyzw)).numpy(), R.numpy(), atol=1e-14)


@pytest.mark.parametrize("name", ["planar2", "xarm6", "panda"])
def test_stored_poses_are_those_of_the_stored_joint_vectors(name: str, tmp_path: Path) -> None:
    arm = sim.load_arm(name)
    generate(arm, tmp_path / "data", count=3000, shard_size=2000, workers=1)
    rows = next(read_samples(tmp_path / "data", batch_size=3000, arm=arm))
    T = sim.forward_kinematics(arm, rows.q.astype(np.float64))
    # float32 rounds a length below 4 m by at most 1.2e-7, a unit number by 3e-8; a matrix entry sums up to 8 of these
    np.testing.assert_allclose(rows.position, T[:, :3, 3], atol=1.2e-7, rtol=0)
    np.testing.assert_allclose(rows.T_base_tip[:, :3, :3], T[:, :3, :3], atol=2.4e-7, rtol=0)
    np.testing.assert_allclose(np.linalg.norm(rows.quat_xyzw, axis=1), 1.0, atol=1.2e-7)
    assert (rows.quat_xyzw[:, 3] >= 0).all()


# --- the same for the same seed ------------------------------------------------------------------------------


def test_a_shard_alone_equals_the_shard_in_the_run(xarm6: sim.Arm, tmp_path: Path) -> None:
    generate(xarm6, tmp_path / "all", count=5500, shard_size=1000, seed=7, workers=1)
    generate(xarm6, tmp_path / "one", count=5500, shard_size=1000, seed=7, workers=1, shards=[3])
    assert shard_path(tmp_path / "one", 3).read_bytes() == shard_path(tmp_path / "all", 3).read_bytes()
    assert len(shard_bytes(tmp_path / "one")) == 1
    rows = make_shard(xarm6, seed=7, index=5, rows=500)
    table = pq.read_table(shard_path(tmp_path / "all", 5))
    np.testing.assert_array_equal(np.stack(table["q"].to_pandas()), rows.q)
    np.testing.assert_array_equal(np.stack(table["quat_xyzw"].to_pandas()), rows.quat_xyzw)


def test_several_threads_write_the_same_bytes_as_one(xarm6: sim.Arm, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    arguments = {"count": 7000, "shard_size": 2000, "seed": 1}
    one = generate(xarm6, tmp_path / "one", workers=1, **arguments)  # type: ignore[arg-type]
    two = generate(xarm6, tmp_path / "two", workers=2, on_progress=lambda *n: seen.append(n), **arguments)  # type: ignore[arg-type]
    assert shard_bytes(tmp_path / "one") == shard_bytes(tmp_path / "two")
    assert (tmp_path / "one" / "dataset.json").read_bytes() == (tmp_path / "two" / "dataset.json").read_bytes()
    assert (one.n_made, two.n_made, two.n_kept, seen[-1]) == (7000, 7000, 0, (7000, 7000))
    assert one.n_bytes == sum(map(len, shard_bytes(tmp_path / "one")))


def test_shards_and_seeds_differ_and_fewer_rows_are_the_beginning_of_more(planar2: sim.Arm) -> None:
    rows = make_shard(planar2, seed=0, index=0, rows=BLOCK_ROWS + 500)
    assert len(rows) == BLOCK_ROWS + 500
    np.testing.assert_array_equal(make_shard(planar2, seed=0, index=0, rows=100).q, rows.q[:100])
    for seed, index in ((0, 1), (1, 0), (1, 1)):
        other = make_shard(planar2, seed=seed, index=index, rows=1000).q
        assert not np.isin(other, rows.q).all(axis=1).any()


# --- stopped and resumed -------------------------------------------------------------------------------------


def test_resuming_makes_missing_truncated_and_half_written_shards_and_no_others(
    planar2: sim.Arm, tmp_path: Path
) -> None:
    generate(planar2, tmp_path, count=9500, shard_size=1000, workers=1)
    whole = shard_bytes(tmp_path)
    kept = shard_path(tmp_path, 4).stat()
    shard_path(tmp_path, 0).unlink()
    os.truncate(shard_path(tmp_path, 2), len(whole[2]) - 1)
    os.truncate(shard_path(tmp_path, 3), 0)
    killed = tmp_path / "shards" / f".shard-00009.{dead_pid()}.1.tmp.parquet"
    shard_path(tmp_path, 9).rename(killed)
    os.truncate(killed, 3000)
    report = generate(planar2, tmp_path, count=9500, shard_size=1000, workers=1)
    assert shard_bytes(tmp_path) == whole
    assert (report.n_made, report.n_kept) == (3500, 6000)
    assert shard_path(tmp_path, 4).stat() == kept
    assert not leftovers(tmp_path)


def test_a_complete_dataset_is_left_alone(planar2: sim.Arm, tmp_path: Path) -> None:
    generate(planar2, tmp_path, count=100, workers=1)
    report = generate(planar2, tmp_path, count=100)
    assert (report.n_made, report.n_kept, report.rate) == (0, 100, 0.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 1}, "seed is 0 there, 1 here"),
        ({"count": 301}, "count is 300 there, 301 here"),
        ({"shard_size": 99}, "shard_size is 100 there, 99 here"),
        ({"self_collision_free": True}, "self_collision_free is False there, True here"),
    ],
)
def test_a_folder_with_another_dataset_is_refused_and_unchanged(
    changed: dict[str, int], message: str, planar2: sim.Arm, tmp_path: Path
) -> None:
    arguments = {"count": 300, "shard_size": 100, "seed": 0, "workers": 1}
    generate(planar2, tmp_path, **arguments)  # type: ignore[arg-type]
    before = shard_bytes(tmp_path), (tmp_path / "dataset.json").read_bytes()
    with pytest.raises(DatasetError, match=message):
        generate(planar2, tmp_path, **{**arguments, **changed})  # type: ignore[arg-type]
    assert (shard_bytes(tmp_path), (tmp_path / "dataset.json").read_bytes()) == before


def test_a_folder_of_another_arm_is_refused(planar2: sim.Arm, tmp_path: Path) -> None:
    generate(planar2, tmp_path, count=10, workers=1)
    other = sim.load_arm("planar:1,0.5")
    with pytest.raises(DatasetError, match=f"fingerprint is '{planar2.fingerprint}' there, '{other.fingerprint}' here"):
        generate(other, tmp_path, count=10, workers=1)


def test_a_whole_shard_of_another_dataset_is_neither_taken_nor_overwritten(planar2: sim.Arm, tmp_path: Path) -> None:
    generate(planar2, tmp_path / "a", count=200, shard_size=100, workers=1)
    generate(planar2, tmp_path / "b", count=200, shard_size=100, seed=5, workers=1)
    foreign = shard_path(tmp_path / "b", 1).read_bytes()
    shard_path(tmp_path / "a", 1).write_bytes(foreign)
    with pytest.raises(DatasetError, match="belongs to another dataset: seed is 5 there, 0 here"):
        generate(planar2, tmp_path / "a", count=200, shard_size=100, workers=1)
    assert shard_path(tmp_path / "a", 1).read_bytes() == foreign
    shard_path(tmp_path / "a", 1).write_bytes(shard_path(tmp_path / "a", 0).read_bytes())
    with pytest.raises(DatasetError, match="it is shard 0 with 100 rows"):
        generate(planar2, tmp_path / "a", count=200, shard_size=100, workers=1)
    pd.DataFrame({"x": [1.0]}).to_parquet(shard_path(tmp_path / "a", 1))
    with pytest.raises(DatasetError, match="not of this format"):
        generate(planar2, tmp_path / "a", count=200, shard_size=100, workers=1)


@pytest.mark.slow
def test_ctrl_c_keeps_finished_shards_and_the_same_command_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    code = "import sys; from ik_mdn.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "generate", "planar2", "--out", str(folder), "--count", "1G"]
    command += ["--shard-size", "20k", "--workers", "2"]
    process = subprocess.Popen(
        command, start_new_session=True, stderr=subprocess.PIPE, text=True, preexec_fn=listen_to_ctrl_c
    )
    try:
        deadline = time.monotonic() + 180
        while len(list(folder.glob("shards/shard-*.parquet"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline, "no shard was written"
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
        _, errors = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert not leftovers(folder)
    info = read_info(folder)
    finished = sorted(folder.glob("shards/shard-*.parquet"))
    assert len(finished) >= 2
    arm = sim.load_arm("planar2")
    for path in finished[:2]:
        assert shards.check_shard(folder, info, int(path.stem.removeprefix("shard-")))
    report = generate(arm, folder, count=10**9, shard_size=20_000, shards=[0, 1, 2, 3], workers=1)
    assert report.n_made + report.n_kept == 80_000


# --- nothing to write to -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_reported_and_finished_shards_stay(
    workers: int,
    planar2: sim.Arm,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generate(planar2, tmp_path, count=400, shard_size=100, shards=[0], workers=1)
    monkeypatch.setattr("sim.files.get_ident", lambda: 1)
    (tmp_path / "shards" / f".shard-00001.{os.getpid()}.1.tmp.parquet").symlink_to("/dev/full")
    with pytest.raises(
        DatasetError, match=r"No space left on device; [123] of 4 shards are finished and kept; make room"
    ):
        generate(planar2, tmp_path, count=400, shard_size=100, workers=workers)
    assert not leftovers(tmp_path)
    assert shard_path(tmp_path, 0).exists()
    assert not shard_path(tmp_path, 1).exists()
    assert "Traceback" not in capfd.readouterr().err
    assert generate(planar2, tmp_path, count=400, shard_size=100, workers=1).n_kept >= 100


def test_a_disk_that_fills_up_in_the_middle_leaves_no_half_file(
    planar2: sim.Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = iter(range(100))

    def fsync(number: int) -> None:
        if next(calls) == 3:  # the description, two shards
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    command = ["generate", "planar2", "--out", str(tmp_path), "--count", "400", "--shard-size", "100", "--workers", "1"]
    assert main(command) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "No space left on device; 2 of 4 shards are finished and kept" in message
    assert not leftovers(tmp_path)
    assert main(command) == 0
    assert len(list(read_batches(tmp_path, batch_size=100))) == 4


@pytest.mark.parametrize(
    ("folder", "message"),
    [("file", "is a file; give a folder"), ("file/below", "Not a directory"), ("taken", "holds other files and no")],
)
def test_a_folder_that_cannot_be_used_ends_with_a_message_and_exit_code_2(
    folder: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("mine")
    assert main(["generate", "planar2", "--out", str(tmp_path / folder), "--count", "10"]) == 2
    assert message in capsys.readouterr().err
    assert [p.name for p in sorted(tmp_path.rglob("*"))] == ["file", "taken", "thesis.tex"]


def test_a_folder_without_permission_is_reported(
    planar2: sim.Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:  # root may write anywhere, so a mode would not do
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DatasetError, match=r"cannot write the dataset to .*: Permission denied; make room or allow"):
        generate(planar2, tmp_path / "new", count=10, workers=1)


def test_two_processes_do_not_write_one_shard(planar2: sim.Arm, tmp_path: Path) -> None:
    generate(planar2, tmp_path, count=300, shard_size=100, shards=[0], workers=1)
    lock = tmp_path / "shards" / ".shard-00001.parquet.lock"
    code = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    other.stdout.readline()
    for engine in (LOCAL, Engine("processes", 1)):
        shard_path(tmp_path, 2).unlink(missing_ok=True)
        with pytest.raises(DatasetError, match=r"another process is writing .*shard-00001.*; all .* nobody else"):
            generate(planar2, tmp_path, count=300, shard_size=100, workers=1, engine=engine)
        assert not shard_path(tmp_path, 1).exists()
        assert shard_path(tmp_path, 2).exists()  # the other one's work is left to it, the rest is done
    other.kill()
    other.wait()
    assert generate(planar2, tmp_path, count=300, shard_size=100, workers=1).n_made == 100


@pytest.mark.parametrize("kind", ["local", "processes"])
def test_a_shard_that_another_process_has_finished_meanwhile_is_not_written_again(
    planar2: sim.Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    generate(planar2, tmp_path, count=400, shard_size=100, shards=[1], workers=1)
    before = shard_path(tmp_path, 1).stat().st_mtime_ns
    monkeypatch.setattr(generation, "check_shards", lambda folder, info, wanted: [False] * len(wanted))  # as it began
    assert generate(planar2, tmp_path, count=400, shard_size=100, workers=1, engine=Engine(kind, 1)).n_made == 400
    assert shard_path(tmp_path, 1).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count is 0; a whole number from 1"),
        ({"count": 1.5}, "count is 1.5; a whole number"),
        ({"count": 10, "shard_size": 0}, "shard_size is 0"),
        ({"count": 10, "seed": -1}, "seed is -1"),
        ({"count": 10, "workers": 0}, "workers is 0"),
        ({"count": 10, "workers": 300}, "workers is 300; allowed are 1 to 128"),
        ({"count": 10**12, "shard_size": 10}, "make 100000000000 shards; allowed are 1000000: take a larger"),
        ({"count": 10, "shards": [1]}, "shards 1 to 1 do not exist: .* make shards 0 to 0"),
        ({"count": 10, "shards": range(10**12)}, "shards 0 to 999999999999 do not exist"),
        ({"count": 10, "shards": []}, r"shards \[\] do not exist"),
        ({"count": 10, "shard_size": 5, "shards": [0, 7, 1]}, "shards 0 to 7 do not exist: .* make shards 0 to 1"),
        ({"count": True}, "count is True; a whole number"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_written(
    arguments: dict[str, int], message: str, planar2: sim.Arm, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=message):
        generate(planar2, tmp_path / "new", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()


def test_a_shard_that_is_named_twice_is_one_and_numbers_may_be_numpys(planar2: sim.Arm, tmp_path: Path) -> None:
    count, size, last = np.array([100, 50, 1])
    report = generate(planar2, tmp_path, count=count, shard_size=size, shards=[last, 0, 1, 0], workers=1)
    assert (report.n_made, report.n_kept) == (100, 0)
    assert report.n_bytes == sum(path.stat().st_size for path in tmp_path.glob("shards/*.parquet"))
    assert read_info(tmp_path) == report.info


# --- self-collision ------------------------------------------------------------------------------------------


def test_the_filter_removes_exactly_the_samples_in_which_the_arm_touches_itself(xarm6: sim.Arm, tmp_path: Path) -> None:
    generate(xarm6, tmp_path, count=600, self_collision_free=True, workers=1)
    rows = next(read_samples(tmp_path, batch_size=600, shuffle=False))
    every = make_shard(xarm6, seed=0, index=0, rows=1000)
    with World() as world:
        body = world.add_arm(xarm6)
        hits = [bool(body.self_collides(q)) for q in every.q.astype(np.float64)]
    assert 0.01 < np.mean(hits) < 0.5
    np.testing.assert_array_equal(rows.q, every.q[~np.array(hits)][:600])
    np.testing.assert_array_equal(rows.position, every.position[~np.array(hits)][:600])
    assert read_info(tmp_path).self_collision_free


def test_an_arm_that_always_touches_itself_is_reported(
    planar2: sim.Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.world.body.ArmBody.self_collides", lambda body, q: np.ones(len(q), bool))
    with pytest.raises(DatasetError, match="'planar2' touches itself in all of 50000 joint vectors"):
        make_shard(planar2, seed=0, index=0, rows=5, self_collision_free=True)


# --- read by us and by others --------------------------------------------------------------------------------


def test_pandas_and_pyarrow_read_the_shards_without_our_code(slider: sim.Arm, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    generate(slider, folder, count=250, shard_size=100, workers=1)
    frame = pd.read_parquet(folder / "shards")
    assert list(frame.columns) == ["q", "position", "quat_xyzw"]
    assert len(frame) == 250
    assert np.stack(frame["q"]).shape == (250, 3)
    table = pq.read_table(folder / "shards" / "shard-00002.parquet")
    assert table.num_rows == 50
    about = json.loads((folder / "dataset.json").read_text())
    inside = json.loads(table.schema.metadata[b"ik_mdn"])
    assert inside == {**about, "shard": 2}
    assert about["fingerprint"] == slider.fingerprint
    assert about["joint_units"] == ["rad", "m", "rad"]
    assert about["limits"][0] == [None, None]
    assert (about["base"], about["tip"], about["seed"], about["count"]) == ("base", "tool", 0, 250)
    assert "x y z w" in about["columns"]["quat_xyzw"]


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_stream_visits_every_row_once(shuffle: bool, planar2: sim.Arm, tmp_path: Path) -> None:
    count = ROW_GROUP_ROWS + 10_050  # two shards, the first with two row groups
    generate(planar2, tmp_path, count=count, shard_size=ROW_GROUP_ROWS + 50, workers=1)
    batches = list(read_samples(tmp_path, batch_size=1000, arm=planar2, shuffle=shuffle))
    assert [len(b) for b in batches] == [1000] * (count // 1000) + [count % 1000]
    q = np.concatenate([b.q for b in batches])
    stored = np.concatenate(
        [make_shard(planar2, seed=0, index=i, rows=n).q for i, n in enumerate((ROW_GROUP_ROWS + 50, 10_000))]
    )
    assert np.array_equal(q, stored) is not shuffle
    np.testing.assert_array_equal(q[np.lexsort(q.T)], stored[np.lexsort(stored.T)])


def test_a_repeating_stream_gives_full_batches_in_an_order_fixed_by_the_seed(planar2: sim.Arm, tmp_path: Path) -> None:
    generate(planar2, tmp_path, count=1000, shard_size=300, workers=1)

    def take(seed: int) -> np.ndarray:
        stream = read_batches(tmp_path, batch_size=640, seed=seed, repeat=True)
        return np.stack([next(stream) for _ in range(8)])

    first = take(3)
    assert first.shape == (8, 640, 2)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, take(3))
    assert not np.array_equal(first, take(4))


def test_another_arms_dataset_is_refused_for_reading(planar2: sim.Arm, xarm6: sim.Arm, tmp_path: Path) -> None:
    generate(planar2, tmp_path, count=10, workers=1)
    with pytest.raises(DatasetError, match=f"another arm: .*{planar2.fingerprint}.* 'xarm6': .*{xarm6.fingerprint}"):
        read_batches(tmp_path, batch_size=5, arm=xarm6)


def test_unfinished_and_damaged_datasets_are_refused_for_reading(planar2: sim.Arm, tmp_path: Path) -> None:
    generate(planar2, tmp_path, count=2000, shard_size=1000, workers=1)
    with pytest.raises(DatasetError, match="batch_size is 0"):
        read_batches(tmp_path, batch_size=0)
    path = shard_path(tmp_path, 1)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[1000] ^= 0x10  # one bit in the middle of a column
    path.write_bytes(damaged)
    with pytest.raises(DatasetError, match=r"cannot read .*shard-00001.*; delete this file and generate again"):
        list(read_batches(tmp_path, batch_size=500))
    path.unlink()
    with pytest.raises(DatasetError, match=r"unfinished: 1 of 2 shards are missing \(first: 1\)"):
        read_batches(tmp_path, batch_size=500)


def rewrite_shard(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Put other columns into shard 1, under the description that belongs there."""
    path = shard_path(folder, 1)
    table = pq.read_table(path)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)


def with_column(table: pa.Table, values: list[object], kind: pa.DataType) -> pa.Table:
    return table.set_column(0, "q", pa.array(values, kind))


COLUMNS_OF_NO_USE = {
    "text": lambda t: with_column(t, ["a"] * len(t), pa.string()),
    "null": lambda t: with_column(t, [None] * len(t), pa.null()),
    "whole": lambda t: with_column(t, [[1, 2]] * len(t), pa.list_(pa.int32(), 2)),
    "wide": lambda t: with_column(t, [[0.0] * 3] * len(t), pa.list_(pa.float32(), 3)),
    "missing": lambda t: t.drop_columns(["q"]),
}
VALUES_OF_NO_USE = {
    "no row": [[0.0, 0.0]] * 99 + [None],
    "no value": [[0.0, 0.0]] * 99 + [[0.0, None]],
    "nan": [[0.0, 0.0]] * 99 + [[0.0, float("nan")]],
    "infinite": [[0.0, 0.0]] * 99 + [[0.0, float("inf")]],
}


@pytest.mark.parametrize("kind", COLUMNS_OF_NO_USE)
def test_a_shard_with_other_columns_is_refused_before_reading(kind: str, planar2: sim.Arm, tmp_path: Path) -> None:
    generate(planar2, tmp_path, count=200, shard_size=100, workers=1)
    rewrite_shard(tmp_path, COLUMNS_OF_NO_USE[kind])
    with pytest.raises(DatasetError, match=r"shard-00001.*its columns are not q \(fixed_size_list<item: float>\[2\]\)"):
        read_batches(tmp_path, batch_size=10)


@pytest.mark.parametrize("kind", VALUES_OF_NO_USE)
def test_values_that_are_no_numbers_are_refused(kind: str, planar2: sim.Arm, tmp_path: Path) -> None:
    generate(planar2, tmp_path, count=200, shard_size=100, workers=1)
    rewrite_shard(tmp_path, lambda t: with_column(t, VALUES_OF_NO_USE[kind], t.schema.field("q").type))
    with pytest.raises(
        DatasetError, match=r"cannot read .*shard-00001.*(column q has values that are no numbers|lists to be of size)"
    ):
        list(read_batches(tmp_path, batch_size=10))


def test_a_copied_shard_is_refused_for_reading(planar2: sim.Arm, tmp_path: Path) -> None:
    generate(planar2, tmp_path, count=200, shard_size=100, workers=1)
    shard_path(tmp_path, 1).write_bytes(shard_path(tmp_path, 0).read_bytes())
    with pytest.raises(DatasetError, match=r"shard-00001.*it is shard 0 with 100 rows"):
        read_batches(tmp_path, batch_size=10)


@pytest.mark.parametrize("changed", [{"count": 10**12}, {"count": 10**12, "shard_size": 10**12}, {"count": 150}])
def test_a_description_that_declares_what_is_not_there_is_refused(
    changed: dict[str, int], planar2: sim.Arm, tmp_path: Path
) -> None:
    generate(planar2, tmp_path, count=100, shard_size=50, workers=1)
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    with pytest.raises(DatasetError, match=r"allowed are 1000000|count is 100 there|1 of 3 shards are missing"):
        read_batches(tmp_path, batch_size=10)


@pytest.mark.slow
def test_a_changed_byte_of_a_shard_or_its_description_is_named_or_changes_nothing(
    planar2: sim.Arm, tmp_path: Path
) -> None:
    generate(planar2, tmp_path, count=20, shard_size=10, workers=1)
    rng = np.random.default_rng(0)
    expected = np.concatenate(list(read_batches(tmp_path, batch_size=10, shuffle=False)))
    for path, times in ((shard_path(tmp_path, 1), 300), (tmp_path / "dataset.json", 100)):
        whole = path.read_bytes()
        for place in rng.integers(0, len(whole), times):
            path.write_bytes(whole[:place] + bytes([int(rng.integers(256))]) + whole[place + 1 :])
            try:
                read = np.concatenate(list(read_batches(tmp_path, batch_size=10, shuffle=False, arm=planar2)))
            except DatasetError:
                continue
            np.testing.assert_array_equal(read, expected)
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no dataset in"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("[" * 100_000, "is damaged"),
        ('{"format": "ik-mdn-fk", "version": 99}', "no description of format 'ik-mdn-fk', version 1"),
        ('{"format": "ik-mdn-fk", "version": 1}', "is damaged: 'fingerprint'"),
    ],
)
def test_a_folder_without_a_usable_description_is_refused(text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_info(tmp_path)


# --- command line --------------------------------------------------------------------------------------------


def test_the_command_writes_a_dataset_and_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data"
    command = ["generate", "planar3", "--out", str(folder), "--count", "2k", "--shard-size", "1_000", "--workers", "1"]
    assert main([*command, "--shards", "0:1"]) == 0
    assert "wrote 1,000 samples in" in capsys.readouterr().out
    assert main([*command, "--json", "-"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["n_made"], summary["n_kept"], summary["count"]) == (1000, 1000, 2000)
    assert main(command) == 0
    assert "all 2,000 samples were there already" in capsys.readouterr().out
    assert main([*command, "--seed", "1"]) == 2
    assert "seed is 0 there, 1 here" in capsys.readouterr().err.replace("\n", " ")


def test_large_numbers_are_written_out(planar2: sim.Arm) -> None:
    count = 10**9
    info = DatasetInfo(planar2.fingerprint, "a", "b", ("c", "d"), 0, count, 10**6, False)
    said = _summary(GenerateReport(Path("data"), info, count, 0, 52_345_678_901, seconds=1000.2))
    assert said == "wrote 1,000,000,000 samples in 1000.2 s, 1,000 k poses/s: 52,346 MB in data"


def test_numbers_may_be_written_short() -> None:
    texts = {"1_000_000": 10**6, "1e6": 10**6, "10M": 10**7, "250k": 250_000, "1.5M": 1_500_000, "2G": 2 * 10**9}
    assert {text: read_number(text, "--count") for text in texts} == texts


@pytest.mark.parametrize("text", ["0", "-5", "1.5", "ten", "", "1e-3", "5T", "1e99"])
def test_numbers_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(DatasetError, match=r"--count .* is no whole number from 1 to 1e15"):
        read_number(text, "--count")


@pytest.mark.parametrize("text", ["3", "2:2", "a:b", "4:1", "0:" + "9" * 30])
def test_ranges_of_shards_that_are_none_are_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "planar2", "--out", str(tmp_path / "d"), "--shards", text]) == 2
    assert "is no range" in capsys.readouterr().err


def test_importing_datasets_loads_neither_torch_nor_arrow() -> None:
    code = "import sys, sim.dataset; sys.exit('torch' in sys.modules or 'pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert sampling.BLOCK_ROWS * 8 == ROW_GROUP_ROWS
