"""The live viewer: one target, every solution with its probability, and why; in a browser, as a page, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from ik_mdn.viewer.answer import Answer as Answer
    from ik_mdn.viewer.answer import Placed as Placed
    from ik_mdn.viewer.app import App as App
    from ik_mdn.viewer.app import Choice as Choice
    from ik_mdn.viewer.recording import STOPS as STOPS
    from ik_mdn.viewer.recording import record_page as record_page
    from ik_mdn.viewer.serving import answer_quickly as answer_quickly
    from ik_mdn.viewer.session import Session as Session
    from ik_mdn.viewer.still import save_still as save_still
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
