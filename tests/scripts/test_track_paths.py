"""The script of tracked paths says what is wrong with its own options."""

from __future__ import annotations

from pathlib import Path

import pytest
import track_paths

from sim.errors import IKError


def test_too_few_paths_are_refused_before_any_is_followed(tmp_path: Path) -> None:
    with pytest.raises(IKError, match=r"--count 4 has no path through a singularity; give at least 5"):
        track_paths.main(("planar2",), count=4, out=tmp_path / "x.json")
    assert not list(tmp_path.iterdir())
