"""Nothing is reported where nothing was measured."""

from __future__ import annotations

import pytest

pytest.importorskip("viser", reason="the viewer's extra is not installed")

from measure_viewer import NothingMeasured, Watch, quantiles, summarise

from sim.rotations import pose


@pytest.mark.parametrize("got", [[], [[20.0, 30.0, [9.0, 0.0, 0.0]]], [[5.0, 30.0, [0.1, 0.0, 0.0]]]])
def test_moves_that_no_new_poses_answer_are_an_error(got: list[object]) -> None:
    with pytest.raises(NothingMeasured, match="1 moves of the gizmo were sent and no new poses"):
        summarise([[10.0, [0.1, 0.0, 0.0]]], got)
    with pytest.raises(NothingMeasured, match="no times were taken"):
        quantiles([])


def test_a_pose_is_timed_from_the_last_move_to_it() -> None:
    sent = [[10.0, [0.1, 0.0, 0.0]], [40.0, [0.2, 0.0, 0.0]], [70.0, [0.1, 0.0, 0.0]]]
    found = summarise(sent, [[85.0, 95.0, [0.1, 0.0, 0.0]]])
    assert found["sent"] == 3
    assert found["answered"] == 1
    assert found["arrived_ms"]["median"] == 15.0
    assert found["drawn_ms"]["p95"] == 25.0


def test_a_watch_pairs_what_it_saw_of_the_same_target() -> None:
    watch, here, there = Watch(), pose((0.1, 0.0, 0.0)), pose((0.2, 0.0, 0.0))
    for what, T in (("received", here), ("received", there), ("drawn", there)):
        watch(what, T)
    (span,) = watch.between("received", "drawn")
    assert 0 <= span < 1e3
