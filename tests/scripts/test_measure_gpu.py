"""The script for a GPU, without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from measure_gpu import main


@pytest.mark.slow
def test_every_measurement_is_made_where_it_is_asked_for(tmp_path: Path) -> None:
    main("cpu", tmp_path / "gpu.json", quick=True)
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["device"] == "CPU"
    assert len(found["rows"]) == 4
    assert all(row["device"] == "cpu" and row["value"] > 0 for row in found["rows"])
