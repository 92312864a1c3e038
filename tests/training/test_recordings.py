"""Joint vectors of one's own: any table by joint names, plain arrays by width, and helpful refusals."""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Callable
from dataclasses import replace
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
    said = refusal(tmp_path / "nan.npy")
    assert "4 rows with values that are no numbers, first in data row 1 for 'shoulder_pan_joint'" in said
    q[2, 4] = np.inf
    write_csv(tmp_path / "inf.csv", q)
    assert "1 row with values that are no numbers, first in data row 3 for 'wrist_2_joint'" in refusal(
        tmp_path / "inf.csv"
    )
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
    said = refusal(tmp_path / "pickle.npy")
    assert "holds Python objects, which are never loaded as they could run code; save plain numbers" in said
    (tmp_path / "empty.npy").write_bytes(b"")
    assert "cannot read joint vectors in" in refusal(tmp_path / "empty.npy")


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


@pytest.mark.parametrize("name", ["objects.npy", "rubbish.npy", "objects.npz"])
def test_python_objects_are_refused_without_a_word_of_loading_them(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "rubbish.npy":
        path.write_bytes(pickle.dumps([[0.0] * 6]))  # what numpy takes for a pickle
    else:
        save = np.save if path.suffix == ".npy" else np.savez
        save(path, np.array([[0.0] * 6, [None] * 6], dtype=object))
    said = refusal(path)
    assert f"cannot read joint vectors in {path}: it is no NumPy file, or holds Python objects" in said
    assert "np.save(path, np.asarray(q, float)) with q (N, 6)" in said
    assert "allow_pickle" not in said
    assert "unsafe" not in said


def test_limits_exceeded_by_degrees_are_told_with_rows_and_joints(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two turns of room take in few degrees by full turns: nothing but the limits, as given, tells them from radians."""
    degrees = np.random.default_rng(0).normal([5, -8, 9, -6, 5, 8], 0.2, (200, 6))
    write_csv(tmp_path / "a.csv", degrees)
    read_joints(tmp_path / "a.csv", ARM)
    assert (
        "200 of them wound by full turns (shoulder_lift_joint in 200, elbow_joint in 200, wrist_1_joint in"
        in caplog.text
    )
    assert (
        "joints that turn are in radians (numpy.deg2rad), those that slide in metres; are these degrees?" in caplog.text
    )
    caplog.clear()
    write_csv(tmp_path / "a.csv", np.degrees(np.random.default_rng(0).uniform(-0.1, 0.1, (200, 6))))
    read_joints(tmp_path / "a.csv", ARM)
    assert "the limits of elbow_joint are exceeded in" in caplog.text
    assert "are these degrees" in caplog.text


def test_one_row_outside_of_two_turns_is_suspicious_and_of_less_it_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    q = rows(100)
    q[7, 2] = ARM.q_max[2] + 0.5  # less than two turns of room
    np.save(tmp_path / "a.npy", q)
    read_joints(tmp_path / "a.npy", ARM)
    assert "100 of 100 rows in" in caplog.text
    assert "1 of them wound by full turns (elbow_joint in 1)" in caplog.text
    assert "degrees" not in caplog.text
    q[7, 0] = ARM.q_max[0] + 0.5
    np.save(tmp_path / "a.npy", q)
    read_joints(tmp_path / "a.npy", ARM)
    assert "the limits of shoulder_pan_joint, elbow_joint are exceeded in 1 row: joints that turn are in" in caplog.text


def test_joints_without_limits_wind_without_suspicion_but_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    q = rows()
    q[:20, 3] = np.linspace(4, 9, 20)
    unlimited = replace(ARM, q_min=np.full(6, -np.inf), q_max=np.full(6, np.inf))
    np.save(tmp_path / "a.npy", q)
    read = read_joints(tmp_path / "a.npy", unlimited)
    assert "20 of them wound by full turns (wrist_1_joint in 20)" in caplog.text
    assert "degrees" not in caplog.text
    np.testing.assert_allclose(np.exp(1j * read), np.exp(1j * q), atol=1e-12)


def test_rows_in_limits_are_taken_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_csv(tmp_path / "a.csv", rows())
    read_joints(tmp_path / "a.csv", ARM)
    assert not caplog.text


def test_refused_rows_are_asked_for_degrees_too(tmp_path: Path) -> None:
    arm = sim.load_arm("panda")
    np.save(
        tmp_path / "a.npy", np.degrees(np.full((20, 7), [0.1, 0.1, 0.1, -0.2, 0.1, 0.1, 0.1]))
    )  # 6 degrees: not huge
    said = refusal(tmp_path / "a.npy", arm)
    assert "outside the limits of arm 'panda': 20 of 20 rows in" in said
    assert "are these degrees, or is it another arm, or another order of its joints?" in said
    np.save(tmp_path / "a.npy", np.full((1, 7), 3.0))
    assert "1 of 1 row in" in refusal(tmp_path / "a.npy", arm)


def test_named_columns_win_over_a_list_in_another_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    q = rows()
    for name in ("q", "observation"):
        lists = pa.FixedSizeListArray.from_arrays(np.ascontiguousarray(q[:, ::-1]).ravel(), 6)
        pa.parquet.write_table(pa.table({name: lists, **columns(q)}), tmp_path / "a.parquet")
        np.testing.assert_array_equal(read_joints(tmp_path / "a.parquet", ARM), q)
    assert "has no names" not in caplog.text


@pytest.mark.parametrize("kind", ["bool", "M8[s]", "m8[s]"])
def test_values_that_are_no_numbers_though_they_convert_are_refused(kind: str, tmp_path: Path) -> None:
    got = {"bool": "booleans", "M8[s]": "dates", "m8[s]": "durations"}[kind]
    odd = np.zeros((4, 6)).astype(kind)
    np.save(tmp_path / "a.npy", odd)
    assert f"joint values are real numbers; got {got} in column 1" in refusal(tmp_path / "a.npy")
    table = pa.table({**columns(rows(4)), "elbow_joint": odd[:, 2]})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    assert f"joint values are real numbers; got {got} in column 'elbow_joint'" in refusal(tmp_path / "a.parquet")


def test_booleans_are_refused_beside_numbers_and_gaps(tmp_path: Path) -> None:
    (tmp_path / "headless.csv").write_text("1,0,0,0,0,0\ntrue,0,0,0,0,0\nfalse,0,0,0,0,0\n")
    assert "got booleans in column 1" in refusal(tmp_path / "headless.csv")
    table = pa.table({**columns(rows(3)), "elbow_joint": [None, True, False]})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    assert "data row 2 of column 'elbow_joint' holds True, which is no number" in refusal(tmp_path / "a.parquet")


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.npz", "a.npy"])
def test_text_that_is_no_number_is_told_by_file_column_and_row(name: str, tmp_path: Path) -> None:
    q, path = rows(4), tmp_path / name
    text = [str(value) for value in q[:, 2]]
    wrong = {**columns(q), "elbow_joint": np.array([*text[:2], "n/a?", text[3]])}
    if name == "a.npz":
        np.savez(path, **wrong)
    elif name == "a.npy":
        np.save(path, np.where(np.arange(24).reshape(4, 6) == 14, "n/a?", q.astype(str)))
    else:
        write = pa.csv.write_csv if name == "a.csv" else pa.parquet.write_table
        write(pa.table(wrong), path)
    column = "3" if name == "a.npy" else "'elbow_joint'"
    assert f"{path}: data row 3 of column {column} holds 'n/a?', which is no number" in refusal(path)


def test_gaps_are_told_by_file_joint_and_row(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", rows(3))
    lines = ",".join(NAMES) + "\n0,0,0,0,0,0\n0,0,n/a,0,0,0\n"
    (tmp_path / "b.csv").write_text(lines)
    said = refusal(tmp_path)
    assert (
        f"'{tmp_path / 'b.csv'}' holds 1 row with values that are no numbers, first in data row 2 for 'elbow_joint'"
        in said
    )


HEAD = "{0}".join(NAMES) + "\n"


@pytest.mark.parametrize(
    ("text", "encoding", "hint"),
    [
        (HEAD.format(";") + "0.5;0;0;0;0;0\n", "utf-8", "it seems to have semicolons between columns:"),
        (HEAD.format(";") + "0,5;0;0;0;0;0\n", "utf-8", "semicolons between columns and decimal commas:"),
        ("0,5;1,5;0,5;0,5;0,5;0,5\n" * 2, "utf-8", "semicolons between columns and decimal commas:"),
        (HEAD.format("\t") + "0.5\t0\t0\t0\t0\t0\n", "utf-8", "tabs between columns:"),
        ("0.5 0.5 0.5 0.5 0.5 0.5\n" * 2, "utf-8", "spaces between columns:"),
        (HEAD.format(",") + "0,5,0,5,0,5,0,5,0,5,0,5\n", "utf-8", "it seems to have decimal commas:"),
        ("0,5,0,5,0,5,0,5,0,5,0,5\n" * 2, "utf-8", "it seems to have decimal commas:"),
        (HEAD.format(",") + '"0,5","0,5","0,5","0,5","0,5","0,5"\n', "utf-8", "write numbers with a decimal point"),
        (HEAD.format(",") + "0,0,0,0,0,0\n", "utf-16", "its encoding looks like UTF-16: save it as UTF-8"),
        (HEAD.format(",") + "0,0,0,0,0,0\n", "utf-16-le", "its encoding looks like UTF-16: save it as UTF-8"),
        ("größe," + HEAD.format(",")[1:] + "0,0,0,0,0,0,0\n", "latin-1", "its encoding is not UTF-8"),
    ],
)
def test_tables_as_spreadsheets_write_them_are_told_how_to_be_saved(
    text: str, encoding: str, hint: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    assert hint in refusal(tmp_path / "a.csv")


def test_other_faults_of_a_table_are_not_put_down_to_how_it_was_saved(tmp_path: Path) -> None:
    for text in ("a,b\n1,2\n", "1.5,2.5\n", HEAD.format(",") + "0,0,0\n", ""):
        (tmp_path / "a.csv").write_text(text)
        said = refusal(tmp_path / "a.csv")
        assert "seems" not in said
        assert "encoding" not in said


def test_a_table_that_may_not_be_opened_is_told_as_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("permission denied")

    write_csv(tmp_path / "a.csv", rows(3))
    monkeypatch.setattr(pa.csv, "read_csv", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    assert refusal(tmp_path / "a.csv").endswith("permission denied")
