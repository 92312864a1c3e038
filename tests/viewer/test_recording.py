"""Pages and pictures that are made without a browser."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest

from ik_mdn.viewer import Session, record_page, save_still
from ik_mdn.viewer.tour import make_tour, target_path
from sim.arm import load_arm

pytest.importorskip("viser", reason="the viewer's extra is not installed")


@pytest.fixture(scope="module")
def session() -> Session:
    return Session.load(load_arm("planar2"))


def test_the_path_is_closed_and_keeps_the_rotation(session: Session) -> None:
    T = target_path(session, 24)
    np.testing.assert_array_equal(T[0], session.start_target())
    np.testing.assert_array_equal(T[:, :3, :3], np.broadcast_to(T[0, :3, :3], (24, 3, 3)))
    steps = np.linalg.norm(np.diff(T[:, :3, 3], axis=0, append=T[:1, :3, 3]), axis=1)
    assert steps.max() < 0.2


def test_a_tour_without_a_controller_shows_the_most_probable(session: Session) -> None:
    stops = list(make_tour(session, target_path(session, 4)))
    assert [stop.verdict for stop in stops] == [None] * 4
    assert [stop.solid for stop in stops] == [0] * 4


def test_a_recorded_page_holds_everything_and_asks_for_nothing(session: Session, tmp_path: Path) -> None:
    path, seen = tmp_path / "page.html", []
    record_page(path, session, stops=5, on_stop=lambda: seen.append(1))
    page = path.read_text(encoding="utf-8")
    assert len(seen) == 5
    assert page.count("2 solutions in limits") == 5
    assert "The controller takes" in page
    assert page.count('id=\\"density\\"') == 5
    assert page.count("Floor: the darker") == 5
    data = re.search(r'__VISER_EMBED_DATA__="([^"]+)"', page)
    assert data is not None
    assert len(base64.b64decode(data.group(1))) > 3_000
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="https?:', page)


@pytest.mark.slow
def test_a_still_is_a_picture_with_the_colours_of_the_branches(session: Session, tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "still.png"
    save_still(path, session)
    picture = np.asarray(Image.open(path).convert("RGB"))
    assert picture.shape[1] > 1000
    blue, orange = (
        np.abs(picture.astype(int) - colour).sum(axis=-1) < 90 for colour in ((38, 112, 214), (240, 150, 20))
    )
    assert blue[:, 1050:].sum() > 50  # the first branch's chip
    assert orange[:, :1000].sum() > 2000  # the arm that is taken
