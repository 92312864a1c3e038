"""What the panel says: why a solution is taken or passed over."""

from __future__ import annotations

from ik_mdn.control import Candidate, CostWeights, Decision
from sim.words import counted

_CLEAR = 0.2  # [m] distances are measured up to this
_TIE = 5e-3  # difference of costs that nobody sees


def why_not(candidate: Candidate, chosen: Candidate | None, weights: CostWeights) -> str:
    """Why the controller passes a candidate over, in a few words.

    Args:
        candidate: Not the chosen one.
        chosen: The one it takes instead; None where it takes none.
        weights: What it decides by.
    """
    if candidate.rejected:
        return candidate.rejected
    if chosen is None:
        return ""
    terms = {
        f"travel {candidate.travel:.1f} s, not {chosen.travel:.1f} s": weights.travel
        * (candidate.travel - chosen.travel),
        f"nearer to a limit ({candidate.margin:.2f}, not {chosen.margin:.2f})": weights.margin
        * (_lack(candidate.margin, weights.margin_wanted) - _lack(chosen.margin, weights.margin_wanted)),
        "less room around it": weights.clearance
        * (_lack(_room(candidate), weights.clearance_wanted) - _lack(_room(chosen), weights.clearance_wanted)),
        "nearer to a singularity": weights.manipulability
        * (
            _lack(candidate.manipulability, weights.manipulability_wanted)
            - _lack(chosen.manipulability, weights.manipulability_wanted)
        ),
    }
    if candidate.cost - chosen.cost < _TIE:
        return f"as good, cost {candidate.cost:.2f}"
    worst = max(terms, key=lambda words: terms[words])
    cost = f"cost {candidate.cost:.2f}, not {chosen.cost:.2f}"
    return f"{cost}: {worst}" if terms[worst] > 0 else cost


def why_chosen(decision: Decision) -> str:
    """Why the controller takes the one it takes: what it costs, and how it gets there."""
    if decision.chosen is None:
        return decision.reason
    stops = max(0, len(decision.route) - 1)
    way = f", by a way round with {counted(stops, 'stop')}" if stops else ""
    able = sum(candidate.rejected is None for candidate in decision.candidates)
    why = "the only one it can take" if able == 1 else f"cheapest of {able}"
    return f"{why}, cost {decision.chosen.cost:.2f}: {decision.chosen.travel:.1f} s away{way}"


def _room(candidate: Candidate) -> float:
    return min(candidate.clearance_self, candidate.clearance_world, _CLEAR)


def _lack(value: float, wanted: float) -> float:
    return max(0.0, 1.0 - value / wanted)
