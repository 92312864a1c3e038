"""What a lot costs on paper: it adds up, and the page shows the numbers of the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from costing.measuring import measure_solve, random_chain
from costing.paper import Assumed, add_up
from costing.picture import draw_cost
from pages import measured
from results import RESULTS

UNIT = {"poses_per_s": 1e6, "bytes_per_pose": 50.0, "solve_us": 5.0, "samples_per_s": 1e5}


def test_ten_times_the_machines_take_a_tenth_until_what_they_share_is_full() -> None:
    ten, hundred = (add_up(UNIT, poses=10**9, arms=1000, machines=m, given=Assumed(cores=10)) for m in (10, 100))
    assert ten["generate_s"] == pytest.approx(10.0)  # 1e9 / (1e6 * 100)
    assert hundred["generate_s"] == pytest.approx(1.0)
    assert ten["solve_s"] == pytest.approx(50.0)
    assert ten["train_s"] == 10 * 600  # ten rounds of a hundred cores
    assert ten["bytes"] == 50e9
    assert ten["shards"] == 4000
    assert ten["busy"]["object store"] == pytest.approx(0.4)  # 50 GB at 12.5 GB/s are 4 s of 10
    assert hundred["busy"]["object store"] == pytest.approx(4.0)
    assert hundred["busy"]["network of a machine"] == pytest.approx(ten["busy"]["network of a machine"])
    assert hundred["busy"][hundred["breaks_first"]] == max(hundred["busy"].values())


def test_the_page_shows_the_numbers_of_the_file() -> None:
    found = json.loads((RESULTS / "cost.json").read_text())
    found["solve"][0]["us_per_pose"] = 12345.0
    found["paper"][0]["generate_s"] = 7200.0
    text = measured.cost_page(found)
    assert "| 12,345 |" in text
    assert "| generate 1e+09 poses | 2.0 h |" in text
    assert ("no benchmark" in text) == found["settings"]["quick"]


def test_the_figure_is_drawn_and_shown(tmp_path: Path) -> None:
    from PIL import Image

    found = json.loads((RESULTS / "cost.json").read_text())
    draw_cost(found, tmp_path / "cost.png")
    assert min(Image.open(tmp_path / "cost.png").size) > 500
    assert "data/figures/cost.png" in measured.cost_page(found)


def test_batches_that_would_take_too_long_are_left_out() -> None:
    rows = measure_solve([2], [1, 10, 100], patience=0.0, seed=0)
    assert [row["targets"] for row in rows] == [1]
    assert random_chain(3, 0).n_joints == 3
