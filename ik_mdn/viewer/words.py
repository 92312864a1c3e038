"""What the panel says: why a solution is taken or passed over."""

from __future__ import annotations

from collections.abc import Callable

from ik_mdn.control import Candidate, CostWeights, Decision
from sim.words import counted

_TIE = 5e-3  # difference of costs that nobody sees

_WORSE: dict[str, Callable[[Candidate, Candidate], str]] = {
    "travel": lambda its, chosen: f"travel {its.travel:.1f} s, not {chosen.travel:.1f} s",
    "margin": lambda its, chosen: f"nearer to a limit ({its.margin:.2f}, not {chosen.margin:.2f})",
    "clearance": lambda its, chosen: "less room around it",
    "reserve": lambda its, chosen: (
        f"a motor's load is {1 - its.reserve:.0%} of its limit, not {1 - chosen.reserve:.0%}"
    ),
    "manipulability": lambda its, chosen: "nearer to a singularity",
    "weight": lambda its, chosen: "less probable",
    "probability": lambda its, chosen: "less probable",
}  # by the names of the cost's terms


def why_not(candidate: Candidate, decision: Decision, weights: CostWeights) -> str:
    """Why the controller passes a candidate over, in a few words: the term of the cost that speaks most against it.

    Args:
        candidate: Of the decision, not the chosen one.
        decision: What it takes instead, if anything.
        weights: What it decides by.
    """
    chosen = decision.chosen
    if candidate.rejected:
        return candidate.rejected
    if chosen is None:
        return ""
    if candidate.cost - chosen.cost < _TIE:
        return f"as good, cost {candidate.cost:.2f}"
    heaviest = max(each.weight for each in decision.candidates)
    theirs, ours = weights.terms(candidate, heaviest), weights.terms(chosen, heaviest)
    worst = max(theirs, key=lambda name: theirs[name] - ours[name])
    cost = f"cost {candidate.cost:.2f}, not {chosen.cost:.2f}"
    return f"{cost}: {_WORSE[worst](candidate, chosen)}" if theirs[worst] > ours[worst] else cost


def why_chosen(decision: Decision) -> str:
    """Why the controller takes the one it takes: what it costs, and how it gets there."""
    if decision.chosen is None:
        return decision.reason
    stops = max(0, len(decision.route) - 1)
    way = f", by a way round with {counted(stops, 'stop')}" if stops else ""
    able = sum(candidate.rejected is None for candidate in decision.candidates)
    why = "the only one it can take" if able == 1 else f"cheapest of {able}"
    return f"{why}, cost {decision.chosen.cost:.2f}: {decision.chosen.travel:.1f} s away{way}"
