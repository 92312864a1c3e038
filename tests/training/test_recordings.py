"""Joint vectors of one's own: any table by joint names, plain arrays by width, and helpful refusals."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import sim
from ik_mdn.training.recordings import MEASURED, read_joints
from sim.arrays import FloatArray
from sim.errors import DatasetError

ARM = sim.load_arm("ur5e")
NAMES = ARM.joint_names


def rows(count: int = 30) -> FloatArray:
    return np.random.default_rng(0).uniform(-3, 3, (count, 6))


def columns(q: FloatArray) -> dict[str, Any]:
    """In another order than the arm's, with one that is none of its joints."""
    return {"time": np.arange(len(q)) / 10, **{name: q[:, i] for i, name in reversed(list(enumerate(NAMES)))}}


def write_csv(path: Path, q: FloatArray) -> None:
    pa.csv.write_csv(pa.table(columns(q)), path)


def write_parquet(path: Path, q: FloatArray) -> None:
    pa.parquet.write_table(pa.table(columns(q)), path)


def write_npz(path: Path, q: FloatArray) -> None:
    np.savez(path, **columns(q))


def write_structured(path: Path, q: FloatArray) -> None:
    named = np.zeros(len(q), dtype=[(name, "f8") for name in columns(q)])
    for name, value in columns(q).items():
        named[name] = value
    np.save(path, named)


def write_lists(path: Path, q: FloatArray) -> None:
    pa.parquet.write_table(pa.table({"q": pa.FixedSizeListArray.from_arrays(q.ravel(), 6)}), path)


def write_headless(path: Path, q: FloatArray) -> None:
    np.savetxt(path, q, delimiter=",", fmt="%.17g")


@pytest.mark.parametrize(
    ("name", "write", "named"),
    [
        ("a.csv", write_csv, True),
        ("a.parquet", write_parquet, True),
        ("a.npz", write_npz, True),
        ("a.npy", write_structured, True),
        ("b.npy", np.save, False),
        ("b.parquet", write_lists, False),
        ("b.csv", write_headless, False),
    ],
)
def test_every_format_gives_the_rows_in_the_order_of_the_arms_joints(
    name: str, write: Callable[..., None], named: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    q = rows()
    write(tmp_path / name, q)
    np.testing.assert_array_equal(read_joints(tmp_path / name, ARM), q)
    assert ("has no names for its columns; they are taken as shoulder_pan_joint" in caplog.text) is not named


def test_all_files_of_a_folder_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    q = rows()
    (tmp_path / "more").mkdir()
    write_csv(tmp_path / "a.CSV", q[:10])  # as some systems write it
    np.save(tmp_path / "b.npy", q[10:15])
    write_parquet(tmp_path / "more" / "c.parquet", q[15:])
    (tmp_path / "notes.txt").write_text("not data")
    np.testing.assert_array_equal(read_joints(tmp_path, ARM), q)


def refusal(path: Path, arm: sim.Arm = ARM) -> str:
    with pytest.raises(DatasetError) as caught:
        read_joints(path, arm)
    return " ".join(str(caught.value).split())


def test_refusals_say_what_was_given_what_is_allowed_and_what_to_do(tmp_path: Path) -> None:
    q = rows()
    assert "give a file, or a folder of files, that end in .parquet, .csv, .npy, .npz" in refusal(tmp_path)
    assert "no joint vectors in" in refusal(tmp_path / "no.csv")
    (tmp_path / "a.txt").write_text("1 2 3")
    assert "ends in '.txt'" in refusal(tmp_path / "a.txt")
    pa.csv.write_csv(pa.table(dict.fromkeys(("pan", *NAMES[1:]), q[:, 0])), tmp_path / "names.csv")
    said = refusal(tmp_path / "names.csv")
    assert "has no column for shoulder_pan_joint; it has pan, shoulder_lift_joint" in said
    assert "rename the columns, or give an array (N, 6) in this order" in said
    np.save(tmp_path / "wide.npy", np.zeros((4, 7)))
    assert "holds an array (4, 7); arm 'ur5e' needs (N, 6)" in refusal(tmp_path / "wide.npy")
    np.save(tmp_path / "nan.npy", np.full((4, 6), np.nan))
    assert "4 rows with values that are no numbers" in refusal(tmp_path / "nan.npy")
    np.save(tmp_path / "none.npy", np.zeros((0, 6)))
    assert "holds no rows" in refusal(tmp_path / "none.npy")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1nothing")
    assert "cannot read joint vectors in" in refusal(tmp_path / "broken.parquet")
    for ragged in ([[0.0] * 5, [0.0] * 7], [[0.0] * 6, None]):
        pa.parquet.write_table(pa.table({"q": ragged}), tmp_path / "ragged.parquet")
        assert "the lists in column 'q' are not all of one length" in refusal(tmp_path / "ragged.parquet")
    np.save(tmp_path / "complex.npy", np.zeros((4, 6), complex))
    assert "joint values are real numbers; got complex ones" in refusal(tmp_path / "complex.npy")
    np.savez(tmp_path / "two.npz", **{name: np.zeros((4, 2)) for name in NAMES})  # positions and velocities
    assert "an array (4, 2) for 'shoulder_pan_joint'; give one number per row" in refusal(tmp_path / "two.npz")
    np.save(tmp_path / "pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "cannot read joint vectors in" in refusal(tmp_path / "pickle.npy")


def test_degrees_are_told_from_radians(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arm = sim.load_arm("panda")  # less than a turn, so that degrees lie outside
    q = arm.sample(np.random.default_rng(0), 50)
    np.save(tmp_path / "degrees.npy", np.degrees(q))
    assert "they look like degrees: joints that turn are in radians (numpy.deg2rad)" in refusal(
        tmp_path / "degrees.npy", arm
    )
    np.save(tmp_path / "two_turns.npy", np.degrees(rows()))
    assert "they look like degrees" in refusal(tmp_path / "two_turns.npy")  # though turns could bring them into limits
    free = sim.load_arm("ur5e")
    unlimited = type(free)(**{**vars(free), "q_min": np.full(6, -np.inf), "q_max": np.full(6, np.inf)})
    np.save(tmp_path / "free.npy", np.degrees(rows()))
    read_joints(tmp_path / "free.npy", unlimited)
    assert "look like degrees" in caplog.text
    caplog.clear()
    np.save(tmp_path / "radians.npy", rows())
    read_joints(tmp_path / "radians.npy", unlimited)
    assert "look like degrees" not in caplog.text


def test_rows_come_into_limits_where_they_can_and_others_are_left_out_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    arm = sim.load_arm("panda")
    q = np.tile((arm.q_min + arm.q_max) / 2, (6, 1))
    q[0, 0] = arm.q_max[0] + MEASURED / 2  # measured a little beyond
    q[1, 1] = arm.q_max[1] + 1.0
    q[2, 2] += 2 * np.pi
    np.save(tmp_path / "a.npy", q)
    read = read_joints(tmp_path / "a.npy", arm)
    assert "5 of 6 rows in" in caplog.text
    assert len(read) == 5
    assert read[0, 0] == arm.q_max[0]
    np.testing.assert_allclose(read[1, 2], q[3, 2])
    q[:, 1] += 2.0
    np.save(tmp_path / "a.npy", q)
    assert "often of panda_joint2 (values from" in refusal(tmp_path / "a.npy", arm)
    assert "is it another arm, or another order of its joints?" in refusal(tmp_path / "a.npy", arm)


def test_rows_in_limits_keep_their_turns_and_a_little_beyond_is_pulled_not_turned(tmp_path: Path) -> None:
    """Windings are part of how an arm is held: only what lies outside is turned, and by the fewest turns."""
    q = rows()
    q[:, 0], q[:, 5] = 4.0, -4.0
    q[0, 0] = ARM.q_max[0] + MEASURED / 2
    q[1, 5] = ARM.q_min[5] - 1.0
    np.save(tmp_path / "a.npy", q)
    read = read_joints(tmp_path / "a.npy", ARM)
    np.testing.assert_array_equal(read[2:], q[2:])
    assert read[0, 0] == ARM.q_max[0]
    np.testing.assert_allclose(read[1, 5], ARM.q_min[5] - 1.0 + 2 * np.pi)


def test_empty_tables_beside_others_add_nothing(tmp_path: Path) -> None:
    write_lists(tmp_path / "a.parquet", rows())
    write_lists(tmp_path / "b.parquet", rows(0))
    assert len(read_joints(tmp_path, ARM)) == 30
    assert "holds no rows" in refusal(tmp_path / "b.parquet", ARM)


def test_demonstrations_are_taken_as_they_are_and_only_of_this_arm(tmp_path: Path) -> None:
    q = rows().astype(np.float32)
    both = np.concatenate([q, 0 * q], axis=1)
    table = pa.table({"step": np.arange(len(q)), "observation": pa.FixedSizeListArray.from_arrays(both.ravel(), 12)})
    (tmp_path / "episodes").mkdir()
    pa.parquet.write_table(table, tmp_path / "episodes" / "episode-000000.parquet")
    (tmp_path / "demonstrations.json").write_text(json.dumps({"fingerprint": ARM.fingerprint}))
    np.testing.assert_array_equal(read_joints(tmp_path, ARM), q)
    assert "are not of arm 'puma560'" in refusal(tmp_path, sim.load_arm("puma560"))


def test_an_address_is_said_as_it_was_given() -> None:
    with pytest.raises(DatasetError, match="no joint vectors in 's3://bucket/samples'"):
        read_joints("s3://bucket/samples", sim.load_arm("planar2"))
