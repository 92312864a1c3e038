"""The controller: which candidate to take, and why each other one is passed over; its play as an expert."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.lazy import public_names

if TYPE_CHECKING:
    from ik_mdn.control.candidates import measure_errors as measure_errors
    from ik_mdn.control.controller import Controller as Controller
    from ik_mdn.control.controller import ReachResult as ReachResult
    from ik_mdn.control.decision import COLUMNS as COLUMNS
    from ik_mdn.control.decision import Candidate as Candidate
    from ik_mdn.control.decision import CostWeights as CostWeights
    from ik_mdn.control.decision import Decision as Decision
    from ik_mdn.control.decision import ReachStatus as ReachStatus
    from ik_mdn.control.demonstrations import record_demonstrations as record_demonstrations
    from ik_mdn.control.expert import Expert as Expert
else:
    __getattr__, __dir__, __all__ = public_names(__name__)
