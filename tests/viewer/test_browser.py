"""The viewer in a real browser: the page opens, the gizmo is dragged, the solutions follow."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from viewer_browser import SLOW, missing, open_browser, open_page, pixel_of

from sim.kinematics import forward_kinematics, joint_origins

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason=missing() or "a browser is there"),
]


@pytest.fixture(scope="module")
def app() -> Iterator[Any]:
    from ik_mdn.viewer import App, Choice

    app = App(Choice("planar2"), port=8270)
    yield app
    app.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def complaints() -> list[str]:
    return []


@pytest.fixture(scope="module")
def page(app: Any, browser: Any, complaints: list[str]) -> Any:
    return open_page(browser, app.address, complaints)


def until(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether something becomes true in time."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


def type_target(page: Any, place: int, value: str) -> None:
    field = page.locator("input[inputmode=decimal]:visible").nth(place)
    field.fill(value)
    field.press("Enter")


def stands_still(app: Any, seconds: float = 1.5) -> bool:
    """Whether the target comes to rest: what a page has sent of a drag may arrive long after it."""
    seen, since = app.live.latest.T_base_target, time.monotonic()

    def still() -> bool:
        nonlocal seen, since
        now = app.live.latest.T_base_target
        if not np.array_equal(now, seen):
            seen, since = now, time.monotonic()
        return bool(app.live.settled and time.monotonic() - since > seconds)

    return until(still)


def test_the_page_says_how_many_solutions_there_are(page: Any) -> None:
    page.wait_for_function("document.querySelector('#status').innerText.includes('2 solutions')", timeout=SLOW)
    assert page.locator("#solutions tr.solution").count() == 2
    assert "regressor" in page.locator("#status").inner_text()


def test_the_controllers_verdict_appears(page: Any) -> None:
    page.wait_for_function(
        "document.querySelector('#solutions').innerText.includes('The controller takes')", timeout=SLOW
    )
    assert page.locator("#solutions").inner_text().count("cost") >= 2


def test_the_canvas_shows_arms_in_the_colours_of_their_branches(page: Any) -> None:
    from PIL import Image

    def hues() -> set[int]:
        shot = Image.open(io.BytesIO(page.locator("canvas").first.screenshot(timeout=SLOW))).convert("HSV")
        pixels = np.asarray(shot).reshape(-1, 3)
        vivid = pixels[(pixels[:, 1] > 90) & (pixels[:, 2] > 90)]
        return {int(hue) for hue in np.flatnonzero(np.bincount(vivid[:, 0] // 16, minlength=16) > 30)}

    assert until(lambda: len(hues()) >= 3), "the picture stayed blank"


def test_dragging_the_gizmo_moves_the_target_and_the_solutions_follow(app: Any, page: Any) -> None:
    assert until(lambda: app.live.latest is not None)
    before = app.live.latest.T_base_target
    (client, *_) = app.clients()
    scale = 0.22 * app.live.session.arm.reach
    canvas = page.locator("canvas").first.bounding_box()
    grip = before[:3, 3] + before[:3, 0] * 0.8 * scale  # on the arrow along the target's x axis
    x, y = pixel_of(client.camera, grip, canvas)
    page.mouse.move(x, y)
    page.wait_for_timeout(1500)
    page.mouse.down()
    to_x, to_y = pixel_of(client.camera, grip - before[:3, 0] * 0.5, canvas)
    page.mouse.move(x + 0.5 * (to_x - x), y + 0.5 * (to_y - y), steps=4)
    page.mouse.move(to_x, to_y, steps=4)
    page.mouse.up()
    assert until(lambda: np.linalg.norm(app.live.latest.T_base_target[:3, 3] - before[:3, 3]) > 0.2)
    answer = app.live.latest
    step = answer.T_base_target[:3, 3] - before[:3, 3]
    np.testing.assert_allclose(step, -np.linalg.norm(step) * before[:3, 0], atol=0.02)  # along the arrow
    tips = forward_kinematics(app.live.session.arm, answer.q)[:, :2, 3]
    np.testing.assert_allclose(tips, np.broadcast_to(answer.T_base_target[:2, 3], tips.shape), atol=1e-6)
    assert stands_still(app)


def test_a_typed_unreachable_target_is_answered_in_words(app: Any, page: Any) -> None:
    type_target(page, 0, "2.9")
    page.wait_for_function("document.querySelector('#status').innerText.includes('nreachable')", timeout=SLOW)
    words = page.locator("#status").inner_text()
    assert "nearest approach" in words
    assert "mm" in words or " m" in words
    assert page.locator("#solutions tr.solution").count() == 0
    type_target(page, 0, "1.1")
    page.wait_for_function("document.querySelector('#status').innerText.includes('solutions in limits')", timeout=SLOW)


def test_a_stretched_arm_is_singular(app: Any, page: Any) -> None:
    type_target(page, 1, "0")
    type_target(page, 0, f"{app.live.session.arm.reach:g}")
    page.wait_for_function("document.querySelector('#status').innerText.includes('Singular')", timeout=SLOW)
    assert page.locator("#solutions tr.solution").count() >= 1
    type_target(page, 0, "1.1")
    page.wait_for_function("document.querySelector('#status').innerText.includes('2 solutions')", timeout=SLOW)


def test_solutions_beyond_the_largest_jump_are_too_far(app: Any, page: Any) -> None:
    app.live.move_joints(app.live.latest.q[0] + np.pi / 2)
    page.get_by_role("tab", name="Joints").click()
    jump = page.get_by_text("largest jump").locator("xpath=ancestor::*[.//input][1]").locator("input:visible").last
    jump.fill("20")
    jump.press("Enter")
    page.wait_for_function("document.querySelector('#status').innerText.includes('Too far')", timeout=SLOW)
    assert "more than 20°" in page.locator("#status").inner_text()
    jump.fill("0")
    jump.press("Enter")
    page.get_by_role("tab", name="Solutions").click()
    page.wait_for_function("document.querySelector('#status').innerText.includes('2 solutions')", timeout=SLOW)


def test_what_only_joints_beyond_their_limits_reach_is_out_of_limits(tmp_path: Path, browser: Any) -> None:
    from ik_mdn.viewer import App, Choice

    text = (Path(__file__).parents[2] / "data/arms/planar2.urdf").read_text(encoding="utf-8")
    narrow = tmp_path / "narrow.urdf"
    narrow.write_text(text.replace("3.14159265358979", "0.4"), encoding="utf-8")
    app, others = App(Choice(str(narrow)), port=8271), list[str]()
    page = open_page(browser, app.address, others)
    page.wait_for_function("document.querySelector('#status').innerText.includes('solution')", timeout=SLOW)
    type_target(page, 0, "-1.1")
    page.wait_for_function("document.querySelector('#status').innerText.includes('Out of limits')", timeout=SLOW)
    page.close()
    app.close()
    assert others == []


def test_next_branch_selects_the_other_solution(app: Any, page: Any) -> None:
    assert until(lambda: app.live.latest is not None and len(app.live.latest) == 2)
    assert until(lambda: app.live.settled)
    before = app.live.solid
    page.get_by_role("button", name="Next branch").click()
    assert until(lambda: app.live.solid == (before + 1) % 2)


def test_a_click_on_a_ghost_or_on_its_row_selects_it(app: Any, page: Any) -> None:
    assert until(lambda: app.live.settled)
    canvas = page.locator("canvas").first.bounding_box()
    other = (app.live.solid + 1) % 2
    (client, *_) = app.clients()
    elbow = joint_origins(app.live.session.arm, app.live.latest.q[other])[1]
    page.mouse.click(*pixel_of(client.camera, 0.6 * elbow, canvas))
    assert until(lambda: app.live.solid == other)
    page.locator("#solutions tr.solution").nth(1 - other).click()
    assert until(lambda: app.live.solid == 1 - other)
    page.keyboard.press("n")
    assert until(lambda: app.live.solid == other)


def test_going_there_ends_at_the_selected_solution(app: Any, page: Any) -> None:
    assert until(lambda: app.live.settled)
    wanted = app.live.latest.q[app.live.solid]
    page.get_by_role("button", name="Go there").click()
    page.wait_for_function("document.body.innerText.includes('Reached in')", timeout=SLOW)
    np.testing.assert_allclose(app.live.session.q_now, wanted, atol=1e-3)


def test_a_second_browser_sees_the_same_and_may_leave(app: Any, browser: Any, page: Any) -> None:
    others: list[str] = []
    second = open_page(browser, app.address, others)
    assert until(lambda: len(app.clients()) == 2)
    type_target(second, 1, "0.4")
    page.wait_for_function("[...document.querySelectorAll('input')].some(i => i.value === '0.4')", timeout=SLOW)
    second.close()
    assert until(lambda: len(app.clients()) == 1)
    type_target(page, 1, "0.3")
    assert until(lambda: abs(app.live.latest.T_base_target[1, 3] - 0.3) < 1e-6)
    assert others == []


def test_buttons_end_before_the_scroll_bar_of_a_low_page(page: Any) -> None:
    before = page.viewport_size
    page.set_viewport_size({"width": 900, "height": 420})
    page.wait_for_timeout(1500)
    bars = page.locator(".mantine-ScrollArea-scrollbar[data-orientation=vertical]")
    edges = [box["x"] for box in (bars.nth(i).bounding_box() for i in range(bars.count())) if box and box["height"] > 0]
    button = page.get_by_role("button", name="2", exact=True).bounding_box()
    page.set_viewport_size(before)
    assert edges
    assert button["x"] + button["width"] <= min(edges)


def test_the_console_has_no_errors(page: Any, complaints: list[str]) -> None:
    page.wait_for_timeout(200)
    assert complaints == []
