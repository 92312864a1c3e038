"""Many targets are solved in parts, so that the time left is known; what comes out is what one call gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sim
from ik_mdn.cli import main


def test_parts_give_what_one_call_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arm, path = sim.load_arm("planar2"), tmp_path / "targets.npy"
    q = np.random.default_rng(0).uniform(-2.0, 2.0, (23, 2))
    np.save(path, sim.forward_kinematics(arm, q))

    def solved() -> dict[str, Any]:
        assert main(["solve", "planar2", "--pose-file", str(path), "--json", "-"]) == 0
        return json.loads(capsys.readouterr().out)

    whole = solved()
    monkeypatch.setattr("ik_mdn.cli.solve._PART", 7)
    assert solved() == whole
    assert len(whole["targets"]) == 23
    assert main(["solve", "planar2", "--pose-file", str(path), "--timeout", "1e-9"]) == 0
    printed = capsys.readouterr()
    assert "23 targets" in printed.out
    assert "23/23" in printed.err


def test_a_wrong_target_is_refused_before_any_is_solved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ik_mdn.cli.solve._PART", 4)
    T = np.tile(np.eye(4), (10, 1, 1))
    T[9, :3, :3] *= 2.0
    np.save(tmp_path / "targets.npy", T)
    assert main(["solve", "xarm6", "--pose-file", str(tmp_path / "targets.npy")]) == 2
    said = capsys.readouterr().err
    assert "is no rotation" in said
    assert "solving" not in said
