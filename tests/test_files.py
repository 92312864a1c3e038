"""Files are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.files import whole_file


def test_a_finished_file_is_there_under_its_own_name_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "figure.png"
    with whole_file(path) as temporary:
        assert temporary.suffix == ".png"  # the ending decides the format for many writers
        temporary.write_text("whole")
        assert not path.exists()
    assert [p.name for p in path.parent.iterdir()] == ["figure.png"]


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text("old")

    def fail_half_way() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail_half_way()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.json"]
