"""Targets from files: what is no targets is refused in one line, before any memory is taken for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ik_mdn.cli import main
from ik_mdn.cli.targets import as_options, read_targets
from sim.errors import IKError

_HEADER = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
_HUGE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 4, 4), }"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("deep.json", b"[" * 100_000, "cannot read targets"),
        ("binary.json", b"\xff\xfe", "cannot read targets"),
        ("ragged.json", b"[[1, 2], [3]]", "no array of numbers"),
        ("text.json", b'[["1", "2"]]', "holds text"),
        ("huge.npy", _HEADER + _HUGE.ljust(117) + b"\n", "cannot read targets"),
        ("torn.npy", _HEADER + _HUGE[:40].ljust(117) + b"\n", "cannot read targets"),
        ("empty.npy", b"", "cannot read targets"),
        ("none.json", b"[]", "holds no targets"),
        ("none.npy", _HEADER + _HUGE.replace(b"1000000000000", b"0").ljust(117) + b"\n", "holds no targets"),
        ("number.json", b"1", "holds no targets"),
        ("null.json", b"null", "holds objects"),
        ("flags.json", b"{}", "holds objects"),
    ],
)
def test_what_is_no_targets_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(IKError, match=message) as told:
        read_targets(tmp_path / name)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(("values", "message"), [(np.array([1 + 5j]), "complex"), (np.array(["1"]), "text")])
def test_numbers_of_another_kind_are_refused_by_name(tmp_path: Path, values: np.ndarray, message: str) -> None:
    np.save(tmp_path / "t.npy", values)
    with pytest.raises(IKError, match=message):
        read_targets(tmp_path / "t.npy")


def test_targets_are_read_as_they_were_written(tmp_path: Path) -> None:
    points = np.array([[0.5, 0.25], [1.5, -0.25]])
    np.save(tmp_path / "t.npy", points)
    (tmp_path / "t.json").write_text(str(points.tolist()))
    for name in ("t.npy", "t.json"):
        assert np.array_equal(read_targets(tmp_path / name), points)


@pytest.mark.parametrize("point", ["[0.5, 0.25]", "[[0.5, 0.25]]", "[[[0.5, 0.25]]]"])
def test_a_single_target_of_a_file_is_shown_as_one(
    point: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.json").write_text(point)
    assert main(["solve", "planar2", "--model", "none", "--pose-file", str(tmp_path / "t.json")]) == 0
    assert "target: xyz 0.5 0.25 m" in capsys.readouterr().out


def test_what_is_zero_but_for_rounding_is_typed_as_0() -> None:
    assert as_options(np.array([1.8e-15, -1e-12, -0.0, 1.23456789012, -98.7654321])) == "0 0 0 1.2345678901 -98.7654321"
