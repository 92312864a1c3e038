"""The benchmark's file holds every arm that was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import benchmark
import pytest


def test_models_of_the_same_file_name_have_results_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "measure_arm", lambda name, **_: {"joints": name})
    monkeypatch.setattr(benchmark, "all_tables", lambda arms: "")
    monkeypatch.setattr(benchmark, "draw_recall", lambda arms, figure: False)
    arms, out = ("ur5e", "a/robot.safetensors", "b/robot.safetensors"), tmp_path / "benchmark.json"
    benchmark.main(arms, out=out)
    assert json.loads(out.read_text())["arms"] == {arm: {"joints": arm} for arm in arms}
